"""A connected socket as the phases before and after P-DATA see it.

Owns sending association PDUs under a deadline and the wait for the peer's close. Never
logs and never reads a request or a message: that is others' business.
"""

import contextlib
import itertools
import select
import socket
import time
from collections.abc import Iterator

from dcmrecv.errors import (
    AssociationError,
    AssociationTimeout,
    TlsError,
    TransportError,
)
from dcmrecv.service.tls import TlsEngine
from dcmrecv.ul.items import AbortReason, AbortSource
from dcmrecv.ul.pdu import HEADER_BYTES, Abort, Pdu, encode, read_header
from dcmrecv.ul.state import Action, Event, State, pdu_event, transition

# PS3.8 leaves the close to the receiver of an A-RELEASE-RP, A-ASSOCIATE-RJ or A-ABORT.
# Differs: DCMTK waits up to three minutes for it.
_LINGER_S = 0.5
_LINGER_BYTES_MAX = 4_194_304
_READ_BYTES = 65_536
_TIMEOUT_S_MAX = 1_000_000  # sockets of Python take no more than 2**31 milliseconds


def shown_address(address: str) -> str:
    """A numeric address, an IPv4 one in the IPv4 way also on an IPv6 socket."""
    return address.removeprefix("::ffff:") if "." in address else address


class Connection:
    """One accepted connection; owned until `close()`.

    Attributes:
        descriptor: of the connection; stays this object's.
        engine: of TLS, its handshake complete; None without TLS.

    Args:
        connection: connected, with TCP_NODELAY, which it has from its listener. Made
            blocking if it is not, for the one wait of the data plane that is a read;
            whatever must not wait says so itself. With an engine on the socket, whose
            calls take no flags, it is non-blocking.
        send_timeout_s: bound on every send, in seconds.
        engine: of TLS, its handshake complete; None without TLS.
    """

    __slots__ = ("_at_once", "_send_timeout_s", "_socket", "descriptor", "engine")

    def __init__(
        self,
        connection: socket.socket,
        send_timeout_s: float,
        engine: TlsEngine | None = None,
    ) -> None:
        self._at_once: int = socket.MSG_DONTWAIT
        if engine is not None and engine.on_socket:
            self._at_once = 0
        elif connection.gettimeout() is not None:
            connection.setblocking(True)
        self._socket = connection
        self.descriptor = connection.fileno()
        self.engine = engine
        self._send_timeout_s = send_timeout_s

    def address(self) -> str:
        """The peer's numeric address, an IPv4 one in the IPv4 way."""
        try:
            return shown_address(self._socket.getpeername()[0])
        except OSError:  # closed meanwhile
            return "unknown"

    def is_closed(self) -> bool:
        """Has the peer closed, as opposed to being silent? Never waits."""
        if self.engine is not None and self.engine.has_ended:
            return True
        try:
            return not self._socket.recv(1, socket.MSG_PEEK | self._at_once)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def send(self, pdu: Pdu, timeout_s: float | None = None) -> None:
        """Send a PDU at once.

        Raises:
            AssociationTimeout: the peer takes nothing for the ACSE time-out.
            TransportError: the connection is gone.
        """
        self.send_encoded(encode(pdu), timeout_s)

    def send_encoded(self, data: bytes, timeout_s: float | None = None) -> None:
        """Send the bytes of a PDU at once.

        Raises:
            AssociationTimeout: the peer takes nothing for the ACSE time-out.
            TlsError: TLS has failed before.
            TransportError: the connection is gone.
        """
        if self.engine is not None:
            data = self.engine.seal(data)
        try:
            # There nearly always is room, and then one system call will do.
            try:
                sent = self._socket.send(data, self._at_once)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                limit = self._send_timeout_s if timeout_s is None else timeout_s
                self._send_slowly(data[sent:], limit)
        except TimeoutError as error:
            message = "Peer does not read our answers"
            raise AssociationTimeout(message, "ACSE") from error
        except OSError as error:
            message = f"Cannot write to the connection: {error.strerror}"
            raise TransportError(message) from error

    def _send_slowly(self, data: bytes, timeout_s: float) -> None:
        self._socket.settimeout(min(timeout_s, _TIMEOUT_S_MAX))
        try:
            self._socket.sendall(data)
        finally:
            self._socket.setblocking(self._at_once != 0)

    def abort(self, abort: tuple[int, int]) -> None:
        """Send an A-ABORT if the peer can still hear it, and linger."""
        try:
            self.send(Abort(*abort), _LINGER_S)
        except AssociationError:
            return
        self.discard()

    def discard(self) -> None:
        """Wait for the peer's close, reading past whatever comes; half a second.

        Bytes unread at our close would make the kernel send a reset, which can destroy
        our last PDU before the peer has read it.
        """
        for _ in self._remains():
            pass

    def linger(self, received: bytes = b"") -> None:
        """Sta13, with `received` at a PDU's beginning; half a second.

        Source:
            PS3.8 Table 9-10.
        """
        headers = _PduHeaders()
        for data in itertools.chain((received,), self._remains()):
            for kind in headers.feed(data):
                event = pdu_event(kind)
                action = transition(State.STA13, event).action
                if action is Action.AA_2:
                    return
                if action is Action.AA_7:
                    reason = AbortReason.UNEXPECTED_PDU
                    if event is Event.INVALID_PDU:
                        reason = AbortReason.UNRECOGNIZED_PDU
                    self.abort((AbortSource.SERVICE_PROVIDER, reason))
                    return

    def _remains(self) -> Iterator[bytes]:
        """What the peer still sends until it closes, within bounds."""
        deadline = time.monotonic() + _LINGER_S
        if self.engine is not None:
            yield from self._opened(self.engine)
            if self.engine.has_ended:
                return
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        budget = _LINGER_BYTES_MAX
        while budget > 0:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                return
            try:
                data = self._socket.recv(_READ_BYTES, self._at_once)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not data:
                return
            budget -= len(data)
            if self.engine is None:
                yield data
            else:
                self.engine.feed(data)
                yield from self._opened(self.engine)
                if self.engine.has_ended:
                    return

    @staticmethod
    def _opened(engine: TlsEngine) -> Iterator[bytes]:
        """What TLS made of what came; nothing once TLS has failed."""
        with contextlib.suppress(TlsError):
            yield engine.open()

    def close(self) -> None:
        """Close the connection; inside TLS, tell the peer if there is room for it."""
        if self.engine is not None:
            with contextlib.suppress(OSError):
                self._socket.send(self.engine.close_notify(), self._at_once)
        self._socket.close()


class _PduHeaders:
    """The types of the PDUs in a stream; bodies are skipped."""

    def __init__(self) -> None:
        self._header = b""
        self._body_left = 0

    def feed(self, data: bytes) -> Iterator[int]:
        """Yield the type of each PDU whose header ends in `data`."""
        while data:
            if self._body_left:
                skipped = min(self._body_left, len(data))
                self._body_left -= skipped
                data = data[skipped:]
                continue
            missing = HEADER_BYTES - len(self._header)
            self._header += data[:missing]
            data = data[missing:]
            if len(self._header) == HEADER_BYTES:
                kind, self._body_left = read_header(self._header)
                self._header = b""
                yield kind
