"""Kill and stop: every Success is whole on disk, nothing else is visible.

Workers die by SIGKILL, the supervisor drains at SIGTERM or dies by SIGKILL, all while
objects arrive. DECISIONS.md, row 10.
"""

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.command import SUCCESS
from tests.builders.resend import NAME, NEW, OLD, UID, WHOLE
from tests.peers.load import Load
from tests.peers.program import Program, data_sets_below, storage_program
from tests.peers.promises import assert_stored, hidden_below, is_running
from tests.peers.scu import RawScu, store_alone
from tests.peers.unfinished import all_but_the_last_byte
from tests.peers.waiting import wait_until


@pytest.fixture(params=("--normal", "--bit-preserving"))
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    """A receiver into `tmp_path / "out"`, in each mode that stores."""
    with storage_program(tmp_path, request.param) as program:
        yield program


def test_killed_worker_costs_its_own_association_only(
    receiver: Program, tmp_path: Path
) -> None:
    """kill -9 within an object: nothing of it stays, everybody else is served."""
    out = tmp_path / "out"
    store_alone(receiver.port, OLD, UID)
    with (
        RawScu(receiver.port) as neighbour,
        all_but_the_last_byte(receiver.port, out) as victim,
    ):
        neighbour.associate()
        os.kill(writer_of(receiver), signal.SIGKILL)
        assert victim.is_closed()
        wait_until(lambda: not hidden_below(out), "the temporary file to go")
        assert data_sets_below(out) == {NAME: OLD}
        assert neighbour.store(NEW, UID).status == SUCCESS
        neighbour.release()
    assert data_sets_below(out) == {NAME: NEW}
    assert store_alone(receiver.port, OLD, UID).status == SUCCESS


def descriptors(pid: int) -> set[str]:
    """Where the descriptors of a process lead; none when it has gone."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        return {os.readlink(link) for link in folder.iterdir()}
    except FileNotFoundError:
        return set()


def writer_of(receiver: Program) -> int:
    """The worker that has a temporary file open."""
    return next(
        pid
        for pid in receiver.processes()[1:]
        if any(".part" in Path(target).name for target in descriptors(pid))
    )


def kill_a_worker(receiver: Program) -> bool:
    """SIGKILL to any worker; False when there is none at this moment."""
    with contextlib.suppress(ProcessLookupError, IndexError):
        os.kill(random.choice(receiver.processes()[1:]), signal.SIGKILL)
        return True
    return False


def test_every_success_is_whole_while_workers_are_killed(
    receiver: Program, tmp_path: Path
) -> None:
    """kill -9 of workers under load, twenty times."""
    out = tmp_path / "out"
    with Load(receiver.port) as load:
        for _ in range(20):
            promised = len(load.stored)
            load.wait_for(lambda: kill_a_worker(receiver), "a worker to kill")
            load.wait_for(lambda n=promised: len(load.stored) > n + 8, "more objects")
    assert load.lost > 0
    assert_promises_kept(out, load)


def test_every_success_is_whole_after_sigterm_under_load(
    receiver: Program, tmp_path: Path
) -> None:
    """DECISIONS row 10: the first SIGTERM drains, exit code 0, nothing unfinished."""
    with Load(receiver.port) as load:
        load.wait_for(lambda: len(load.stored) > 20, "some objects")
        assert receiver.stop() == 0
    assert_promises_kept(tmp_path / "out", load)
    assert receiver.processes() == [receiver.process.pid]


def test_second_signal_ends_at_once_and_leaves_nothing_unfinished(
    receiver: Program, tmp_path: Path
) -> None:
    """DECISIONS row 10: the association is aborted, the partial file removed."""
    out = tmp_path / "out"
    store_alone(receiver.port, OLD, UID)
    with all_but_the_last_byte(receiver.port, out) as scu:
        receiver.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(receiver.port), "no new associations")
        assert receiver.process.poll() is None
        receiver.stop()
        assert scu.ending() == "abort 0,0"
    assert data_sets_below(out) == {NAME: OLD}


def refuses(port: int) -> bool:
    """Is nobody listening any more?"""
    try:
        with RawScu(port):
            return False
    except ConnectionRefusedError:
        return True


def test_draining_finishes_the_object_that_is_under_way(
    receiver: Program, tmp_path: Path
) -> None:
    """DECISIONS row 10: a running association ends in its own time."""
    with RawScu(receiver.port) as scu:
        scu.associate()
        scu.send(WHOLE[: len(WHOLE) // 2])
        receiver.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(receiver.port), "no new associations")
        scu.send(WHOLE[len(WHOLE) // 2 :])
        assert scu.read_response().status == SUCCESS
        assert scu.echo().status == SUCCESS
        scu.release()
    assert receiver.wait() == 0
    assert data_sets_below(tmp_path / "out") == {NAME: NEW}


def test_workers_end_when_the_supervisor_is_killed(
    receiver: Program, tmp_path: Path
) -> None:
    """kill -9 of the supervisor: no process stays, no final name holds a part."""
    out = tmp_path / "out"
    with Load(receiver.port) as load:
        load.wait_for(lambda: len(load.stored) > 10, "some objects")
        workers = receiver.processes()[1:]
        receiver.process.kill()
        receiver.process.wait(10)
        wait_until(
            lambda: not any(is_running(pid) for pid in workers), "workers to end"
        )
    assert_stored(out, load.stored)


def test_start_removes_what_a_killed_receiver_left(
    receiver: Program, tmp_path: Path
) -> None:
    """kill -9 of everybody within an object, beside a receiver that lives on."""
    out = tmp_path / "out"
    with (
        storage_program(tmp_path) as other,
        all_but_the_last_byte(other.port, out) as neighbour,
    ):
        beside = hidden_below(out)
        with all_but_the_last_byte(receiver.port, out) as victim:
            for pid in receiver.processes():
                os.kill(pid, signal.SIGKILL)
            receiver.process.wait(10)
            assert victim.is_closed()
        with storage_program(tmp_path) as next_one:
            wait_until(lambda: hidden_below(out) == beside, "the file to go")
            next_one.wait_for_log("Removed 1 unfinished files")
            assert store_alone(next_one.port, OLD, "1.2.9").status == SUCCESS
        neighbour.send(WHOLE[-1:])
        assert neighbour.read_response().status == SUCCESS
        neighbour.release()
    assert data_sets_below(out) == {NAME: NEW, "CT.1.2.9": OLD}


def assert_promises_kept(out: Path, load: Load) -> None:
    """Every Success is a whole file; no other file is half an object or hidden."""
    wait_until(lambda: not hidden_below(out), "temporary files to go")
    assert_stored(out, load.stored)
