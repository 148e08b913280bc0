"""Power that is lost under load, on a real file system that forgets.

    python -m tests.stress.power [ROUNDS [DIRECTORY]]

Needs root, a loop device, and mkfs.ext4. Each round has a receiver store on an ext4 of
its own, in an image below DIRECTORY. At a random moment the file system is told to
write nothing more, the journal neither (EXT4_IOC_SHUTDOWN): what was not flushed by
then is gone. It is mounted again, which replays the journal, and looked through.

With `--durability full` and `group` every object that was acknowledged before that
moment is whole; with these and `data` nothing partial has a final name; the next
receiver on the directory serves its first sender, and removes what was unfinished.
`close` has to lose something, else the test would see nothing; not in each round, since
anybody's sync(2) flushes this disk, too. Ends with 1 when that did not hold, and prints
the figures.
"""

import contextlib
import fcntl
import itertools
import os
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.builders.command import SUCCESS
from tests.builders.data_set import object_of
from tests.builders.part10 import parse_part10
from tests.peers.load import Load
from tests.peers.program import storage_program
from tests.peers.promises import assert_whole, hidden_below
from tests.peers.scu import store_alone
from tests.peers.waiting import wait_until

DURABILITIES = ("close", "data", "full", "group")
WAYS: Sequence[tuple[str, ...]] = (
    ("--normal",),
    ("--bit-preserving",),
    ("--normal", "--series-date-subdir"),
)
SENDERS = 8
OBJECTS_MAX = 80  # acknowledged before the power goes
IMAGE_BYTES = 1 << 30  # sparse
COMMAND_DEADLINE_S = 60

# <linux/ext4.h>: _IOR('X', 125, __u32), and its flag.
EXT4_IOC_SHUTDOWN = 0x8004587D
EXT4_GOING_FLAGS_NOLOGFLUSH = 2


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=COMMAND_DEADLINE_S)


@dataclass(frozen=True, slots=True)
class ForgetfulDisk:
    """An ext4 in a file, that can lose its power."""

    image: Path
    mount_point: Path

    def make(self) -> None:
        """An empty file system, not mounted."""
        self.image.unlink(missing_ok=True)
        with self.image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(self.image))
        self.mount_point.mkdir(exist_ok=True)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """The journal is written when somebody asks, or after minutes."""
        target = str(self.mount_point)
        _run("mount", "-o", "loop,commit=300", str(self.image), target)
        try:
            yield
        finally:
            _run("umount", target)

    def lose_power(self) -> None:
        """From now on nothing reaches the image."""
        fd = os.open(self.mount_point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flags = struct.pack("I", EXT4_GOING_FLAGS_NOLOGFLUSH)
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, flags)
        finally:
            os.close(fd)


@dataclass(slots=True)
class Figures:
    """What came of the rounds with one durability; objects."""

    rounds: int = 0
    promised: int = 0
    lost: int = 0
    partial: int = 0  # visible, but not whole
    unfinished: int = 0  # temporary files that were left

    def line(self) -> str:
        """As text."""
        return (
            f"{self.rounds} rounds, {self.promised} objects acknowledged before, "
            f"{self.lost} of them lost; {self.partial} files not whole; "
            f"{self.unfinished} temporary files swept"
        )


@dataclass(slots=True)
class Campaign:
    """Rounds below a directory of the campaign's own."""

    directory: Path
    figures: dict[str, Figures] = field(
        default_factory=lambda: {name: Figures() for name in DURABILITIES}
    )

    def round(self, durability: str, way: Sequence[str]) -> None:
        """Store, lose power, look.

        Raises:
            AssertionError: a file is not what its name says, or the next receiver did
                not serve.
            TimeoutError: something that has to happen did not.
        """
        figures = self.figures[durability]
        disk = ForgetfulDisk(self.directory / "image", self.directory / "disk")
        disk.make()
        options = (*way, "--durability", durability)
        with disk.mounted():
            promised = self._store_until_power_is_lost(disk, options)
        with disk.mounted():
            lost, partial = _compare(disk.mount_point / "out", promised)
            figures.unfinished += self._start_again(disk, options)
        figures.rounds += 1
        figures.promised += len(promised)
        figures.lost += lost
        figures.partial += partial

    def _store_until_power_is_lost(
        self, disk: ForgetfulDisk, options: Sequence[str]
    ) -> dict[str, bytes]:
        """What was acknowledged before, by SOP Instance UID."""
        wanted = random.randint(1, OBJECTS_MAX)
        # The disk holds the directory, as it does in an archive.
        (disk.mount_point / "out").mkdir()
        _run("sync", "--file-system", str(disk.mount_point))
        with (
            storage_program(self.directory, *options, output="disk/out") as program,
            Load(program.port, senders=SENDERS) as load,
        ):
            load.wait_for(lambda: len(load.stored) >= wanted, "objects")
            promised = dict(load.stored)
            disk.lose_power()
        return promised

    def _start_again(self, disk: ForgetfulDisk, options: Sequence[str]) -> int:
        """How many unfinished files the next receiver has removed."""
        out = disk.mount_point / "out"
        left = hidden_below(out)
        with storage_program(self.directory, *options, output="disk/out") as program:
            response = store_alone(program.port, object_of("1.9"), "1.9")
            assert response.status == SUCCESS, response
            wait_until(lambda: not left & hidden_below(out), "the sweep")
        return len(left)


def _compare(out: Path, promised: dict[str, bytes]) -> tuple[int, int]:
    """How many promised objects are lost, and how many visible files not whole."""
    visible = {path.name.removeprefix("CT."): path for path in out.rglob("CT.*")}
    whole = {uid for uid, path in visible.items() if _is_whole(path)}
    lost = sum(uid not in whole for uid in promised)
    for uid in promised.keys() & whole:
        content = visible[uid].read_bytes()
        assert parse_part10(content).data_set == promised[uid], uid
    return lost, len(visible) - len(whole)


def _is_whole(path: Path) -> bool:
    """Does a file hold the object after which it is called?"""
    try:
        assert_whole(path)
    except (AssertionError, ValueError):
        return False
    return True


def verdicts(figures: dict[str, Figures]) -> list[str]:
    """What did not hold."""
    broken = [
        f"{name}: acknowledged objects lost"
        for name in ("full", "group")
        if figures[name].lost
    ]
    broken += [
        f"{name}: files that are not whole"
        for name in ("data", "full", "group")
        if figures[name].partial
    ]
    if figures["close"].rounds and not figures["close"].lost:
        broken.append("close: nothing lost, the test sees nothing")
    return broken


def campaign(
    rounds: int, directory: Path, tell: Callable[[str], None]
) -> dict[str, Figures]:
    """So many rounds, of each durability in turn.

    Raises:
        AssertionError: the next receiver did not serve, or did not sweep.
        TimeoutError: something that has to happen did not.
    """
    running = Campaign(directory)
    turns = itertools.cycle(itertools.product(WAYS, DURABILITIES))
    for number, (way, durability) in enumerate(itertools.islice(turns, rounds), 1):
        running.round(durability, way)
        tell(f"{number} rounds: {durability} {running.figures[durability].line()}")
    return running.figures


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when all promises were kept, and losses seen."""
    rounds = int(arguments[0]) if arguments else len(WAYS) * len(DURABILITIES)
    base = arguments[1] if len(arguments) > 1 else None
    with tempfile.TemporaryDirectory(prefix="dcmrecv-power-", dir=base) as directory:
        figures = campaign(
            rounds, Path(directory), lambda line: print(line, file=sys.stderr)
        )
    for name, of_one in figures.items():
        print(f"{name}: {of_one.line()}")
    broken = verdicts(figures)
    for line in broken:
        print(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
