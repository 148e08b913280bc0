"""native.slot: one worker's counters in shared memory."""

import mmap

import pytest

from dcmrecv.native.slot import SLOT_BYTES_SIZE, SLOT_FIELDS, WorkerSlot


def test_every_field_has_a_word_of_its_own() -> None:
    memory = bytearray(3 * SLOT_BYTES_SIZE)
    slot = WorkerSlot(memory, 1)
    names = [name for name in SLOT_FIELDS if name]
    for value, name in enumerate(names, start=100):
        slot.set(name, value)
    assert [slot.get(name) for name in names] == list(range(100, 100 + len(names)))
    assert not any(memory[:SLOT_BYTES_SIZE])
    assert not any(memory[2 * SLOT_BYTES_SIZE :])


def test_counts_stand_in_the_shared_mapping_where_any_process_reads_them() -> None:
    with mmap.mmap(-1, SLOT_BYTES_SIZE) as memory:
        slot = WorkerSlot(memory, 0)
        slot.increase("objects")
        slot.increase("objects", 41)
        at = 8 * SLOT_FIELDS.index("objects")
        assert int.from_bytes(memory[at : at + 8], "little") == 42
        del slot


def test_a_slot_outside_of_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="slot 1"):
        WorkerSlot(bytearray(SLOT_BYTES_SIZE), 1)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0).set("nonsense", 1)


def test_seats_are_counted_over_all_slots() -> None:
    """The words of a slot that has none are 0 and count for nobody."""
    memory = bytearray(4 * SLOT_BYTES_SIZE)
    slots = [WorkerSlot(memory, number) for number in range(4)]
    assert slots[0].take_seat(7, 8, 2) and slots[3].take_seat(7, 8, 2)
    assert not slots[1].take_seat(7, 8, 2)
    assert (slots[1].get("peer_high"), slots[1].get("peer_low")) == (0, 0)
    assert slots[1].take_seat(7, 9, 1) and slots[2].take_seat(6, 8, 1)
    slots[0].leave_seat()
    assert slots[0].take_seat(7, 8, 2)


def test_slots_with_a_value_are_counted_field_by_field() -> None:
    memory = bytearray(4 * SLOT_BYTES_SIZE)
    for number in (0, 1, 3):
        WorkerSlot(memory, number).set("state", 2)
    WorkerSlot(memory, 2).set("objects", 2)
    slot = WorkerSlot(memory, 0)
    assert [slot.count("state", 2, first) for first in range(5)] == [3, 2, 1, 1, 0]
    assert slot.count("state", 0, 0) == 1
