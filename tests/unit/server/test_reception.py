"""Connections that are not with a worker."""

import contextlib
import os
import select
import socket
import time
from collections.abc import Iterator

import pytest

from dcmrecv.config.settings import NetworkSettings
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.server.handover import hand_over, is_empty, take_over
from dcmrecv.server.listener import open_listeners
from dcmrecv.server.reception import PATIENCE_NS, RECOVERY_NS, Reception
from dcmrecv.server.scoreboard import WorkerState, WorkerStatus
from dcmrecv.server.waiting_room import RoomLimits, WaitingRoom
from tests.builders.connections import DEADLINE_S, Connections, says
from tests.builders.pdu import associate_rq
from tests.peers.waiting import wait_until

REQUEST = associate_rq()
REJECTED = b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02"
SHUTTING_DOWN = b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x01"

BUSY = WorkerState.BUSY
IDLE = WorkerState.IDLE
BOOTING = WorkerState.BOOTING
HANDSHAKE = WorkerState.HANDSHAKE


class Desk:
    """A reception with a listener and peers."""

    def __init__(self, *, queueing: bool = False) -> None:
        settings = NetworkSettings(port=0, host="127.0.0.1")
        self.listeners = open_listeners(settings)
        self.port: int = self.listeners[0].getsockname()[1]
        self.room = WaitingRoom(
            artim_s=30,
            totals=WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0),
            limits=RoomLimits(),
        )
        self.reception = Reception(self.listeners, self.room, queueing=queueing)
        self.max_workers = 2
        self.connections = Connections()
        self.peers: list[socket.socket] = []

    def connect(self, said: bytes = REQUEST) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        peer.sendall(said)
        self.peers.append(peer)
        return peer

    def turn(self, *states: WorkerState) -> None:
        """One turn of the supervisor's loop with workers in these states."""
        self.reception.serve_events()
        self.reception.expire()
        self.reception.balance(
            [
                WorkerStatus(index=index, state=state)
                for index, state in enumerate(states)
            ],
            max_workers=self.max_workers,
        )

    def close(self) -> None:
        self.reception.close()
        with self.connections:
            pass
        for peer in self.peers:
            peer.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def wait_for_answer(desk: Desk, peer: socket.socket, *states: WorkerState) -> bytes:
    """Turn until the peer has an answer."""
    peer.setblocking(False)
    answer = b""

    def answered() -> bool:
        nonlocal answer
        desk.turn(*states)
        with contextlib.suppress(BlockingIOError):
            answer = peer.recv(100)
        return answer != b""

    wait_until(answered, "an answer")
    return answer


def test_past_the_limit_a_request_is_rejected(desk: Desk) -> None:
    """A-ASSOCIATE-RJ 2,3,2. DECISIONS 2, row 1."""
    peer = desk.connect()
    assert wait_for_answer(desk, peer, BUSY, BUSY) == REJECTED


def test_past_the_limit_a_silent_connection_is_no_request(desk: Desk) -> None:
    """TCP_DEFER_ACCEPT keeps it from us; the next one is answered all the same."""
    desk.connect(b"")
    peer = desk.connect()
    assert wait_for_answer(desk, peer, BUSY, BUSY) == REJECTED


def test_while_a_worker_is_idle_or_coming_it_is_left_the_connection(
    desk: Desk,
) -> None:
    desk.max_workers = 3
    desk.connect()
    wait_until(lambda: desk.reception.waiting == 1, "the connection")
    for state in (IDLE, BOOTING, BOOTING):
        desk.turn(BUSY, state)
        desk.turn(BUSY, state)
        assert len(desk.reception) == 0
        assert desk.reception.waiting == 1


def test_a_worker_that_gets_idle_gets_the_waiting_request(desk: Desk) -> None:
    peer = desk.connect()

    def received() -> bool:
        desk.turn(BUSY)
        return desk.reception.waiting > 0 and len(desk.reception) == 1

    wait_until(received, "the request")
    assert desk.reception.is_waiting
    desk.turn(IDLE)
    taken = take_over(desk.reception.worker_channel)
    assert taken is not None
    with taken[0] as connection:
        assert taken[1] == REQUEST
        connection.send(b"served")
    assert says(peer) == b"served"
    assert len(desk.reception) == 0


def test_with_a_queue_the_request_waits_for_the_first_idle_worker() -> None:
    """It is put where a worker looks before it looks at the listener."""
    desk = Desk(queueing=True)
    peer = desk.connect()

    def given() -> bool:
        desk.turn(BUSY, BUSY)
        return not is_empty(desk.reception.worker_channel)

    wait_until(given, "the request in the channel")
    for _ in range(3):
        desk.turn(BUSY, BUSY)
    assert len(desk.reception) == 0
    taken = take_over(desk.reception.worker_channel)
    assert taken is not None
    assert taken[1] == REQUEST
    taken[0].close()
    assert says(peer) == b""
    desk.close()


def test_below_the_limit_a_request_waits_for_the_pool_to_recover(desk: Desk) -> None:
    """Workers died, the next one is not started yet: no reason to reject."""
    desk.connect()

    def received() -> bool:
        desk.turn(BUSY)
        return desk.room.ready == 1

    wait_until(received, "the request")
    deadline_ns = desk.room.next_deadline_ns(RECOVERY_NS)
    assert deadline_ns is not None
    assert deadline_ns > time.monotonic_ns() + PATIENCE_NS


def test_what_a_killed_worker_was_woken_for_goes_to_another_one(desk: Desk) -> None:
    """From the listener, where nobody else was woken, and then from the channel."""
    desk.max_workers = 3
    peer = desk.connect()
    wait_until(lambda: desk.reception.waiting == 1, "the connection")
    desk.turn(IDLE)
    assert is_empty(desk.reception.worker_channel)
    desk.reception.recover()

    def was_given() -> bool:
        desk.turn(IDLE)
        return not is_empty(desk.reception.worker_channel)

    wait_until(was_given, "the request in the channel")
    desk.reception.recover()
    assert is_empty(desk.reception.worker_channel)
    desk.turn(IDLE)
    taken = take_over(desk.reception.worker_channel)
    assert taken is not None
    with taken.connection as connection:
        connection.send(b"served")
    assert says(peer) == b"served"


def test_behind_closed_doors_nothing_is_to_be_recovered(desk: Desk) -> None:
    desk.reception.close_doors()
    desk.reception.recover()
    assert len(desk.reception) == 0


# Workers in handshakes


def wait_with(desk: Desk, *requests: bytes) -> None:
    """Let these requests wait for a worker, in this order."""
    for count, request in enumerate(requests, 1):
        _, accepted = desk.connections.pair()
        hand_over(desk.reception.worker_channel, accepted, request)
        accepted.close()
        wait_until(
            lambda count=count: desk.turn(BOOTING) or desk.room.ready == count,
            "the guest",
        )


def given(desk: Desk) -> bytes:
    """What a worker finds in the channel."""
    guest = take_over(desk.reception.worker_channel)
    assert guest is not None
    guest.connection.close()
    return guest.received


def test_workers_in_handshakes_are_given_those_who_wait(desk: Desk) -> None:
    """One at a time, the newest first: the older ones may be stalling as well."""
    wait_with(desk, REQUEST + b"1", REQUEST + b"2", REQUEST + b"3")
    assert not desk.reception.is_crowded
    for wanted in (b"3", b"2", b"1"):
        for _ in range(2):
            desk.turn(HANDSHAKE, BUSY)
        assert desk.reception.is_crowded
        assert given(desk) == REQUEST + wanted
    desk.turn(HANDSHAKE, BUSY)
    assert not desk.reception.is_crowded
    assert is_empty(desk.reception.worker_channel)


def test_with_a_queue_the_oldest_is_the_first_in_any_case() -> None:
    """One is in the channel from the beginning."""
    desk = Desk(queueing=True)
    for number in (b"1", b"2", b"3"):
        _, accepted = desk.connections.pair()
        hand_over(desk.reception.worker_channel, accepted, REQUEST + number)
        accepted.close()
    wait_until(lambda: desk.turn(HANDSHAKE, BUSY) or desk.room.ready == 2, "the guests")
    for wanted in (b"1", b"2", b"3"):
        assert given(desk) == REQUEST + wanted
        desk.turn(HANDSHAKE, BUSY)
    desk.close()


@pytest.mark.parametrize("other", [IDLE, BOOTING])
def test_nobody_is_crowded_while_a_worker_is_idle_or_coming(
    desk: Desk, other: WorkerState
) -> None:
    wait_with(desk, REQUEST)
    desk.turn(HANDSHAKE, other)
    assert not desk.reception.is_crowded


def test_handshakes_are_no_reason_to_reject(desk: Desk) -> None:
    """What waits for a worker in one has the same patience as below the limit."""
    wait_with(desk, REQUEST, REQUEST)
    desk.turn(HANDSHAKE, BUSY)
    deadline_ns = desk.room.next_deadline_ns(desk.reception._patience_ns())
    assert deadline_ns is not None
    assert deadline_ns > time.monotonic_ns() + PATIENCE_NS


def test_a_full_pool_is_a_reason_to_reject_only_if_it_stays_full(desk: Desk) -> None:
    """Workers that look at silent connections are busy for a tenth of a millisecond."""
    peer = desk.connect()

    def received() -> bool:
        desk.turn(BUSY)
        return desk.room.ready == 1

    wait_until(received, "the request")
    long_ago_ns = time.monotonic_ns() + PATIENCE_NS
    wait_until(lambda: time.monotonic_ns() > long_ago_ns, "the end of patience")
    desk.turn(BUSY, BUSY)
    desk.turn(BUSY, BUSY)
    assert desk.room.ready == 1
    assert wait_for_answer(desk, peer, BUSY, BUSY) == REJECTED


def test_a_slow_peer_that_a_worker_hands_over_is_read_to_the_end(desk: Desk) -> None:
    peer, accepted = desk.connections.pair()
    hand_over(desk.reception.worker_channel, accepted, REQUEST[:50])
    accepted.close()
    peer.send(REQUEST[50:])

    def given() -> bool:
        desk.turn(IDLE)
        return len(desk.reception) == 0 and desk.reception.waiting == 0

    wait_until(lambda: desk.turn(IDLE) or len(desk.reception) == 1, "the guest")
    wait_until(given, "the request")
    taken = take_over(desk.reception.worker_channel)
    assert taken is not None
    with taken[0]:
        assert taken[1] == REQUEST


def test_what_no_worker_took_is_taken_back_past_the_limit(desk: Desk) -> None:
    """Given to an idle worker, who got busy with another connection just then."""
    peer, accepted = desk.connections.pair()
    hand_over(desk.reception.worker_channel, accepted, REQUEST)
    accepted.close()
    wait_until(lambda: desk.turn(BOOTING) or len(desk.reception) == 1, "the guest")
    desk.turn(IDLE)
    assert len(desk.reception) == 0
    assert wait_for_answer(desk, peer, BUSY, BUSY) == REJECTED


def test_not_more_is_given_than_there_are_idle_workers(desk: Desk) -> None:
    for _ in range(3):
        _, accepted = desk.connections.pair()
        hand_over(desk.reception.worker_channel, accepted, REQUEST)
        accepted.close()
    wait_until(lambda: desk.turn(BOOTING) or len(desk.reception) == 3, "the guests")
    desk.turn(IDLE, IDLE)
    assert len(desk.reception) == 1
    desk.turn(IDLE, IDLE)
    assert len(desk.reception) == 1  # the first two are still to be taken


def test_the_pool_is_looked_at_again_while_somebody_waits(desk: Desk) -> None:
    """A worker may have got idle between our look and our asking it to ring."""
    desk.turn(BUSY, BUSY)
    assert desk.reception.next_deadline_ns() is None
    desk.connect()

    def received() -> bool:
        desk.turn(BUSY, BUSY)
        return desk.reception.is_waiting

    wait_until(received, "the request")
    assert desk.reception.next_deadline_ns() is not None


def test_at_the_limit_an_idle_worker_gets_what_we_accepted(desk: Desk) -> None:
    """The kernel may wake us although a worker is idle; the request is not lost."""
    peer = desk.connect()

    def given() -> bool:
        desk.turn(IDLE, BUSY)
        return not is_empty(desk.reception.worker_channel)

    wait_until(given, "the request in the channel")
    taken = take_over(desk.reception.worker_channel)
    assert taken is not None
    taken[0].close()
    assert says(peer) == b""


def test_closed_doors_refuse_and_what_has_knocked_is_rejected(desk: Desk) -> None:
    knocked = desk.connect()
    wait_until(lambda: desk.reception.waiting == 1, "the connection")
    of_a_worker = desk.listeners[0].dup()
    with of_a_worker:
        desk.reception.close_doors()
        with pytest.raises(OSError, match="Invalid argument"):
            of_a_worker.accept()
        assert knocked.recv(100) == SHUTTING_DOWN
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", desk.port), DEADLINE_S)


def test_behind_closed_doors_slow_peers_are_sent_away(desk: Desk) -> None:
    desk.reception.close_doors()
    peer, accepted = desk.connections.pair()
    hand_over(desk.reception.worker_channel, accepted, REQUEST[:10])
    accepted.close()

    def gone() -> bool:
        desk.reception.serve_events()
        return peer.recv(1, socket.MSG_DONTWAIT) == b""

    def tried() -> bool:
        with contextlib.suppress(BlockingIOError):
            return gone()
        return False

    wait_until(tried, "the end of the connection")
    assert len(desk.reception) == 0


def test_for_want_of_descriptors_the_oldest_guest_has_to_go(desk: Desk) -> None:
    """Instead of spinning on a listener that stays readable."""
    oldest, accepted = desk.connections.pair()
    hand_over(desk.reception.worker_channel, accepted, b"")
    accepted.close()
    wait_until(lambda: desk.turn(BUSY) or len(desk.reception) == 1, "the guest")
    peer = desk.connect()
    hoard: list[int] = []
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while len(hoard) < 1_000_000:
                hoard.append(os.dup(0))
        assert wait_for_answer(desk, peer, BUSY, BUSY) == REJECTED
    finally:
        for descriptor in hoard:
            os.close(descriptor)
    assert says(oldest) == b""


def test_without_any_descriptor_nothing_spins(desk: Desk) -> None:
    peer = desk.connect()
    wait_until(lambda: desk.reception.waiting == 1, "the connection")
    desk.turn(BUSY)
    hoard: list[int] = []
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while len(hoard) < 1_000_000:
                hoard.append(os.dup(0))
        desk.turn(BUSY)
        assert desk.reception.waiting == 1
        desk.turn(BUSY)
        poll = select.poll()
        poll.register(desk.reception.fileno(), select.POLLIN)
        assert poll.poll(0) == []
        assert desk.reception.next_deadline_ns() is not None
    finally:
        for descriptor in hoard:
            os.close(descriptor)
    assert wait_for_answer(desk, peer, BUSY, BUSY) == REJECTED
