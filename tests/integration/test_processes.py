"""Supervisor and workers as processes, with a service that obeys the test."""

import contextlib
import os
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pytest

from tests.peers.program import Program, free_port, is_listening
from tests.peers.stand_in import COMMAND, REQUEST, StandInScu
from tests.peers.waiting import wait_until

SUPERVISOR = 1  # a process beside the workers
DEADLINE_S = 60

# The program; listen() is followed by the signal that the first argument names.
TOLD_WHEN_IT_LISTENS = """
import os, signal, socket, sys
from dcmrecv.cli import entry_point
number = int(sys.argv.pop(1))
signal.signal(number, signal.SIG_DFL)  # a shell's background jobs ignore SIGINT
listen = socket.socket.listen
def listen_and_be_told(self, backlog):
    listen(self, backlog)
    os.kill(os.getpid(), number)
socket.socket.listen = listen_and_be_told
sys.argv.insert(1, "-v")
entry_point()
"""
TERMINATED = 128 + signal.SIGTERM
INTERRUPTED = 128 + signal.SIGINT


class StandIn(Program):
    """The stand-in receiver, and its peers, which are gone before it is stopped."""

    def __init__(
        self, *arguments: object, before_exec: Callable[[], None] | None = None
    ) -> None:
        super().__init__(
            [str(argument) for argument in arguments],
            command=COMMAND,
            before_exec=before_exec,
        )
        self.peers: list[StandInScu] = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for peer in self.peers:
            peer.close()
        super().__exit__(kind, error, traceback)

    def connect(self, request: bytes = REQUEST) -> StandInScu:
        """A connection that says `request`."""
        self.peers.append(StandInScu(self.port, request))
        return self.peers[-1]

    def associate(self) -> StandInScu:
        """An association that is expected to be served."""
        scu = self.connect()
        assert scu.answer.startswith("hello"), scu.answer
        return scu

    def associate_and_leave(self) -> None:
        """An association from its beginning to its end."""
        assert self.associate().obey("bye") == ""


def worker_count(program: StandIn) -> int:
    return len(program.processes()) - SUPERVISOR


def wait_for_workers(program: StandIn, count: int) -> None:
    wait_until(lambda: worker_count(program) == count, f"{count} workers")


def is_alive(pid: int) -> bool:
    """Whether a process runs, and is not just a zombie that nobody has reaped."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"
    return False


def wait_until_gone(pids: list[int]) -> None:
    wait_until(lambda: not any(map(is_alive, pids)), f"the end of {pids}")


def temporary_files(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


# The pool


def test_a_sender_meets_a_worker_that_was_there_before() -> None:
    with StandIn("--spare", 2) as program:
        wait_for_workers(program, 2)
        before = program.processes()
        assert program.associate().worker in before


def test_more_workers_come_under_load_up_to_the_limit() -> None:
    with StandIn("--max", 6, "--spare", 1) as program:
        scus = [program.associate() for _ in range(6)]
        assert len({scu.worker for scu in scus}) == 6
        assert worker_count(program) == 6
        for scu in scus:
            assert scu.obey("bye") == ""
    assert program.exit_code == 0
    assert "Served 6 associations (0 refused, 0 aborted)" in program.log()


def test_past_the_limit_an_association_is_rejected() -> None:
    """A-ASSOCIATE-RJ 2,3,2; the others go on. DECISIONS 2, row 1."""
    with StandIn("--max", 2) as program:
        scus = [program.associate() for _ in range(2)]
        for _ in range(3):
            assert program.connect().answer == "rejected 2 3 2"
        assert scus[0].obey("file") == "done"
        assert scus[1].obey("bye") == ""
        program.associate()
    assert "3 refused" in program.log()


def test_with_a_queue_an_association_waits_for_a_worker() -> None:
    with StandIn("--max", 1, "--queue") as program:
        first = program.associate()
        waiting = [program.connect() for _ in range(3)]
        silent = program.connect(b"")
        assert first.obey("bye") == ""
        while waiting:
            served = {scu.connection: scu for scu in waiting}
            for connection in select.select(served, [], [], program.deadline_s)[0]:
                scu = served[connection]
                assert scu.worker == first.worker
                assert scu.obey("bye") == ""
                waiting.remove(scu)
        silent.close()
    assert "Served 4 associations (0 refused" in program.log()


def test_one_association_at_a_time_serves_one_sender_after_the_other() -> None:
    """Nobody is rejected who comes right after the last one has gone."""
    with StandIn("--max", 1, "--spare", 1) as program:
        for _ in range(500):
            program.associate_and_leave()


def test_surplus_workers_go_and_the_spare_ones_stay() -> None:
    with StandIn("--max", 8, "--spare", 2, "--keep-idle", 0.2) as program:
        scus = [program.associate() for _ in range(6)]
        assert worker_count(program) >= 6
        for scu in scus:
            scu.obey("bye")
        wait_for_workers(program, 2)
        program.associate()


def test_no_connection_is_lost_while_workers_come_and_go() -> None:
    """A worker that is sent away may be the one that the kernel has woken."""
    with StandIn("--max", 4, "--spare", 1, "--keep-idle", 0) as program:
        for _ in range(100):
            one, other = program.associate(), program.associate()
            assert one.obey("bye") == other.obey("bye") == ""


# Deaths


def test_an_idle_worker_that_is_killed_is_replaced() -> None:
    with StandIn("--spare", 2) as program:
        wait_for_workers(program, 2)
        killed = program.processes()[SUPERVISOR:]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        wait_until_gone(killed)
        assert program.associate().worker not in killed
        program.wait_for_log("ended unexpectedly (SIGKILL)", times=2)


@pytest.mark.parametrize("death", ["kill", "crash"])
def test_a_worker_that_dies_costs_its_own_association_only(
    death: str, tmp_path: Path
) -> None:
    with StandIn("--directory", tmp_path) as program:
        victim, bystander = program.associate(), program.associate()
        assert victim.obey("file") == bystander.obey("file") == "done"
        if death == "kill":
            os.kill(victim.worker, signal.SIGKILL)
            assert victim.next_line() == ""
        else:
            assert victim.obey("crash") == ""
        wait_until(
            lambda: len(temporary_files(tmp_path)) == 1, "the removal of the file"
        )
        tag = bystander.answer.split()[2]
        assert temporary_files(tmp_path) == [f".dcmrecv-{tag}-1.part"]
        assert bystander.obey("file") == "done"
        program.associate()
        bystander.obey("bye")
    # What the dead worker did is not forgotten.
    assert "3 associations (0 refused, 1 aborted)" in program.log()
    assert "3 objects" in program.log()


def test_workers_that_are_killed_at_random_moments_are_all_replaced(
    tmp_path: Path,
) -> None:
    chance = random.Random(1)
    with StandIn("--max", 4, "--directory", tmp_path) as program:
        for _ in range(25):
            victim, other = program.associate(), program.associate()
            victim.obey("file")
            for pid in {victim.worker, *chance.sample(program.processes()[1:], 1)}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            victim.close()
            other.close()
        wait_until(lambda: not temporary_files(tmp_path), "the removal of all files")
        program.associate()


def test_a_directory_that_vanishes_later_does_not_end_the_receiver(
    tmp_path: Path,
) -> None:
    """Those who serve go on, and the pool is whole again when the trouble is over."""
    directory = tmp_path / "out"
    directory.mkdir()
    with StandIn("--max", 3, "--spare", 2, "--directory", directory) as program:
        scu = program.associate()
        wait_for_workers(program, 3)
        directory.rmdir()
        idle = [pid for pid in program.processes()[1:] if pid != scu.worker]
        for pid in idle:
            os.kill(pid, signal.SIGKILL)
        program.wait_for_log("Worker process cannot start")
        directory.mkdir()
        program.associate()
        assert scu.obey("file") == "done"


# The end


def test_sigterm_ends_an_idle_receiver() -> None:
    with StandIn() as program:
        wait_for_workers(program, 2)
        pids = program.processes()
        assert program.stop(signal.SIGTERM) == 0
        assert not any(map(is_alive, pids))
        assert not is_listening(program.port)


def test_an_idle_receiver_ends_in_peace_however_often_it_is_told() -> None:
    """A signal that comes while the process takes itself down changes nothing."""
    with StandIn() as program:
        wait_for_workers(program, 2)
        while program.process.poll() is None:
            program.process.send_signal(signal.SIGTERM)
        assert program.process.returncode == 0


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name
)
def test_a_receiver_ends_in_peace_that_is_told_as_soon_as_it_listens(
    number: signal.Signals,
) -> None:
    """Whoever waits for the port to open may want to close it at that moment."""
    done = subprocess.run(
        [sys.executable, "-c", TOLD_WHEN_IT_LISTENS, str(number), str(free_port())],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "I: Served 0 associations" in done.stderr


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name
)
def test_the_first_signal_lets_associations_finish(number: signal.Signals) -> None:
    """DECISIONS 2, row 10."""
    with StandIn() as program:
        scu = program.associate()
        program.process.send_signal(number)
        wait_until(lambda: not is_listening(program.port), "closed listeners")
        with pytest.raises(ConnectionRefusedError):
            program.connect()
        wait_for_workers(program, 1)
        assert scu.obey("file") == "done"
        assert scu.obey("bye") == ""
        assert program.process.wait(program.deadline_s) == 0
    assert "Served 1 associations (0 refused, 0 aborted)" in program.log()


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGTERM, TERMINATED), (signal.SIGINT, INTERRUPTED)],
    ids=["TERM", "INT"],
)
def test_the_second_signal_aborts(
    number: signal.Signals, exit_code: int, tmp_path: Path
) -> None:
    with StandIn("--directory", tmp_path) as program:
        scu = program.associate()
        scu.obey("file")
        program.process.send_signal(number)
        wait_until(lambda: not is_listening(program.port), "closed listeners")
        program.process.send_signal(number)
        assert scu.next_line() == "abort"
        assert program.process.wait(program.deadline_s) == exit_code
    assert temporary_files(tmp_path) == []


def test_sigquit_aborts_at_once() -> None:
    with StandIn() as program:
        scu = program.associate()
        program.process.send_signal(signal.SIGQUIT)
        assert scu.next_line() == "abort"
        assert program.process.wait(program.deadline_s) == 128 + signal.SIGQUIT


def test_ctrl_c_reaches_everybody_and_only_drains() -> None:
    """A terminal sends SIGINT to the whole process group."""
    with StandIn() as program:
        scu = program.associate()
        os.killpg(program.process.pid, signal.SIGINT)
        wait_until(lambda: not is_listening(program.port), "closed listeners")
        assert scu.obey("bye") == ""
        assert program.process.wait(program.deadline_s) == 0


def test_the_drain_has_a_deadline() -> None:
    with StandIn("--drain", 1) as program:
        scu = program.associate()
        program.process.send_signal(signal.SIGTERM)
        assert scu.next_line() == "abort"
        assert program.process.wait(program.deadline_s) == TERMINATED


def test_a_worker_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    with StandIn("--drain", 0, "--directory", tmp_path) as program:
        scu = program.associate()
        scu.obey("file")
        os.kill(scu.worker, signal.SIGSTOP)
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(program.deadline_s) == TERMINATED
    assert temporary_files(tmp_path) == []


def test_who_waits_for_a_worker_is_rejected_at_the_end() -> None:
    """A-ASSOCIATE-RJ 2,3,1; a request that is not whole is just closed."""
    with StandIn("--max", 1, "--queue") as program:
        scu = program.associate()
        waiting = program.connect()
        half = program.connect(REQUEST[:7])
        program.process.send_signal(signal.SIGTERM)
        assert waiting.answer == "rejected 2 3 1"
        assert half.answer == ""
        waiting.close()
        assert scu.obey("bye") == ""
        assert program.process.wait(program.deadline_s) == 0


def test_workers_do_not_outlive_a_killed_supervisor() -> None:
    with StandIn() as program:
        wait_for_workers(program, 2)
        scu = program.associate()
        wait_for_workers(program, 3)
        workers = program.processes()[SUPERVISOR:]
        program.process.kill()
        program.process.wait(program.deadline_s)
        wait_until_gone([pid for pid in workers if pid != scu.worker])
        wait_until(lambda: not is_listening(program.port), "the busy one to notice")
        assert scu.obey("file") == "done"
        assert scu.obey("bye") == ""
        wait_until_gone(workers)


def test_without_supervisor_an_association_has_its_time_only() -> None:
    with StandIn("--drain", 1) as program:
        scu = program.associate()
        program.process.kill()
        program.process.wait(program.deadline_s)
        assert scu.next_line() == "abort"
        wait_until_gone([scu.worker])


# Peers that are slow


def test_a_request_that_trickles_in_is_served() -> None:
    with StandIn() as program:
        scu = program.connect(b"")
        for byte in REQUEST:
            scu.connection.send(bytes([byte]))
            # Until the kernel has it: no two bytes in one segment.
            wait_until(lambda: unacknowledged(scu.connection) == 0, "the segment")
        assert scu.answer.startswith("hello")


def unacknowledged(connection: socket.socket) -> int:
    """Segments that the other end has not acknowledged; tcp(7), TCP_INFO."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
    return int.from_bytes(info[24:28], "little")


def test_a_request_of_the_largest_size_is_served() -> None:
    request = b"\x01\x00" + (2**20).to_bytes(4, "big") + bytes(2**20)
    with StandIn() as program:
        assert program.connect(request).answer.startswith("hello")


def test_artim_ends_a_connection_without_request() -> None:
    with StandIn("--max", 8, "--acse", 1) as program:
        silent = program.connect(b"")
        half = program.connect(REQUEST[:3])
        for _ in range(20):
            program.associate_and_leave()
        # Workers that are forked now must not keep a copy of that connection open.
        others = [program.associate() for _ in range(7)]
        assert silent.answer == half.answer == ""
        program.wait_for_log("DUL network read timeout", times=2)
        for scu in others:
            assert scu.obey("bye") == ""


def test_idle_connections_and_silent_associations_hurt_nobody() -> None:
    """500 idle connections, 50 silent associations: answered within 100 ms."""
    with StandIn("--max", 64) as program:
        silent = [program.associate() for _ in range(50)]
        for number in range(500):
            program.connect(b"" if number % 2 else REQUEST[:3])
        took_s: list[float] = []
        started_s = time.monotonic()
        # Long enough to be there when TCP_DEFER_ACCEPT shows the silent ones.
        while time.monotonic() < started_s + 3:
            before_s = time.monotonic()
            program.associate_and_leave()
            took_s.append(time.monotonic() - before_s)
        took_s.sort()
        assert took_s[len(took_s) * 99 // 100] < 0.1
        for scu in silent:
            assert scu.obey("bye") == ""


def test_few_descriptors_are_no_end() -> None:
    """The oldest connection has to go; nothing spins, nobody dies."""

    def few_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    with StandIn("--acse", 100, before_exec=few_descriptors) as program:
        for _ in range(300):
            program.connect(REQUEST[:3])
        for _ in range(10):
            program.associate_and_leave()


def test_an_idle_receiver_sleeps() -> None:
    """Every process waits without a time-out: no wake-ups, no power."""
    with StandIn("--spare", 2, "--keep-idle", 0.1) as program:
        wait_for_workers(program, 2)
        program.associate_and_leave()
        wait_until(
            lambda: all(waits_for_ever(pid) for pid in program.processes()),
            "all processes to sleep",
        )


def waits_for_ever(pid: int) -> bool:
    """Whether the fourth argument of the system call, epoll_wait(), is -1."""
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    return len(words) > 4 and int(words[4], 16) & 0xFFFFFFFF == 0xFFFFFFFF
