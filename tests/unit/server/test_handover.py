"""Connections that change processes."""

import os
import socket
from collections.abc import Iterator

import pytest

from dcmrecv.server.handover import (
    INLINE_LIMIT,
    hand_over,
    hand_over_patiently,
    is_empty,
    open_channel,
    take_over,
)
from tests.builders.connections import Connections, says

Channel = tuple[socket.socket, socket.socket]


@pytest.fixture
def channel() -> Iterator[Channel]:
    supervisor_end, worker_end = open_channel()
    with supervisor_end, worker_end:
        yield supervisor_end, worker_end


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    "size", [0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, 6 + 2**20], ids=str
)
def test_connection_and_bytes_arrive_whole(
    channel: Channel, size: int, secure: bool
) -> None:
    """Up to the largest A-ASSOCIATE-RQ; no message is larger than a socket buffer."""
    received = os.urandom(size)
    with Connections() as connections:
        peer, accepted = connections.pair()
        hand_over(channel[0], accepted, received, secure)
        accepted.close()
        taken = take_over(channel[1])
        assert taken is not None
        connection, carried, carried_secure, _ = taken
        assert (carried, carried_secure) == (received, secure)
        with connection:
            connection.send(b"hello")
        assert says(peer) == b"hello"


def test_a_taken_connection_is_non_blocking_and_stays_in_this_process(
    channel: Channel,
) -> None:
    with Connections() as connections:
        _, accepted = connections.pair()
        hand_over(channel[1], accepted, b"")
        taken = take_over(channel[0])
        assert taken is not None
        with taken[0] as connection:
            assert not connection.get_inheritable()
            with pytest.raises(BlockingIOError):
                connection.recv(1)


def test_nothing_there_is_no_error(channel: Channel) -> None:
    """Another worker may have been faster."""
    assert take_over(channel[1]) is None
    channel[0].close()
    assert take_over(channel[1]) is None


def test_connections_are_taken_in_order(channel: Channel) -> None:
    with Connections() as connections:
        for number in b"abc":
            hand_over(channel[0], connections.pair()[1], bytes([number]))
        order = b""
        while taken := take_over(channel[1]):
            taken[0].close()
            order += taken[1]
        assert order == b"abc"


def test_an_empty_channel_is_told_from_a_full_one(channel: Channel) -> None:
    with Connections() as connections:
        assert is_empty(channel[1])
        hand_over(channel[0], connections.pair()[1], b"")
        assert not is_empty(channel[1])
        assert is_empty(channel[0])
        taken = take_over(channel[1])
        assert taken is not None
        taken[0].close()
        assert is_empty(channel[1])


def test_a_full_channel_is_an_error_and_loses_nothing(channel: Channel) -> None:
    with Connections() as connections:
        _, accepted = connections.pair()
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                hand_over(channel[0], accepted, bytes(INLINE_LIMIT))
                sent += 1
        with pytest.raises(BlockingIOError):
            hand_over_patiently(channel[0], accepted, bytes(INLINE_LIMIT))
        arrived = 0
        while taken := take_over(channel[1]):
            taken[0].close()
            arrived += 1
        assert arrived == sent > 1
        hand_over_patiently(channel[0], accepted, b"")


def test_without_descriptors_the_connection_is_lost_with_an_error(
    channel: Channel,
) -> None:
    """The kernel drops the descriptor (MSG_CTRUNC); nothing leaks, the peer sees it."""
    with Connections() as connections:
        peer, accepted = connections.pair()
        hand_over(channel[0], accepted, b"x")
        accepted.close()
        hoard: list[int] = []
        try:
            with pytest.raises(OSError, match="Too many open files"):
                while len(hoard) < 1_000_000:
                    hoard.append(os.dup(0))
            with pytest.raises(OSError, match="want of descriptors"):
                take_over(channel[1])
        finally:
            for descriptor in hoard:
                os.close(descriptor)
        assert says(peer) == b""
