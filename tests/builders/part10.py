"""DICOM files taken apart and compared. PS3.10 section 7."""

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

LONG_VRS = (b"OB", b"UN", b"UT")

TRANSFER_SYNTAX_UID = 0x00020010
MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
MEDIA_STORAGE_SOP_INSTANCE_UID = 0x00020003
SOURCE_AE_TITLE = 0x00020016


@dataclass(frozen=True, slots=True)
class Part10:
    """The three parts of a DICOM file.

    `meta` maps the tag to VR and value, in the order of the file, padding included.
    """

    preamble: bytes
    meta: dict[int, tuple[str, bytes]]
    data_set: bytes

    def meta_text(self, tag: int) -> str:
        """The value of a File Meta Information element without its padding."""
        return self.meta[tag][1].decode().rstrip("\0 ")


def parse_part10(content: bytes) -> Part10:
    """Take a file apart.

    Raises:
        ValueError: no `DICM`, no group length first, or group 0002 does not end where
            the group length says.
    """
    if content[128:132] != b"DICM":
        raise ValueError(f"no DICM prefix: {content[128:132]!r}")
    if content[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise ValueError(f"no group length: {content[132:144].hex(' ')}")
    end = 144 + int.from_bytes(content[140:144], "little")
    meta: dict[int, tuple[str, bytes]] = {}
    at = 132
    while at < end:
        group, element, vr = struct.unpack_from("<HH2s", content, at)
        if vr in LONG_VRS:
            (size,) = struct.unpack_from("<I", content, at + 8)
            at += 12
        else:
            (size,) = struct.unpack_from("<H", content, at + 6)
            at += 8
        meta[group << 16 | element] = vr.decode(), content[at : at + size]
        at += size
    if at != end or any(tag >> 16 != 2 for tag in meta):
        raise ValueError(f"File Meta Information ends at {at}, not at {end}")
    return Part10(content[:128], meta, content[end:])


def read_part10(path: Path) -> Part10:
    """Read a file and take it apart; errors as `parse_part10()`."""
    return parse_part10(path.read_bytes())


def read_data_set(path: Path) -> Dataset:
    """Parse a whole file with pydicom, however odd its values are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = pydicom.dcmread(path)
        data_set.walk(lambda _, element: element.value)
    return data_set


def differences(sent: Path, stored: Path) -> list[str]:
    """What differs between two files' data sets, element by element.

    Group lengths and trailing padding are no content, nor is the way in which a
    sequence ends; everything else has to agree, at every level. Words of pixel data are
    compared as numbers when a sender has changed the byte order.
    """
    one, other = read_data_set(sent), read_data_set(stored)
    swap = one.original_encoding[1] != other.original_encoding[1]
    return _compare(one, other, "", swap)


def _compare(sent: Dataset, stored: Dataset, where: str, swap: bool) -> list[str]:
    found: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        elements = (element for ds in (sent, stored) for element in ds)
        tags = {element.tag for element in elements if element.tag.element != 0}
        for tag in sorted(tags - {0xFFFCFFFC}):
            path = f"{where}{tag}"
            if tag not in sent or tag not in stored:
                found.append(f"{path} only {'sent' if tag in sent else 'stored'}")
                continue
            one, other = sent[tag].value, stored[tag].value
            if isinstance(one, Sequence) and isinstance(other, Sequence):
                if len(one) != len(other):
                    found.append(f"{path}: {len(one)} items sent, {len(other)} stored")
                for number, items in enumerate(zip(one, other, strict=False)):
                    found += _compare(*items, f"{path}[{number}].", swap)
                continue
            if swap and sent[tag].VR == "OW":
                one = _swapped(one)
            if one != other:
                found.append(f"{path}: {str(one)[:60]!r} is {str(other)[:60]!r}")
    return found


def _swapped(words: bytes) -> bytes:
    """16-bit words in the other byte order."""
    swapped = bytearray(words)
    swapped[::2], swapped[1::2] = words[1::2], words[::2]
    return bytes(swapped)
