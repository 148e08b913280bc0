"""What a receiver has stored, checked: a run that lost or bent a byte gives no figure.

Never starts anything.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from processes import BenchmarkError

UID_BASE = "123456789012345678"  # of every SOP Instance UID that the sender makes
HEAD = 144  # preamble, prefix and the element (0002,0000)
PIECE = 1 << 23
NO_META = bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00" + bytes(4)


def data_set_length(path: Path) -> int:
    """Bytes after the File Meta Information of a file.

    Raises:
        BenchmarkError: it does not begin as PS3.10 section 7.1 wants it.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head[128:140] != NO_META[128:140]:
        raise BenchmarkError(f"{path.name} is not a DICOM file")
    return path.stat().st_size - HEAD - int.from_bytes(head[140:144], "little")


def write_reference(path: Path, data_set: bytes) -> None:
    """A file to compare with: a data set behind an empty File Meta Information."""
    path.write_bytes(NO_META + data_set)


def _pieces(path: Path, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(-length, os.SEEK_END)
        while piece := file.read(PIECE):
            yield piece


def _same_data_set(path: Path, other: Path, length: int) -> bool:
    pairs = zip(_pieces(path, length), _pieces(other, length), strict=True)
    return all(one == two for one, two in pairs)


def check_directory(directory: Path, count: int, references: dict[int, Path]) -> int:
    """Every object is there and as long as it was; some are compared byte by byte.

    Args:
        directory: of the receiver; nothing else may be in it.
        count: the number of files wanted.
        references: files to compare with, by the number of the object.

    Returns:
        The length of one data set in bytes.

    Raises:
        BenchmarkError: something is missing, too much, or not as it was sent.
    """
    expected = data_set_length(next(iter(references.values())))
    paths = list(directory.iterdir())
    if len(paths) != count:
        raise BenchmarkError(f"{len(paths)} files instead of {count}")
    for path in paths:
        length = data_set_length(path)
        if length != expected:
            raise BenchmarkError(f"{path.name}: {length} bytes instead of {expected}")
    for number, reference in references.items():
        path = directory / f"CT.2.25.{UID_BASE}{0:04}{number:08}"
        if count and not _same_data_set(path, reference, expected):
            raise BenchmarkError(f"{path.name} differs from what was sent")
    return expected
