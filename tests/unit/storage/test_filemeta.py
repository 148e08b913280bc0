"""storage.filemeta: the elements of spec 7.2, as pydicom reads them."""

import struct

import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_file_meta_info, read_partial

from dcmrecv.config.settings import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    StorageMode,
)
from dcmrecv.storage.filemeta import PREAMBLE, file_meta_template

UIDS = struct.pack("<HH2sH", 2, 2, b"UI", 4) + b"1.2\0"
UIDS += struct.pack("<HH2sH", 2, 3, b"UI", 6) + b"1.2.3\0"


def meta(mode: StorageMode, calling: str = "CALLER"):
    head, tail = file_meta_template(mode, "1.2.840.10008.1.2.1", calling)
    whole = head + UIDS + tail
    length = struct.pack("<I", len(whole) - 144)
    return read_partial(DicomBytesIO(whole[:140] + length + whole[144:])).file_meta


@pytest.mark.parametrize("mode", list(StorageMode))
def test_the_mandatory_elements_are_there(mode: StorageMode) -> None:
    """PS3.10 Table 7.1-1."""
    assert read_file_meta_info  # the reader below is the one that files are read with
    own = meta(mode)
    assert own.FileMetaInformationVersion == b"\0\1"
    assert own.MediaStorageSOPClassUID == "1.2"
    assert own.MediaStorageSOPInstanceUID == "1.2.3"
    assert own.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert own.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert own.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME


def test_the_source_title_is_written_in_bit_preserving_mode_only() -> None:
    assert meta(StorageMode.BIT_PRESERVING).SourceApplicationEntityTitle == "CALLER"
    assert "SourceApplicationEntityTitle" not in meta(StorageMode.NORMAL)


def test_values_are_padded_to_even_lengths() -> None:
    for title in ("ODD", "EVEN"):
        head, tail = file_meta_template(StorageMode.BIT_PRESERVING, "1.2.3", title)
        assert len(head) % 2 == len(tail) % 2 == 0
        assert b"\x10\0UI\x06\x001.2.3\0" in tail


def test_a_title_outside_of_latin_1_does_not_fail() -> None:
    _, tail = file_meta_template(StorageMode.BIT_PRESERVING, "1.2", "a\u4e00")
    assert tail.endswith(b"AE\x02\x00a?")


def test_the_preamble_is_empty() -> None:
    assert bytes(128) + b"DICM" == PREAMBLE
