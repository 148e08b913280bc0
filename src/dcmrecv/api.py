"""A receiver for Python programs, first of all for their test suites.

    settings = Settings(network=NetworkSettings(port=0, host="127.0.0.1"))
    with Receiver(settings) as receiver:
        send_something_to("127.0.0.1", receiver.port)
    print(receiver.counters.objects)

Owns the child interpreter in which everything runs: the caller is never forked, so it
may have threads, and its logging and signals stay its own.
"""

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dcmrecv.config.settings import Settings
from dcmrecv.errors import DcmrecvError, ExitCode, WorkerBootError
from dcmrecv.server.child import BOOT, REPORT_HEADER
from dcmrecv.server.pool import SECOND_NS
from dcmrecv.server.scoreboard import Counters, Scoreboard
from dcmrecv.server.supervisor import KILL_AFTER_NS

# A cold start takes a second, on a machine that is busy with other tests some more.
START_TIMEOUT_S: Final = 60.0

# Beyond what the receiver itself allows for its end.
STOP_MARGIN_S: Final = 10.0

_PACKAGE_PARENT: Final = str(Path(__file__).resolve().parent.parent)


class Receiver:
    """A receiver in processes of its own; a context manager that starts and stops it.

    One object is good for one start. The log goes where `settings.log` says, to the
    standard error of this process by default.
    """

    def __init__(
        self, settings: Settings, *, start_timeout_s: float = START_TIMEOUT_S
    ) -> None:
        self._settings = settings
        self._start_timeout_s = start_timeout_s
        self._board: Scoreboard | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port on which it listens; known after the start, also for port 0."""
        return self._port

    @property
    def counters(self) -> Counters:
        """What it has done so far; final after the stop."""
        return Counters() if self._board is None else self._board.counters()

    @property
    def exit_code(self) -> int | None:
        """After the stop: 0 when no association had to be aborted."""
        return None if self._process is None else self._process.returncode

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until a worker is ready for the first association.

        Raises:
            ConfigurationError: the settings do not fit this machine.
            ListenError: the port cannot be had.
            WorkerBootError: no worker could start.
            DcmrecvError: started before, ended at once, or not ready in time.
        """
        if self._process is not None:
            raise DcmrecvError("a receiver can be started once only")
        self._board = Scoreboard(self._settings.pool.max_associations)
        read_end, write_end = os.pipe()
        with os.fdopen(read_end, "rb", buffering=0) as report:
            try:
                self._process = _start_child(self._board.descriptor, write_end)
            finally:
                os.close(write_end)
                self._board.close()
            try:
                self._port = self._receive_report(self._process, report.fileno())
            except (BrokenPipeError, EOFError):
                _wait_for_end(self._process, STOP_MARGIN_S)
                raise _premature_end(self._process.returncode) from None
            except BaseException:
                _wait_for_end(self._process, 0)
                raise

    def stop(self) -> None:
        """Let associations finish, as SIGTERM does, and wait for the end.

        Associations that take longer than `pool.drain_timeout_s` are aborted. No
        process is left behind. Does nothing when nothing runs.
        """
        if self._process is not None and self._process.returncode is None:
            patience_s = self._settings.pool.drain_timeout_s
            patience_s += KILL_AFTER_NS // SECOND_NS
            self._process.terminate()
            _wait_for_end(self._process, patience_s + STOP_MARGIN_S)

    def _receive_report(self, process: subprocess.Popen[bytes], report: int) -> int:
        deadline_s = time.monotonic() + self._start_timeout_s
        assert process.stdin is not None
        process.stdin.write(pickle.dumps(self._settings))
        process.stdin.flush()
        header = _read(report, REPORT_HEADER.size, deadline_s)
        size: int = REPORT_HEADER.unpack(header)[0]
        result: int | DcmrecvError = pickle.loads(_read(report, size, deadline_s))
        if isinstance(result, DcmrecvError):
            raise result
        return result


def _start_child(board: int, report: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-P",  # the caller's directory is no place to import from
            "-c",
            BOOT,
            _PACKAGE_PARENT,
            str(board),
            str(report),
        ],
        stdin=subprocess.PIPE,
        pass_fds=(board, report),
        start_new_session=True,  # Ctrl-C is for the caller, who then stops us
    )


def _wait_for_end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait for a process that is about to end; kill what is left of its session."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # what it did not live to read
        process.stdin.close()
    exited = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(exited, select.POLLIN)
        poll.poll(patience_s * 1_000)
    finally:
        os.close(exited)
    # Nobody has asked for its exit code yet, so the number is still its own.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _premature_end(exit_code: int) -> DcmrecvError:
    if exit_code == ExitCode.WORKER_BOOT:
        return WorkerBootError("no worker process could start")
    return DcmrecvError(f"the receiver ended at once, exit code {exit_code}")


def _read(descriptor: int, size: int, deadline_s: float) -> bytes:
    """Read exactly so many bytes from a pipe.

    Raises:
        EOFError: it ended before.
        DcmrecvError: the deadline passed.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    data = b""
    while len(data) < size:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0 or not poll.poll(remaining_s * 1_000):
            raise DcmrecvError("the receiver was not ready in time")
        piece = os.read(descriptor, size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
