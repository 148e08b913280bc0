"""`kill -9` of workers and supervisors under load, round after round.

    python -m tests.stress.kills [ROUNDS [DIRECTORY]]

Every tenth round kills the supervisor and some of its workers, and starts the next
receiver on the same directory; the others kill a worker. After each: what was
acknowledged is whole, nothing partial is visible, the next sender is served within a
second, no process, descriptor or temporary file is left over. Ends with 1 when that did
not hold, and prints the figures.
"""

import contextlib
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.builders.command import SUCCESS
from tests.builders.data_set import object_of
from tests.builders.part10 import parse_part10
from tests.peers.load import Load
from tests.peers.program import Program, storage_program
from tests.peers.promises import assert_whole, hidden_below, is_running
from tests.peers.scu import store_alone
from tests.peers.waiting import wait_until

MODES: Sequence[tuple[str, ...]] = (
    ("--normal",),
    ("--bit-preserving",),
    ("--bit-preserving", "--durability", "group"),
    ("--normal", "--durability", "full"),
)
ROUNDS_OF_A_RECEIVER = 10
SERVED_WITHIN_S = 1.0
DEADLINE_S = 60.0


@dataclass(slots=True)
class Figures:
    """What came of the rounds; times in seconds."""

    workers_killed: int = 0
    while_writing: int = 0  # of them, those that had a temporary file open
    supervisors_killed: int = 0
    acknowledged: int = 0  # objects, all of which were whole
    unacknowledged: int = 0  # whole files of senders that were lost before they knew
    lost: int = 0  # associations
    swept: int = 0  # temporary files
    next_sender_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)  # from the start to the same
    workers_gone_s: list[float] = field(default_factory=list)

    @property
    def rounds(self) -> int:
        """How many processes have been killed."""
        return self.workers_killed + self.supervisors_killed

    def lines(self) -> Iterator[str]:
        """As text."""
        yield f"rounds: {self.rounds}"
        yield (
            f"killed: {self.workers_killed} workers ({self.while_writing} while they "
            f"wrote), {self.supervisors_killed} supervisors"
        )
        yield (
            f"objects: {self.acknowledged} acknowledged, all whole; "
            f"{self.unacknowledged} stored whole for senders that were lost before"
        )
        yield f"associations lost: {self.lost}; temporary files swept: {self.swept}"
        yield f"next sender after a worker: {_times(self.next_sender_s)}"
        yield f"workers gone after their supervisor: {_times(self.workers_gone_s)}"
        yield f"first sender after a new start: {_times(self.start_s)}"


def _times(values: Sequence[float]) -> str:
    if not values:
        return "-"
    ordered = sorted(values)
    most = ordered[len(ordered) * 99 // 100]
    shown = (median(ordered), most, ordered[-1])
    return "median {:.0f}, 99 % {:.0f}, largest {:.0f} ms".format(
        *(1000 * value for value in shown)
    )


def _is_writing(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        links = Path(f"/proc/{pid}/fd").iterdir()
        return any(".part" in os.readlink(link) for link in links)
    return False


class Receiver:
    """One receiver under load, from its start to the death of its supervisor."""

    def __init__(self, program: Program, out: Path, figures: Figures) -> None:
        self._program = program
        self._out = out
        self._figures = figures
        self._numbers = itertools.count()
        self._next_sender()  # the worker it needs is there from now on
        self._descriptors = self._count_descriptors()

    def kill_workers(self, rounds: int) -> None:
        """One in each round, while objects come."""
        for _ in range(rounds):
            with Load(self._program.port) as load:
                self._await_objects(load)
                load.wait_for(self._kill_a_worker, "a worker to kill")
                self._figures.next_sender_s.append(self._next_sender())
            self._check(load)
            wait_until(
                lambda: self._count_descriptors() <= self._descriptors,
                "the supervisor's descriptors",
                DEADLINE_S,
            )
            wait_until(
                lambda: all(map(is_running, self._program.processes())),
                "the dead to be reaped",
                DEADLINE_S,
            )
            wait_until(
                lambda: not hidden_below(self._out), "the files to go", DEADLINE_S
            )

    def kill_the_supervisor(self) -> None:
        """While objects come, and some of its workers, or all; the others end."""
        with Load(self._program.port) as load:
            self._await_objects(load)
            workers = self._program.processes()[1:]
            begin_s = time.monotonic()
            self._program.process.kill()
            for pid in random.sample(workers, random.randint(0, len(workers))):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._program.process.wait(DEADLINE_S)
            wait_until(
                lambda: not any(map(is_running, workers)), "workers to end", DEADLINE_S
            )
            self._figures.workers_gone_s.append(time.monotonic() - begin_s)
        self._figures.supervisors_killed += 1
        self._check(load)

    def _check(self, load: Load) -> None:
        """The load has stopped: look at everything, and clear it away."""
        self._figures.lost += load.lost
        for uid, data_set in load.stored.items():
            path = self._out / f"CT.{uid}"
            assert parse_part10(path.read_bytes()).data_set == data_set, uid
            path.unlink()
        self._figures.acknowledged += len(load.stored)
        for path in self._out.glob("CT.*"):
            assert_whole(path)
            path.unlink()
            self._figures.unacknowledged += 1

    def _await_objects(self, load: Load) -> None:
        wanted = random.randint(1, 8)
        load.wait_for(lambda: len(load.stored) >= wanted, "objects")

    def _kill_a_worker(self) -> bool:
        """SIGKILL to one that writes or, every third time, to any; False: none."""
        workers = self._program.processes()[1:]
        writing = [pid for pid in workers if _is_writing(pid)]
        anybody = random.randrange(3) == 0
        with contextlib.suppress(ProcessLookupError, IndexError):
            victim = random.choice(workers if anybody else writing)
            os.kill(victim, signal.SIGKILL)
            self._figures.workers_killed += 1
            self._figures.while_writing += victim in writing
            return True
        return False

    def _next_sender(self) -> float:
        """Seconds until a new sender has its object stored."""
        uid = f"1.9.{next(self._numbers)}"
        data_set = object_of(uid, pixel_bytes=5_000)
        begin_s = time.monotonic()
        assert store_alone(self._program.port, data_set, uid).status == SUCCESS
        taken_s = time.monotonic() - begin_s
        path = self._out / f"CT.{uid}"
        assert parse_part10(path.read_bytes()).data_set == data_set
        path.unlink()
        return taken_s

    def _count_descriptors(self) -> int:
        return len(list(Path(f"/proc/{self._program.process.pid}/fd").iterdir()))


def campaign(
    rounds: int,
    directory: Path,
    tell: Callable[[str], None] = lambda line: None,
    rounds_of_a_receiver: int = ROUNDS_OF_A_RECEIVER,
) -> Figures:
    """Kill so often, below a directory of the campaign's own.

    Raises:
        AssertionError: a promise was broken.
        TimeoutError: something that has to happen did not.
    """
    figures = Figures()
    out = directory / "out"
    modes = itertools.cycle(MODES)
    while (missing := rounds - figures.rounds) > 0:
        left = hidden_below(out) if out.exists() else set()
        begin_s = time.monotonic()
        with storage_program(directory, *next(modes)) as program:
            receiver = Receiver(program, out, figures)
            if figures.supervisors_killed:
                figures.start_s.append(time.monotonic() - begin_s)
            wait_until(
                lambda left=left: not left & hidden_below(out), "the sweep", DEADLINE_S
            )
            figures.swept += len(left)
            receiver.kill_workers(min(rounds_of_a_receiver, missing) - 1)
            receiver.kill_the_supervisor()
        tell(f"{figures.rounds} rounds, {figures.acknowledged} objects")
    return figures


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when all promises were kept, in time."""
    rounds = int(arguments[0]) if arguments else 1_000
    base = arguments[1] if len(arguments) > 1 else None
    with tempfile.TemporaryDirectory(prefix="dcmrecv-kills-", dir=base) as directory:
        figures = campaign(
            rounds, Path(directory), lambda line: print(line, file=sys.stderr)
        )
    print("\n".join(figures.lines()))
    late = sum(taken_s > SERVED_WITHIN_S for taken_s in figures.next_sender_s)
    print(f"not within {SERVED_WITHIN_S:g} s: {late}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
