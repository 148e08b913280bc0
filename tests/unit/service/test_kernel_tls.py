"""TLS on the connection's own socket, in user space and where possible in the kernel.

The ways through the data plane are in unit/ul/test_tls_transport.py.
"""

import errno
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dcmrecv.errors import TlsError
from dcmrecv.service import kernel_tls
from dcmrecv.service.kernel_tls import KernelTlsSocket, SocketTlsEngine
from tests.builders.certificates import Authority, client_context
from tests.builders.connections import Connections
from tests.builders.tls_ways import ON_SOCKET, await_data, prepare, shaken_hands

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("server")
CLIENT = AUTHORITY.issue("ct1")

ALERT, HANDSHAKE, DATA = 21, 22, 23


@dataclass(slots=True)
class Stage:
    """Both ends of a connection."""

    acceptor: ssl.SSLContext
    requestor: ssl.SSLContext
    connections: Connections
    way: str

    def connect(self) -> tuple[SocketTlsEngine, ssl.SSLSocket]:
        """Shake hands."""
        peer, own = self.connections.pair()
        secured: list[ssl.SSLSocket] = []
        thread = threading.Thread(
            target=lambda: secured.append(self.requestor.wrap_socket(peer))
        )
        thread.start()
        engine, _ = shaken_hands(self.acceptor, own)
        thread.join(10)
        assert isinstance(engine, SocketTlsEngine)
        self.connections.close_later(*secured, engine.connection)
        return engine, secured[0]


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ON_SOCKET)
def stage(
    request: pytest.FixtureRequest, version: str, tmp_path: Path
) -> Iterator[Stage]:
    key, certificate = SERVER.write(tmp_path, "acceptor")
    acceptor = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    acceptor.load_cert_chain(certificate, key)
    acceptor.load_verify_locations(cadata=AUTHORITY.root.decode())
    acceptor.verify_mode = ssl.CERT_OPTIONAL
    prepare(acceptor, request.param)
    requestor = client_context(AUTHORITY, CLIENT, tmp_path)
    requestor.maximum_version = ssl.TLSVersion[version]
    with Connections() as connections:
        yield Stage(acceptor, requestor, connections, request.param)


# Whether there is such a thing


def test_without_python_s_or_openssl_s_part_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ssl, "OP_ENABLE_KTLS", 8, raising=False)
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 1, 9, 0, 0))
    assert not kernel_tls.is_available()
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 5, 0, 0, 0))
    monkeypatch.delattr(ssl, "OP_ENABLE_KTLS")
    assert not kernel_tls.is_available()


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(errno.ENOTCONN, True), (errno.ENOENT, False), (errno.ENOPROTOOPT, False)],
)
def test_the_kernel_tells_by_what_it_says_of_a_socket_without_a_peer(
    monkeypatch: pytest.MonkeyPatch, failure: int, expected: bool
) -> None:
    """ENOENT: there is no module `tls`; tcp(7) does not say."""

    class Probe(socket.socket):
        def setsockopt(self, *arguments: Any) -> None:
            assert arguments == (socket.IPPROTO_TCP, 31, b"tls")
            raise OSError(failure, "")

    monkeypatch.setattr(ssl, "OP_ENABLE_KTLS", 8, raising=False)
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 5, 0, 0, 0))
    monkeypatch.setattr(socket, "socket", Probe)
    assert kernel_tls.is_available() is expected


# A connection


def test_the_kernel_has_the_connection_if_it_was_asked_and_can(stage: Stage) -> None:
    engine, _ = stage.connect()
    assert engine.in_kernel == (stage.way == "kernel")
    assert engine.details().endswith(", kernel TLS") == engine.in_kernel
    peer = engine.peer()
    assert peer is not None
    assert peer.names == ("ct1",)


def test_data_passes_in_both_directions(stage: Stage) -> None:
    engine, peer = stage.connect()
    with pytest.raises(BlockingIOError):
        engine.connection.recv(1)
    sent = bytes(range(256)) * 60
    peer.sendall(sent)
    received = b""
    while len(received) < len(sent):
        await_data(engine.connection)
        engine.feed(engine.connection.recv(65_536))
        received += engine.open()
    assert received == sent
    assert engine.connection.send(engine.seal(b"answer")) == 6
    assert peer.recv(100) == b"answer"


def test_a_look_takes_nothing(stage: Stage) -> None:
    engine, peer = stage.connect()
    peer.send(b"data")
    await_data(engine.connection)
    assert engine.connection.recv(1, socket.MSG_PEEK) != b""
    assert engine.connection.recv(100) == b"data"


@pytest.mark.parametrize("politely", [True, False])
def test_the_peer_s_end_is_the_end_of_data(stage: Stage, politely: bool) -> None:
    engine, peer = stage.connect()
    peer.send(b"last")
    peer.settimeout(0)
    if politely:
        with pytest.raises(ssl.SSLWantReadError):
            peer.unwrap()
    else:
        socket.socket.shutdown(peer, socket.SHUT_WR)
    await_data(engine.connection)
    assert engine.connection.recv(100) == b"last"
    await_data(engine.connection)
    assert engine.connection.recv(100) == b""
    engine.feed(b"")
    assert engine.has_ended


def test_our_end_is_told_to_the_peer(stage: Stage) -> None:
    engine, peer = stage.connect()
    assert engine.close_notify() == b""
    peer.settimeout(10)
    peer.suppress_ragged_eofs = False
    assert peer.recv(100) == b""


def test_a_broken_record_is_a_failure_of_tls(stage: Stage) -> None:
    engine, peer = stage.connect()
    with socket.socket(fileno=socket.dup(peer.fileno())) as raw:
        raw.sendall(b"\x17\x03\x03\x00\x30" + bytes(48))
    await_data(engine.connection)
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac|record.layer.failure"):
        engine.connection.recv(100)


def test_a_peer_that_is_gone_before_the_handshake_is_an_error(stage: Stage) -> None:
    peer, own = stage.connections.pair()
    peer.close()
    engine = SocketTlsEngine(stage.acceptor, own)
    await_data(engine.connection)
    with pytest.raises(TlsError, match="unexpected eof while reading"):
        engine.shake_hands()
    engine.connection.close()


# Records that bring no data


class Scripted(KernelTlsSocket):
    """A connection whose next record is of this kind."""

    kind = DATA
    content = b""

    def recvmsg(self, *_: int) -> Any:
        return self.content, [(282, 2, bytes([self.kind]))], 0, None


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with Scripted() as connection:
        yield connection


@pytest.mark.parametrize("alert", [b"\x01\x00", b"\x02\x00", b"\x01\x5a"])
def test_an_orderly_end(scripted: Scripted, alert: bytes) -> None:
    """close_notify, and user_canceled before it; RFC 8446 section 6.1."""
    scripted.kind, scripted.content = ALERT, alert
    assert scripted.has_ended(errno.EIO)


@pytest.mark.parametrize(
    ("kind", "content", "complaint"),
    [
        (ALERT, b"\x02\x14", "alert bad record mac"),
        (ALERT, b"\x02\xee", "alert 238"),
        (ALERT, b"\x01", "unexpected record"),
        (ALERT, b"", "unexpected record"),
        (ALERT, b"\x01\x00\x01\x00", "unexpected record"),
        (HANDSHAKE, b"\x18\x00\x00\x01\x01", "kernel TLS cannot change its keys"),
        (20, b"\x01", "unexpected record"),
        (0, b"", "unexpected record"),
    ],
)
def test_another_record_is_an_error(
    scripted: Scripted, kind: int, content: bytes, complaint: str
) -> None:
    scripted.kind, scripted.content = kind, content
    with pytest.raises(ssl.SSLError) as failed:
        scripted.has_ended(errno.EIO)
    assert failed.value.strerror == complaint


def test_a_failure_of_the_network_says_nothing_of_tls(scripted: Scripted) -> None:
    assert not scripted.has_ended(errno.ECONNRESET)


def test_the_engine_tells_an_end_from_a_failure(
    stage: Stage, scripted: Scripted
) -> None:
    """As the receive loop asks it after a failed call."""
    engine, _ = stage.connect()
    assert not engine.has_failed_at_end(errno.ECONNRESET)
    engine.connection = scripted
    scripted.kind, scripted.content = ALERT, b"\x01\x00"
    assert engine.has_failed_at_end(errno.EIO)
    assert not engine.has_failed_at_end(errno.ECONNRESET)
    scripted.kind = HANDSHAKE
    with pytest.raises(TlsError, match="cannot change its keys"):
        engine.has_failed_at_end(errno.EIO)


def test_a_record_of_which_nothing_is_known_is_an_error() -> None:
    class Nothing(Scripted):
        def recvmsg(self, *_: int) -> Any:
            return b"", [], 0, None

    with Nothing() as connection, pytest.raises(ssl.SSLError, match="unexpected"):
        connection.has_ended(errno.EIO)
