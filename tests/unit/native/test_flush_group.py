"""native.flush_group: who may be a member; what it does is tested in tests/faults."""

from pathlib import Path

import pytest

from dcmrecv.config.settings import Durability, StorageMode, StorageSettings
from dcmrecv.native.flush_group import FlushGroup
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving


def test_a_row_outside_of_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="lies outside"):
        FlushGroup(bytearray(2 * SLOT_BYTES_SIZE), 2)


@pytest.mark.parametrize("lock_fd", [-1, 1_000_000])
def test_a_group_without_a_lock_flushes_all_the_same(
    tmp_path: Path, lock_fd: int
) -> None:
    """Each ticket is served, by whoever comes first."""
    tickets = bytearray(SLOT_BYTES_SIZE)
    group = FlushGroup(tickets, 0, lock_fd)
    storage = StorageSettings(
        output_directory=str(tmp_path),
        mode=StorageMode.BIT_PRESERVING,
        durability=Durability.GROUP,
    )
    slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0, group)
    with receiving(storage=storage, slot=slot) as (peer, receiver):
        for _ in range(3):
            peer.sendall(pdu.message(1, command.c_store_rq(), data_set.object_of()))
            receiver.run()
            assert receiver.status == 0
    arrived, flushed = (int.from_bytes(tickets[at : at + 8], "little") for at in (0, 8))
    assert arrived == flushed == 3
