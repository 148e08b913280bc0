"""The life of a worker, here in a thread; tests/integration has the processes."""

import os
import select
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dcmrecv.config.settings import (
    VERIFICATION_PROFILE,
    AssociationProfile,
    NetworkSettings,
    PoolSettings,
    Settings,
    TlsSettings,
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
from dcmrecv.service.kernel_tls import SocketTlsEngine
from dcmrecv.service.regulars import Visit
from dcmrecv.service.tls import TlsEngine
from tests.builders.certificates import Authority, client_context
from tests.builders.connections import DEADLINE_S, Connections, says
from tests.builders.pdu import associate_rq
from tests.builders.tls_ways import ON_SOCKET, prepare
from tests.peers.stand_in import door
from tests.peers.tls import client_hello
from tests.peers.waiting import wait_until

AUTHORITY = Authority()
REQUEST = associate_rq()
SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGALRM)


class ScriptedService:
    """Serves until the peer closes, or until it is told to abort."""

    def __init__(self, slot: WorkerSlot) -> None:
        self.regulars = door(slot)
        self.received: list[bytes] = []
        self.engines: list[TlsEngine | None] = []
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
            self.engines.append(engine)
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

    def __init__(
        self, drain_timeout_s: int = 30, tls_context: ssl.SSLContext | None = None
    ) -> None:
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
                tls=TlsSettings(key_file="", certificate_file=""),
            ),
            profile=VERIFICATION_PROFILE,
            listeners=self.listeners,
            channel=worker_end,
            doorbell=self.doorbell,
            lifeline=self.lifeline,
            board=self.board,
            service_factory=self.make_service,
            secure_listeners=frozenset(
                listener.fileno() for listener in self.listeners if tls_context
            ),
            tls_context=tls_context,
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

    def make(
        drain_timeout_s: int = 30, tls_context: ssl.SSLContext | None = None
    ) -> Stage:
        stages.append(Stage(drain_timeout_s, tls_context))
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


# TLS


@pytest.fixture(params=ON_SOCKET)
def context(request: pytest.FixtureRequest, tmp_path: Path) -> ssl.SSLContext:
    key, certificate = AUTHORITY.issue("server").write(tmp_path, "acceptor")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    prepare(context, request.param)
    return context


def serve_hello(stage: Stage, directory: Path, *parts: slice) -> TlsEngine | None:
    """Say a ClientHello in parts; the engine that a request is served with."""
    requestor = client_context(AUTHORITY, None, directory)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = requestor.wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        secured.do_handshake()
    hello = outgoing.read()
    peer = stage.connect(b"")
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in parts:
        peer.sendall(hello[part])
    while True:
        incoming.write(peer.recv(65_536))
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            peer.sendall(outgoing.read())
            continue
        break
    secured.write(REQUEST)
    peer.sendall(outgoing.read())
    wait_until(lambda: bool(stage.service.engines), "the service")
    assert stage.service.received == [REQUEST]
    return stage.service.engines[0]


@pytest.mark.parametrize(
    "parts", [(slice(None),), (slice(200), slice(200, None))], ids=["whole", "cut"]
)
def test_a_hello_is_left_in_the_socket_for_openssl_to_read(
    make_stage: Callable[..., Stage],
    context: ssl.SSLContext,
    tmp_path: Path,
    parts: tuple[slice, ...],
) -> None:
    """A long one, with a key of the kind after quantum computers, is two segments."""
    engine = serve_hello(make_stage(tls_context=context), tmp_path, *parts)
    assert isinstance(engine, SocketTlsEngine)


def test_half_a_hello_goes_to_the_waiting_room(
    make_stage: Callable[..., Stage], context: ssl.SSLContext
) -> None:
    stage = make_stage(tls_context=context)
    stage.connect(b"\x16\x03\x01\x02\x00half")
    assert stage.handed_over() == b"\x16\x03\x01\x02\x00half"
    stage.wait_for(WorkerState.IDLE)


def test_a_hello_that_was_read_is_served_through_buffers(
    make_stage: Callable[..., Stage], context: ssl.SSLContext, tmp_path: Path
) -> None:
    """That is what comes from the waiting room."""
    stage = make_stage(tls_context=context)
    requestor = client_context(AUTHORITY, None, tmp_path)
    peer, accepted = stage.connections.pair()
    hand_over(stage.supervisor_end, accepted, client_hello(requestor), True)
    accepted.close()
    assert peer.recv(1) == b"\x16"
