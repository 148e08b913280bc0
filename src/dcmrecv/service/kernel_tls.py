"""TLS on the connection's own socket, whose keys the kernel may take.

Owns what is different then: sockets that bring data like plain ones, and the records
that bring none. OpenSSL gives the kernel its keys at the end of a handshake that it has
read from the socket itself; what the kernel cannot do stays with OpenSSL. Never waits.

Source:
    Linux, Documentation/networking/tls.rst; RFC 8446 sections 4.6.3, 5.1 and 6.
"""

import contextlib
import errno
import socket
import ssl
from typing import Any, Final

from dcmrecv.service.tls import PLAINTEXT_BYTES_MAX, TlsEngine, tls_error

# linux/tcp.h and linux/tls.h.
_TCP_ULP: Final = 31
_SOL_TLS: Final = 282
_TLS_TX: Final = 1
_TLS_RX: Final = 2
_SET_RECORD_TYPE: Final = 1
_GET_RECORD_TYPE: Final = 2
_RX_EXPECT_NO_PAD: Final = 4
_CRYPTO_INFO_BYTES: Final = 4  # version and cipher, two bytes each

# Content types, RFC 8446 section 5.1.
_ALERT: Final = 21
_HANDSHAKE: Final = 22

_CLOSE_NOTIFY: Final = b"\x01\x00"
# Behind user_canceled nothing comes but close_notify; RFC 8446 section 6.1.
_ENDS: Final = {
    ssl.AlertDescription.ALERT_DESCRIPTION_CLOSE_NOTIFY,
    ssl.AlertDescription.ALERT_DESCRIPTION_USER_CANCELLED,
}

# What the kernel says of a record that it cannot open, in OpenSSL's words.
_BROKEN_RECORDS: Final = {
    errno.EBADMSG: "decryption failed or bad record mac",
    errno.EINVAL: "wrong version number",
    errno.EMSGSIZE: "packet length too long",
}

# Older ones leave the kernel no key for receiving in TLS 1.3.
_OPENSSL_MIN: Final = (3, 2)


def is_available() -> bool:
    """Whether Python, OpenSSL and the kernel have it.

    The kernel looks for its module `tls` when asked by root.
    """
    if not hasattr(ssl, "OP_ENABLE_KTLS") or ssl.OPENSSL_VERSION_INFO < _OPENSSL_MIN:
        return False
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
        except OSError as error:
            # What it would take is there, but for a connection.
            return error.errno == errno.ENOTCONN
    return True


def ask_for(context: ssl.SSLContext) -> None:
    """From now on handshakes of this context run on the connection's own socket."""
    context.options |= getattr(ssl, "OP_ENABLE_KTLS", 0)
    context.sslsocket_class = TlsSocket


def is_asked_for(context: ssl.SSLContext) -> bool:
    """Whether it was."""
    return context.sslsocket_class is TlsSocket


class TlsSocket(ssl.SSLSocket):
    """Read and written by OpenSSL; says in a plain socket's way that it would block."""

    def recv(self, size: int = PLAINTEXT_BYTES_MAX, flags: int = 0) -> bytes:
        """Data, b"" for the end; with flags what is there before decryption.

        Raises:
            BlockingIOError: not now.
            ssl.SSLError: TLS has failed.
        """
        if flags:
            return socket.socket.recv(self, size, flags)
        try:
            return super().recv(size)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def send(self, data: Any, flags: int = 0) -> int:
        """Send data; behind a BlockingIOError the same once more."""
        try:
            return super().send(data, flags)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def close_notify(self) -> None:
        """Tell the peer that nothing more comes."""
        self.unwrap()

    def into_kernel(self) -> "KernelTlsSocket | None":
        """The same connection if all is the kernel's now; this object is empty then."""
        if self.pending() or not (self._is_keyed(_TLS_RX) and self._is_keyed(_TLS_TX)):
            return None
        kind = self.family, self.type, self.proto
        return KernelTlsSocket(*kind, fileno=self.detach())

    def _is_keyed(self, direction: int) -> bool:
        """Whether the kernel has what it takes for a direction."""
        try:
            info = self.getsockopt(_SOL_TLS, direction, _CRYPTO_INFO_BYTES)
        except OSError:
            return False
        return any(info)


class KernelTlsSocket(socket.socket):
    """Decrypted and encrypted by the kernel, and plain but for the peer's alerts."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Data, b"" for the end.

        Raises:
            BlockingIOError: not now.
            ssl.SSLError: TLS has failed.
        """
        try:
            return super().recv(size, flags)
        except OSError as error:
            if not flags and error.errno is not None and self.has_ended(error.errno):
                return b""
            raise

    def has_ended(self, os_errno: int) -> bool:
        """Whether a recv() has failed because the peer sends no more.

        Takes the record to blame off the connection.

        Raises:
            ssl.SSLError: there was an alert, a record of another kind or a broken one.
        """
        if os_errno in _BROKEN_RECORDS:
            raise ssl.SSLError(os_errno, _BROKEN_RECORDS[os_errno])
        if os_errno != errno.EIO:
            return False
        content, ancillary, *_ = self.recvmsg(PLAINTEXT_BYTES_MAX, socket.CMSG_SPACE(1))
        kinds = [
            data[0]
            for level, kind, data in ancillary
            if (level, kind) == (_SOL_TLS, _GET_RECORD_TYPE)
        ]
        complaint = _complaint(kinds[0] if kinds else 0, content)
        if complaint:
            raise ssl.SSLError(os_errno, complaint)
        return True

    def close_notify(self) -> None:
        """Tell the peer that nothing more comes."""
        kind = _SOL_TLS, _SET_RECORD_TYPE, bytes([_ALERT])
        self.sendmsg([_CLOSE_NOTIFY], [kind])

    def expect_no_padding(self) -> None:
        """Decrypt right into its place what has no padding, in TLS 1.3 from Linux 6.0.

        Nearly nobody pads; the kernel finds out and does it again, elsewhere.
        """
        with contextlib.suppress(OSError):
            self.setsockopt(_SOL_TLS, _RX_EXPECT_NO_PAD, 1)


def _complaint(kind: int, content: bytes) -> str:
    """What is wrong with a record that has no data, "" if it ends the stream."""
    if kind == _ALERT and len(content) == len(_CLOSE_NOTIFY):
        description = content[1]
        if description in _ENDS:
            return ""
        try:
            name = ssl.AlertDescription(description).name
        except ValueError:
            return f"alert {description}"
        name = name.removeprefix("ALERT_DESCRIPTION_").lower().replace("_", " ")
        return f"alert {name}"
    if kind == _HANDSHAKE:
        return "kernel TLS cannot change its keys"
    return "unexpected record"


class SocketTlsEngine(TlsEngine):
    """The acceptor's side on the connection's own socket: bytes that pass are data.

    Attributes:
        connection: owns the descriptor.
    """

    on_socket = True

    def __init__(self, context: ssl.SSLContext, connection: socket.socket) -> None:
        """Take over a non-blocking connection from which nothing of TLS was read.

        Raises:
            TlsError: it is not connected any more, and closed.
        """
        self.has_ended = False
        self._data = b""
        try:
            secured = context.wrap_socket(
                connection,
                server_side=True,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            )
        except (OSError, ValueError) as error:
            raise tls_error(error) from error
        assert isinstance(secured, TlsSocket)
        self.ssl_object = self._secured = secured
        self.connection: TlsSocket | KernelTlsSocket = secured

    def feed(self, data: bytes) -> None:
        """Take data of the connection; nothing means that it has ended."""
        self._data += data
        self.has_ended = not data

    def shake_hands(self) -> bool:
        """Go on with the handshake; whether it is complete.

        Raises:
            TlsError: it failed, and the peer has been told why.
        """
        self.is_blocked = False
        try:
            self._secured.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self.is_blocked = True
            return False
        except OSError as error:
            raise tls_error(error) from error
        return True

    def hand_to_kernel(self) -> None:
        """Let the kernel have the connection, if it has got the keys."""
        connection = self._secured.into_kernel()
        if connection is None:
            return
        connection.setblocking(False)
        connection.expect_no_padding()
        self.connection = connection
        self.in_kernel = True

    def has_failed_at_end(self, os_errno: int) -> bool:
        """Whether a call on the kernel's connection failed since the peer has ended it.

        Raises:
            TlsError: it has broken it instead.
        """
        if not isinstance(self.connection, KernelTlsSocket):
            return False
        try:
            return self.connection.has_ended(os_errno)
        except OSError as error:
            raise tls_error(error) from error

    @property
    def is_over_for_peer(self) -> bool:
        """Always: our last flight has gone out."""
        return True

    def take_output(self) -> bytes:
        """Nothing: it has been sent."""
        return b""

    def seal(self, data: bytes) -> bytes:
        """What has to be sent so that the peer gets `data`: the same."""
        return data

    def open(self) -> bytes:
        """Everything that came."""
        data, self._data = self._data, b""
        return data

    def close_notify(self) -> bytes:
        """Tell the peer that nothing more comes; there is nothing to be sent."""
        with contextlib.suppress(OSError, ValueError):
            self.connection.close_notify()
        return b""

    def details(self) -> str:
        """Protocol version and ciphersuite in use, and by whom."""
        place = ", kernel TLS" if self.in_kernel else ""
        return f"{super().details()}{place}"
