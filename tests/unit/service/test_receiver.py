"""service.receiver: one association's messages, without a process around them."""

import os
import re
import socket

import pytest

from dcmrecv.errors import PeerClosed, ProtocolViolation
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.journal import Journal
from dcmrecv.service.receiver import Outcome
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving
from tests.builders.uids import EXPLICIT_LE, IMPLICIT_LE

OBJECT = data_set.object_of()
STORE = pdu.message(1, command.c_store_rq(), OBJECT)


def answers(wire: bytes) -> list[dict[int, bytes]]:
    """The command sets of a stream of answers of one PDU each."""
    found = []
    while wire:
        size = 6 + int.from_bytes(wire[2:6], "big")
        found.append(command.parse_command_set(wire[12:size]))
        wire = wire[size:]
    return found


def test_every_message_is_reported_on_request() -> None:
    with receiving(report=True) as (peer, receiver):
        peer.sendall(pdu.message(1, command.c_echo_rq(5)) + STORE + pdu.release_rq())
        assert receiver.run() is Outcome.ECHOED
        assert (receiver.message_id, receiver.is_store) == (5, False)
        assert receiver.run() is Outcome.STORED
        assert (receiver.message_id, receiver.is_store) == (9, True)
        assert (receiver.context_id, receiver.status) == (1, 0)
        assert receiver.path.endswith("/CT.1.2.3.4.5")
        assert receiver.run() is Outcome.RELEASE_RQ


def test_only_what_somebody_must_hear_of_is_reported_otherwise() -> None:
    with receiving(report=False) as (peer, receiver):
        peer.sendall(pdu.message(1, command.c_echo_rq(5)) + STORE + STORE)
        assert receiver.run() is Outcome.STORED
        assert receiver.overwritten


def test_routine_objects_are_noted_in_the_journal_and_reported_when_it_fails() -> None:
    out, into = os.pipe2(os.O_NONBLOCK)
    with receiving(journal=Journal(into, b"\0 is in \0\n")) as (peer, receiver):
        again = pdu.message(1, command.c_store_rq(message_id=7), OBJECT)
        other = pdu.message(1, command.c_store_rq("1.2.3", message_id=8), OBJECT)
        peer.sendall(STORE + again)
        assert receiver.run() is Outcome.STORED
        assert (receiver.message_id, receiver.overwritten) == (7, True)
        assert os.read(out, 4_096) == b"9 is in CT.1.2.3.4.5\n"
        os.close(into)
        peer.sendall(other)
        assert receiver.run() is Outcome.STORED
        assert (receiver.message_id, receiver.is_routine) == (8, True)
    os.close(out)


def test_bytes_behind_the_association_request_are_the_first_message() -> None:
    with receiving(received=STORE) as (_, receiver):
        assert receiver.run() is Outcome.STORED


def test_more_bytes_than_any_pdu_behind_the_request_are_refused() -> None:
    with (
        pytest.raises(ValueError, match="behind an A-ASSOCIATE-RQ"),
        receiving(received=bytes(600_000)),
    ):
        pass


def test_answers_keep_the_order_of_pipelined_requests() -> None:
    """PS3.7 section D.3.3.3: we answer in order whatever the window."""
    wire = b"".join(
        pdu.message(1, command.c_store_rq(f"1.2.{i}", message_id=i), OBJECT)
        for i in range(1, 21)
    )
    with receiving(report=False) as (peer, receiver):
        peer.sendall(wire + pdu.release_rq())
        assert receiver.run() is Outcome.RELEASE_RQ
        received = answers(peer.recv(1 << 16))
    assert [int.from_bytes(one[0x0120], "little") for one in received] == list(
        range(1, 21)
    )


def test_a_failure_is_answered_with_a_comment(tmp_path) -> None:
    (tmp_path / "CT.1.2.3.4.5").mkdir()
    with receiving(tmp_path) as (peer, receiver):
        peer.sendall(STORE)
        receiver.run()
        (answer,) = answers(peer.recv(4_096))
    assert answer[0x0900] == b"\x00\xa7"
    assert answer[0x0902] == b"Cannot rename file: Is a directory"


def test_the_slot_counts_what_was_answered(tmp_path) -> None:
    slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0)
    odd = pdu.p_data_tf(pdu.pdv(1, OBJECT[:65], command=False, last=False))
    odd += pdu.p_data_tf(pdu.pdv(1, OBJECT[65:], command=False, last=True))
    wire = pdu.message(1, command.c_echo_rq()) + STORE
    wire += pdu.message(1, command.c_store_rq("1.9")) + odd
    with receiving(tmp_path, report=False, slot=slot) as (peer, receiver):
        peer.sendall(wire + pdu.release_rq())
        assert receiver.run() is Outcome.RELEASE_RQ
    assert slot.get("echoes") == 1
    assert slot.get("objects") == 2
    assert slot.get("bytes") == 2 * len(OBJECT)
    assert slot.get("tolerated") == 1 + len(OBJECT[65:]) % 2
    assert slot.get("failures") == 0
    assert slot.get("progress_ns") > 0


def test_one_receiver_serves_one_association_after_the_other(tmp_path) -> None:
    with receiving(tmp_path) as (peer, receiver):
        peer.sendall(STORE[:-5])
        peer.close()
        with pytest.raises(PeerClosed):
            receiver.run()
        receiver.end()
    assert list(tmp_path.iterdir()) == []
    with receiving(tmp_path) as (peer, receiver):
        peer.sendall(STORE)
        assert receiver.run() is Outcome.STORED


def test_an_unsupported_command_ends_the_association() -> None:
    with receiving() as (peer, receiver):
        peer.sendall(pdu.message(1, command.request(command.C_FIND_RQ)))
        text = re.escape("(0x0020), we are a Storage SCP only")
        with pytest.raises(ProtocolViolation, match=text) as caught:
            receiver.run()
    assert caught.value.abort == (0, 0)


def test_each_context_is_stored_in_its_own_transfer_syntax(tmp_path) -> None:
    with receiving(tmp_path, transfer_syntaxes=[IMPLICIT_LE, EXPLICIT_LE]) as (
        peer,
        receiver,
    ):
        sent = data_set.object_of("1.3", transfer_syntax=EXPLICIT_LE)
        peer.sendall(STORE + pdu.message(3, command.c_store_rq("1.3"), sent))
        receiver.run()
        receiver.run()
        assert receiver.context_id == 3
    for name, syntax in (("CT.1.2.3.4.5", IMPLICIT_LE), ("CT.1.3", EXPLICIT_LE)):
        assert syntax.encode() + b"\0" in (tmp_path / name).read_bytes()[:400]


RELEASE_RP = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"


def test_a_release_is_answered_and_the_close_waited_for() -> None:
    with receiving() as (peer, receiver):
        peer.sendall(pdu.release_rq())
        assert receiver.run() is Outcome.RELEASE_RQ
        peer.shutdown(socket.SHUT_WR)
        assert receiver.release(RELEASE_RP) is None
        assert peer.recv(100) == RELEASE_RP


def test_a_peer_that_does_not_close_is_not_waited_for() -> None:
    with receiving() as (peer, receiver):
        peer.sendall(pdu.release_rq())
        assert receiver.run() is Outcome.RELEASE_RQ
        assert receiver.release(RELEASE_RP) is None


def test_a_peer_that_is_gone_needs_no_answer_to_its_release() -> None:
    with receiving() as (peer, receiver):
        peer.sendall(pdu.release_rq())
        assert receiver.run() is Outcome.RELEASE_RQ
        peer.close()
        assert receiver.release(RELEASE_RP) is None


def test_what_comes_instead_of_the_close_is_handed_out() -> None:
    """Read together with the request to release, or after the answer."""
    for before, after in (STORE, b""), (b"", STORE), (b"\x07", b"\x00"):
        with receiving() as (peer, receiver):
            peer.sendall(pdu.release_rq() + before)
            assert receiver.run() is Outcome.RELEASE_RQ
            peer.sendall(after)
            assert receiver.release(RELEASE_RP) == (before or after)
            assert peer.recv(100) == RELEASE_RP
