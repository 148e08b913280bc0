"""Data sets as bytes, element by element. PS3.5 section 7.1.

`Encoding` writes elements in one of the three native encodings; `object_of()` and its
like put them together to the objects that the tests send.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from tests.builders.uids import (
    CT_IMAGE,
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
)

LONG_VRS = (
    "OB",
    "OD",
    "OF",
    "OL",
    "OV",
    "OW",
    "SQ",
    "SV",
    "UC",
    "UN",
    "UR",
    "UT",
    "UV",
)
UNDEFINED = 0xFFFFFFFF

SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
SERIES_DATE = 0x00080021
MODALITY = 0x00080060
PATIENT_NAME = 0x00100010
ROWS = 0x00280010
COLUMNS = 0x00280011
PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True, slots=True)
class Encoding:
    """Byte order and explicitness of one transfer syntax."""

    explicit: bool
    byte_order: str  # "<" or ">", as `struct` writes it

    @classmethod
    def of(cls, transfer_syntax: str) -> "Encoding":
        """The encoding of the data elements in a transfer syntax."""
        return cls(
            explicit=transfer_syntax != IMPLICIT_LE,
            byte_order=">" if transfer_syntax == EXPLICIT_BE else "<",
        )

    def tag(self, tag: int) -> bytes:
        """Group and element number."""
        return struct.pack(self.byte_order + "HH", tag >> 16, tag & 0xFFFF)

    def element(
        self, tag: int, vr: str, value: bytes = b"", *, length: int | None = None
    ) -> bytes:
        """One element with its value as it is; `length` falsifies the length field."""
        size = len(value) if length is None else length
        if not self.explicit or vr == "":
            header = struct.pack(self.byte_order + "I", size)
        elif vr in LONG_VRS:
            header = vr.encode() + struct.pack(self.byte_order + "xxI", size)
        else:
            header = vr.encode() + struct.pack(self.byte_order + "H", size)
        return self.tag(tag) + header + value

    def text(self, tag: int, vr: str, value: str) -> bytes:
        """An element of text, padded to an even length with what its VR wants."""
        raw = value.encode()
        return self.element(
            tag, vr, raw + (b"\0" if vr == "UI" else b" ")[: len(raw) % 2]
        )

    def short(self, tag: int, value: int) -> bytes:
        """An element of VR US."""
        return self.element(tag, "US", struct.pack(self.byte_order + "H", value))

    def item(self, content: bytes, *, undefined: bool = False) -> bytes:
        """An item of a sequence, or a fragment of encapsulated pixel data."""
        if undefined:
            return self.element(
                0xFFFEE000, "", content, length=UNDEFINED
            ) + self.element(0xFFFEE00D, "")
        return self.element(0xFFFEE000, "", content)

    def sequence(
        self, tag: int, items: Iterable[bytes], *, undefined: bool = False
    ) -> bytes:
        """A sequence of complete items."""
        content = b"".join(items)
        if undefined:
            return self.element(tag, "SQ", content, length=UNDEFINED) + self.element(
                0xFFFEE0DD, ""
            )
        return self.element(tag, "SQ", content)


def identification(
    sop_instance_uid: str,
    *,
    sop_class_uid: str = CT_IMAGE,
    transfer_syntax: str = IMPLICIT_LE,
    series_date: str | None = None,
) -> bytes:
    """The head of an object: its UIDs, perhaps Series Date, Modality, a patient."""
    encoding = Encoding.of(transfer_syntax)
    date = b""
    if series_date is not None:
        date = encoding.text(SERIES_DATE, "DA", series_date)
    return (
        encoding.text(SOP_CLASS_UID, "UI", sop_class_uid)
        + encoding.text(SOP_INSTANCE_UID, "UI", sop_instance_uid)
        + date
        + encoding.text(MODALITY, "CS", "CT")
        + encoding.text(PATIENT_NAME, "PN", "Builder^Data")
    )


def pattern(size: int) -> bytes:
    """`size` bytes of which no 251 following ones repeat the 251 before in place."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def object_of(
    sop_instance_uid: str = "1.2.3.4.5",
    *,
    pixel_bytes: int = 64,
    sop_class_uid: str = CT_IMAGE,
    transfer_syntax: str = IMPLICIT_LE,
    series_date: str | None = None,
) -> bytes:
    """A whole data set that every mode takes and normal mode leaves as it is.

    Args:
        sop_instance_uid: as in the command set.
        pixel_bytes: length of the pixel data, even.
        sop_class_uid: as in the command set.
        transfer_syntax: a native one, or deflated.
        series_date: (0008,0021), None for none.
    """
    encoding = Encoding.of(transfer_syntax)
    data_set = (
        identification(
            sop_instance_uid,
            sop_class_uid=sop_class_uid,
            transfer_syntax=transfer_syntax,
            series_date=series_date,
        )
        + encoding.short(ROWS, 1)
        + encoding.short(COLUMNS, pixel_bytes // 2 & 0xFFFF)
        + encoding.element(PIXEL_DATA, "OW", pattern(pixel_bytes))
    )
    return deflate(data_set) if transfer_syntax == DEFLATED_LE else data_set


def encapsulated_object(
    sop_instance_uid: str = "1.2.3.4.5",
    *,
    fragments: Iterable[bytes] = (b"\xff\xd8\xff\xd9",),
    sop_class_uid: str = CT_IMAGE,
) -> bytes:
    """A data set with encapsulated pixel data and an empty offset table. PS3.5 A.4."""
    encoding = Encoding(explicit=True, byte_order="<")
    content = encoding.item(b"") + b"".join(encoding.item(f) for f in fragments)
    return (
        identification(
            sop_instance_uid, sop_class_uid=sop_class_uid, transfer_syntax=EXPLICIT_LE
        )
        + encoding.element(PIXEL_DATA, "OB", content, length=UNDEFINED)
        + encoding.element(0xFFFEE0DD, "")
    )


def deflate(data_set: bytes) -> bytes:
    """A raw deflated stream, padded to an even length. PS3.5 section A.5."""
    compressor = zlib.compressobj(wbits=-15)
    stream = compressor.compress(data_set) + compressor.flush()
    return stream + b"\0" * (len(stream) % 2)
