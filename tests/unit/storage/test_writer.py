"""storage.writer: a file has no final name before it is whole.

What happens when a call fails is tested in tests/faults, call by call.
"""

import errno
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from dcmrecv.config.settings import (
    StorageMode,
    StorageSettings,
    SubdirectoryMode,
    WriteMode,
)
from dcmrecv.errors import AssociationTimeout
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.receiver import StoreReceiver
from tests.builders import command, data_set, pdu
from tests.builders.receiving import TAG, receiving
from tests.builders.sending import send_in_background

NAME = "CT.1.2.3.4.5"
WINDOW = 1 << 20  # bytes
LARGE = 3_000_000  # bytes, more than two windows


def store(peer: socket.socket, receiver: StoreReceiver, sent: bytes) -> int:
    """Send an object whole; the status of the answer."""
    sending = send_in_background(peer, pdu.message(1, command.c_store_rq(), sent))
    receiver.run()
    sending.join()
    return receiver.status


def test_only_a_hidden_file_is_there_until_the_last_byte(tmp_path: Path) -> None:
    wire = pdu.message(1, command.c_store_rq(), data_set.object_of(pixel_bytes=LARGE))
    with receiving(tmp_path, dimse_timeout_s=1) as (peer, receiver):
        sending = send_in_background(peer, wire[:-1])
        with pytest.raises(AssociationTimeout):
            receiver.run()
        sending.join()
        assert os.listdir(tmp_path) == [f".dcmrecv-{TAG}-1.part"]
    assert os.listdir(tmp_path) == []


def test_an_unfinished_object_leaves_the_older_copy_alone(tmp_path: Path) -> None:
    """DECISIONS row 3: the original destroys it."""
    (tmp_path / NAME).write_bytes(b"older copy")
    wire = pdu.message(1, command.c_store_rq(), data_set.object_of(pixel_bytes=LARGE))
    with receiving(tmp_path, dimse_timeout_s=1) as (peer, receiver):
        sending = send_in_background(peer, wire[:-1])
        with pytest.raises(AssociationTimeout):
            receiver.run()
        sending.join()
    assert os.listdir(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == b"older copy"


def test_a_second_object_of_one_name_replaces_the_first(tmp_path: Path) -> None:
    with receiving(tmp_path) as (peer, receiver):
        assert store(peer, receiver, data_set.object_of(pixel_bytes=64)) == 0
        assert not receiver.overwritten
        second = data_set.object_of(pixel_bytes=128)
        assert store(peer, receiver, second) == 0
        assert receiver.overwritten
    assert (tmp_path / NAME).read_bytes().endswith(second)
    assert os.listdir(tmp_path) == [NAME]


def test_a_vanished_output_directory_is_made_again(tmp_path: Path) -> None:
    """Spec 7.3: also the root of the tree."""
    directory = tmp_path / "a" / "b"
    directory.mkdir(parents=True)
    with receiving(directory) as (peer, receiver):
        assert store(peer, receiver, data_set.object_of()) == 0
        shutil.rmtree(tmp_path / "a")
        assert store(peer, receiver, data_set.object_of()) == 0
    assert os.listdir(directory) == [NAME]


def test_a_directory_that_cannot_be_made_again_refuses_and_recovers(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "a" / "b"
    directory.mkdir(parents=True)
    with receiving(directory) as (peer, receiver):
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "a").write_bytes(b"in the way")
        assert store(peer, receiver, data_set.object_of()) == 0xA700
        assert receiver.fault_errno == errno.ENOTDIR
        assert receiver.fault_text == "Cannot create directory: Not a directory"
        (tmp_path / "a").unlink()
        assert store(peer, receiver, data_set.object_of()) == 0
    assert os.listdir(directory) == [NAME]


@pytest.mark.parametrize("pixel_bytes", [64, LARGE])
@pytest.mark.parametrize("uid", ["1.2", "1.2.3.4.5.6.7.8.9.10.11.12"])
def test_a_file_meta_of_another_length_moves_the_data_set(
    tmp_path: Path, uid: str, pixel_bytes: int
) -> None:
    """Spec 6.2, 7.2: in normal mode the file meta names the data set's UID."""
    storage = StorageSettings(output_directory=str(tmp_path))
    sent = data_set.object_of(uid, pixel_bytes=pixel_bytes)
    with receiving(storage=storage) as (peer, receiver):
        assert store(peer, receiver, sent) == 0
    stored = (tmp_path / NAME).read_bytes()
    length = int.from_bytes(stored[140:144], "little")
    assert stored[144 + length :] == sent
    assert uid.encode() in stored[: -len(sent)]


@pytest.mark.parametrize("mode", [StorageMode.BIT_PRESERVING, StorageMode.NORMAL])
@pytest.mark.parametrize("write_mode", list(WriteMode))
@pytest.mark.parametrize("place", [None, "/dev/shm"])
def test_every_way_of_writing_makes_the_same_file(
    mode: StorageMode, write_mode: WriteMode, place: str | None
) -> None:
    """Sizes around pages, windows and 16 MiB, also where the way is refused.

    The data set's own UID makes normal mode move what has been written.
    """
    with tempfile.TemporaryDirectory(dir=place) as out:
        storage = StorageSettings(
            output_directory=out, mode=mode, write_mode=write_mode
        )
        with receiving(storage=storage) as (peer, receiver):
            for size in (64, 65_536, 300_002, WINDOW - 900, 3 * WINDOW, 18 * WINDOW):
                sent = data_set.object_of("1.2.3", pixel_bytes=size)
                assert store(peer, receiver, sent) == 0
                stored = Path(out, NAME).read_bytes()
                length = int.from_bytes(stored[140:144], "little")
                assert stored[144 + length :] == sent
        assert os.listdir(out) == [NAME]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    """Spec 7.7."""
    storage = StorageSettings(
        output_directory=str(tmp_path),
        mode=StorageMode.NORMAL,
        subdirectory_mode=SubdirectoryMode.SERIES_DATE,
    )
    before = os.umask(0o027)
    try:
        with receiving(storage=storage) as (peer, receiver):
            sent = data_set.object_of(series_date="20200102")
            assert store(peer, receiver, sent) == 0
    finally:
        os.umask(before)
    directory = tmp_path / "data" / "2020" / "01" / "02"
    assert (directory / NAME).stat().st_mode & 0o777 == 0o640
    assert directory.stat().st_mode & 0o777 == 0o750


def test_a_tag_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tag longer"):
        StoreReceiver(
            StorageSettings(output_directory=str(tmp_path)),
            WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0),
            "x" * 96,
        )
