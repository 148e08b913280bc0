"""storage.duplicate: which files hold the same object."""

import os
from pathlib import Path

import pytest

from dcmrecv.config.settings import StorageMode
from dcmrecv.storage.duplicate import same_object
from dcmrecv.storage.filemeta import file_meta_template
from tests.builders.uids import EXPLICIT_LE, IMPLICIT_LE

DATA_SET = bytes(range(256)) * 400  # more than is compared at a time


def file_of(
    data_set: bytes = DATA_SET,
    *,
    title: str = "STORESCU",
    transfer_syntax: str = IMPLICIT_LE,
    uid: bytes = b"1.2.3\0",
) -> bytes:
    """A file as the receiver writes it in bit preserving mode."""
    head, tail = file_meta_template(StorageMode.BIT_PRESERVING, transfer_syntax, title)
    meta = b"\x02\0\x03\0UI" + len(uid).to_bytes(2, "little") + uid + tail
    group_length = (len(head) + len(meta) - 144).to_bytes(4, "little")
    return head[:140] + group_length + head[144:] + meta + data_set


def are_same(tmp_path: Path, left: bytes, right: bytes) -> bool:
    """What the comparison says of two files, the same either way round."""
    descriptors = []
    for name, content in (("left", left), ("right", right)):
        (tmp_path / name).write_bytes(content)
        descriptors.append(os.open(tmp_path / name, os.O_RDONLY))
    try:
        answer: bool = same_object(*descriptors)
        assert same_object(*reversed(descriptors)) == answer
        return answer
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@pytest.mark.parametrize("size", [0, 1, 32_768, len(DATA_SET)])
def test_equal_files_are_the_same(tmp_path: Path, size: int) -> None:
    assert are_same(tmp_path, file_of(DATA_SET[:size]), file_of(DATA_SET[:size]))


def test_the_sender_does_not_matter(tmp_path: Path) -> None:
    """Titles of other lengths, too: another group length."""
    for title in ("S", "DCMSEND", "A TITLE OF SIXTEE", ""):
        assert are_same(tmp_path, file_of(title=title), file_of())


@pytest.mark.parametrize(
    "other",
    [
        file_of(DATA_SET[:-1]),
        file_of(DATA_SET + b"\0"),
        file_of(DATA_SET[:-1] + b"\0"),
        file_of(b"\1" + DATA_SET[1:]),
        file_of(transfer_syntax=EXPLICIT_LE),
        file_of(uid=b"1.2.4\0"),
        file_of(uid=b"1.2.3.4\0"),
        file_of(b""),
    ],
)
def test_any_other_difference_does(tmp_path: Path, other: bytes) -> None:
    assert not are_same(tmp_path, file_of(), other)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        file_of()[:131],
        file_of()[:150],
        bytes(132) + file_of()[132:],
        file_of()[:140] + b"\xff\xff\xff\xff" + file_of()[144:],
        file_of()[:150] + b"\xff" * 200,
    ],
)
def test_what_is_no_whole_file_is_the_same_as_nothing(
    tmp_path: Path, broken: bytes
) -> None:
    """Not even as itself."""
    assert not are_same(tmp_path, file_of(), broken)
    assert not are_same(tmp_path, broken, broken) or broken.endswith(b"\xff" * 200)
