"""service.requests: the answer to the same bytes is the same, however often asked."""

import pytest

from dcmrecv.config.settings import VERIFICATION_PROFILE, StorageMode
from dcmrecv.errors import ProtocolViolation
from dcmrecv.service.plan import AcceptedContext
from dcmrecv.service.requests import (
    REMEMBERED_BYTES_MAX,
    REMEMBERED_MAX,
    REMEMBERED_TOTAL_BYTES_MAX,
    AssociationRequests,
    request_complete,
)
from dcmrecv.ul.negotiation import NegotiationPolicy
from dcmrecv.ul.oddities import Oddity
from dcmrecv.ul.pdu import encode
from tests.builders import pdu
from tests.builders.pdu import ProposedContext
from tests.builders.uids import CT_IMAGE, IMPLICIT_LE, VERIFICATION

POLICY = NegotiationPolicy(profile=VERIFICATION_PROFILE, max_pdu=16_384)
CONTEXTS = [ProposedContext(1, VERIFICATION), ProposedContext(3, CT_IMAGE)]


@pytest.mark.parametrize(
    ("received", "complete"),
    [
        (b"", False),
        (b"\1\0\0\0\0", False),
        (pdu.associate_rq()[:-1], False),
        (pdu.associate_rq(), True),
        (pdu.associate_rq() + b"\4", True),
        (b"\1\0\0\x10\0\0", False),
        (b"\1\0\0\x10\0\1", True),
        (b"\1\0\xff\xff\xff\xff", True),
        (b"GET / ", True),
        (pdu.pdu(0x04, b"", length=1 << 31), True),
    ],
)
def test_enough_has_come_when_a_request_is_whole_or_cannot_be(
    received: bytes, complete: bool
) -> None:
    assert request_complete(received) is complete


def test_a_request_is_read_and_answered() -> None:
    asked = AssociationRequests(POLICY, StorageMode.NORMAL).read(
        pdu.associate_rq(CONTEXTS)
    )
    assert asked.request.calling_ae_title == "RAW"
    assert asked.answer == encode(asked.negotiation.answer)
    assert asked.plan.contexts == (AcceptedContext(1, VERIFICATION, IMPLICIT_LE),)
    assert asked.plan.calling_ae_title == "RAW"


def test_the_same_bytes_are_worked_out_once() -> None:
    requests = AssociationRequests(POLICY, StorageMode.NORMAL)
    first = requests.read(pdu.associate_rq(CONTEXTS))
    assert requests.read(pdu.associate_rq(CONTEXTS)) is first
    assert requests.read(pdu.associate_rq(CONTEXTS, calling="OTHER")) is not first


def test_another_request_has_another_answer() -> None:
    requests = AssociationRequests(POLICY, StorageMode.NORMAL)
    for title in ("ONE", "TWO", "ONE"):
        asked = requests.read(pdu.associate_rq(CONTEXTS, calling=title))
        assert title.encode().ljust(16) in asked.answer


def test_what_is_remembered_is_bounded_in_number_and_size() -> None:
    requests = AssociationRequests(POLICY, StorageMode.NORMAL)
    first = requests.read(pdu.associate_rq(CONTEXTS))
    for number in range(REMEMBERED_MAX):
        requests.read(pdu.associate_rq(CONTEXTS, calling=f"N{number}"))
    assert requests.read(pdu.associate_rq(CONTEXTS)) is not first
    long = pdu.associate_rq(CONTEXTS, further_items=[pdu.item(0x99, bytes(60_000))] * 2)
    assert len(long) > REMEMBERED_BYTES_MAX
    assert requests.read(long) is not requests.read(long)


def test_all_that_is_remembered_is_bounded_in_bytes() -> None:
    """And what was asked for last stays longest."""
    requests = AssociationRequests(POLICY, StorageMode.NORMAL)
    long = [pdu.item(0x99, bytes(20_000))]

    def wire(number: int) -> bytes:
        return pdu.associate_rq(CONTEXTS, calling=f"N{number}", further_items=long)

    assert len(wire(0)) <= REMEMBERED_BYTES_MAX
    many = REMEMBERED_TOTAL_BYTES_MAX // len(wire(0))
    asked = [requests.read(wire(number)) for number in range(many)]
    assert requests.read(wire(0)) is asked[0]
    requests.read(wire(many))
    assert requests.read(wire(0)) is asked[0]
    assert requests.read(wire(1)) is not asked[1]


def test_a_request_that_cannot_be_read_fails_every_time() -> None:
    requests = AssociationRequests(POLICY, StorageMode.NORMAL)
    for _ in range(2):
        with pytest.raises(ProtocolViolation):
            requests.read(pdu.associate_rq(CONTEXTS)[:60])


def test_a_blank_title_fails_every_time() -> None:
    requests = AssociationRequests(POLICY, StorageMode.NORMAL)
    wire = pdu.associate_rq([ProposedContext(1, VERIFICATION)], called="")
    for _ in range(2):
        with pytest.raises(ProtocolViolation, match="Called AP Title"):
            _ = requests.read(wire).negotiation


def test_what_is_odd_is_remembered_with_the_request() -> None:
    requests = AssociationRequests(POLICY, StorageMode.NORMAL)
    assert requests.read(pdu.associate_rq(CONTEXTS)).oddities == {}
    padded = requests.read(pdu.associate_rq(CONTEXTS, called=b"ANY\0"))
    assert padded.oddities == {Oddity.AE_TITLE: 1}
    assert requests.read(pdu.associate_rq(CONTEXTS, called=b"ANY\0")) is padded


def test_only_the_very_bytes_are_recalled() -> None:
    requests = AssociationRequests(POLICY, StorageMode.NORMAL)
    wire = pdu.associate_rq(CONTEXTS)
    assert requests.recall(wire) is None
    asked = requests.read(wire)
    assert requests.recall(wire) is asked
    assert not asked.is_routine
    for other in (b"", wire[:-1], wire + b"\4", wire.replace(b"RAW", b"WAR")):
        assert requests.recall(other) is None


def test_what_is_recalled_is_forgotten_last() -> None:
    requests = AssociationRequests(POLICY, StorageMode.NORMAL)
    wires = [
        pdu.associate_rq(CONTEXTS, calling=f"N{number}")
        for number in range(REMEMBERED_MAX + 1)
    ]
    for wire in wires[:-1]:
        requests.read(wire)
    requests.recall(wires[0])
    requests.read(wires[-1])
    assert requests.recall(wires[0]) is not None
    assert requests.recall(wires[1]) is None
