"""storage.guard: sizes that are allowed, and a reserve that no disk has.

Disks that fill and empty are in tests/faults/test_guard.py.
"""

from pathlib import Path

import pytest

from dcmrecv.config.settings import Reserve, StorageMode, StorageSettings
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving
from tests.builders.sending import send_in_background

MIB = 1 << 20


@pytest.mark.parametrize("mode", list(StorageMode))
@pytest.mark.parametrize(
    "reserve", [Reserve(size_bytes=1 << 60), Reserve(size_bytes=1)]
)
def test_the_reserve_is_kept_where_something_is_stored(
    tmp_path: Path, mode: StorageMode, reserve: Reserve
) -> None:
    storage = StorageSettings(
        output_directory=str(tmp_path), mode=mode, reserve=reserve
    )
    room = mode is StorageMode.IGNORE or reserve.size_bytes == 1
    with receiving(storage=storage) as (peer, receiver):
        assert receiver.has_room == room
        peer.sendall(pdu.message(1, command.c_store_rq(), data_set.object_of()))
        receiver.run()
        assert receiver.status == (0 if room else 0xA700)
        if not room:
            assert receiver.fault_text == "Disk is full up to its reserve"
    stored = room and mode is not StorageMode.IGNORE
    assert len(list(tmp_path.iterdir())) == int(stored)


@pytest.mark.parametrize("mode", [StorageMode.NORMAL, StorageMode.BIT_PRESERVING])
@pytest.mark.parametrize("limit", [30_000, 3 * MIB])
@pytest.mark.parametrize("beyond", [0, 2, 4 * MIB])
def test_a_data_set_beyond_the_limit_is_refused(
    tmp_path: Path, mode: StorageMode, limit: int, beyond: int
) -> None:
    """To the byte; nothing of it stays, and the next object is stored."""
    overhead = len(data_set.object_of(pixel_bytes=64)) - 64
    storage = StorageSettings(
        output_directory=str(tmp_path), mode=mode, max_object_size=limit
    )
    with receiving(storage=storage) as (peer, receiver):
        for size in (limit - overhead + beyond, 64):
            sent = data_set.object_of(pixel_bytes=size)
            refused = len(sent) > limit
            assert refused == (size > 64 and beyond > 0)
            wire = pdu.message(1, command.c_store_rq(), sent)
            sending = send_in_background(peer, wire)
            receiver.run()
            sending.join()
            assert receiver.status == (0xA700 if refused else 0)
            assert len(list(tmp_path.iterdir())) == int(not refused)
            if refused:
                assert receiver.fault_text == f"Data set longer than {limit} bytes"
