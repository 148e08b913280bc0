"""The real program as a subprocess: ours, or the original.

with Program(["+B", "-od", directory]) as receiver:
    ... receiver.port ... receiver.log() ...
assert receiver.exit_code == 0
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.builders.part10 import parse_part10
from tests.builders.profile import STORAGE, profile_options
from tests.peers.waiting import wait_until

OURS = (sys.executable, "-m", "dcmrecv")
ORIGINAL = ("/usr/bin/dcmrecv",)

LOG_LINES_SHOWN = 30
LISTEN_STATE = "0A"  # of /proc/net/tcp
PORTS = range(20_000, 32_000)  # below those that the kernel hands out by itself


def free_port() -> int:
    """A TCP port that nobody uses at this moment."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise RuntimeError("no free port")


def is_listening(port: int) -> bool:
    """Does some process listen on the port? Asks the kernel, not the port."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                local_port = int(fields[1].rpartition(":")[2], 16)
                if local_port == port and fields[3] == LISTEN_STATE:
                    return True
    return False


def files_below(directory: Path) -> dict[str, bytes]:
    """Every file, hidden ones too, by its path below the directory.

    A file that goes away meanwhile is none.
    """
    files = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with contextlib.suppress(FileNotFoundError):
                files[str(path.relative_to(directory))] = path.read_bytes()
    return files


def data_sets_below(directory: Path) -> dict[str, bytes]:
    """The data set of every DICOM file, hidden ones too, by its path below."""
    return {
        name: parse_part10(content).data_set
        for name, content in files_below(directory).items()
    }


@dataclass(slots=True)
class Program:
    """A running receiver; a context manager that starts and stops it.

    Attributes:
        arguments: options, without the port.
        command: OURS, ORIGINAL or a launcher.
        environment: added to this process's own.
        directory: the working directory; a new temporary one by default.
        before_exec: runs in the child before the program starts, e.g. to set limits.
        deadline_s: for starting and for stopping.
        port: the port it listens on.
        exit_code: after the end; negative for a signal, as in `subprocess`.
    """

    arguments: Sequence[str]
    command: Sequence[str] = OURS
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    before_exec: Callable[[], None] | None = None
    deadline_s: float = 20.0
    port: int = field(init=False, default=0)
    exit_code: int | None = field(init=False, default=None)
    process: subprocess.Popen[bytes] = field(init=False)
    _scratch: tempfile.TemporaryDirectory[str] = field(init=False)
    _final: tuple[str, str] | None = field(init=False, default=None)

    def __enter__(self) -> Self:
        self._scratch = tempfile.TemporaryDirectory(prefix="dcmrecv-program-")
        self.port = free_port()
        scratch = Path(self._scratch.name)
        with (scratch / "out").open("wb") as out, (scratch / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [*self.command, *self.arguments, str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                # The original answers each request 40 ms late without this.
                env={**os.environ, "TCP_NODELAY": "1", **self.environment},
                cwd=self.directory or scratch,
                start_new_session=True,
                preexec_fn=self.before_exec,
            )
        try:
            wait_until(
                lambda: self.process.poll() is not None or is_listening(self.port),
                "a listening receiver",
                self.deadline_s,
            )
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"receiver ended with {self.process.returncode}: {self.log()}"
                )
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            end_of_log = "\n".join(self.log_lines()[-LOG_LINES_SHOWN:])
            error.add_note("the receiver's log ends:\n" + end_of_log)
        self._end()

    def _end(self) -> None:
        try:
            self.stop()
        finally:
            self._kill_session()
            self._final = self.log(), self.output()
            self._scratch.cleanup()

    def _kill_session(self) -> None:
        """Whatever is left of the process group that was started here."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code.

        Raises:
            TimeoutError: still there at the deadline; it is killed.
        """
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end that has been asked for, and return the exit code.

        Raises:
            TimeoutError: still there at the deadline; it is killed.
        """
        try:
            self.exit_code = self.process.wait(self.deadline_s)
        except subprocess.TimeoutExpired as late:
            self._kill_session()
            self.process.wait(self.deadline_s)
            raise TimeoutError(f"receiver does not end: {self.log()}") from late
        return self.exit_code

    def log(self) -> str:
        """What it has written to stderr so far."""
        return self._final[0] if self._final else self._read("err")

    def log_lines(self) -> list[str]:
        """What it has written to stderr so far, by line."""
        return self.log().splitlines()

    def output(self) -> str:
        """What it has written to stdout so far."""
        return self._final[1] if self._final else self._read("out")

    def _read(self, name: str) -> str:
        return Path(self._scratch.name, name).read_text("utf-8", "replace")

    def wait_for_log(self, text: str, *, times: int = 1) -> None:
        """Wait until a text stands in the log.

        Raises:
            TimeoutError: it does not at the deadline.
        """
        wait_until(
            lambda: self.log().count(text) >= times,
            f"{times} x {text!r} in the log",
            self.deadline_s,
        )

    def processes(self) -> list[int]:
        """The process ids of the receiver and of all that it started."""
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                found.extend(int(child) for child in children.split())
        return found

    def peak_memory_bytes(self) -> dict[int, int]:
        """VmHWM of every process, by process id."""
        peaks: dict[int, int] = {}
        for pid in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{pid}/status").read_text()
                for line in status.splitlines():
                    if line.startswith("VmHWM:"):
                        peaks[pid] = int(line.split()[1]) * 1024
        return peaks


def storage_program(
    directory: Path,
    *options: str,
    command: Sequence[str] = OURS,
    output: str = "out",
    abstract_syntaxes: Iterable[str] = STORAGE,
) -> Program:
    """A receiver that stores every class of `STORAGE` into `directory / output`.

    Args:
        directory: of the test; the profile and the output directory are made there.
        options: further options.
        command: OURS, ORIGINAL or a launcher.
        output: name of the output directory.
        abstract_syntaxes: what is accepted, in every transfer syntax.
    """
    (directory / output).mkdir(exist_ok=True)
    arguments = profile_options(directory, abstract_syntaxes)
    arguments += ["-od", str(directory / output), *options]
    return Program(arguments, command=command)
