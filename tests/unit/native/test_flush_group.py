"""native.flush_group: members, and what they announce to each other.

That its flushes suffice is tested in tests/faults/test_power.py.
"""

import contextlib
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dcmrecv.config.settings import (
    Durability,
    OnDuplicate,
    StorageMode,
    StorageSettings,
)
from dcmrecv.native.flush_group import FlushGroup
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.receiver import StoreReceiver
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving

WAIT_S = 0.02  # for those who have announced a flush, at most
TRIES = 5  # of what fails when a process loses its processor

# Other processes: one that announces a flush; one that wants it as soon as somebody
# else does; one that fails when anybody has announced a flush.
ANNOUNCE = """
import fcntl, mmap, sys
group = int(sys.argv[1])
fcntl.lockf(group, fcntl.LOCK_SH, 1, 1)
print("announced", flush=True)
"""
STAY = "sys.stdin.read()"
COME = """
words = memoryview(mmap.mmap(group, 0)).cast("Q")
while words[0] == 0:
    pass
words[0] += 1
fcntl.lockf(group, fcntl.LOCK_UN, 1, 1)
sys.stdin.read()
"""
LOOK = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1)
"""


@dataclass(frozen=True, slots=True)
class Member:
    """A receiver whose flushes are those of a group; and what others know of it."""

    group: int
    words: memoryview
    receiver: StoreReceiver
    objects: Iterator[None]

    def store(self) -> int:
        """Store the same object once more; its status."""
        next(self.objects)
        self.receiver.run()
        return self.receiver.status

    def tickets(self) -> tuple[int, int]:
        """How many were taken, and how many have been served."""
        return self.words[0], self.words[1]

    def command(self, program: str) -> tuple[str, ...]:
        """Of another process that runs `program`."""
        return sys.executable, "-c", program, str(self.group)

    @contextlib.contextmanager
    def other(self, program: str) -> Iterator[None]:
        """Another process, that has announced a flush and goes on so."""
        with subprocess.Popen(
            self.command(ANNOUNCE + program),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self.group],
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"announced\n"
            yield
            process.communicate()


@contextlib.contextmanager
def member(
    output: Path, on_duplicate: OnDuplicate = OnDuplicate.OVERWRITE
) -> Iterator[Member]:
    """A Member that stores in `output`."""
    storage = StorageSettings(
        output_directory=str(output),
        mode=StorageMode.BIT_PRESERVING,
        durability=Durability.GROUP,
        on_duplicate=on_duplicate,
    )
    group = os.memfd_create("group")
    try:
        os.ftruncate(group, SLOT_BYTES_SIZE)
        memory = mmap.mmap(group, SLOT_BYTES_SIZE)
        slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0, FlushGroup(memory, 0, group))
        message = pdu.message(1, command.c_store_rq(), data_set.object_of())
        with receiving(storage=storage, slot=slot) as (peer, receiver):
            objects = (peer.sendall(message) for _ in range(TRIES))
            yield Member(group, memoryview(memory).cast("Q"), receiver, objects)
    finally:
        os.close(group)


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


def test_a_flush_serves_those_who_had_announced_that_they_come(tmp_path: Path) -> None:
    """They take their ticket after whoever flushes has taken his."""
    served = set()
    for _ in range(TRIES):
        with member(tmp_path) as own, own.other(COME):
            assert own.store() == 0
            served.add(own.tickets())
    assert (2, 2) in served


def test_who_announces_and_does_not_come_is_waited_for_only_so_long() -> None:
    """On a file system whose flush takes no time."""
    took = {}
    with contextlib.ExitStack() as stack:
        output = Path("/dev/shm") / f"dcmrecv-{os.getpid()}"
        output.mkdir()
        stack.callback(output.rmdir)
        stack.callback(lambda: [path.unlink() for path in output.iterdir()])
        for announced in (False, True):
            with contextlib.ExitStack() as others:
                own = others.enter_context(member(output))
                if announced:
                    others.enter_context(own.other(STAY))
                times = []
                for _ in range(TRIES):
                    begin = time.monotonic()
                    assert own.store() == 0
                    times.append(time.monotonic() - begin)
                took[announced] = min(times)
    assert took[False] < WAIT_S <= took[True]


@pytest.mark.parametrize("on_duplicate", list(OnDuplicate))
def test_no_announcement_is_left_behind_an_object(
    tmp_path: Path, on_duplicate: OnDuplicate
) -> None:
    """Whether it was stored, dropped or refused."""
    with member(tmp_path, on_duplicate) as own:
        for _ in range(2):
            own.store()
            look = own.command(LOOK)
            subprocess.run(look, pass_fds=[own.group], check=True)
