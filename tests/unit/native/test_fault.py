"""native.fault: what faults say, seen through the parts that raise them."""

import socket

import pytest

from dcmrecv.errors import PeerAborted, PeerClosed, ProtocolViolation
from dcmrecv.native.fault import FaultCode
from tests.builders import pdu
from tests.builders.receiving import receiving


def test_codes_of_object_scope_stand_apart_from_those_of_association_scope() -> None:
    assert FaultCode.NO_FAULT == 0
    assert FaultCode.SEND_TIMEOUT < 32 <= FaultCode.CREATE_DIRECTORY


@pytest.mark.parametrize(
    ("sent", "text", "abort"),
    [
        (b"\x55\x00\x00\x00\x00\x00", "Unrecognized PDU type: 55", (2, 1)),
        (pdu.pdu(0x02, bytes(68)), "Unexpected PDU type: 02", (2, 2)),
        (
            pdu.pdu(0x04, b"", length=2_060_066),
            "DUL Illegal PDU Length 2060066.  Max expected 16384",
            (2, 6),
        ),
        (
            pdu.pdu(0x04, pdu.pdv(77, b"ab", command=True, last=True)),
            "Bad presentation context ID: 77",
            (0, 0),
        ),
    ],
)
def test_a_protocol_fault_names_what_came_and_the_abort_to_send(
    sent: bytes, text: str, abort: tuple[int, int]
) -> None:
    """Source and reason: PS3.8 Tables 9-10 and 9-26."""
    with receiving() as (peer, receiver):
        peer.sendall(sent)
        with pytest.raises(ProtocolViolation, match=text) as caught:
            receiver.run()
    assert caught.value.abort == abort


def test_a_lost_peer_is_not_told_anything() -> None:
    with receiving() as (peer, receiver):
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(PeerClosed) as closed:
            receiver.run()
    assert closed.value.abort is None


def test_an_abort_of_the_peer_carries_its_source_and_reason() -> None:
    with receiving() as (peer, receiver):
        peer.sendall(pdu.pdu(0x07, b"\x00\x00\x02\x05"))
        with pytest.raises(PeerAborted, match="source 2, reason 5"):
            receiver.run()
