"""The receiver as a child process, seen from its pipes."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dcmrecv
from dcmrecv.config.settings import NetworkSettings, Settings, StorageSettings
from dcmrecv.errors import ConfigurationError, DcmrecvError, ExitCode
from dcmrecv.server.child import BOOT, REPORT_HEADER
from dcmrecv.server.scoreboard import Scoreboard
from tests.peers.program import is_listening

DEADLINE_S = 30
PACKAGE_PARENT = str(Path(dcmrecv.__file__).parent.parent)


class Child:
    """The child, its standard input and the pipe for its report."""

    def __init__(self, settings: Settings) -> None:
        self.board = Scoreboard(settings.pool.max_associations)
        self.report, write_end = os.pipe()
        arguments = [PACKAGE_PARENT, str(self.board.descriptor), str(write_end)]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOT, *arguments],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self.board.descriptor, write_end),
        )
        os.close(write_end)
        assert self.process.stdin is not None
        self.stdin = self.process.stdin
        self.stdin.write(pickle.dumps(settings))
        self.stdin.flush()

    def read_report(self) -> int | DcmrecvError:
        with os.fdopen(os.dup(self.report), "rb") as pipe:
            (size,) = REPORT_HEADER.unpack(pipe.read(REPORT_HEADER.size))
            report: int | DcmrecvError = pickle.loads(pipe.read(size))
        return report

    def close(self) -> None:
        self.stdin.close()
        try:
            self.process.wait(DEADLINE_S)
        finally:
            self.process.kill()
            self.process.wait()
        os.close(self.report)
        self.board.close()


@pytest.fixture
def children() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.close()


def start(children: list[Child], settings: Settings) -> Child:
    children.append(Child(settings))
    return children[-1]


def test_it_reports_its_port_when_it_is_ready(children: list[Child]) -> None:
    network = NetworkSettings(port=0, host="127.0.0.1")
    child = start(children, Settings(network=network))
    port = child.read_report()
    assert isinstance(port, int)
    assert is_listening(port)
    assert child.board.idle_count() >= 1


def test_it_ends_when_the_parent_is_gone(children: list[Child]) -> None:
    """The end of file on standard input is all that a dead parent says."""
    network = NetworkSettings(port=0, host="127.0.0.1")
    child = start(children, Settings(network=network))
    port = child.read_report()
    assert isinstance(port, int)
    child.stdin.close()
    assert child.process.wait(DEADLINE_S) == 0
    assert not is_listening(port)


def test_it_reports_why_it_cannot_start(children: list[Child]) -> None:
    settings = Settings(
        network=NetworkSettings(port=0, host="127.0.0.1"),
        storage=StorageSettings(output_directory="/nonexistent"),
    )
    child = start(children, settings)
    error = child.read_report()
    assert isinstance(error, ConfigurationError)
    assert error.exit_code == ExitCode.OUTPUT_DIRECTORY
    assert child.process.wait(DEADLINE_S) == 1
