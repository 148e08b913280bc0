"""ul.transport: every wait is bounded and can be ended from outside."""

import os
import signal
import socket

import pytest

from dcmrecv.config.settings import StorageMode
from dcmrecv.errors import AssociationTimeout, PeerClosed, TransportError
from dcmrecv.server.signals import SignalPipe
from dcmrecv.service.plan import AssociationPlan
from dcmrecv.service.receiver import Outcome
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving


def test_a_silent_peer_times_out_in_the_dimse_phase() -> None:
    """DECISIONS row 11: -td covers every wait inside an association."""
    with (
        receiving(dimse_timeout_s=1) as (_, receiver),
        pytest.raises(AssociationTimeout) as caught,
    ):
        receiver.run()
    assert caught.value.phase == "DIMSE"
    assert caught.value.abort == (0, 0)


def test_a_stall_inside_a_pdu_times_out_too() -> None:
    with receiving(dimse_timeout_s=1) as (peer, receiver):
        peer.sendall(pdu.message(1, command.c_store_rq())[:20])
        with pytest.raises(AssociationTimeout):
            receiver.run()


def test_a_watched_descriptor_interrupts_a_wait_and_the_message_goes_on() -> None:
    message = pdu.message(1, command.c_store_rq(), data_set.object_of())
    with receiving() as (peer, receiver):
        reading, writing = os.pipe()
        try:
            receiver.watch([reading])
            peer.sendall(message[:200])
            os.write(writing, b"!")
            assert receiver.run() is Outcome.INTERRUPTED
            os.read(reading, 1)
            peer.sendall(message[200:])
            assert receiver.run() is Outcome.STORED
        finally:
            os.close(reading)
            os.close(writing)


def test_a_closed_watched_pipe_interrupts_too() -> None:
    with receiving() as (_, receiver):
        reading, writing = os.pipe()
        try:
            receiver.watch([reading])
            os.close(writing)
            assert receiver.run() is Outcome.INTERRUPTED
        finally:
            os.close(reading)


def test_too_many_watched_descriptors_are_refused() -> None:
    with (
        receiving() as (peer, receiver),
        pytest.raises(ValueError, match="at most 4 descriptors"),
    ):
        receiver.watch([peer.fileno()] * 5)


def test_the_end_of_the_connection_is_told_from_its_failure() -> None:
    with receiving() as (peer, receiver):
        peer.close()
        with pytest.raises(PeerClosed):
            receiver.run()


def test_a_failing_call_is_chained() -> None:
    with receiving() as (_, receiver):
        reading, writing = os.pipe()
        os.close(writing)
        # A descriptor that is no socket: ENOTSOCK.
        receiver.begin(
            AssociationPlan([], "", StorageMode.NORMAL),
            fd=reading,
            max_pdu=16_384,
            peer_max_pdu=0,
            dimse_timeout_s=1,
            received=b"",
            report=True,
        )
        with pytest.raises(TransportError) as caught:
            receiver.run()
        os.close(reading)
    assert isinstance(caught.value.__cause__, OSError)


def test_no_answer_to_pipelined_requests_is_lost() -> None:
    """The peer reads its answers only after the last request."""
    count = 50
    with receiving(report=False) as (peer, receiver):
        echo = pdu.message(1, command.c_echo_rq())
        peer.sendall(echo * count + pdu.release_rq())
        assert receiver.run() is Outcome.RELEASE_RQ
        peer.setblocking(False)
        answers = peer.recv(1 << 20)
        size = 6 + int.from_bytes(answers[2:6], "big")
        while len(answers) < count * size:
            answers += peer.recv(1 << 20)
    assert len(answers) == count * size


def test_a_signal_interrupts_the_wait_for_the_next_request() -> None:
    """That wait looks at nothing else at first: the signal itself has to end it."""
    signals = SignalPipe([signal.SIGALRM])
    try:
        with receiving() as (_, receiver):
            receiver.watch([signals.fileno()])
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            assert receiver.run() is Outcome.INTERRUPTED
        assert signals.read() == [signal.SIGALRM]
    finally:
        signals.undo()


def test_a_connection_that_never_waits_is_served_as_well() -> None:
    """Non-blocking, however it came to that: the wait is poll()'s then."""
    own, peer = socket.socketpair()
    with own, peer, receiving() as (_, receiver):
        own.setblocking(False)
        receiver.begin(
            AssociationPlan([], "", StorageMode.NORMAL),
            fd=own.fileno(),
            max_pdu=16_384,
            peer_max_pdu=0,
            dimse_timeout_s=1,
            received=b"",
            report=True,
        )
        with pytest.raises(AssociationTimeout):
            receiver.run()
        peer.sendall(pdu.release_rq())
        assert receiver.run() is Outcome.RELEASE_RQ
