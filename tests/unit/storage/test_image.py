"""storage.image: preamble, File Meta Information and data set make a DICOM file."""

import struct
from pathlib import Path

import pydicom
import pytest

from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving
from tests.builders.sending import send_in_background
from tests.builders.uids import CT_IMAGE, EXPLICIT_LE


@pytest.mark.parametrize("pixel_bytes", [64, 1_048_576, 3_000_000])
def test_the_file_is_what_the_standard_says(tmp_path: Path, pixel_bytes: int) -> None:
    """PS3.10 section 7.1, whatever the number of windows."""
    sent = data_set.object_of(
        "1.2.3", pixel_bytes=pixel_bytes, transfer_syntax=EXPLICIT_LE
    )
    wire = pdu.message(1, command.c_store_rq("1.2.3"), sent)
    with receiving(tmp_path, transfer_syntaxes=[EXPLICIT_LE]) as (peer, receiver):
        sending = send_in_background(peer, wire)
        receiver.run()
        sending.join()
    stored = (tmp_path / "CT.1.2.3").read_bytes()
    assert stored[:132] == bytes(128) + b"DICM"
    length = struct.unpack_from("<I", stored, 140)[0]
    assert stored[144 + length :] == sent
    found = pydicom.dcmread(tmp_path / "CT.1.2.3")
    assert found.file_meta.MediaStorageSOPClassUID == CT_IMAGE
    assert found.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert found.file_meta.SourceApplicationEntityTitle == "RAW"
    assert len(found.PixelData) == pixel_bytes


@pytest.mark.parametrize("uid", ["1.2", "1.2.3", "1" * 63, "1" * 64])
def test_uids_are_padded_to_even_lengths(tmp_path: Path, uid: str) -> None:
    with receiving(tmp_path) as (peer, receiver):
        wire = pdu.message(1, command.c_store_rq(uid), data_set.object_of(uid))
        peer.sendall(wire)
        receiver.run()
    found = pydicom.dcmread(tmp_path / f"CT.{uid}")
    assert found.file_meta.MediaStorageSOPInstanceUID == uid
