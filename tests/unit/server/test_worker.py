"""The life of a worker, here in a thread; tests/integration has the processes."""

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from dcmrecv.config.settings import (
    VERIFICATION_PROFILE,
    AssociationProfile,
    NetworkSettings,
    PoolSettings,
    Settings,
)
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.server.handover import hand_over, open_channel, take_over
from dcmrecv.server.listener import open_listeners
from dcmrecv.server.scoreboard import Scoreboard, WorkerState
from dcmrecv.server.signals import SignalPipe
from dcmrecv.server.worker import (
    EXIT_ABORTED,
    EXIT_BUG,
    EXIT_DONE,
    Equipment,
    Service,
    Worker,
)
from dcmrecv.service.association import Interrupts
from dcmrecv.service.regulars import Visit
from dcmrecv.service.tls import TlsEngine
from tests.builders.connections import DEADLINE_S, Connections, says
from tests.builders.pdu import associate_rq
from tests.peers.stand_in import door
from tests.peers.waiting import wait_until

REQUEST = associate_rq()
SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGALRM)


class ScriptedService:
    """Serves until the peer closes, or until it is told to abort."""

    def __init__(self, slot: WorkerSlot) -> None:
        self.regulars = door(slot)
        self.received: list[bytes] = []
        self.fails = False

    def resume(
        self, connection: socket.socket, visit: Visit, interrupts: Interrupts
    ) -> None:
        raise NotImplementedError

    def serve(
        self,
        connection: socket.socket,
        received: bytes,
        interrupts: Interrupts,
        engine: TlsEngine | None = None,
        address: str = "",
    ) -> None:
        with connection:
            self.received.append(received)
            if self.fails:
                raise RuntimeError("a bug")
            connection.send(b"hello")
            while True:
                poll = select.poll()
                watched = interrupts.descriptors()
                for descriptor in (connection.fileno(), *watched):
                    poll.register(descriptor, select.POLLIN)
                ready = {descriptor for descriptor, _ in poll.poll()}
                if ready.intersection(watched) and interrupts.must_abort():
                    connection.send(b"aborted")
                    return
                if connection.fileno() in ready and not connection.recv(100):
                    return


class Stage:
    """One worker with everything that it inherits."""

    def __init__(self, drain_timeout_s: int = 30) -> None:
        self.handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self.wakeup = signal.set_wakeup_fd(-1)
        self.signals = SignalPipe(SIGNALS)
        self.board = Scoreboard(4)
        row = self.board.claim(1)
        assert row is not None
        self.listeners = open_listeners(NetworkSettings(port=0, host="127.0.0.1"))
        self.port: int = self.listeners[0].getsockname()[1]
        self.supervisor_end, worker_end = open_channel()
        self.worker_end = worker_end
        self.doorbell = os.eventfd(0, os.EFD_NONBLOCK)
        self.lifeline, self.lifeline_held = os.pipe()
        self.service = ScriptedService(self.board.worker_slot(row[0]))
        self.connections = Connections()
        self.peers: list[socket.socket] = []
        self.exit_codes: list[int] = []
        equipment = Equipment(
            settings=Settings(
                network=NetworkSettings(port=0),
                pool=PoolSettings(drain_timeout_s=drain_timeout_s),
            ),
            profile=VERIFICATION_PROFILE,
            listeners=self.listeners,
            channel=worker_end,
            doorbell=self.doorbell,
            lifeline=self.lifeline,
            board=self.board,
            service_factory=self.make_service,
        )
        worker = Worker(equipment, row[0], self.signals, self.service)
        self.thread = threading.Thread(
            target=lambda: self.exit_codes.append(worker.run())
        )
        self.thread.start()
        self.wait_for(WorkerState.IDLE)
        wait_until(self.was_rung, "the first ring")

    def make_service(
        self, _: Settings, __: AssociationProfile, ___: WorkerSlot, ____: str
    ) -> Service:
        return self.service

    def state(self) -> WorkerState:
        return self.board.snapshot()[0].state

    def wait_for(self, state: WorkerState) -> None:
        wait_until(lambda: self.state() is state, f"state {state.name}")

    def was_rung(self) -> bool:
        try:
            return os.eventfd_read(self.doorbell) > 0
        except BlockingIOError:
            return False

    def connect(self, said: bytes = REQUEST) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        peer.sendall(said)
        self.peers.append(peer)
        return peer

    def handed_over(self) -> bytes:
        """What the worker had read of the connection that it gave away."""
        taken: list[bytes] = []

        def arrived() -> bool:
            guest = take_over(self.supervisor_end)
            if guest is not None:
                guest[0].close()
                taken.append(guest[1])
            return bool(taken)

        wait_until(arrived, "a connection for the waiting room")
        return taken[0]

    def cut_lifeline(self) -> None:
        os.close(self.lifeline_held)
        self.lifeline_held = -1

    def exit_code(self) -> int:
        """Wait for the end of the worker."""
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()
        return self.exit_codes[0]

    def close(self) -> None:
        if self.thread.is_alive():
            signal.raise_signal(signal.SIGQUIT)
        self.thread.join(DEADLINE_S)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.set_wakeup_fd(self.wakeup)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.signals.close()
        for item in (*self.peers, self.supervisor_end, self.worker_end):
            item.close()
        for listener in self.listeners:
            listener.close()
        for descriptor in (self.doorbell, self.lifeline, self.lifeline_held):
            if descriptor >= 0:
                os.close(descriptor)
        with self.connections:
            pass
        self.board.close()


@pytest.fixture
def make_stage() -> Iterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def make(drain_timeout_s: int = 30) -> Stage:
        stages.append(Stage(drain_timeout_s))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    return make_stage()


def test_a_connection_is_served_with_what_it_said(stage: Stage) -> None:
    peer = stage.connect(REQUEST + b"and more")
    assert peer.recv(100) == b"hello"
    assert stage.service.received == [REQUEST + b"and more"]
    assert stage.state() is WorkerState.BUSY
    peer.close()
    stage.wait_for(WorkerState.IDLE)


def test_one_association_after_the_other(stage: Stage) -> None:
    for _ in range(3):
        peer = stage.connect()
        assert peer.recv(100) == b"hello"
        peer.close()
    stage.wait_for(WorkerState.IDLE)
    assert stage.service.received == [REQUEST] * 3


def test_a_second_connection_is_left_to_others(stage: Stage) -> None:
    assert stage.connect().recv(100) == b"hello"
    stage.connect()
    with stage.listeners[0].dup() as listener:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        assert poll.poll(DEADLINE_S * 1_000)
        listener.accept()[0].close()
    assert len(stage.service.received) == 1


@pytest.mark.parametrize("beginning", [b"\x01", REQUEST[:50]])
def test_a_slow_peer_goes_to_the_waiting_room(stage: Stage, beginning: bytes) -> None:
    stage.connect(beginning)
    assert stage.handed_over() == beginning
    stage.wait_for(WorkerState.IDLE)
    assert stage.service.received == []


def test_a_silent_peer_goes_to_the_waiting_room(stage: Stage) -> None:
    """After TCP_DEFER_ACCEPT has shown the connection, that is after a second."""
    stage.connect(b"")
    assert stage.handed_over() == b""
    assert stage.service.received == []


def test_a_connection_from_the_waiting_room_is_served(stage: Stage) -> None:
    peer, accepted = stage.connections.pair()
    hand_over(stage.supervisor_end, accepted, REQUEST)
    accepted.close()
    assert peer.recv(100) == b"hello"
    assert stage.service.received == [REQUEST]


def test_what_a_worker_was_woken_for_and_cannot_serve_goes_on(stage: Stage) -> None:
    """The kernel wakes one worker for a connection, and no other one afterwards."""
    first = stage.connect()
    assert first.recv(100) == b"hello"
    stage.connect()
    peer, accepted = stage.connections.pair()
    hand_over(stage.supervisor_end, accepted, REQUEST)
    accepted.close()
    first.close()  # now it has both to choose from
    assert peer.recv(100) == b"hello"
    assert stage.handed_over() == b""


def test_a_peer_that_closes_at_once_is_for_the_service_to_log(stage: Stage) -> None:
    stage.connect(b"").close()
    wait_until(lambda: stage.service.received, "the end of the connection")
    assert stage.service.received == [b""]


def test_a_bug_ends_the_worker(stage: Stage) -> None:
    stage.service.fails = True
    stage.connect()
    assert stage.exit_code() == EXIT_BUG


# The doorbell


def test_the_supervisor_sleeps_while_enough_workers_are_idle(stage: Stage) -> None:
    stage.board.ask_to_ring(below=0, always=False)
    assert stage.connect().recv(100) == b"hello"
    stage.peers[0].close()
    stage.wait_for(WorkerState.IDLE)
    assert not stage.was_rung()


def test_the_supervisor_is_woken_when_the_spare_workers_are_used_up(
    stage: Stage,
) -> None:
    stage.board.ask_to_ring(below=1, always=False)
    assert stage.connect().recv(100) == b"hello"
    assert stage.was_rung()
    stage.peers[0].close()
    stage.wait_for(WorkerState.IDLE)
    assert not stage.was_rung()


def test_the_supervisor_is_woken_by_an_idle_worker_if_it_waits_for_one(
    stage: Stage,
) -> None:
    stage.board.ask_to_ring(below=0, always=True)
    assert stage.connect().recv(100) == b"hello"
    assert stage.was_rung()
    stage.peers[0].close()
    wait_until(stage.was_rung, "a ring")
    assert stage.state() is WorkerState.IDLE


# The end


def test_an_idle_worker_ends_on_sigterm(stage: Stage) -> None:
    signal.raise_signal(signal.SIGTERM)
    assert stage.exit_code() == EXIT_DONE


def test_sigterm_lets_the_association_finish(stage: Stage) -> None:
    """And closes the listener meanwhile. DECISIONS 2, row 10."""
    peer = stage.connect()
    assert peer.recv(100) == b"hello"
    signal.raise_signal(signal.SIGTERM)
    wait_until(lambda: stage.listeners[0].fileno() == -1, "the listener's close")
    peer.send(b"still there")
    assert stage.state() is WorkerState.BUSY
    peer.close()
    assert stage.exit_code() == EXIT_DONE


@pytest.mark.parametrize("before", [(), (signal.SIGTERM,)], ids=["alone", "second"])
def test_sigquit_aborts_the_association(
    stage: Stage, before: tuple[signal.Signals, ...]
) -> None:
    peer = stage.connect()
    assert peer.recv(100) == b"hello"
    for number in (*before, signal.SIGQUIT):
        signal.raise_signal(number)
    assert says(peer) == b"aborted"
    assert stage.exit_code() == EXIT_ABORTED


def test_an_idle_worker_has_nothing_to_abort(stage: Stage) -> None:
    signal.raise_signal(signal.SIGQUIT)
    assert stage.exit_code() == EXIT_DONE


def test_an_idle_worker_does_not_outlive_the_supervisor(stage: Stage) -> None:
    stage.cut_lifeline()
    assert stage.exit_code() == EXIT_DONE


def test_without_supervisor_the_association_may_finish(stage: Stage) -> None:
    peer = stage.connect()
    assert peer.recv(100) == b"hello"
    stage.cut_lifeline()
    wait_until(lambda: stage.listeners[0].fileno() == -1, "the listener's close")
    assert stage.state() is WorkerState.BUSY
    peer.close()
    assert stage.exit_code() == EXIT_DONE


@pytest.mark.parametrize("drain_timeout_s", [0, 1])
def test_without_supervisor_the_association_has_its_time_only(
    make_stage: Callable[..., Stage], drain_timeout_s: int
) -> None:
    stage = make_stage(drain_timeout_s)
    peer = stage.connect()
    assert peer.recv(100) == b"hello"
    stage.cut_lifeline()
    assert says(peer) == b"aborted"
    assert stage.exit_code() == EXIT_ABORTED


def test_a_listener_that_was_shut_down_does_not_spin(stage: Stage) -> None:
    """The supervisor shuts it down for everybody before its SIGTERM arrives."""
    with stage.listeners[0].dup() as listener:
        listener.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: stage.listeners[0].fileno() == -1, "the listener's close")
    signal.raise_signal(signal.SIGTERM)
    assert stage.exit_code() == EXIT_DONE
