"""A TLS connection without a socket: both ends are objects of this process."""

import contextlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dcmrecv.errors import TlsError
from dcmrecv.service.tls import (
    BUSY_ALERT,
    TlsEngine,
    TlsPeer,
    client_hello_complete,
    first_record_bytes,
)
from dcmrecv.service.tls_wording import details_block
from tests.builders.certificates import Authority, client_context

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("server")
CLIENT = AUTHORITY.issue("ct1", names=["ct1.hospital.org", "ct1"])


@dataclass(slots=True)
class Requestor:
    """The other end."""

    context: ssl.SSLContext
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    object: ssl.SSLObject = field(init=False)

    def __post_init__(self) -> None:
        self.object = self.context.wrap_bio(self.incoming, self.outgoing)

    def step(self, received: bytes = b"") -> bytes:
        """Go on with the handshake; returns what has to be sent."""
        self.incoming.write(received)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.object.do_handshake()
        return self.outgoing.read()


@pytest.fixture
def acceptor(tmp_path: Path) -> ssl.SSLContext:
    key, certificate = SERVER.write(tmp_path, "acceptor")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cadata=AUTHORITY.root.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@pytest.fixture
def requestor(tmp_path: Path) -> Requestor:
    return Requestor(client_context(AUTHORITY, CLIENT, tmp_path))


def connect(acceptor: ssl.SSLContext, requestor: Requestor) -> TlsEngine:
    """Shake hands to the end."""
    hello = requestor.step()
    engine = TlsEngine(acceptor, hello)
    while not engine.shake_hands():
        engine.feed(requestor.step(engine.take_output()))
    requestor.step(engine.take_output())
    return engine


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_bytes_pass_in_both_directions(
    acceptor: ssl.SSLContext, requestor: Requestor, version: str
) -> None:
    requestor.context.maximum_version = ssl.TLSVersion[version]
    requestor = Requestor(requestor.context)
    engine = connect(acceptor, requestor)
    assert engine.is_over_for_peer == (version == "TLSv1_3")
    sent = bytes(100_000)
    requestor.object.write(sent)
    engine.feed(requestor.outgoing.read())
    assert engine.open() == sent
    assert engine.open() == b""
    assert not engine.has_ended
    requestor.incoming.write(engine.seal(b"answer"))
    assert requestor.object.read() == b"answer"


def test_the_end_that_the_peer_announces_is_seen(
    acceptor: ssl.SSLContext, requestor: Requestor
) -> None:
    engine = connect(acceptor, requestor)
    requestor.object.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        requestor.object.unwrap()
    engine.feed(requestor.outgoing.read())
    assert engine.open() == b"last words"
    assert engine.has_ended
    requestor.incoming.write(engine.close_notify())
    requestor.object.unwrap()


def test_a_connection_that_just_ends_has_ended(
    acceptor: ssl.SSLContext, requestor: Requestor
) -> None:
    engine = connect(acceptor, requestor)
    engine.feed(b"")
    assert engine.open() == b""
    assert engine.has_ended


def test_a_record_that_was_changed_on_its_way_is_an_error(
    acceptor: ssl.SSLContext, requestor: Requestor
) -> None:
    engine = connect(acceptor, requestor)
    requestor.object.write(b"data")
    record = bytearray(requestor.outgoing.read())
    record[-1] ^= 1
    engine.feed(bytes(record))
    # The latter from OpenSSL 3.2 on.
    reason = r"^TLS error: (decryption failed or bad record mac|record layer failure)$"
    with pytest.raises(TlsError, match=reason):
        engine.open()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "http request"),
        (b"\x01\x00\x00\x00\x00\x44" + bytes(68), "wrong version number"),
    ],
)
def test_what_is_not_tls_fails_with_openssls_reason(
    acceptor: ssl.SSLContext, said: bytes, reason: str
) -> None:
    """Spec 10.1."""
    with pytest.raises(TlsError) as failed:
        TlsEngine(acceptor, said).shake_hands()
    assert str(failed.value) == f"TLS error: {reason}"
    assert isinstance(failed.value.__cause__, ssl.SSLError)


def test_a_peer_that_leaves_in_the_handshake(
    acceptor: ssl.SSLContext, requestor: Requestor
) -> None:
    engine = TlsEngine(acceptor, requestor.step())
    assert not engine.shake_hands()
    engine.feed(b"")
    with pytest.raises(TlsError) as failed:
        engine.shake_hands()
    assert str(failed.value) == "TLS error: unexpected eof while reading"


def test_the_peer_is_who_its_certificate_says(
    acceptor: ssl.SSLContext, requestor: Requestor
) -> None:
    engine = connect(acceptor, requestor)
    peer = engine.peer()
    assert peer is not None
    assert peer.subject == "CN=ct1"
    assert peer.names == ("ct1", "ct1.hospital.org", "ct1")
    assert len(peer.fingerprint) == 64
    block = details_block(engine)
    assert "TLSv1.3, TLS_AES_256_GCM_SHA384, 256 bits" in block
    assert peer.fingerprint in block


def test_a_peer_without_certificate_is_nobody(
    acceptor: ssl.SSLContext, tmp_path: Path
) -> None:
    requestor = Requestor(client_context(AUTHORITY, None, tmp_path))
    engine = connect(acceptor, requestor)
    assert engine.peer() is None
    assert "Peer certificate: none" in details_block(engine)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("ct1", True),
        ("CT1", True),
        ("*.hospital.org", True),
        ("ct?.hospital.org", True),
        ("*.hospital.or", False),
        ("hospital.org", False),
        ("", False),
    ],
)
def test_a_name_fits_a_pattern_or_not(pattern: str, fits: bool) -> None:
    peer = TlsPeer("CN=ct1", "", ("ct1", "Ct1.Hospital.org"))
    assert peer.is_one_of(["nobody", pattern]) == fits


def test_a_handshake_can_begin_with_the_whole_client_hello(
    requestor: Requestor,
) -> None:
    hello = requestor.step()
    assert not any(client_hello_complete(hello[:n]) for n in range(len(hello)))
    assert client_hello_complete(hello)
    assert first_record_bytes(hello[:5]) == len(hello)


@pytest.mark.parametrize("said", [b"\x01", b"GET /", b"\x16\x03\x01\xff\xff"])
def test_what_cannot_become_one_is_not_waited_for(said: bytes) -> None:
    assert client_hello_complete(said)


def test_the_alert_for_those_who_wait_in_vain_is_understood(
    requestor: Requestor,
) -> None:
    """RFC 8446 section 6.2."""
    requestor.step()
    requestor.incoming.write(BUSY_ALERT)
    with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_INTERNAL_ERROR"):
        requestor.object.do_handshake()
