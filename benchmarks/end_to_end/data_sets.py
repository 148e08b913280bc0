"""Data sets of several shapes, as they are sent and as normal mode writes them.

Explicit VR Little Endian, and CT Image Storage by their UIDs whatever they hold. With
an encoder of its own, so that what is expected does not come from what is measured.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

UNDEFINED = b"\xff\xff\xff\xff"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
KIB = 1024
PATTERN = bytes(range(1, 256))


def element(tag: int, vr: str, value: bytes) -> bytes:
    """An element that holds a value; PS3.5 section 7.1.2."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("OB", "OW"):
        return head + struct.pack("<xxI", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def text(tag: int, vr: str, value: str) -> bytes:
    """An element of text, padded to an even length."""
    raw = value.encode()
    return element(tag, vr, raw + (b"\0" if vr == "UI" else b" ")[: len(raw) % 2])


def pixels(size: int) -> bytes:
    """Native Pixel Data of so many bytes."""
    return element(0x7FE0_0010, "OW", (PATTERN * (size // len(PATTERN) + 1))[:size])


@dataclass(frozen=True, slots=True)
class Form:
    """How sequences stand: with their lengths, or `written` anew and without."""

    written: bool

    def _nested(self, head: bytes, content: bytes, end: int) -> bytes:
        if self.written:
            return head + UNDEFINED + content + struct.pack("<HHI", 0xFFFE, end, 0)
        return head + struct.pack("<I", len(content)) + content

    def item(self, *elements: bytes) -> bytes:
        """An item of a sequence; PS3.5 section 7.5."""
        return self._nested(b"\xfe\xff\x00\xe0", b"".join(elements), 0xE00D)

    def sequence(self, tag: int, items: Sequence[bytes]) -> bytes:
        """A sequence of items."""
        head = struct.pack("<HH2sxx", tag >> 16, tag & 0xFFFF, b"SQ")
        return self._nested(head, b"".join(items), 0xE0DD)

    def code(self, tag: int, value: str, meaning: str) -> bytes:
        """A sequence of one coded concept; PS3.3 section 8.8."""
        own = text(0x0008_0100, "SH", value) + text(0x0008_0102, "SH", "DCM")
        return self.sequence(tag, [self.item(own, text(0x0008_0104, "LO", meaning))])


def identification() -> bytes:
    """SOP Class UID and SOP Instance UID."""
    sop_class = text(0x0008_0016, "UI", CT_IMAGE_STORAGE)
    return sop_class + text(0x0008_0018, "UI", "2.25.1")


def changed_image(form: Form) -> bytes:
    """A CT image with a wrong group length and three references in front."""
    reference = form.item(text(0x0008_1150, "UI", "1.2.3.4"))
    group = identification() + form.sequence(0x0008_1140, [reference] * 3)
    length = struct.pack("<I", len(group) if form.written else 0)
    return element(0x0008_0000, "UL", length) + group + pixels(512 * KIB)


def multi_frame(form: Form) -> bytes:
    """2,000 frames with functional groups three sequences deep, and small pixels."""
    source = form.item(
        text(0x0008_1150, "UI", "1.2.840.10008.5.1.4.1.1.4"),
        text(0x0008_1155, "UI", "1.2.3.4.5.6.7.8.9"),
        form.code(0x0040_A170, "121311", "Localizer"),
    )
    derivation = form.item(form.sequence(0x0008_2112, [source]))
    content = form.item(
        text(0x0018_9074, "DT", "20260102030405.123456"),
        text(0x0020_9056, "SH", "1"),
        element(0x0020_9157, "UL", bytes(8)),
    )
    position = form.item(text(0x0020_0032, "DS", "-125.5\\-130.25\\12.75"))
    frame = form.item(
        form.sequence(0x0008_9124, [derivation]),
        form.sequence(0x0020_9111, [content]),
        form.sequence(0x0020_9113, [position]),
    )
    frames = form.sequence(0x5200_9230, [frame] * 2_000)
    return identification() + frames + pixels(1024 * KIB)


def structure_set(form: Form) -> bytes:
    """An RT structure set of 20 MB: contours, all in sequences."""
    image = form.item(text(0x0008_1155, "UI", "1.2.3.4.5.6.7"))
    contour = form.item(
        form.sequence(0x3006_0016, [image]),
        text(0x3006_0042, "CS", "CLOSED_PLANAR"),
        text(0x3006_0046, "IS", "100"),
        text(0x3006_0050, "DS", "\\".join(f"{n / 7:.3f}" for n in range(300))),
    )
    region = form.item(form.sequence(0x3006_0040, [contour] * 500))
    return identification() + form.sequence(0x3006_0039, [region] * 18)


def report(form: Form) -> bytes:
    """A structured report of 8 KB."""
    node = form.item(
        text(0x0040_A010, "CS", "CONTAINS"),
        text(0x0040_A040, "CS", "NUM"),
        form.code(0x0040_A043, "121206", "Distance"),
        text(0x0040_A30A, "DS", "12.5"),
    )
    return identification() + form.sequence(0x0040_A730, [node] * 70)


DATA_SETS: dict[str, Callable[[Form], bytes]] = {
    "changed image": changed_image,
    "multi-frame": multi_frame,
    "structure set": structure_set,
    "report": report,
}
