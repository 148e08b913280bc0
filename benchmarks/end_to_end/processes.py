"""The processes of a receiver: port, start and stop, processor time and memory.

A receiver is started as the leader of a session of its own; its tree is every process
of that session, also after a parent has died. Never knows what a receiver does.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
QUIET_NS = 150_000  # of processor time within QUIET_S: nothing goes on any more
QUIET_S = 0.05
STOP_S = 15.0
# Below those that the kernel hands out: a sender that tries to connect before anybody
# listens would be given the very port as its own in the end, and connect to itself.
PORTS = range(20_000, 32_000)


class BenchmarkError(Exception):
    """A run cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Peaks in MB over the life of the processes, and what they hold at the end."""

    peak_max_mb: float  # of the largest process
    peak_sum_mb: float  # of all together; pages that they share count for each
    proportional_mb: float | None  # shared pages divided among them; None: not readable
    processes: int


def free_port() -> int:
    """A TCP port that nobody uses at this moment; raises BenchmarkError."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise BenchmarkError("no free port")


def _stat_fields(pid: int) -> list[str]:
    # the name of the program stands in parentheses and may hold blanks
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _kilobytes(pid: int, file: str, key: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0


class Receiver:
    """One receiver process and everything that it starts."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.log = log
        self._peaks: dict[int, int] = {}  # pid -> kB
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise BenchmarkError when the receiver has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise BenchmarkError(f"ended with exit code {code}")

    def last_line(self) -> str:
        """The end of what it has printed."""
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "no output")

    def pids(self) -> list[int]:
        """Every process of the tree, also one that has ended and is not yet reaped."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError):
                    if int(_stat_fields(int(name))[3]) == self._process.pid:
                        found.append(int(name))
        return found

    def cpu_ns(self) -> int:
        """Processor time of the tree since its start, user and system.

        Living processes (with threads that have ended): the nanosecond clock of the
        process. Processes that have ended and were waited for: their parent's account,
        in ticks of 10 ms.
        """
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                # clock_getcpuclockid(3) of the process, CPUCLOCK_SCHED
                own = time.clock_gettime_ns((~pid << 3) | 2)
                ended = sum(int(ticks) for ticks in _stat_fields(pid)[13:15])
                total += own + ended * TICK_NS
        return total

    def settle(self, limit_s: float = 3.0) -> None:
        """Wait until the tree has nothing more to do."""
        end = time.monotonic() + limit_s
        before = self.cpu_ns()
        while time.monotonic() < end:
            time.sleep(QUIET_S)
            now = self.cpu_ns()
            if now - before < QUIET_NS:
                return
            before = now

    def sample_memory(self) -> None:
        """Note the peak of every process that lives now."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                peak = _kilobytes(pid, "status", "VmHWM:")
                self._peaks[pid] = max(peak, self._peaks.get(pid, 0))

    def memory(self) -> Memory:
        """Peak memory up to now."""
        self.sample_memory()
        proportional: float | None = 0.0
        for pid in self.pids():
            try:
                share = _kilobytes(pid, "smaps_rollup", "Pss:")
                proportional = None if proportional is None else proportional + share
            except ProcessLookupError:
                continue
            except OSError:
                proportional = None
        return Memory(
            peak_max_mb=max(self._peaks.values()) * 1024 / 1e6,
            peak_sum_mb=sum(self._peaks.values()) * 1024 / 1e6,
            proportional_mb=None if proportional is None else proportional * 1024 / 1e6,
            processes=len(self._peaks),
        )

    def stop(self) -> None:
        """End it as an operator would; kill what is left after STOP_S."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def finish(process: "subprocess.Popen[str]", deadline_s: float) -> tuple[str, str]:
    """Wait for a helper program; kill it at the deadline.

    Returns:
        Standard output and standard error.

    Raises:
        BenchmarkError: it did not end in time.
    """
    try:
        return process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        raise BenchmarkError(f"no end within {deadline_s:g} s") from error
