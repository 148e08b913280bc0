"""The shared counters."""

import dataclasses
import os
import sys
import threading

import pytest

from dcmrecv.server.scoreboard import (
    COUNTER_FIELDS,
    Counters,
    Scoreboard,
    WorkerState,
)


def claimed(board: Scoreboard, now_ns: int = 1) -> int:
    """The index of a row that was free."""
    row = board.claim(now_ns)
    assert row is not None
    return row[0]


def test_a_new_board_has_no_workers_and_counts_nothing() -> None:
    board = Scoreboard(3)
    assert board.snapshot() == ()
    assert board.counters() == Counters()
    assert board.idle_count() == 0


def test_a_claimed_row_is_that_of_a_booting_worker() -> None:
    board = Scoreboard(3)
    assert board.claim(77) == (0, 1)
    (status,) = board.snapshot()
    assert status.state is WorkerState.BOOTING
    assert (status.started_ns, status.progress_ns) == (77, 77)
    assert (status.index, status.generation, status.pid) == (0, 1, 0)


def test_no_row_is_given_twice() -> None:
    board = Scoreboard(2)
    assert {claimed(board), claimed(board)} == {0, 1}
    assert board.claim(1) is None
    board.retire(0)
    assert board.claim(1) == (0, 2)


def test_a_workers_counters_are_summed() -> None:
    board = Scoreboard(2)
    for amount, index in enumerate((claimed(board), claimed(board)), 1):
        slot = board.worker_slot(index)
        for position, name in enumerate(COUNTER_FIELDS):
            slot.increase(name, amount * 10**position)
    board.totals_slot().increase("refused")
    expected = {name: 3 * 10**position for position, name in enumerate(COUNTER_FIELDS)}
    expected["refused"] += 1
    assert dataclasses.asdict(board.counters()) == expected


def test_what_a_dead_worker_did_still_counts() -> None:
    board = Scoreboard(1)
    slot = board.worker_slot(claimed(board))
    slot.set("pid", 4711)
    slot.set("state", WorkerState.BUSY)
    slot.increase("objects", 5)
    last, counters = board.retire(0)
    assert (last.pid, last.state) == (4711, WorkerState.BUSY)
    assert counters == Counters(objects=5)
    assert board.snapshot() == ()
    assert board.counters().objects == 5
    board.worker_slot(claimed(board)).increase("objects", 2)
    assert board.counters().objects == 7
    (status,) = board.snapshot()
    assert (status.pid, status.generation) == (0, 2)
    assert board.retire(0)[1] == Counters(objects=2)


def test_a_snapshot_stays_as_it_was() -> None:
    board = Scoreboard(1)
    slot = board.worker_slot(claimed(board))
    before = board.snapshot()
    slot.set("state", WorkerState.IDLE)
    (now,) = board.snapshot()
    assert before[0].state is WorkerState.BOOTING
    assert now.state is WorkerState.IDLE


def test_another_mapping_of_the_memory_sees_the_same() -> None:
    board = Scoreboard(2)
    other = Scoreboard(2, os.dup(board.descriptor))
    slot = board.worker_slot(claimed(board))
    slot.increase("echoes")
    assert other.snapshot() == board.snapshot()
    board.close()
    other.close()
    slot.increase("echoes")
    assert other.counters().echoes == 2


def test_a_board_of_another_size_is_not_attached() -> None:
    board = Scoreboard(2)
    with pytest.raises(ValueError, match="length"):
        Scoreboard(3, board.descriptor)


@pytest.mark.parametrize(
    ("below", "always", "idle", "rings"),
    [
        (2, False, 2, False),
        (2, False, 1, True),
        (1, False, 1, False),
        (1, False, 0, True),
        (0, True, 3, True),
    ],
)
def test_a_worker_that_gets_busy_rings_when_few_are_idle(
    below: int, always: bool, idle: int, rings: bool
) -> None:
    board = Scoreboard(4)
    board.ask_to_ring(below=below, always=always)
    for _ in range(idle):
        board.worker_slot(claimed(board)).set("state", WorkerState.IDLE)
    board.worker_slot(claimed(board)).set("state", WorkerState.BUSY)
    assert board.idle_count() == idle
    assert board.rings_when_busy() is rings
    assert board.rings_when_idle() is always


def test_a_sum_never_goes_down_while_workers_die() -> None:
    """Between the addition to the totals and the reset of the row nobody may look."""
    board = Scoreboard(1)
    rounds = 2_000

    def live_and_die() -> None:
        for _ in range(rounds):
            board.worker_slot(claimed(board)).increase("objects", 1_000)
            board.retire(0)

    seen = []
    worker = threading.Thread(target=live_and_die)
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # as if both ran on processors of their own
    try:
        worker.start()
        while worker.is_alive():
            seen.append(board.counters().objects)
        worker.join()
    finally:
        sys.setswitchinterval(before_s)
    assert seen == sorted(seen)
    assert max(seen, default=0) <= rounds * 1_000
    assert board.counters().objects == rounds * 1_000
