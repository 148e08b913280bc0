"""storage.sink: Success is sacred, and what each storage mode makes of an object."""

import os
import socket
import threading
from pathlib import Path

import pytest

from dcmrecv.config.settings import (
    FilenameMode,
    OnDuplicate,
    StorageMode,
    StorageSettings,
    SubdirectoryMode,
)
from dcmrecv.service.receiver import Duplicate, StoreReceiver
from tests.builders import command, data_set, pdu
from tests.builders.part10 import parse_part10
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


@pytest.mark.parametrize("filler", [0x00080005, 0x00091010])
def test_the_series_date_names_the_directory(tmp_path: Path, filler: int) -> None:
    """Also when it comes only after the first window has been written."""
    encoding = data_set.Encoding.of(EXPLICIT_LE)
    elements = {
        filler: encoding.element(filler, "OB", bytes(2_000_000)),
        data_set.SERIES_DATE: encoding.text(data_set.SERIES_DATE, "DA", "20200102"),
        0x00080018: encoding.text(0x00080018, "UI", "1.2.3.4.5"),
    }
    sent = b"".join(elements[tag] for tag in sorted(elements))
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


STORING = [StorageMode.NORMAL, StorageMode.BIT_PRESERVING]
SIZES = [64, 300_000, 3_000_000]


def stored_in(directory: Path) -> dict[str, bytes]:
    """The data set of each file by its name."""
    return {
        path.name: parse_part10(path.read_bytes()).data_set
        for path in directory.iterdir()
    }


@pytest.mark.parametrize("mode", STORING)
@pytest.mark.parametrize("pixel_bytes", SIZES)
@pytest.mark.parametrize(
    ("on_duplicate", "status", "duplicate", "new_name"),
    [
        (OnDuplicate.OVERWRITE, 0, Duplicate.NONE, NAME),
        (OnDuplicate.KEEP, 0, Duplicate.OLDER_KEPT, ""),
        (OnDuplicate.VERIFY, 0, Duplicate.BOTH_DIFFER, f"{NAME}_v2"),
        (OnDuplicate.VERSION, 0, Duplicate.BOTH_KEPT, f"{NAME}_v2"),
        (OnDuplicate.REJECT, 0x0111, Duplicate.NONE, ""),
    ],
)
def test_another_object_of_the_same_name(
    tmp_path: Path,
    mode: StorageMode,
    pixel_bytes: int,
    on_duplicate: OnDuplicate,
    status: int,
    duplicate: Duplicate,
    new_name: str,
) -> None:
    """It differs in its first bytes, in its last one, or is longer."""
    old = data_set.object_of(pixel_bytes=pixel_bytes)
    longer = data_set.object_of(pixel_bytes=pixel_bytes + 2)
    storage = settings(tmp_path, mode, on_duplicate=on_duplicate)
    for new in (old[:-1] + b"\x99", longer):
        (tmp_path / NAME).unlink(missing_ok=True)
        (tmp_path / f"{NAME}_v2").unlink(missing_ok=True)
        with receiving(storage=storage) as (peer, receiver):
            assert store(peer, receiver, old) == 0
            assert receiver.duplicate is Duplicate.NONE
            assert store(peer, receiver, new) == status
            assert receiver.duplicate is duplicate
            assert receiver.overwritten == (on_duplicate is OnDuplicate.OVERWRITE)
            assert receiver.path == f"{tmp_path}/{new_name or NAME}"
        expected = {NAME: old} | ({new_name: new} if new_name else {})
        assert stored_in(tmp_path) == expected


@pytest.mark.parametrize("mode", STORING)
@pytest.mark.parametrize("pixel_bytes", SIZES)
def test_the_same_object_again_is_verified(
    tmp_path: Path, mode: StorageMode, pixel_bytes: int
) -> None:
    """Success, and the file is the very one that was there."""
    old = data_set.object_of(pixel_bytes=pixel_bytes)
    other = old[:-1] + b"\x99"
    storage = settings(tmp_path, mode, on_duplicate=OnDuplicate.VERIFY)
    with receiving(storage=storage) as (peer, receiver):
        assert store(peer, receiver, old) == 0
        assert store(peer, receiver, other) == 0
        before = {path: path.stat().st_ino for path in tmp_path.iterdir()}
        for sent, name in ((old, NAME), (other, f"{NAME}_v2")):
            assert store(peer, receiver, sent) == 0
            assert receiver.duplicate is Duplicate.OLDER_IS_SAME
            assert receiver.path == f"{tmp_path}/{name}"
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("on_duplicate", [OnDuplicate.KEEP, OnDuplicate.VERIFY])
@pytest.mark.parametrize("there", ["directory", "empty file", "link to nowhere"])
def test_what_is_no_object_is_never_kept_in_place_of_one(
    tmp_path: Path, on_duplicate: OnDuplicate, there: str
) -> None:
    """No Success for something that is not stored."""
    storage = settings(tmp_path, StorageMode.NORMAL, on_duplicate=on_duplicate)
    path = tmp_path / NAME
    if there == "directory":
        path.mkdir()
    elif there == "empty file":
        path.touch()
    else:
        path.symlink_to("nowhere")
    sent = data_set.object_of()
    with receiving(storage=storage) as (peer, receiver):
        if on_duplicate is OnDuplicate.KEEP:
            assert store(peer, receiver, sent) == 0xA700
            assert os.listdir(tmp_path) == [NAME]
        else:
            assert store(peer, receiver, sent) == 0
            stored = (tmp_path / f"{NAME}_v2").read_bytes()
            assert parse_part10(stored).data_set == sent


def test_versions_stand_before_the_extension(tmp_path: Path) -> None:
    storage = settings(
        tmp_path,
        StorageMode.BIT_PRESERVING,
        on_duplicate=OnDuplicate.VERSION,
        filename_extension=".dcm",
    )
    with receiving(storage=storage) as (peer, receiver):
        for _ in range(3):
            assert store(peer, receiver, data_set.object_of()) == 0
    names = [f"{NAME}.dcm", f"{NAME}_v2.dcm", f"{NAME}_v3.dcm"]
    assert sorted(os.listdir(tmp_path)) == names


def test_a_late_series_date_is_verified_in_its_directory(tmp_path: Path) -> None:
    """The file of that name in the output directory is somebody else's."""
    encoding = data_set.Encoding.of(EXPLICIT_LE)
    sent = data_set.identification("1.2.3.4.5", transfer_syntax=EXPLICIT_LE)
    sent += encoding.element(0x00091010, "OB", bytes(2_000_000))
    sent += encoding.text(data_set.SERIES_DATE, "DA", "20200102")
    storage = settings(
        tmp_path,
        StorageMode.NORMAL,
        subdirectory_mode=SubdirectoryMode.SERIES_DATE,
        on_duplicate=OnDuplicate.VERIFY,
    )
    dated = tmp_path / "data/2020/01/02" / NAME
    with receiving(storage=storage, transfer_syntaxes=[EXPLICIT_LE]) as (peer, own):
        assert store(peer, own, sent) == 0
        (tmp_path / NAME).write_bytes(dated.read_bytes())
        dated.unlink()
        assert store(peer, own, sent) == 0
        assert own.duplicate is Duplicate.NONE
        assert store(peer, own, sent) == 0
        assert own.duplicate is Duplicate.OLDER_IS_SAME
    assert dated.read_bytes() == (tmp_path / NAME).read_bytes()
    assert list(tmp_path.rglob("*.part")) == []


def test_ignoring_makes_neither_files_nor_directories(tmp_path: Path) -> None:
    storage = settings(
        tmp_path, StorageMode.IGNORE, subdirectory_mode=SubdirectoryMode.SERIES_DATE
    )
    with receiving(storage=storage) as (peer, receiver):
        assert store(peer, receiver, data_set.object_of(pixel_bytes=3_000_000)) == 0
        assert receiver.path == ""
    assert os.listdir(tmp_path) == []
