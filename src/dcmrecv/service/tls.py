"""One TLS connection without its socket: bytes go in and come out.

Owns the handshake, the texts of what went wrong, and who the peer is. Never reads or
writes a socket and never makes a context: so bytes that somebody else has read, the
waiting room say, are as good as any.
"""

import contextlib
import fnmatch
import hashlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from dcmrecv.errors import TlsError
from dcmrecv.ul.records import whole_records_bytes

# A record's header: type, version, length; RFC 8446 section 5.1.
RECORD_HEADER_BYTES: Final = 5
# The longest plaintext of a record, RFC 8446 section 5.1.
PLAINTEXT_BYTES_MAX: Final = 16_384

_HANDSHAKE: Final = 22
# A longer first record is refused by OpenSSL anyway.
_FIRST_RECORD_BYTES_MAX: Final = PLAINTEXT_BYTES_MAX + 256

# A fatal alert in the clear: internal_error, RFC 8446 section 6. Whoever waits for a
# worker and is not served has not even begun its handshake.
BUSY_ALERT: Final = bytes((21, 3, 3, 0, 2, 2, 80))

# The same: access_denied.
ACCESS_DENIED_ALERT: Final = bytes((21, 3, 3, 0, 2, 2, 49))

# RFC 4514 section 3 and what else is usual; other types stand as OpenSSL names them.
_SHORT_NAMES: Final = {
    "commonName": "CN",
    "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "domainComponent": "DC",
    "userId": "UID",
}


def client_hello_complete(received: bytes) -> bool:
    """Is there enough to begin a handshake: a whole record, or no TLS for certain?

    Args:
        received: everything that came on a new connection.

    Source:
        RFC 8446 section 5.1. A ClientHello of several records is begun with the first.
    """
    if received and received[0] != _HANDSHAKE:
        return True
    if len(received) < RECORD_HEADER_BYTES:
        return False
    length = first_record_bytes(received) - RECORD_HEADER_BYTES
    return (
        length > _FIRST_RECORD_BYTES_MAX
        or len(received) >= RECORD_HEADER_BYTES + length
    )


def first_record_bytes(header: bytes) -> int:
    """How long the first record is with its header, of which these are five bytes."""
    return RECORD_HEADER_BYTES + int.from_bytes(header[3:RECORD_HEADER_BYTES], "big")


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """Whom the peer's certificate names.

    Attributes:
        subject: in the way of RFC 4514, "CN=ct1,O=Hospital".
        fingerprint: SHA-256 of the certificate, 64 hexadecimal digits.
        names: common names and subject alternative names, without their types.
    """

    subject: str
    fingerprint: str
    names: tuple[str, ...]

    def is_one_of(self, patterns: Iterable[str]) -> bool:
        """Whether a name fits a pattern like those of a shell, in any case."""
        return any(
            fnmatch.fnmatchcase(name.lower(), pattern.lower())
            for pattern in patterns
            for name in self.names
        )


class TlsEngine:
    """The acceptor's side of one TLS connection.

    Attributes:
        incoming: takes what came from the peer, whole records only.
        outgoing: holds what has to go to the peer.
        ssl_object: reads the one and writes the other.
        has_ended: the peer has said that it sends no more.
        is_blocked: the handshake cannot go on until the connection takes more.
        on_socket: OpenSSL or the kernel reads and writes the connection instead.
        in_kernel: it is the kernel, so the connection is as good as a plain one.
    """

    is_blocked = False
    on_socket = False
    in_kernel = False

    def __init__(self, context: ssl.SSLContext, received: bytes = b"") -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.ssl_object: ssl.SSLObject | ssl.SSLSocket = context.wrap_bio(
            self.incoming, self.outgoing, server_side=True
        )
        self.has_ended = False
        self._incomplete = b""
        self._take(received)

    def feed(self, data: bytes) -> None:
        """Take what came from the peer; nothing means that it has closed."""
        if data:
            self._take(data)
        else:
            self.incoming.write(self.take_incomplete())
            self.incoming.write_eof()

    def _take(self, data: bytes) -> None:
        data = self._incomplete + data
        whole = whole_records_bytes(data)
        self.incoming.write(data[:whole])
        self._incomplete = data[whole:]

    def take_incomplete(self) -> bytes:
        """The beginning of a record that is not whole yet, for others to complete."""
        incomplete, self._incomplete = self._incomplete, b""
        return incomplete

    def shake_hands(self) -> bool:
        """Go on with the handshake; whether it is complete.

        Raises:
            TlsError: it failed; what `take_output` gives tells the peer why.
        """
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise tls_error(error) from error
        return True

    @property
    def is_over_for_peer(self) -> bool:
        """Whether the peer takes a handshake that is over for us for over, too.

        In TLS 1.3, and when a session is resumed, the peer's Finished is the last one.
        """
        newest = self.ssl_object.version() == "TLSv1.3"
        return newest or bool(self.ssl_object.session_reused)

    def take_output(self) -> bytes:
        """What has to be sent now."""
        return self.outgoing.read()

    def seal(self, data: bytes) -> bytes:
        """What has to be sent so that the peer gets `data`.

        Raises:
            TlsError: the connection has failed before.
        """
        try:
            self.ssl_object.write(data)
        except ssl.SSLError as error:
            raise tls_error(error) from error
        return self.outgoing.read()

    def open(self) -> bytes:
        """Everything that can be read of what came.

        Raises:
            TlsError: it is not what the peer has sent.
        """
        parts: list[bytes] = []
        try:
            while not self.has_ended:
                part = self.ssl_object.read(PLAINTEXT_BYTES_MAX)
                parts.append(part)
                self.has_ended = not part
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self.has_ended = True
        except ssl.SSLError as error:
            raise tls_error(error) from error
        return b"".join(parts)

    def close_notify(self) -> bytes:
        """What has to be sent so that the peer knows that nothing more comes."""
        # The peer's own is still to come, or nobody listens any more.
        with contextlib.suppress(ssl.SSLError):
            self.ssl_object.unwrap()
        return self.outgoing.read()

    def peer(self) -> TlsPeer | None:
        """Who the peer is; None when it has sent no certificate, or was not asked."""
        certificate = self.ssl_object.getpeercert(True)
        if certificate is None:
            return None
        facts: Any = self.ssl_object.getpeercert() or {}
        subject = [
            (str(kind), str(value))
            for name in facts.get("subject", ())
            for kind, value in name
        ]
        alternatives = [str(value) for _, value in facts.get("subjectAltName", ())]
        common = [value for kind, value in subject if kind == "commonName"]
        return TlsPeer(
            subject=",".join(
                f"{_SHORT_NAMES.get(kind, kind)}={value}" for kind, value in subject
            ),
            fingerprint=hashlib.sha256(certificate).hexdigest(),
            names=(*common, *alternatives),
        )

    def details(self) -> str:
        """Protocol version and ciphersuite in use."""
        name, version, bits = self.ssl_object.cipher() or ("none", "none", 0)
        return f"{self.ssl_object.version() or version}, {name}, {bits} bits"


def tls_error(error: Exception) -> TlsError:
    """OpenSSL's reason as the original shows it, and what is wrong with a certificate.

    Source:
        spec section 10.1.
    """
    reason = getattr(error, "reason", None)
    text = getattr(error, "strerror", None) or str(error)
    if reason:
        text = reason.lower().replace("_", " ")
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        # The latter from Python 3.11.2 when the peer is gone within the handshake.
        text = "unexpected eof while reading"
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        text = f"{text} ({error.verify_message})"
    return TlsError(f"TLS error: {text}")
