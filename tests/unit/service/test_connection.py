"""service.connection: a connected socket before and after P-DATA."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dcmrecv.errors import AssociationTimeout, TransportError
from dcmrecv.service.connection import Connection
from dcmrecv.ul.items import UserInformation
from dcmrecv.ul.pdu import AssociationAccept, ReleaseReply
from tests.builders import pdu
from tests.peers.waiting import wait_until


@contextmanager
def connected(
    send_timeout_s: float = 5.0, family: int = socket.AF_INET
) -> Iterator[tuple[socket.socket, Connection]]:
    """The peer's end and ours."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with (
        socket.create_server((host, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2], 5) as peer,
    ):
        accepted, _ = listener.accept()
        connection = Connection(accepted, send_timeout_s)
        try:
            yield peer, connection
        finally:
            connection.close()


def read_all(peer: socket.socket) -> bytes:
    """Everything until the other end closes."""
    data = b""
    while piece := peer.recv(65_536):
        data += piece
    return data


@contextmanager
def running(action: object) -> Iterator[None]:
    """Call it in a thread, and wait for its end."""
    thread = threading.Thread(target=action)  # type: ignore[arg-type]
    thread.start()
    try:
        yield
    finally:
        thread.join(10)
        assert not thread.is_alive()


def test_a_peer_that_reads_nothing_is_a_timeout() -> None:
    """The whole PDU has one deadline."""
    large = AssociationAccept(
        called=b"A" * 16,
        calling=b"B" * 16,
        user=UserInformation(implementation_class_uid="1" * 60_000),
    )
    with connected(send_timeout_s=0.05) as (_, connection):
        with pytest.raises(AssociationTimeout) as caught:
            for _ in range(1_000):
                connection.send(large)
        assert caught.value.phase == "ACSE"


def test_a_peer_that_is_gone_is_a_transport_error() -> None:
    with connected() as (peer, connection):
        peer.close()
        wait_until(connection.is_closed, "the peer's close")
        with pytest.raises(TransportError) as caught:
            for _ in range(1_000):
                connection.send(ReleaseReply())
        assert isinstance(caught.value.__cause__, OSError)
        assert str(caught.value).startswith("Cannot write to the connection: ")


def test_a_timeout_beyond_what_sockets_take_is_no_fault() -> None:
    with connected(send_timeout_s=2**32 - 1) as (peer, connection):
        connection.send(ReleaseReply())
        assert peer.recv(100) == pdu.release_rp()


def test_the_address_is_numeric() -> None:
    with connected() as (_, connection):
        assert connection.address() == "127.0.0.1"


def test_an_ipv4_address_is_shown_the_ipv4_way_on_a_dual_socket() -> None:
    with (
        socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True
        ) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 5),
    ):
        connection = Connection(listener.accept()[0], 5.0)
        assert connection.address() == "127.0.0.1"
        connection.close()


def test_a_connection_that_is_gone_has_no_address() -> None:
    with connected() as (_, connection):
        connection.close()
        assert connection.address() == "unknown"


def test_silence_is_not_a_close() -> None:
    with connected() as (peer, connection):
        assert not connection.is_closed()
        peer.sendall(b"\1")
        wait_until(lambda: not connection.is_closed(), "a byte to read")
        peer.close()
        assert not connection.is_closed()  # the byte is still to be read


def test_a_peer_that_closes_ends_the_linger() -> None:
    with connected() as (peer, connection):
        peer.shutdown(socket.SHUT_WR)
        connection.linger()
        connection.close()
        assert read_all(peer) == b""


@pytest.mark.parametrize("wait", ["linger", "discard"])
def test_a_peer_that_never_closes_does_not_hold_us(wait: str) -> None:
    """DECISIONS.md row 8."""
    with connected() as (peer, connection):
        getattr(connection, wait)()
        connection.close()
        assert read_all(peer) == b""


def test_a_peer_that_sends_for_ever_does_not_hold_us() -> None:
    with connected() as (peer, connection), running(connection.discard):
        peer.settimeout(None)
        block = bytes(65_536)
        for _ in range(40):  # less than a budget and the buffers between us
            peer.sendall(block)


@pytest.mark.parametrize("kind", [0x02, 0x03, 0x04, 0x05, 0x06])
def test_pdus_of_a_past_association_are_ignored(kind: int) -> None:
    """PS3.8 Table 9-10, Sta13: AA-6."""
    with connected() as (peer, connection):
        peer.sendall(pdu.pdu(kind, bytes(100)) * 3)
        peer.shutdown(socket.SHUT_WR)
        connection.linger()
        connection.close()
        assert read_all(peer) == b""


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        (pdu.associate_rq(), pdu.abort(2, 2)),
        (pdu.pdu(0x55, b""), pdu.abort(2, 1)),
    ],
)
def test_a_request_on_a_past_association_is_aborted(wire: bytes, answer: bytes) -> None:
    """PS3.8 Table 9-10, Sta13: AA-7; sent in two pieces, behind an ignored PDU."""
    with connected() as (peer, connection), running(connection.linger):
        peer.sendall(pdu.release_rq() + wire[:3])
        peer.sendall(wire[3:])
        assert peer.recv(10) == answer
        peer.close()


def test_an_abort_ends_the_linger() -> None:
    """PS3.8 Table 9-10, Sta13: AA-2; nothing behind it is looked at."""
    with connected() as (peer, connection):
        peer.sendall(pdu.abort() + pdu.associate_rq())
        connection.linger()
        connection.close()
        assert read_all(peer) == b""


def test_an_abort_reaches_a_peer_that_is_still_sending() -> None:
    """Closing with bytes unread would reset the connection, and the A-ABORT with it."""
    with connected() as (peer, connection):
        peer.sendall(bytes(100_000))
        with running(lambda: (connection.abort((2, 6)), connection.close())):
            peer.shutdown(socket.SHUT_WR)
            assert read_all(peer) == pdu.abort(2, 6)


def test_an_abort_to_a_peer_that_is_gone_is_no_fault() -> None:
    with connected() as (peer, connection):
        peer.close()
        wait_until(connection.is_closed, "the peer's close")
        for _ in range(3):
            connection.abort((0, 0))
