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
)
from dcmrecv.ul.negotiation import NegotiationPolicy
from dcmrecv.ul.oddities import Oddity
from dcmrecv.ul.pdu import encode
from tests.builders import pdu
from tests.builders.pdu import ProposedContext
from tests.builders.uids import CT_IMAGE, IMPLICIT_LE, VERIFICATION

POLICY = NegotiationPolicy(profile=VERIFICATION_PROFILE, max_pdu=16_384)
CONTEXTS = [ProposedContext(1, VERIFICATION), ProposedContext(3, CT_IMAGE)]


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
