"""Connections without a worker."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.server.waiting_room import (
    LINGER_NS,
    RoomLimits,
    WaitingRoom,
)
from dcmrecv.service.association import PREPARED_REJECT
from dcmrecv.service.networks import Networks
from dcmrecv.service.tls import BUSY_ALERT
from tests.builders import proxy
from tests.builders.connections import Connections, says
from tests.builders.pdu import associate_rq, pdu
from tests.peers.waiting import wait_until

ARTIM_S = 30
SECOND_NS = 1_000_000_000
PATIENCE_NS = 250_000_000
REQUEST = associate_rq()
CLIENT_HELLO = b"\x16\x03\x01\x00\xc8" + bytes(200)
REJECTED = b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02"
SHUTTING_DOWN = b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x01"


@dataclass
class Room:
    """A waiting room with a clock that stands still until it is told."""

    limits: RoomLimits = field(default_factory=RoomLimits)
    unwelcome: str = ""
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.now_ns = 5 * SECOND_NS
        self.totals = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0)
        self.connections = Connections()
        self.room = WaitingRoom(
            artim_s=ARTIM_S,
            totals=self.totals,
            limits=self.limits,
            welcome=lambda host: host != self.unwelcome,
            proxies=Networks(self.proxies),
            clock=lambda: self.now_ns,
        )

    def guest(
        self, received: bytes = b"", host: str = "127.0.0.1", *, secure: bool = False
    ) -> socket.socket:
        """Admit a new connection; returns the peer's end."""
        peer, accepted = self.connections.pair(host)
        self.room.admit(accepted, received, secure)
        return peer

    def pass_time(self, ns: int, patience_ns: int | None = None) -> None:
        self.now_ns += ns
        self.room.expire(patience_ns)

    def serve_until(self, count: int) -> None:
        """Look after the guests until so many are left."""

        def few_enough() -> bool:
            self.room.serve_events()
            return len(self.room) == count

        wait_until(few_enough, f"{count} guests")

    def serve_until_ready(self, count: int) -> None:
        def enough() -> bool:
            self.room.serve_events()
            return self.room.ready == count

        wait_until(enough, f"{count} whole requests")

    def close(self) -> None:
        self.room.close()
        with self.connections:
            pass


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


def is_open(peer: socket.socket) -> bool:
    """Whether the connection stands and nothing was said."""
    peer.setblocking(False)
    try:
        return peer.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


# Inside TLS


@pytest.mark.parametrize("before", range(6))
def test_a_client_hello_is_waited_for_and_no_byte_behind_it(
    room: Room, before: int
) -> None:
    """Whole, wherever the worker has stopped reading it; then it is for a worker."""
    peer = room.guest(CLIENT_HELLO[:before], secure=True)
    for at in range(before, len(CLIENT_HELLO) - 1, 50):
        room.room.serve_events()
        peer.send(CLIENT_HELLO[at : min(at + 50, len(CLIENT_HELLO) - 1)])
    room.room.serve_events()
    assert room.room.ready == 0
    peer.send(CLIENT_HELLO[-1:] + b"behind")
    room.serve_until_ready(1)
    taken = room.room.take_ready()
    assert taken is not None
    with taken.connection:
        assert (taken.received, taken.secure) == (CLIENT_HELLO, True)
        assert taken.connection.recv(100) == b"behind"


@pytest.mark.parametrize("said", [b"GET /", REQUEST[:5], b"\x16\x03\x01\xff\xff"])
def test_what_is_no_client_hello_is_for_a_worker_to_refuse(
    room: Room, said: bytes
) -> None:
    room.guest(said, secure=True)
    assert room.room.ready == 1


def test_past_the_limit_a_tls_peer_gets_an_alert(room: Room) -> None:
    """It would not understand an A-ASSOCIATE-RJ. RFC 8446 section 6.2: 80."""
    peer = room.guest(CLIENT_HELLO, secure=True)
    room.pass_time(PATIENCE_NS, PATIENCE_NS)
    assert peer.recv(100) == BUSY_ALERT
    assert room.totals.get("refused") == 1


def test_a_client_hello_has_its_time_only(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    peer = room.guest(CLIENT_HELLO[:50], secure=True)
    room.pass_time(ARTIM_S * SECOND_NS)
    assert says(peer) == b""
    assert "Could not receive association request" in caplog.text


# Who may come in


def test_who_is_not_welcome_takes_no_room(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    room.unwelcome = "127.0.0.9"
    peer = room.guest(host="127.0.0.9")
    assert says(peer) == b""
    assert is_open(room.guest())
    assert len(room.room) == 1
    assert room.totals.get("refused") == 1
    assert "address is not accepted): 127.0.0.9" in caplog.text


# Behind a proxy


@pytest.fixture
def proxied_room() -> Iterator[Room]:
    room = Room(proxies=("127.0.0.7",), unwelcome="127.0.0.7")
    yield room
    room.close()


def trickled(room: Room, data: bytes, **guest: str) -> bytes:
    """Send byte by byte what is complete with the last one; returns what is given."""
    peer = room.guest(**guest)
    for at in range(len(data)):
        assert room.room.ready == 0
        peer.send(data[at : at + 1])
        room.room.serve_events()
    room.serve_until_ready(1)
    taken = room.room.take_ready()
    assert taken is not None
    with taken[0]:
        return taken[1]


@pytest.mark.parametrize("header", [proxy.proxied("192.0.2.7"), proxy.local()])
def test_a_request_behind_a_header_is_given_whole(
    proxied_room: Room, header: bytes
) -> None:
    """The header stays in front of it; whether it is welcome is found out later."""
    whole = header + REQUEST
    assert trickled(proxied_room, whole, host="127.0.0.7") == whole


@pytest.mark.parametrize(
    "received", [b"GET / HTTP/1.1\r\n", proxy.header(0x31, 0x11, bytes(12)) + REQUEST]
)
def test_what_is_no_header_is_left_to_a_worker(
    proxied_room: Room, received: bytes
) -> None:
    proxied_room.guest(received, host="127.0.0.7")
    assert proxied_room.room.ready == 1


def test_a_header_of_somebody_else_is_no_header(proxied_room: Room) -> None:
    proxied_room.guest(proxy.proxied("192.0.2.7")[:10])
    assert proxied_room.room.ready == 1


# Reading the A-ASSOCIATE-RQ


@pytest.mark.parametrize("before", [0, 1, 5, 6, 7, len(REQUEST) - 1])
def test_a_request_that_comes_in_two_parts_is_given_whole(
    room: Room, before: int
) -> None:
    peer = room.guest(REQUEST[:before])
    assert room.room.ready == 0
    peer.send(REQUEST[before:])
    room.serve_until_ready(1)
    taken = room.room.take_ready()
    assert taken is not None
    with taken[0]:
        assert taken[1] == REQUEST
    assert len(room.room) == 0


def test_a_request_that_trickles_in_is_given_whole(room: Room) -> None:
    assert trickled(room, REQUEST) == REQUEST


def test_the_largest_request_is_taken(room: Room) -> None:
    request = pdu(1, os.urandom(2**20))
    peer = room.guest(request[:10])
    peer.setblocking(False)
    sent = 10

    def whole() -> bool:
        nonlocal sent
        if sent < len(request):
            with contextlib.suppress(BlockingIOError):
                sent += peer.send(request[sent:])
        room.room.serve_events()
        return room.room.ready == 1

    wait_until(whole, "the request")
    taken = room.room.take_ready()
    assert taken is not None
    with taken[0]:
        assert taken[1] == request


@pytest.mark.parametrize(
    "beginning",
    [b"GET / ", pdu(1, b"", length=2**20 + 1), pdu(4, b"")],
    ids=["another protocol", "too long", "P-DATA-TF"],
)
def test_a_bad_beginning_is_for_a_worker_to_answer(
    room: Room, beginning: bytes
) -> None:
    """The room knows no more DICOM than the length of a PDU."""
    room.guest(beginning)
    assert room.room.ready == 1


def test_what_comes_after_the_request_stays_in_the_connection(room: Room) -> None:
    peer = room.guest()
    peer.send(REQUEST + b"more")
    room.serve_until_ready(1)
    taken = room.room.take_ready()
    assert taken is not None
    with taken[0] as connection:
        assert taken[1] == REQUEST
        assert connection.recv(10) == b"more"


def test_the_longest_waiting_is_given_first(room: Room) -> None:
    for number in b"abc":
        room.guest(pdu(1, bytes([number])))
    order = b""
    while taken := room.room.take_ready():
        taken[0].close()
        order += taken[1][-1:]
    assert order == b"abc"


# ARTIM and loss


def test_artim_closes_who_never_asks(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """PS3.8 Table 9-10, AA-2. Spec section 5.7."""
    silent = room.guest()
    half = room.guest(REQUEST[:20])
    room.pass_time(ARTIM_S * SECOND_NS - 1)
    assert is_open(silent)
    assert is_open(half)
    room.pass_time(1)
    assert len(room.room) == 0
    assert says(silent) == b""
    expected = "Could not receive association request: DUL network read timeout"
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2
    assert all(record.message.startswith(expected) for record in caplog.records)
    assert "127.0.0.1" in caplog.text


def test_artim_does_not_run_for_a_whole_request(room: Room) -> None:
    peer = room.guest(REQUEST)
    room.pass_time(10 * ARTIM_S * SECOND_NS)
    assert room.room.ready == 1
    assert is_open(peer)


def test_the_next_deadline_is_that_of_the_oldest(room: Room) -> None:
    assert room.room.next_deadline_ns(None) is None
    room.guest()
    first_ns = room.now_ns + ARTIM_S * SECOND_NS
    room.pass_time(SECOND_NS)
    room.guest()
    assert room.room.next_deadline_ns(None) == first_ns


def test_a_health_check_is_no_error(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """Connect and close: the lines of the original stand at level INFO."""
    caplog.set_level(logging.INFO)
    room.guest().close()
    room.serve_until(0)
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert caplog.messages == [
        "Association Received 127.0.0.1:  -> ",
        "Refusing Association (bad application context)",
    ]


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_peer_that_gives_up_is_logged_and_forgotten(
    room: Room, caplog: pytest.LogCaptureFixture, reset: bool
) -> None:
    peer = room.guest(REQUEST[:20])
    if reset:
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    peer.close()
    room.serve_until(0)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.message.startswith(
        "Could not receive association request: DUL network closed"
    )


def test_a_peer_that_gives_up_waiting_for_a_worker_is_forgotten(room: Room) -> None:
    room.guest(REQUEST).close()
    room.serve_until(0)
    assert room.room.take_ready() is None


# Past the limit of associations


def test_without_a_worker_the_request_is_rejected_after_a_moment(room: Room) -> None:
    """A-ASSOCIATE-RJ 2,3,2: local limit exceeded. PS3.8 Table 9-21."""
    peer = room.guest(REQUEST)
    room.pass_time(PATIENCE_NS - 1, PATIENCE_NS)
    assert is_open(peer)
    room.pass_time(1, PATIENCE_NS)
    assert peer.recv(100) == REJECTED
    assert room.totals.get("refused") == 1
    assert room.room.ready == 0


def test_without_a_limit_to_patience_the_request_waits(room: Room) -> None:
    """A worker is coming, or the operator wants a queue."""
    peer = room.guest(REQUEST)
    room.pass_time(3_600 * SECOND_NS)
    assert is_open(peer)
    assert room.room.ready == 1
    assert room.room.next_deadline_ns(None) is None
    assert room.room.next_deadline_ns(7) == 5 * SECOND_NS + 7


def test_a_rejected_peer_may_close_first(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    """The acceptor closes only when the requestor does not. PS3.8 section 9.1.4."""
    caplog.set_level(logging.INFO)
    polite = room.guest(REQUEST)
    lazy = room.guest(REQUEST)
    room.pass_time(PATIENCE_NS, PATIENCE_NS)
    assert len(room.room) == 2
    polite.send(b"whatever it still has to say")
    polite.close()
    room.serve_until(1)
    room.pass_time(LINGER_NS - 1)
    assert len(room.room) == 1
    room.pass_time(1)
    assert len(room.room) == 0
    assert says(lazy) == REJECTED
    line = "Refusing Association (too many associations): 127.0.0.1"
    assert f"{line}, A-ASSOCIATE-RJ 2,3,2" in caplog.messages


def test_the_reject_is_that_of_the_service() -> None:
    assert PREPARED_REJECT == REJECTED


# Bounds


def limited(**limits: int) -> Room:
    return Room(RoomLimits(**limits))


def test_past_the_number_of_guests_the_oldest_has_to_go() -> None:
    room = limited(reading=3)
    peers = [room.guest() for _ in range(5)]
    assert [is_open(peer) for peer in peers] == [False, False, True, True, True]
    room.close()


def test_one_host_cannot_turn_out_the_others() -> None:
    room = limited(reading=4, reading_per_host=2)
    other = room.guest(host="127.0.0.2")
    peers = [room.guest() for _ in range(4)]
    assert is_open(other)
    assert [is_open(peer) for peer in peers] == [False, False, True, True]
    room.close()


def test_a_host_is_only_charged_for_guests_that_are_there() -> None:
    room = limited(reading_per_host=1)
    for _ in range(3):
        room.guest().close()
        room.serve_until(0)
    for _ in range(3):
        room.guest(REQUEST)
    assert room.room.ready == 3
    room.close()


def test_past_the_bytes_the_largest_has_to_go() -> None:
    room = limited(bytes=10_000)
    small = room.guest(pdu(1, b"", length=9_000))
    large = room.guest(pdu(1, bytes(8_000), length=9_000))
    assert is_open(large)
    room.guest(pdu(1, bytes(3_000), length=9_000))
    assert not is_open(large)
    assert is_open(small)
    assert len(room.room) == 2
    room.close()


def test_bytes_are_given_back() -> None:
    room = limited(bytes=10_000)
    for _ in range(5):
        room.guest(pdu(1, bytes(6_000)))
        taken = room.room.take_ready()
        assert taken is not None
        taken[0].close()
    for _ in range(5):
        peer = room.guest(pdu(1, bytes(6_000)))
        room.pass_time(PATIENCE_NS, PATIENCE_NS)
        assert peer.recv(100) == REJECTED
    room.close()


def test_past_the_queue_a_request_is_rejected_at_once() -> None:
    room = limited(ready=1)
    first = room.guest(REQUEST)
    second = room.guest(REQUEST)
    assert second.recv(100) == REJECTED
    assert is_open(first)
    room.close()


def test_past_the_rejected_ones_the_oldest_has_to_go() -> None:
    room = limited(leaving=2)
    for _ in range(4):
        room.guest(REQUEST)
    room.pass_time(PATIENCE_NS, PATIENCE_NS)
    assert len(room.room) == 2
    assert room.totals.get("refused") == 4
    room.close()


@pytest.mark.parametrize("available", [-5, 0, 1, 100, 6_000, 10**6])
def test_few_descriptors_make_a_small_room(available: int) -> None:
    limits = RoomLimits.for_descriptors(available)
    assert min(limits.reading, limits.reading_per_host, limits.ready) >= 1
    assert limits.reading + limits.ready + limits.leaving <= max(available, 3)
    assert limits.reading <= RoomLimits().reading


def test_for_want_of_descriptors_the_oldest_has_to_go(room: Room) -> None:
    ready = room.guest(REQUEST)
    oldest = room.guest()
    newest = room.guest()
    assert room.room.make_space()
    assert [is_open(peer) for peer in (ready, oldest, newest)] == [True, False, True]
    assert room.room.make_space()
    assert room.room.make_space()
    assert not room.room.make_space()


# The end


def test_at_the_end_requests_are_rejected_and_the_others_closed(room: Room) -> None:
    """A-ASSOCIATE-RJ 2,3,1: temporary congestion. PS3.8 Table 9-21."""
    asked = room.guest(REQUEST)
    unread = room.guest(REQUEST[:20])
    unread.send(REQUEST[20:])
    silent = room.guest()
    room.room.drain()
    assert asked.recv(100) == SHUTTING_DOWN
    assert unread.recv(100) == SHUTTING_DOWN
    assert says(silent) == b""
    room.pass_time(LINGER_NS)
    assert len(room.room) == 0


def test_a_forked_child_leaves_the_guests_alone(room: Room) -> None:
    peer = room.guest()
    pid = os.fork()
    if pid == 0:
        room.room.forget_in_child()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    peer.send(REQUEST)
    room.serve_until_ready(1)
