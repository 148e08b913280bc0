"""The life of a worker process: accept, serve one association, again.

Owns the child's signals and its states in the scoreboard. Never negotiates, never looks
into a PDU; what belongs to an association is `service`'s.
"""

import errno
import logging
import os
import select
import signal
import socket
import ssl
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from dcmrecv.config.logs import APPLICATION_LOGGER
from dcmrecv.config.settings import AssociationProfile, Settings
from dcmrecv.errors import DcmrecvError, ExitCode
from dcmrecv.native.accepting import accept
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.server.handover import Guest, hand_over_patiently, take_over
from dcmrecv.server.handshakes import Handshakes, Secured
from dcmrecv.server.scoreboard import Scoreboard, WorkerState
from dcmrecv.server.signals import SignalPipe
from dcmrecv.service.association import Interrupts
from dcmrecv.service.kernel_tls import is_asked_for
from dcmrecv.service.proxy import behind_header
from dcmrecv.service.regulars import Regulars, Visit
from dcmrecv.service.requests import request_complete
from dcmrecv.service.tls import TlsEngine, client_hello_complete

logger = logging.getLogger(APPLICATION_LOGGER)

EXIT_DONE: Final = 0
EXIT_BUG: Final = 1
EXIT_ABORTED: Final = 2  # told to end, in the middle of an association

# The rest of an A-ASSOCIATE-RQ of which a part is here gets so long before the
# connection goes to the waiting room: several segments of one send() are together
# within a millisecond, a slow peer must not hold a worker.
REQUEST_GRACE_S: Final = 0.005

# How often a worker whose handshake has stalled asks whether others wait for it.
CROWD_CHECK_S: Final = 0.25

# An A-ASSOCIATE-RQ has 0.2 to 10 KiB.
READ_BYTES: Final = 16_384

# Signals, lifeline, channel and some listeners.
EVENTS_PER_TURN: Final = 16

# After accept() found no descriptor or memory: the listener stays readable, so without
# a pause we would spin.
ACCEPT_PAUSE_S: Final = 0.1

_OUT_OF_RESOURCES: Final = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
}


class Service(Protocol):
    """What serves one association after the other; `service.associations` has it."""

    @property
    def regulars(self) -> Regulars:
        """Accepts the connections of listeners without TLS."""

    def serve(
        self,
        connection: socket.socket,
        received: bytes,
        interrupts: Interrupts,
        engine: TlsEngine | None = None,
        address: str = "",
    ) -> None:
        """Serve the connection, inside TLS if there is an `engine`, and close it.

        `address` is the peer's, "" if the connection has to be asked for it.
        """

    def resume(
        self, connection: socket.socket, visit: Visit, interrupts: Interrupts
    ) -> None:
        """Serve the rest of what `regulars` has begun, and close it."""


ServiceFactory = Callable[[Settings, AssociationProfile, WorkerSlot, str], Service]


class Begun(NamedTuple):
    """A connection on which an association has begun."""

    connection: socket.socket
    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What every worker inherits from the supervisor. All descriptors are shared."""

    settings: Settings
    profile: AssociationProfile
    listeners: tuple[socket.socket, ...]
    channel: socket.socket  # the workers' end of server.handover
    doorbell: int  # eventfd that wakes the supervisor
    lifeline: int  # reads the end of file when the supervisor is gone
    board: Scoreboard
    service_factory: ServiceFactory
    secure_listeners: frozenset[int] = frozenset()  # descriptors of those with TLS
    tls_context: ssl.SSLContext | None = None


class Attention:
    """What a worker is told while it runs; the `Interrupts` of its associations.

    Attributes:
        leaving: no further association.
        aborting: not even the one that runs.
    """

    def __init__(
        self,
        signals: SignalPipe,
        lifeline: int,
        drain_timeout_s: float,
        stop_accepting: Callable[[], None],
    ) -> None:
        self.leaving = False
        self.aborting = False
        self._signals = signals
        self._lifeline: int | None = lifeline
        self._descriptors: tuple[int, ...] = (signals.fileno(), lifeline)
        self._drain_timeout_s = drain_timeout_s
        self._stop_accepting = stop_accepting
        self._poll = select.poll()
        self._poll.register(lifeline, select.POLLIN)

    def descriptors(self) -> tuple[int, ...]:
        """Readable when there is something to look at."""
        return self._descriptors

    def must_abort(self) -> bool:
        """Look at what came; whether the running association must end at once."""
        for number in self._signals.read():
            if number == signal.SIGTERM:
                self._leave()
            elif number in (signal.SIGQUIT, signal.SIGALRM):
                self._leave()
                self.aborting = True
        if self._lifeline is not None and self._poll.poll(0):
            self._lifeline = None
            self._descriptors = (self._signals.fileno(),)
            self._leave()
            # The supervisor cannot tell us any more when time is up.
            if self._drain_timeout_s > 0:
                signal.setitimer(signal.ITIMER_REAL, self._drain_timeout_s)
            else:
                self.aborting = True
        return self.aborting

    def _leave(self) -> None:
        if not self.leaving:
            self.leaving = True
            self._stop_accepting()


class Worker:
    """One worker process after its fork."""

    def __init__(
        self,
        equipment: Equipment,
        index: int,
        signals: SignalPipe,
        service: Service,
    ) -> None:
        self._equipment = equipment
        self._board = equipment.board
        self._slot = equipment.board.worker_slot(index)
        self._service = service
        self._proxied = bool(equipment.settings.access.proxies)
        self._signals = signals
        self._attention = Attention(
            signals,
            equipment.lifeline,
            equipment.settings.pool.drain_timeout_s,
            self._close_listeners,
        )
        self._listeners = {
            listener.fileno(): listener for listener in equipment.listeners
        }
        self._families = {
            listener.fileno(): listener.family for listener in equipment.listeners
        }
        self._channel = equipment.channel.fileno()
        self._handshakes: Handshakes | None = None
        self._leaves_hello = False  # in the socket, for OpenSSL to read there
        if equipment.tls_context is not None and equipment.settings.tls is not None:
            self._handshakes = Handshakes(
                equipment.tls_context,
                timeout_s=equipment.settings.network.acse_timeout_s,
                names=equipment.settings.tls.required_names,
            )
            self._leaves_hello = is_asked_for(equipment.tls_context)
        self._epoll = select.epoll()
        self._epoll.register(signals.fileno(), select.EPOLLIN)
        self._epoll.register(equipment.lifeline, select.EPOLLIN)
        # One connection, one wake-up: EPOLLEXCLUSIVE passes over workers that do not
        # wait at the moment.
        exclusively = select.EPOLLIN | select.EPOLLEXCLUSIVE
        self._epoll.register(equipment.channel, exclusively)
        for descriptor in self._listeners:
            self._epoll.register(descriptor, exclusively)

    def run(self) -> int:
        """Serve until told to leave.

        Returns:
            The exit code.
        """
        self._slot.set("pid", os.getpid())
        self._become_idle()
        self._ring()  # the supervisor waits for the first worker
        while True:
            ready = dict(self._epoll.poll(-1, EVENTS_PER_TURN)).keys()
            # Connections first, even when told to leave: the kernel has woken nobody
            # else for them.
            guest = self._next_connection(ready)
            if guest is not None:
                if not self._serve(guest):
                    return EXIT_BUG
                if self._attention.aborting:
                    return EXIT_ABORTED
            if not ready.isdisjoint(self._attention.descriptors()):
                self._attention.must_abort()
            if self._attention.leaving:
                return EXIT_DONE
            if self._slot.get("state") != WorkerState.IDLE:
                self._become_idle()

    def _next_connection(self, ready: Set[int]) -> Guest | Secured | Begun | None:
        guest: Guest | Begun | None = None
        if self._channel in ready:
            guest = self._take_over()
            if guest is not None:
                self._slot.set("state", WorkerState.BUSY)
        for descriptor in ready:
            # Not there: another kind, or gone when one before it was found shut down.
            if descriptor not in self._listeners:
                continue
            secure = descriptor in self._equipment.secure_listeners
            if guest is None and not secure:
                guest = self._visit(descriptor)
                continue
            accepted = self._accept(descriptor)
            if accepted is None:
                continue
            if guest is None:
                guest = self._listen_to(accepted)
            else:
                # The kernel has woken only us for it, and does not do so again.
                self._hand_to_waiting_room(accepted.connection, b"", secure)
        if isinstance(guest, Guest) and guest.secure:
            return self._shake_hands(guest)
        return guest

    def _visit(self, listener: int) -> Guest | Begun | None:
        """Accept on a plain listener; None also when an association came and went."""
        try:
            visit = self._service.regulars.visit(
                listener,
                busy=WorkerState.BUSY,
                descriptors=self._attention.descriptors(),
                on_busy=self._announce,
            )
        except OSError as error:
            self._bear(error)
            return None
        if visit.descriptor < 0:
            return None
        connection = self._connection(listener, visit.descriptor)
        if visit.asked is not None:
            return Begun(connection, visit)
        return self._wait_for_request(
            Guest(connection, b"", False, visit.address), visit.received
        )

    def _listen_to(self, accepted: Guest) -> Guest | None:
        """A TLS connection that was just accepted, unless its peer is slow."""
        # Before the next system call: two workers that get busy at the same moment must
        # see each other in rings_when_busy().
        self._slot.set("state", WorkerState.BUSY)
        if self._leaves_hello:
            header = self._header_of_hello(accepted.connection)
            if header is not None:
                return accepted._replace(received=header)
        return self._wait_for_request(accepted, _receive(accepted.connection))

    def _wait_for_request(self, guest: Guest, part: bytes | None) -> Guest | None:
        """The guest with its whole A-ASSOCIATE-RQ or ClientHello, unless it is slow."""
        received = self._receive_request(guest.connection, guest.secure, part)
        if received is None:
            self._slot.set("state", WorkerState.IDLE)
            return None
        return guest._replace(received=received)

    def _shake_hands(self, guest: Guest) -> Guest | Secured | None:
        """Make a TLS connection ready for the service; None if nothing came of it.

        While somebody waits for a worker, and none is idle, other guests may come in
        between and be faster.
        """
        handshakes = self._handshakes
        if handshakes is None:
            raise RuntimeError("a TLS connection without a TLS context")
        self._slot.set("state", WorkerState.HANDSHAKE)
        self._announce()
        self._admit(handshakes, guest)
        while True:
            arrival: Guest | Secured | None = handshakes.take_finished()
            if arrival is None and not handshakes:
                self._become_idle()
                return None
            if arrival is None:
                arrival = self._wait_in_handshake(handshakes)
            if arrival is not None:
                self._slot.set("state", WorkerState.BUSY)
                handshakes.close_all()
                return arrival

    def _admit(self, handshakes: Handshakes, guest: Guest) -> None:
        rest = behind_header(guest.received) if self._proxied else guest.received
        if rest is None:
            rest = guest.received
        header = guest.received[: len(guest.received) - len(rest)]
        guest.connection.setblocking(False)
        handshakes.admit(guest.connection, rest, header)

    def _wait_in_handshake(self, handshakes: Handshakes) -> Guest | None:
        """Wait for the next thing to happen; returns a plain guest if one came."""
        watched: tuple[int, ...] = (
            handshakes.fileno(),
            *self._attention.descriptors(),
        )
        patience_s = handshakes.timeout_s()
        if (fresh_s := handshakes.fresh_s()) > 0:
            patience_s = min(patience_s, fresh_s)
        elif self._board.is_crowded():
            watched = (*watched, self._channel)
        else:
            patience_s = min(patience_s, CROWD_CHECK_S)
        ready = _wait_for_any(watched, patience_s)
        if not ready.isdisjoint(self._attention.descriptors()):
            self._attention.must_abort()
            if self._attention.leaving:
                handshakes.hurry()
            if self._attention.aborting:
                handshakes.close_all()
                return None
        if self._channel in ready and not self._attention.leaving:
            guest = self._take_over()
            self._ring()  # there may be more of them
            if guest is not None:
                if not guest.secure:
                    return guest
                self._admit(handshakes, guest)
        handshakes.serve_events()
        handshakes.expire()
        return None

    def _take_over(self) -> Guest | None:
        try:
            return take_over(self._equipment.channel)
        except OSError as error:
            logger.error("Cannot take over a connection: %s", error)
            return None

    def _accept(self, listener: int) -> Guest | None:
        try:
            descriptor, address = accept(listener)
        except OSError as error:
            self._bear(error)
            return None
        secure = listener in self._equipment.secure_listeners
        return Guest(self._connection(listener, descriptor), b"", secure, address)

    def _bear(self, error: OSError) -> None:
        """A connection could not be accepted."""
        if error.errno in _OUT_OF_RESOURCES:
            logger.error("Cannot accept a connection: %s", error.strerror)
            self._pause()
        elif error.errno == errno.EINVAL:
            # The supervisor has shut the listener down and a SIGTERM is on its way.
            self._close_listeners()
        # Else nobody is there any more, or the connection failed before we got it;
        # accept(2), "Error handling".

    def _connection(self, listener: int, descriptor: int) -> socket.socket:
        family = self._families[listener]
        return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, descriptor)

    def _receive_request(
        self, connection: socket.socket, secure: bool, part: bytes | None
    ) -> bytes | None:
        """Read the A-ASSOCIATE-RQ or ClientHello, or what is there at the peer's close.

        Args:
            connection: to read from.
            secure: is it a ClientHello?
            part: what was read already, as by _receive().

        Returns:
            The bytes for the service; None when the connection went to the waiting
            room, since the peer is slow.
        """
        received = b""
        deadline_s = 0.0
        while True:
            if part is None:
                # Silent although TCP_DEFER_ACCEPT gave it time: it will not hurry now.
                patience_s = deadline_s - time.monotonic() if received else 0.0
                if patience_s <= 0:
                    self._hand_to_waiting_room(connection, received, secure)
                    return None
                _wait_for_any((connection.fileno(),), patience_s)
            else:
                if not received:
                    deadline_s = time.monotonic() + REQUEST_GRACE_S
                received += part
                if not part or self._is_complete(received, secure):
                    return received
            part = _receive(connection)

    def _header_of_hello(self, connection: socket.socket) -> bytes | None:
        """Read what comes before a ClientHello, but not that; None: it is not whole."""
        seen = _receive(connection, socket.MSG_PEEK) or b""
        if seen and not self._is_complete(seen, secure=True):
            # Of two segments, most often. What we have seen does not wake us again.
            minimum = len(seen) + 1
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, minimum)
            _wait_for_any((connection.fileno(),), REQUEST_GRACE_S)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            seen = _receive(connection, socket.MSG_PEEK) or b""
        if not self._is_complete(seen, secure=True):
            return None
        hello = behind_header(seen) if self._proxied else seen
        header_bytes = len(seen) - len(hello or b"")
        return connection.recv(header_bytes) if header_bytes else b""

    def _is_complete(self, received: bytes, secure: bool) -> bool:
        rest = behind_header(received) if self._proxied else received
        if rest is None:
            return False
        return client_hello_complete(rest) if secure else request_complete(rest)

    def _hand_to_waiting_room(
        self, connection: socket.socket, received: bytes, secure: bool
    ) -> None:
        channel = self._equipment.channel
        with connection:
            try:
                hand_over_patiently(channel, connection, received, secure)
            except OSError as error:
                logger.error("Cannot keep a waiting connection: %s", error)

    def _serve(self, guest: Guest | Secured | Begun) -> bool:
        """Serve one association; False after a bug, which the service has logged."""
        self._announce()
        attention, service = self._attention, self._service
        try:
            if isinstance(guest, Begun):
                service.resume(guest.connection, guest.visit, attention)
            elif isinstance(guest, Secured):
                engine = guest.engine
                service.serve(guest.connection, guest.received, attention, engine)
            else:
                connection, received, _, address = guest
                service.serve(connection, received, attention, address=address)
        except Exception:
            return False
        return True

    def _announce(self) -> None:
        """We are busy now."""
        if self._board.rings_when_busy():
            self._ring()

    def _become_idle(self) -> None:
        self._slot.set("progress_ns", time.monotonic_ns())
        self._slot.set("state", WorkerState.IDLE)
        if self._board.rings_when_idle():
            self._ring()

    def _ring(self) -> None:
        os.eventfd_write(self._equipment.doorbell, 1)

    def _pause(self) -> None:
        _wait_for_any(self._attention.descriptors(), ACCEPT_PAUSE_S)

    def _close_listeners(self) -> None:
        for descriptor, listener in self._listeners.items():
            self._epoll.unregister(descriptor)
            listener.close()
        self._listeners = {}


def _receive(connection: socket.socket, flags: int = 0) -> bytes | None:
    """What has come, b"" at the end of the connection; None when it is silent."""
    try:
        return connection.recv(READ_BYTES, flags | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _wait_for_any(descriptors: tuple[int, ...], timeout_s: float) -> set[int]:
    """Which of the descriptors became readable in time."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(timeout_s * 1_000)}


def run_worker(equipment: Equipment, index: int, tag: str) -> int:
    """Be a worker until the end; called in the child right after the fork.

    Args:
        equipment: what all workers share.
        index: this worker's row on the scoreboard.
        tag: this worker's part of the names of temporary files.

    Returns:
        The exit code of the process. The signals that were blocked for the fork are
        let in again.
    """
    signals = SignalPipe((signal.SIGTERM, signal.SIGQUIT, signal.SIGALRM))
    # A terminal sends SIGINT and SIGHUP to everybody; the supervisor decides for all.
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        service = equipment.service_factory(
            equipment.settings,
            equipment.profile,
            equipment.board.worker_slot(index),
            tag,
        )
    except Exception as error:
        bug = not isinstance(error, DcmrecvError | OSError)
        logger.critical("Worker process cannot start: %s", error, exc_info=bug)
        return ExitCode.WORKER_BOOT
    try:
        return Worker(equipment, index, signals, service).run()
    except Exception:
        logger.critical("Worker process ends after an internal error", exc_info=True)
        return EXIT_BUG
