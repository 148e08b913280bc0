"""Data sets with everything that normal mode has a rule for, and some that break one.

`mixture()` makes one from a source of chance; a seed gives the same one again. Most can
be read; damage is drawn here and there on purpose.
"""

import random
import struct

from tests.builders import uids
from tests.builders.data_set import PIXEL_DATA, UNDEFINED, Encoding
from tests.builders.pdu import ProposedContext

# One presentation context for each way in which a data set may be encoded.
SYNTAXES = {
    1: uids.IMPLICIT_LE,
    3: uids.EXPLICIT_LE,
    5: uids.EXPLICIT_BE,
    7: uids.JPEG_BASELINE,
    9: uids.DEFLATED_LE,
}
CONTEXTS = [ProposedContext(n, transfer_syntaxes=(s,)) for n, s in SYNTAXES.items()]

IMPLICIT = Encoding(explicit=False, byte_order="<")

# Tags whose meaning somebody may depend on, and their VRs.
KNOWN = (
    (0x0008_0005, "CS"),
    (0x0008_0016, "UI"),
    (0x0008_0018, "UI"),
    (0x0008_0060, "CS"),
    (0x0010_0010, "PN"),
    (0x0010_0020, "LO"),
    (0x0010_4000, "LT"),
    (0x0018_9073, "FD"),
    (0x0020_0032, "DS"),
    (0x0028_0009, "AT"),
    (0x0028_0010, "US"),
    (0x0028_0103, "US"),
    (0x0028_0106, "US"),
    (0x0028_0120, "SS"),
    (0x0028_1101, "US"),
    (0x0028_3002, "US"),
    (0x0028_3006, "OW"),
    (0x0040_A160, "UT"),
    (0x0040_A161, "FL"),
    (0x0042_0011, "OB"),
    (0x0066_0016, "OF"),
    (0x0066_0129, "OL"),
    (0x5002_3000, "OW"),
    (0x5400_1004, "US"),
    (0x5400_1010, "OW"),
    (0x5400_100A, "OW"),
    (0x6000_3000, "OW"),
    (0x7FE0_0001, "OV"),
    (0x7FE0_0008, "OF"),
)
SEQUENCES = (0x0008_1140, 0x0040_A730, 0x5200_9229, 0x0088_0200, 0x0028_3010)
CREATORS = ("OWNER", "SIEMENS CSA HEADER", "GEMS_PARM_01", "PHILIPS MR/PART", "AB")
ODD_VRS = ("\0\0", "ZZ", "ox", "xs", "up", "??", "OX", "lt", "px", "Ab", "na", "pi")
VRS = ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN")
VRS += ("SH", "SL", "SS", "ST", "TM", "UI", "UL", "US")
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SV", "UC", "UN", "UR", "UT", "UV")


class Mixer:
    """Draws the parts of one data set.

    Args:
        chance: where all choices come from.
        encoding: of the data set.
        wild: how often, of a thousand parts, a part breaks a rule.
    """

    def __init__(self, chance: random.Random, encoding: Encoding, wild: int) -> None:
        self.chance = chance
        self.encoding = encoding
        self.wild = wild

    def odd(self, of_thousand: int) -> bool:
        """Does something rarely happen?"""
        return self.chance.randrange(1000) < of_thousand

    def value(self) -> bytes:
        """A value, short as a rule, of an odd length sometimes."""
        chance = self.chance
        size = chance.choice((0, 2, 2, 4, 8, 8, 10, 16, 64, 200))
        if self.odd(120):
            size += 1
        if self.odd(4):
            size = chance.choice((0xFFFE, 0xFFFF, 0x10000, 70_001, 20_000))
        kind = chance.randrange(3)
        if kind == 0:
            return bytes(size)
        if kind == 1:
            return (b"1.2\\3 A^" * (size // 8 + 1))[:size]
        return chance.randbytes(size)

    def element(self, encoding: Encoding, tag: int, vr: str, value: bytes) -> bytes:
        """An element; a length that its header cannot hold is cut."""
        if encoding.explicit:
            if vr in ODD_VRS:
                if vr in ("ZZ", "ox", "lt", "px", "OX"):
                    data = encoding.element(tag, "UN", value)
                else:
                    data = encoding.element(tag, "LO", value[:0xFFFF])
                return data[:4] + vr.encode() + data[6:]
            if vr in VRS:
                value = value[:0xFFFF]
        return encoding.element(tag, vr, value)

    def plain(self, encoding: Encoding) -> tuple[int, bytes]:
        """A tag and an element with a value."""
        chance = self.chance
        kind = chance.randrange(10)
        if kind < 5:
            tag, vr = chance.choice(KNOWN)
        elif kind < 7:
            group = chance.choice((0x0009, 0x0019, 0x0029))
            if chance.randrange(3) == 0:
                creator = chance.choice(CREATORS)
                tag = group << 16 | chance.randint(0x10, 0x12)
                if chance.randrange(2):
                    creator += " " * (len(creator) % 2)
                return tag, encoding.element(tag, "LO", creator.encode())
            tag = group << 16 | chance.choice((0x1001, 0x1008, 0x1010, 0x1102, 0x1210))
            vr = chance.choice(("UN", "LO", "OB", "SH", "UL"))
        elif kind < 8:
            group = chance.choice((0x0008, 0x0010, 0x0028, 0x0009, 0x7FE0, 0x0040))
            # Longer ones keep their rest where their group is the last (not ours).
            size = 4 if not self.odd(30) else 0
            vr = "UL" if not self.odd(100) else chance.choice(("LO", "UN", "SL"))
            return group << 16, encoding.element(group << 16, vr, bytes(size))
        else:
            tag = chance.randint(0x0008, 0x60FF) << 16 | chance.randint(1, 0xFFFF)
            vr = chance.choice(VRS + LONG)
        if self.odd(20):
            vr = chance.choice(VRS + LONG)
        if self.odd(self.wild):
            vr = chance.choice(ODD_VRS)
        if tag == 0x0028_0103 and chance.randrange(2):
            return tag, encoding.element(tag, "US", chance.choice((b"\0\0", b"\1\0")))
        if tag == 0x5400_1004 and chance.randrange(2):
            return tag, encoding.element(
                tag, "US", chance.choice((b"\x08\0", b"\x10\0"))
            )
        data = self.element(encoding, tag, vr, self.value())
        if self.odd(20) and encoding.explicit and data[6:8] == b"\0\0":
            data = data[:6] + self.chance.randbytes(2) + data[8:]
        return tag, data

    def sequence(self, encoding: Encoding, depth: int) -> tuple[int, bytes]:
        """A tag and a sequence, of either form of length, or unknown."""
        chance = self.chance
        tag = chance.choice(SEQUENCES)
        if chance.randrange(6) == 0:
            tag = 0x0009_1020
        unknown = chance.randrange(6) == 0
        own = IMPLICIT if unknown else encoding
        content = b""
        for _ in range(chance.choice((0, 1, 1, 2, 3))):
            undefined = chance.randrange(2) == 0
            item = own.item(self.elements(own, depth - 1), undefined=undefined)
            content += self.damaged_length(own, item, 4)
        vr = "UN" if unknown else "SQ"
        if unknown or chance.randrange(2):
            data = encoding.element(tag, vr, content, length=UNDEFINED)
            return tag, data + own.element(0xFFFEE0DD, "")
        data = encoding.element(tag, vr, content)
        return tag, self.damaged_length(encoding, data, len(data) - len(content) - 4)

    def damaged_length(self, encoding: Encoding, data: bytes, at: int) -> bytes:
        """Some length a little wrong, rarely."""
        if not self.odd(self.wild):
            return data
        (length,) = struct.unpack_from(encoding.byte_order + "I", data, at)
        length = max(0, length + self.chance.choice((-8, -4, -2, 2, 4, 8, 16)))
        field = struct.pack(encoding.byte_order + "I", length & 0xFFFFFFFF)
        return data[:at] + field + data[at + 4 :]

    def fragments(self, encoding: Encoding) -> tuple[int, bytes]:
        """Encapsulated pixel data, its offset table empty, right or wrong."""
        chance = self.chance
        content = encoding.item(chance.choice((b"", bytes(4), chance.randbytes(8))))
        for _ in range(chance.randrange(4)):
            content += encoding.item(
                chance.randbytes(chance.choice((0, 2, 3, 100, 999)))
            )
        vr = chance.choice(("OB", "OB", "OB", "OW", "OX", "UN"))
        data = encoding.element(PIXEL_DATA, "OB", content, length=UNDEFINED)
        if encoding.explicit:
            data = data[:4] + vr.encode() + data[6:]
        if not self.odd(self.wild):
            data += encoding.element(0xFFFEE0DD, "")
        return PIXEL_DATA, data

    def elements(self, encoding: Encoding, depth: int) -> bytes:
        """Some elements, in order as a rule, none twice as a rule."""
        chance = self.chance
        parts = []
        for _ in range(chance.choice((0, 1, 2, 3, 5, 8))):
            if depth > 0 and chance.randrange(4) == 0:
                parts.append(self.sequence(encoding, depth))
            else:
                parts.append(self.plain(encoding))
        if self.odd(5):
            parts.append(self.fragments(encoding))
        if not self.odd(150):
            parts.sort(key=lambda part: part[0])
            if not self.odd(150):
                parts = list(dict(parts).items())
        data = b"".join(part for _, part in parts)
        if self.odd(self.wild):
            stray = chance.choice((0xFFFEE00D, 0xFFFEE0DD, 0xFFFEE000, 0xFFFE1234))
            data += encoding.element(stray, "" if stray != 0xFFFE1234 else "LO")
        return data


def mixture(
    chance: random.Random,
    encoding: Encoding,
    *,
    encapsulated: bool = False,
    wild: int = 5,
) -> bytes:
    """A data set of an even number of bytes, as DCMTK wants them.

    Args:
        chance: where all choices come from.
        encoding: of the elements.
        encapsulated: with fragments at the end as a rule.
        wild: how often, of a thousand parts, a part breaks a rule.
    """
    mixer = Mixer(chance, encoding, wild)
    data = mixer.elements(encoding, 3)
    if encapsulated and chance.randrange(4):
        data += mixer.fragments(encoding)[1]
    elif chance.randrange(4) == 0:
        vr = chance.choice(("OB", "OW"))
        data += encoding.element(PIXEL_DATA, vr, mixer.value())
    if chance.randrange(8) == 0:
        data += encoding.element(0xFFFC_FFFC, "OB", bytes(chance.randrange(20)))
    if mixer.odd(wild):
        at = chance.randrange(len(data) + 1)
        data = data[:at] + chance.randbytes(chance.randrange(5)) + data[at + 2 :]
    if mixer.odd(wild):
        data = data[: chance.randrange(len(data) + 1)]
    if len(data) % 2:
        data += encoding.element(0xFFFC_FFFD, "LO", b"x")
    return data
