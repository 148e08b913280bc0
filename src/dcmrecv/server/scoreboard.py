"""The shared mapping in which every worker counts, and immutable snapshots of it.

Owns the layout: one row of 128 bytes (`native.slot`) for the totals of workers that are
gone, one for the words with which the supervisor says when it wants to be woken, one
for the tickets of workers that flush together (`native.flush_group`), then one for each
worker. One writer for each row but that of the tickets, any reader, never a lock.
"""

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from dcmrecv.native.flush_group import FlushGroup
from dcmrecv.native.slot import SLOT_FIELDS, WorkerSlot

ROW_WORDS: Final = len(SLOT_FIELDS)
ROW_BYTES: Final = 8 * ROW_WORDS

_TOTALS_ROW: Final = 0
_CONTROL_ROW: Final = 1
_FLUSH_ROW: Final = 2
_FIRST_WORKER_ROW: Final = 3

# Words of the control row.
_RING_BELOW: Final = 0  # a worker that gets busy rings when fewer than this are idle
_RING_ALWAYS: Final = 1  # not 0: every change of state rings
_EPOCH: Final = 2  # odd while counters move from a worker's row to the totals
_CROWDED: Final = 3  # not 0: connections wait, no worker is idle, none may be added

# A reader that met this many odd epochs looks at the remains of a killed supervisor.
_EPOCH_ATTEMPTS: Final = 1_000

_PID: Final = SLOT_FIELDS.index("pid")
_STATE: Final = SLOT_FIELDS.index("state")
_GENERATION: Final = SLOT_FIELDS.index("generation")
_STARTED: Final = SLOT_FIELDS.index("started_ns")
_PROGRESS: Final = SLOT_FIELDS.index("progress_ns")


class WorkerState(IntEnum):
    """What a worker is doing. It writes the first five itself."""

    FREE = 0  # no worker has this row
    BOOTING = 1
    IDLE = 2
    BUSY = 3  # has a connection
    HANDSHAKE = 4  # has TLS connections that are no association yet
    # What the supervisor told it, in the supervisor's view only; in this order.
    LEAVING = 5
    ABORTING = 6
    KILLED = 7


_STATES: Final = tuple(WorkerState)
# numpy takes 9 us to compare with a member of an enum, 2 us with its own type.
_RING_BELOW_WORD: Final = _CONTROL_ROW * ROW_WORDS + _RING_BELOW
_RING_ALWAYS_WORD: Final = _CONTROL_ROW * ROW_WORDS + _RING_ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What was done since the start; the meanings stand in `native.slot`."""

    associations: int = 0
    objects: int = 0
    bytes: int = 0
    failures: int = 0
    refused: int = 0
    aborted: int = 0
    echoes: int = 0
    tolerated: int = 0


COUNTER_FIELDS: Final = tuple(field.name for field in fields(Counters))
_COUNTER_WORDS: Final = [SLOT_FIELDS.index(name) for name in COUNTER_FIELDS]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One worker's row at one moment."""

    index: int  # which row, from 0
    pid: int = 0  # 0: has not written it yet
    generation: int = 0
    state: WorkerState
    started_ns: int = 0  # CLOCK_MONOTONIC
    progress_ns: int = 0  # CLOCK_MONOTONIC of the last message or of getting idle


class Scoreboard:
    """The mapping: made by one process, inherited or attached by others.

    Attributes:
        descriptor: the memory file, for another process to attach; owned by this
            object.
    """

    def __init__(self, workers: int, descriptor: int | None = None) -> None:
        """Make a mapping, or attach one that was made for as many workers.

        Args:
            workers: number of rows for workers.
            descriptor: of the memory file to attach; becomes this object's own.

        Raises:
            OSError, ValueError: no such memory.
        """
        size = (_FIRST_WORKER_ROW + workers) * ROW_BYTES
        if descriptor is None:
            descriptor = os.memfd_create("dcmrecv-scoreboard", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, size)
        self.descriptor = descriptor
        self._mapping = mmap.mmap(descriptor, size)
        words = np.frombuffer(self._mapping, dtype=np.uint64)
        self._rows: npt.NDArray[np.uint64] = words.reshape(-1, ROW_WORDS)
        self._control = self._rows[_CONTROL_ROW]
        self._workers = self._rows[_FIRST_WORKER_ROW:]
        self._states = self._workers[:, _STATE]
        # The same words for the questions of each association: a memoryview is read in
        # a tenth of the time of an array.
        self._words = memoryview(self._mapping).cast("Q")
        self._totals = WorkerSlot(self._mapping, _TOTALS_ROW)

    def close(self) -> None:
        """Close the descriptor; the mapping goes with the last reference to it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def totals_slot(self) -> WorkerSlot:
        """The row in which the supervisor counts what it does itself."""
        return self._totals

    def worker_slot(self, index: int) -> WorkerSlot:
        """The row of worker `index`, for that worker to write."""
        group = FlushGroup(self._mapping, _FLUSH_ROW, self.descriptor)
        return WorkerSlot(self._mapping, _FIRST_WORKER_ROW + index, group)

    def claim(self, now_ns: int) -> tuple[int, int] | None:
        """Give a free row to a worker that is about to be started.

        Returns:
            Its index and generation; None when every row is taken.
        """
        free = np.flatnonzero(self._states == np.uint64(WorkerState.FREE))
        if free.size == 0:
            return None
        index = int(free[0])
        row = self._workers[index]
        row[_GENERATION] += np.uint64(1)
        row[_STARTED] = now_ns
        row[_PROGRESS] = now_ns
        row[_STATE] = WorkerState.BOOTING
        return index, int(row[_GENERATION])

    def retire(self, index: int) -> tuple[WorkerStatus, Counters]:
        """Add a dead worker's counters to the totals and free its row.

        Returns:
            The last that the worker wrote.
        """
        row = self._workers[index]
        last = self._status(index, row.tolist())
        counters = _counters(row[_COUNTER_WORDS].tolist())
        self._control[_EPOCH] += np.uint64(1)
        self._rows[_TOTALS_ROW, _COUNTER_WORDS] += row[_COUNTER_WORDS]
        generation = row[_GENERATION]
        row[:] = 0
        row[_GENERATION] = generation
        self._control[_EPOCH] += np.uint64(1)
        return last, counters

    def snapshot(self) -> tuple[WorkerStatus, ...]:
        """Every worker that there is, by index."""
        taken = np.flatnonzero(self._states)
        rows = self._workers[taken].tolist()
        return tuple(map(self._status, taken.tolist(), rows))

    def _status(self, index: int, row: list[int]) -> WorkerStatus:
        return WorkerStatus(
            index=index,
            pid=row[_PID],
            generation=row[_GENERATION],
            state=_STATES[row[_STATE]],
            started_ns=row[_STARTED],
            progress_ns=row[_PROGRESS],
        )

    def counters(self) -> Counters:
        """The sum over all workers, those that are gone included."""
        for _ in range(_EPOCH_ATTEMPTS):
            before = int(self._control[_EPOCH])
            total = self._sum()
            if before % 2 == 0 and before == int(self._control[_EPOCH]):
                break
            os.sched_yield()  # who moves them may be waiting for the processor
        return _counters(total)

    def _sum(self) -> list[int]:
        total = self._workers[:, _COUNTER_WORDS].sum(axis=0, dtype=np.uint64)
        total += self._rows[_TOTALS_ROW, _COUNTER_WORDS]
        values: list[int] = total.tolist()
        return values

    def idle_count(self) -> int:
        """How many workers wait for a connection."""
        return self._totals.count("state", WorkerState.IDLE, _FIRST_WORKER_ROW)

    def ask_to_ring(self, *, below: int, always: bool) -> None:
        """Say when a worker shall wake the supervisor.

        Args:
            below: when it gets busy and fewer than this many are idle then.
            always: at every change of its state.
        """
        self._control[_RING_BELOW] = below
        self._control[_RING_ALWAYS] = always

    def say_crowded(self, crowded: bool) -> None:
        """Say whether connections wait that no idle or new worker can take."""
        self._control[_CROWDED] = crowded

    def is_crowded(self) -> bool:
        """Whether a worker whose handshakes stall shall take others as well."""
        return bool(self._control[_CROWDED])

    def rings_when_busy(self) -> bool:
        """Whether a worker that just got busy shall wake the supervisor."""
        if self._words[_RING_ALWAYS_WORD]:
            return True
        below = self._words[_RING_BELOW_WORD]
        return below > 0 and self.idle_count() < below

    def rings_when_idle(self) -> bool:
        """Whether a worker that just got idle shall wake the supervisor."""
        return bool(self._words[_RING_ALWAYS_WORD])


def _counters(values: Sequence[int]) -> Counters:
    return Counters(**dict(zip(COUNTER_FIELDS, values, strict=True)))
