"""service.requests: the answer to the same bytes is the same, however often asked."""

import pytest

from dcmrecv.config.settings import VERIFICATION_PROFILE
from dcmrecv.errors import ProtocolViolation
from dcmrecv.service.receiver import AcceptedContext
from dcmrecv.service.requests import (
    REMEMBERED_BYTES_MAX,
    REMEMBERED_MAX,
    AssociationRequests,
)
from dcmrecv.ul.negotiation import NegotiationPolicy
from dcmrecv.ul.pdu import encode
from tests.builders import pdu
from tests.builders.pdu import ProposedContext
from tests.builders.uids import CT_IMAGE, IMPLICIT_LE, VERIFICATION

POLICY = NegotiationPolicy(profile=VERIFICATION_PROFILE, max_pdu=16_384)
CONTEXTS = [ProposedContext(1, VERIFICATION), ProposedContext(3, CT_IMAGE)]


def test_a_request_is_read_and_answered() -> None:
    asked = AssociationRequests(POLICY).read(pdu.associate_rq(CONTEXTS))
    assert asked.request.calling_ae_title == "RAW"
    assert asked.answer == encode(asked.negotiation.answer)
    assert asked.accepted == (AcceptedContext(1, VERIFICATION, IMPLICIT_LE),)


def test_the_same_bytes_are_worked_out_once() -> None:
    requests = AssociationRequests(POLICY)
    first = requests.read(pdu.associate_rq(CONTEXTS))
    assert requests.read(pdu.associate_rq(CONTEXTS)) is first
    assert requests.read(pdu.associate_rq(CONTEXTS, calling="OTHER")) is not first


def test_another_request_has_another_answer() -> None:
    requests = AssociationRequests(POLICY)
    for title in ("ONE", "TWO", "ONE"):
        asked = requests.read(pdu.associate_rq(CONTEXTS, calling=title))
        assert title.encode().ljust(16) in asked.answer


def test_what_is_remembered_is_bounded_in_number_and_size() -> None:
    requests = AssociationRequests(POLICY)
    first = requests.read(pdu.associate_rq(CONTEXTS))
    for number in range(REMEMBERED_MAX):
        requests.read(pdu.associate_rq(CONTEXTS, calling=f"N{number}"))
    assert requests.read(pdu.associate_rq(CONTEXTS)) is not first
    long = pdu.associate_rq(CONTEXTS, further_items=[pdu.item(0x99, bytes(60_000))] * 2)
    assert len(long) > REMEMBERED_BYTES_MAX
    assert requests.read(long) is not requests.read(long)


def test_a_request_that_cannot_be_read_fails_every_time() -> None:
    requests = AssociationRequests(POLICY)
    for _ in range(2):
        with pytest.raises(ProtocolViolation):
            requests.read(pdu.associate_rq(CONTEXTS)[:60])


def test_a_blank_title_fails_every_time() -> None:
    requests = AssociationRequests(POLICY)
    wire = pdu.associate_rq([ProposedContext(1, VERIFICATION)], called="")
    for _ in range(2):
        with pytest.raises(ProtocolViolation, match="Called AP Title"):
            _ = requests.read(wire).negotiation
