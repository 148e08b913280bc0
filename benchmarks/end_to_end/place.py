"""The place of a benchmark: its programs, its directories, the state of the memory.

Never starts a receiver.
"""

import contextlib
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from data_sets import DATA_SETS, Form
from processes import BenchmarkError, finish
from stored import UID_BASE, write_reference
from works import GIB, KIB, MIB, Work

HERE = Path(__file__).resolve().parent
PROGRAMS = ("sender", "yardstick", "memory", "delay")
TRIES, PROBES, QUICK_CREATE_US = 8, 5, 120.0
RELEASERS = 8  # 0.8 ms a file one by one, where blocks are discarded; 0.2 with these
LEAST = 256 * MIB  # of warm memory, for receivers and sockets
REPORT_S = 4.0  # free page reporting gives idle memory to the host after two seconds


def free_memory() -> int:
    """Bytes that nobody uses, not even as a cache."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemFree:"):
            return int(line.split()[1]) * KIB
    raise BenchmarkError("/proc/meminfo has no MemFree")


def _empty(path: Path) -> None:
    os.truncate(path, 0)


class Place:
    """Programs, directories and the state of the memory.

    No inode is deleted before the end: ext4 without a journal looks through all that
    were deleted a moment ago at every create, which would be charged to the next
    receiver. Files are cut to nothing instead.

    Args:
        directory: where the files go; its file system is part of what is measured.
        memory: "warm", "cold" or "as-is".
        hold_bytes: kept from the system with "cold", so that what is left is cold.
        largest_run: bytes that one run stores; so much and more is kept warm.
    """

    def __init__(
        self, directory: Path, memory: str, hold_bytes: int, largest_run: int
    ) -> None:
        self.memory = memory
        self.programs: dict[str, str] = {}
        self.warm_ns_per_byte = 0.0
        self.spread = False  # do directories get block groups of their own?
        self._directory = directory
        self._hold_bytes = hold_bytes
        self._largest_run = largest_run
        self._stack = contextlib.ExitStack()
        self._full: list[Path] = []  # directories whose files still hold bytes

    def __enter__(self) -> "Place":
        temporary = tempfile.TemporaryDirectory(
            prefix="dcmrecv-benchmark-", dir=self._directory
        )
        self.root = Path(self._stack.enter_context(temporary))
        self._runs = self.root / "runs"
        self._runs.mkdir()
        self._probes = self.root / "probes"
        self._probes.mkdir()
        chattr = ["chattr", "+T", str(self._runs)]  # only ext2 to ext4 have it
        with contextlib.suppress(FileNotFoundError):
            done = subprocess.run(chattr, capture_output=True, check=False)
            self.spread = done.returncode == 0
        for name in PROGRAMS:
            self.programs[name] = str(self.root / name)
            compiler = os.environ.get("CC", "cc")
            source = str(HERE / f"{name}.c")
            subprocess.run(
                [compiler, "-O2", "-o", self.programs[name], source], check=True
            )
        with self._keep("warm", LEAST) as cost:
            self.warm_ns_per_byte = cost
        if self.memory == "warm":
            # half of it is in blocks as large as the page cache likes them
            amount = min(4 * self._largest_run + LEAST, free_memory() // 2)
            self._stack.enter_context(self._keep("warm", amount))
        elif self.memory == "cold":
            self._stack.enter_context(self._keep("hold", self._hold_bytes))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        self._stack.close()

    @contextlib.contextmanager
    def _keep(self, state: str, size: int) -> Iterator[float]:
        """Memory in a state for as long as the context lasts; gives ns a byte."""
        process = subprocess.Popen(
            [self.programs["memory"], state, str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise BenchmarkError(f"{size} bytes of memory are not to be had")
            yield float(line)
        finally:
            process.communicate()

    def sender(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start the sender."""
        return subprocess.Popen(
            [self.programs["sender"], "--uid-base", UID_BASE, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def line(self, work: Work, port: str) -> Iterator[str]:
        """The port to send to, so that the receiver is as far away as the work says."""
        if work.delay_ms == 0:
            yield port
            return
        process = subprocess.Popen(
            [self.programs["delay"], str(work.delay_ms), port],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.kill()
            process.communicate()

    def write_objects(self, work: Work, first: int, objects: int) -> Path:
        """The directory with these objects as files; made when it is not there yet."""
        directory = self.root / f"{work.name}-{first}-{objects}"
        if directory.exists():
            return directory
        directory.mkdir()
        process = self.sender(
            *("--files", str(directory), "--first", str(first)),
            *("--objects", str(objects), "--size", str(work.size)),
        )
        _, errors = finish(process, 120.0)
        if process.returncode:
            raise BenchmarkError(f"sender --files: {errors.strip()}")
        return directory

    def data_set(self, name: str) -> Path:
        """The file with one of DATA_SETS as it is sent."""
        path = self.root / f"{name}.sent"
        if not path.exists():
            path.write_bytes(DATA_SETS[name](Form(written=False)))
        return path

    def references(self, work: Work, objects: int, rewritten: bool) -> dict[int, Path]:
        """The first and the last object of a run as files, by their number.

        Args:
            work: says what the objects hold.
            objects: how many there are.
            rewritten: as normal mode writes them, and not as they are sent.
        """
        numbers = (0, objects - 1)
        if work.data_set is None:
            return {
                number: self.write_objects(work, number, 1) / f"{number:08}.dcm"
                for number in numbers
            }
        path = self.root / f"{work.data_set}-{rewritten}.dcm"
        if not path.exists():
            data_set = DATA_SETS[work.data_set](Form(written=rewritten))
            write_reference(path, data_set)
        return dict.fromkeys(numbers, path)

    def new_directory(self, name: str) -> tuple[Path, float]:
        """An empty directory for one run, in a place where files are made quickly.

        A block group in which anybody has deleted files within the last minutes makes
        each create some 20 times slower; where a directory lands depends on its name.

        Returns:
            The directory, and the microseconds that it took to make a file there.
        """
        tries = []
        for _ in range(TRIES):
            directory = self._runs / f"{name}-{secrets.token_hex(4)}"
            directory.mkdir()
            tries.append((self.create_us(directory), directory))
            if tries[-1][0] < QUICK_CREATE_US:
                break
        create_us, directory = min(tries)
        self._full.append(directory)
        return directory, create_us

    def create_us(self, directory: Path) -> float:
        """Microseconds that making an empty file takes there."""
        costs = []
        for _ in range(PROBES):
            path = directory / secrets.token_hex(8)
            begin = time.perf_counter()
            path.touch()
            costs.append((time.perf_counter() - begin) * 1e6)
            path.rename(self._probes / path.name)  # out of the way, but not deleted
        return min(costs)

    def flush(self) -> None:
        """Let nothing of earlier runs be written during the next one."""
        if self.memory != "cold":
            self.release()
        os.sync()

    def release(self) -> None:
        """Give back the blocks of everything received so far, but no inode."""
        with ThreadPoolExecutor(RELEASERS) as releasers:
            for directory in self._full:
                list(releasers.map(_empty, directory.iterdir()))
        self._full.clear()

    def prepare_memory(self, size: int) -> float:
        """Wait until the memory is as wanted for a run of so many bytes.

        Returns:
            Nanoseconds that the first touch of a byte costs now.
        """
        if self.memory == "cold":
            if free_memory() < 3 * size // 2 + GIB:
                self.release()
            time.sleep(REPORT_S)
        with self._keep("probe", 16 * MIB) as cost:
            return cost
