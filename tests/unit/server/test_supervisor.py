"""The supervisor's own values and reloading; more is in tests/integration."""

import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcmrecv.server.scoreboard import Counters
from dcmrecv.server.supervisor import _describe, _raise_descriptor_limit, summary
from tests.builders.profile import profile_options
from tests.peers.program import Program, free_port
from tests.peers.scu import RawScu
from tests.peers.stand_in import COMMAND, DEADLINE_S
from tests.peers.waiting import wait_until


@pytest.fixture
def descriptor_limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_summary_counts_and_rates() -> None:
    counters = Counters(
        associations=3,
        objects=40,
        bytes=25_000_000,
        failures=2,
        refused=5,
        aborted=1,
    )
    assert summary(counters, 10.0) == (
        "Served 3 associations (5 refused, 1 aborted): 40 objects, 25000000 bytes, "
        "2 failures in 10.0 s (4.0 objects/s, 2.50 MB/s)"
    )


def test_all_descriptors_that_we_may_have_are_taken(
    descriptor_limits: tuple[int, int],
) -> None:
    """A waiting room of thousands does not fit into the usual 1,024."""
    _, hard = descriptor_limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    assert _raise_descriptor_limit() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_deaths_are_described_for_the_log() -> None:
    assert _describe(1) == "exit code 1"
    assert _describe(-9) == "SIGKILL"
    assert _describe(-11) == "SIGSEGV"


def test_workers_that_cannot_start_end_the_receiver() -> None:
    """Exit code 3, at start-up; nothing is tried for ever."""
    done = subprocess.run(
        [*COMMAND, "--directory", "/nonexistent", str(free_port())],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        text=True,
    )
    assert done.returncode == 3
    assert 1 <= done.stderr.count("Worker process cannot start") <= 2
    assert "ended unexpectedly (exit code 3)" in done.stderr


def test_after_a_reload_only_busy_workers_are_older(tmp_path: Path) -> None:
    """They finish what they have, then they go as well."""
    with Program((*profile_options(tmp_path), "--reload", "-v")) as program:
        supervisor = program.process.pid
        with RawScu(program.port) as scu:
            scu.associate()
            before = set(program.processes()) - {supervisor}
            program.process.send_signal(signal.SIGHUP)
            program.wait_for_log("Reloaded certificates and association profile")
            wait_until(
                lambda: len(before.intersection(program.processes())) == 1,
                "the end of idle workers",
            )
            assert scu.store(bytes(10)).status == 0
            scu.release()
        wait_until(
            lambda: before.isdisjoint(program.processes()), "the end of the busy one"
        )
    assert program.exit_code == 0


def test_a_reload_that_fails_leaves_every_worker_alone(tmp_path: Path) -> None:
    words = profile_options(tmp_path)
    with Program((*words, "--reload", "-v", "--spare-workers", "1")) as program:
        with RawScu(program.port) as scu:  # one worker is there
            scu.associate()
            scu.release()
        before = set(program.processes())
        Path(words[1]).write_text("nonsense")
        for turn in (1, 2):
            program.process.send_signal(signal.SIGHUP)
            program.wait_for_log("Not reloaded, going on as before", times=turn)
        assert before <= set(program.processes())
        with RawScu(program.port) as scu:
            scu.associate()
            scu.release()
    assert program.exit_code == 0
