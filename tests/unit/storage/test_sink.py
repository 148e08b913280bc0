"""storage.sink: Success is sacred, and what each storage mode makes of an object."""

import os
import socket
import threading
from pathlib import Path

import pytest

from dcmrecv.config.settings import (
    FilenameMode,
    StorageMode,
    StorageSettings,
    SubdirectoryMode,
)
from dcmrecv.service.receiver import StoreReceiver
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving
from tests.builders.sending import send_in_background
from tests.builders.uids import EXPLICIT_LE, JPEG_BASELINE

NAME = "CT.1.2.3.4.5"
BROKEN = data_set.object_of()[:-3]


def store(
    peer: socket.socket, receiver: StoreReceiver, sent: bytes, context_id: int = 1
) -> int:
    wire = pdu.message(context_id, command.c_store_rq(), sent)
    sending = send_in_background(peer, wire)
    receiver.run()
    sending.join()
    return receiver.status


def settings(directory: Path, mode: StorageMode, **others: object) -> StorageSettings:
    return StorageSettings(
        output_directory=str(directory),
        mode=mode,
        **others,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("mode", [StorageMode.NORMAL, StorageMode.BIT_PRESERVING])
@pytest.mark.parametrize("older", [None, b"older copy"])
@pytest.mark.parametrize("pixel_bytes", [64, 3_000_000])
def test_success_never_goes_out_without_a_whole_file(
    tmp_path: Path, mode: StorageMode, older: bytes | None, pixel_bytes: int
) -> None:
    """An object that cannot be stored: no Success, nothing new, the old one intact.

    A size limit of the process stands for a full disk; tests/faults has every call.
    """
    if older is not None:
        (tmp_path / NAME).write_bytes(older)
    before = os.listdir(tmp_path)
    sent = data_set.object_of(pixel_bytes=pixel_bytes)
    with receiving(storage=settings(tmp_path, mode)) as (peer, receiver):
        (tmp_path / NAME).unlink(missing_ok=True)
        (tmp_path / NAME).mkdir()
        assert store(peer, receiver, sent) == 0xA700
        assert os.listdir(tmp_path) == [NAME]
        (tmp_path / NAME).rmdir()
        assert store(peer, receiver, sent) == 0
    assert (tmp_path / NAME).read_bytes().endswith(sent)
    assert before in ([], [NAME])


def test_bit_preserving_stores_any_bytes(tmp_path: Path) -> None:
    """Spec 6.2: parse errors are invisible, no data set is a file of meta only."""
    with receiving(tmp_path) as (peer, receiver):
        for sent in (b"", b"\xff" * 65, BROKEN):
            assert store(peer, receiver, sent) == 0
            stored = (tmp_path / NAME).read_bytes()
            length = int.from_bytes(stored[140:144], "little")
            assert stored[144 + length :] == sent


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (StorageMode.NORMAL, 0xC000),
        (StorageMode.IGNORE, 0),
        (StorageMode.BIT_PRESERVING, 0),
    ],
)
def test_an_empty_data_set(tmp_path: Path, mode: StorageMode, expected: int) -> None:
    """Spec 6.2."""
    with receiving(storage=settings(tmp_path, mode)) as (peer, receiver):
        assert store(peer, receiver, b"") == expected


@pytest.mark.parametrize("mode", [StorageMode.NORMAL, StorageMode.IGNORE])
def test_a_broken_data_set_is_not_understood_and_the_next_one_is(
    tmp_path: Path, mode: StorageMode
) -> None:
    """DECISIONS row 4: the original aborts the association."""
    with receiving(storage=settings(tmp_path, mode)) as (peer, receiver):
        assert store(peer, receiver, BROKEN) == 0xC000
        assert "(7fe0,0010) at offset" in receiver.fault_text
        assert os.listdir(tmp_path) == []
        assert store(peer, receiver, data_set.object_of()) == 0
    assert os.listdir(tmp_path) == ([] if mode is StorageMode.IGNORE else [NAME])


def test_a_fault_after_the_first_window_leaves_nothing(tmp_path: Path) -> None:
    with receiving(storage=settings(tmp_path, StorageMode.NORMAL)) as (peer, own):
        sent = data_set.object_of(pixel_bytes=3_000_000) + b"\xfe\xff\x0d\xe0\0\0\0\0"
        assert store(peer, own, sent + bytes(2_000_000)) == 0xC000
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (StorageMode.NORMAL, 0xA700),
        (StorageMode.IGNORE, 0),
        (StorageMode.BIT_PRESERVING, 0),
    ],
)
def test_encapsulated_pixel_data_in_a_native_syntax(
    tmp_path: Path, mode: StorageMode, expected: int
) -> None:
    """Spec 6.2: A700H, pixel representation not found, in normal mode."""
    with receiving(
        storage=settings(tmp_path, mode), transfer_syntaxes=[EXPLICIT_LE]
    ) as (peer, receiver):
        assert store(peer, receiver, data_set.encapsulated_object()) == expected


def test_encapsulated_pixel_data_in_its_syntax(tmp_path: Path) -> None:
    with receiving(
        storage=settings(tmp_path, StorageMode.NORMAL),
        transfer_syntaxes=[JPEG_BASELINE],
    ) as (peer, receiver):
        assert store(peer, receiver, data_set.encapsulated_object()) == 0


def test_a_data_set_without_uids_gets_those_of_the_original(tmp_path: Path) -> None:
    """Spec 7.2: the private generic class, a newly made instance."""
    sent = data_set.Encoding.of(EXPLICIT_LE).text(0x00100010, "PN", "A^B")
    with receiving(
        storage=settings(tmp_path, StorageMode.NORMAL), transfer_syntaxes=[EXPLICIT_LE]
    ) as (peer, receiver):
        assert store(peer, receiver, sent) == 0
    stored = (tmp_path / NAME).read_bytes()
    assert b"UI\x1a\x001.2.276.0.7230010.3.1.0.1\0" in stored
    assert b"UI" in stored and b"\x002.25." in stored
    assert stored.endswith(sent)


@pytest.mark.parametrize("late", [False, True])
def test_the_series_date_names_the_directory(tmp_path: Path, late: bool) -> None:
    """Also when it comes only after the first window has been written."""
    encoding = data_set.Encoding.of(EXPLICIT_LE)
    sent = data_set.identification("1.2.3.4.5", transfer_syntax=EXPLICIT_LE)
    date = encoding.text(data_set.SERIES_DATE, "DA", "20200102")
    filler = encoding.element(0x00091010, "OB", bytes(2_000_000))
    sent += filler + date if late else date + filler
    storage = settings(
        tmp_path,
        StorageMode.NORMAL,
        subdirectory_mode=SubdirectoryMode.SERIES_DATE,
    )
    with receiving(storage=storage, transfer_syntaxes=[EXPLICIT_LE]) as (peer, own):
        assert store(peer, own, sent) == 0
        assert own.path == f"{tmp_path}/data/2020/01/02/{NAME}"
    assert [path.name for path in tmp_path.rglob("*.part")] == []
    assert (tmp_path / "data/2020/01/02" / NAME).read_bytes().endswith(sent)


@pytest.mark.parametrize(
    "mode",
    [FilenameMode.UNIQUE, FilenameMode.SHORT_UNIQUE, FilenameMode.SYSTEM_TIME],
)
def test_unique_names_are_never_overwritten(tmp_path: Path, mode: FilenameMode) -> None:
    """The same object from several receivers at once: as many files."""
    storage = settings(tmp_path, StorageMode.BIT_PRESERVING, filename_mode=mode)
    objects, receivers = 40, 4

    def work() -> None:
        with receiving(storage=storage, slot=None) as (peer, receiver):
            for _ in range(objects):
                assert store(peer, receiver, data_set.object_of()) == 0
                peer.recv(4_096)

    threads = [threading.Thread(target=work) for _ in range(receivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(os.listdir(tmp_path)) == objects * receivers


def test_ignoring_makes_neither_files_nor_directories(tmp_path: Path) -> None:
    storage = settings(
        tmp_path, StorageMode.IGNORE, subdirectory_mode=SubdirectoryMode.SERIES_DATE
    )
    with receiving(storage=storage) as (peer, receiver):
        assert store(peer, receiver, data_set.object_of(pixel_bytes=3_000_000)) == 0
        assert receiver.path == ""
    assert os.listdir(tmp_path) == []
