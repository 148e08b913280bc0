"""TLS connections of one worker that are not an association yet.

Owns their handshakes, their time-outs and the check of the peer's name. A worker has
one at a time; only while connections wait and no worker is idle does it take more, so
that peers that stall in their handshakes keep nobody waiting: the first one whose
A-ASSOCIATE-RQ is whole gets the worker, the others have to go. Never answers a PDU.
"""

import contextlib
import logging
import select
import socket
import ssl
import time
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from dcmrecv.config.logs import NETWORK_LOGGER
from dcmrecv.errors import TlsError
from dcmrecv.service import tls_wording, wording
from dcmrecv.service.connection import shown_address
from dcmrecv.service.kernel_tls import SocketTlsEngine, is_asked_for
from dcmrecv.service.requests import request_complete
from dcmrecv.service.tls import ACCESS_DENIED_ALERT, TlsEngine, tls_error
from dcmrecv.service.wording import Peer

logger = logging.getLogger(NETWORK_LOGGER)

READ_BYTES: Final = 65_536

# A handshake takes two round trips at most. One that is younger may well be about to
# end, so the worker takes no other one meanwhile, though others wait.
FRESH_S: Final = 1.0

# Who was refused may read the alert for so long before the connection is closed.
LINGER_S: Final = 0.5

# When the receiver ends: what is left of a handshake that is under way.
HURRY_S: Final = 1.0

# Unfinished handshakes of one worker; past that the oldest has to go. Each costs about
# 50 KB.
HANDSHAKES_MAX: Final = 64

# What came of all unfinished A-ASSOCIATE-RQs; past that the longest one has to go. One
# has 1 MiB at most, a usual one a few KiB.
REQUESTS_BYTES_MAX: Final = 4 * 2**20


class Secured(NamedTuple):
    """A connection with its handshake behind it, and what has come through it."""

    connection: socket.socket
    received: bytes
    engine: TlsEngine


class Stage(Enum):
    """What a connection waits for."""

    HANDSHAKE = "its handshake"
    REQUEST = "its A-ASSOCIATE-RQ"
    LEAVING = "its close"


class _Entry:
    """One connection."""

    __slots__ = (
        "awaits_room",
        "connection",
        "deadline_s",
        "engine",
        "header",
        "host",
        "received",
        "since_s",
        "stage",
        "unsent",
    )

    def __init__(
        self,
        connection: socket.socket,
        engine: TlsEngine,
        now_s: float,
        timeout_s: float,
    ) -> None:
        self.connection = connection
        self.engine = engine
        self.since_s = now_s
        self.deadline_s = now_s + timeout_s
        self.stage = Stage.HANDSHAKE
        self.awaits_room = False
        self.header = b""
        self.received = b""
        self.unsent = b""
        try:
            self.host = shown_address(connection.getpeername()[0])
        except OSError:
            self.host = "unknown"


class Handshakes:
    """All unfinished handshakes of this worker."""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        timeout_s: float,
        names: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with none.

        Args:
            context: of server.tls.
            timeout_s: from the ClientHello to the end of the A-ASSOCIATE-RQ.
            names: patterns, one of which a name in the peer's certificate must fit;
                none when every peer is welcome.
            clock: seconds that never go backwards.
        """
        self._context = context
        self._timeout_s = timeout_s
        self._names = names
        self._clock = clock
        self._epoll = select.epoll()
        self._entries: dict[int, _Entry] = {}  # by descriptor, the oldest first
        self._finished: Secured | None = None

    def fileno(self) -> int:
        """Readable when serve_events() has something to do."""
        return self._epoll.fileno()

    def __len__(self) -> int:
        return len(self._entries)

    def admit(
        self, connection: socket.socket, received: bytes, header: bytes = b""
    ) -> None:
        """Take a non-blocking connection with what was read from it so far.

        `header` came before TLS begins; the service gets it in front of the rest.
        """
        if len(self._entries) >= HANDSHAKES_MAX:
            self._turn_out(next(iter(self._entries.values())))
        try:
            engine = self._engine(connection, received)
        except TlsError as error:
            logger.error("%s", wording.request_failed(str(error), Peer("unknown")))
            return
        if isinstance(engine, SocketTlsEngine):
            connection = engine.connection
        entry = _Entry(connection, engine, self._clock(), self._timeout_s)
        entry.header = header
        self._entries[connection.fileno()] = entry
        self._epoll.register(connection, select.EPOLLIN)
        self._advance(entry, closed=False)

    def serve_events(self) -> None:
        """Go on with every connection on which something has happened."""
        for descriptor, _ in self._epoll.poll(0):
            entry = self._entries.get(descriptor)
            if entry is not None and self._finished is None:
                self._serve(entry)

    def expire(self) -> None:
        """End what has taken too long."""
        now_s = self._clock()
        for entry in list(self._entries.values()):
            if entry.deadline_s > now_s or self._finished is not None:
                continue
            if entry.stage is Stage.REQUEST:
                # To be dealt with as the same silence on a plain connection.
                self._finish(entry)
            elif entry.stage is Stage.HANDSHAKE:
                self._close(entry, tls_wording.TIMED_OUT)
            else:
                self._close(entry)

    def take_finished(self) -> Secured | None:
        """The connection that is for the service now, if there is one."""
        finished, self._finished = self._finished, None
        return finished

    def fresh_s(self) -> float:
        """For how many seconds no other connection should be taken."""
        hopeful = (
            entry.since_s
            for entry in self._entries.values()
            if entry.stage is not Stage.LEAVING
        )
        return max(0.0, max(hopeful, default=-FRESH_S) + FRESH_S - self._clock())

    def timeout_s(self) -> float:
        """When to call expire(), in seconds from now; there must be a connection."""
        earliest_s = min(entry.deadline_s for entry in self._entries.values())
        return max(0.0, earliest_s - self._clock())

    def hurry(self) -> None:
        """The receiver ends: no more than HURRY_S for anybody."""
        limit_s = self._clock() + HURRY_S
        for entry in self._entries.values():
            entry.deadline_s = min(entry.deadline_s, limit_s)

    def close_all(self) -> None:
        """The worker has found something to do: the others have to go."""
        for entry in list(self._entries.values()):
            self._turn_out(entry)

    def _engine(self, connection: socket.socket, received: bytes) -> TlsEngine:
        """Raises TlsError if the peer of an untouched connection is gone."""
        if received or not is_asked_for(self._context):
            return TlsEngine(self._context, received)
        return SocketTlsEngine(self._context, connection)

    def _serve(self, entry: _Entry) -> None:
        """One read, so that a fast peer does not starve the others."""
        self._send(entry)
        if entry.stage is Stage.HANDSHAKE and isinstance(entry.engine, SocketTlsEngine):
            self._advance(entry, closed=False)
            return
        try:
            data = entry.connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if isinstance(error, ssl.SSLError) and entry.stage is Stage.REQUEST:
                self._refuse(entry, str(tls_error(error)), b"", False)
                return
            data = b""
        if entry.stage is not Stage.LEAVING:
            entry.engine.feed(data)
            self._advance(entry, closed=not data)
        elif not data:
            self._close(entry)

    def _advance(self, entry: _Entry, *, closed: bool) -> None:
        """Make of what has come what can be made of it."""
        try:
            if entry.stage is Stage.HANDSHAKE and not self._shake_hands(entry):
                return
            entry.received += entry.engine.open()
        except TlsError as error:
            self._refuse(entry, str(error), entry.engine.take_output(), closed)
            return
        self._send(entry, entry.engine.take_output())
        if request_complete(entry.received) or closed or entry.engine.has_ended:
            self._finish(entry)
        else:
            self._bound_requests()

    def _bound_requests(self) -> None:
        entries = self._entries.values()
        while sum(len(entry.received) for entry in entries) > REQUESTS_BYTES_MAX:
            self._turn_out(max(entries, key=lambda entry: len(entry.received)))

    def _shake_hands(self, entry: _Entry) -> bool:
        """Whether the handshake is over and the peer is welcome."""
        if not entry.engine.shake_hands():
            self._send(entry, entry.engine.take_output())
            return False
        if self._names:
            peer = entry.engine.peer()
            if peer is None or not peer.is_one_of(self._names):
                reason = tls_wording.wrong_peer(peer)
                self._refuse(entry, reason, self._denial(entry.engine), False)
                return False
        if isinstance(entry.engine, SocketTlsEngine):
            entry.engine.hand_to_kernel()
            entry.connection = entry.engine.connection
        entry.stage = Stage.REQUEST
        return True

    @staticmethod
    def _denial(engine: TlsEngine) -> bytes:
        """What tells a peer whose handshake is fine that it is not wanted.

        Up to TLS 1.2 our last flight has not gone out yet, so an alert in the clear
        still is the right one. In TLS 1.3 the peer sees the end of the connection.
        """
        if engine.is_over_for_peer:
            return engine.close_notify()
        return ACCESS_DENIED_ALERT

    def _refuse(
        self, entry: _Entry, reason: str, last_words: bytes, closed: bool
    ) -> None:
        logger.error("%s", wording.request_failed(reason, Peer(entry.host)))
        self._send(entry, last_words)
        if closed:
            self._close(entry)
            return
        # Bytes unread at our close would make the kernel send a reset, which can
        # destroy the alert before the peer has read it.
        entry.stage = Stage.LEAVING
        entry.deadline_s = min(entry.deadline_s, self._clock() + LINGER_S)
        with contextlib.suppress(OSError):
            entry.connection.shutdown(socket.SHUT_WR)

    def _send(self, entry: _Entry, data: bytes = b"") -> None:
        entry.unsent += data
        if entry.unsent:
            try:
                entry.unsent = entry.unsent[entry.connection.send(entry.unsent) :]
            except BlockingIOError:
                pass
            except OSError:
                entry.unsent = b""  # recv() will tell
        awaits_room = bool(entry.unsent) or entry.engine.is_blocked
        if entry.awaits_room != awaits_room:
            entry.awaits_room = awaits_room
            events = select.EPOLLIN | (select.EPOLLOUT if awaits_room else 0)
            self._epoll.modify(entry.connection, events)

    def _finish(self, entry: _Entry) -> None:
        self._forget(entry)
        received = entry.header + entry.received
        self._finished = Secured(entry.connection, received, entry.engine)

    def _turn_out(self, entry: _Entry) -> None:
        """Others need the room."""
        if entry.stage is Stage.REQUEST:
            self._send(entry, entry.engine.close_notify())
            self._close(entry, tls_wording.REQUEST_UNFINISHED)
        else:
            self._close(entry, tls_wording.HANDSHAKE_UNFINISHED)

    def _close(self, entry: _Entry, reason: str = "") -> None:
        if reason and entry.stage is not Stage.LEAVING:
            logger.error("%s", wording.request_failed(reason, Peer(entry.host)))
        self._forget(entry)
        entry.connection.close()

    def _forget(self, entry: _Entry) -> None:
        del self._entries[entry.connection.fileno()]
        self._epoll.unregister(entry.connection)
