"""File Meta Information, PS3.10 section 7.1, as a template without its two UIDs."""

import functools
import struct

from dcmrecv.config.settings import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    StorageMode,
)

PREAMBLE = bytes(128) + b"DICM"

# What stands in (0002,0002) when a data set names no SOP class: the private class that
# DCMTK uses there (observed, spec 7.2).
NO_SOP_CLASS_UID = "1.2.276.0.7230010.3.1.0.1"


def _even(value: bytes, pad: bytes) -> bytes:
    return value + pad if len(value) % 2 else value


def _short(element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value


@functools.lru_cache(maxsize=1024)  # senders come again, with the same contexts
def file_meta_template(
    mode: StorageMode, transfer_syntax: str, calling_ae_title: str
) -> tuple[bytes, bytes]:
    """Everything of the File Meta Information but (0002,0002) and (0002,0003).

    The source AE title (0002,0016) is written in bit-preserving mode only (observed,
    spec 7.2).

    Returns:
        What stands before the two UIDs, from the preamble on, with the group length at
        byte 140 still 0, and what stands behind them.

    Source:
        PS3.10 section 7.1, Table 7.1-1.
    """
    group_length = _short(0x0000, b"UL", bytes(4))
    version = struct.pack("<HH2sHL", 2, 0x0001, b"OB", 0, 2) + b"\x00\x01"
    tail = _short(0x0010, b"UI", _even(transfer_syntax.encode("ascii"), b"\0"))
    tail += _short(0x0012, b"UI", _even(IMPLEMENTATION_CLASS_UID.encode(), b"\0"))
    tail += _short(0x0013, b"SH", _even(IMPLEMENTATION_VERSION_NAME.encode(), b" "))
    if mode is StorageMode.BIT_PRESERVING:
        title = calling_ae_title.encode("latin-1", "replace")
        tail += _short(0x0016, b"AE", _even(title, b" "))
    return PREAMBLE + group_length + version, tail
