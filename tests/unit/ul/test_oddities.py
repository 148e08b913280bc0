"""ul.oddities: what is illegal but harmless about an A-ASSOCIATE-RQ."""

from collections.abc import Mapping

import pytest

from dcmrecv.errors import ProtocolViolation
from dcmrecv.ul.oddities import Oddity, oddities_of, refuse, tolerated
from dcmrecv.ul.pdu import decode
from tests.builders import pdu
from tests.builders.pdu import ProposedContext
from tests.builders.uids import CT_IMAGE, IMPLICIT_LE, MR_IMAGE

NUL_PADDED = ProposedContext(1, CT_IMAGE + "\0", (IMPLICIT_LE,))


def found_in(wire: bytes) -> Mapping[Oddity, int]:
    """Only what decode() has read is looked at."""
    decode(wire)
    return oddities_of(wire)


def bare(*items: bytes) -> bytes:
    """A request with exactly these items."""
    return pdu.associate_rq(
        (), application_context=None, max_pdu=None, further_items=items
    )


def test_nothing_is_odd_about_a_good_request() -> None:
    """As DCMTK and pynetdicom send it, with every optional sub-item."""
    contexts = [ProposedContext(1), ProposedContext(255, MR_IMAGE, (IMPLICIT_LE,) * 2)]
    wire = pdu.associate_rq(
        contexts,
        called=b" ANY",
        user_items=[
            pdu.asynchronous_operations_window(1, 1),
            pdu.role_selection(CT_IMAGE, scu=1, scp=1),
            pdu.role_selection(MR_IMAGE, scu=1, scp=1),
            pdu.item(0x55, b"VERSION_1234567"),
            pdu.extended_negotiation(CT_IMAGE, b"\1"),
            pdu.user_identity("me", response_requested=True),
            pdu.item(0x77, b"unknown"),
        ],
    )
    assert found_in(wire) == {}


@pytest.mark.parametrize(
    ("wire", "found"),
    [
        (pdu.associate_rq(called=b"ANY".ljust(16, b"\0")), {Oddity.AE_TITLE: 1}),
        (pdu.associate_rq(called=b"A\\B", calling=b"\xc4"), {Oddity.AE_TITLE: 2}),
        (pdu.associate_rq([NUL_PADDED]), {Oddity.UID: 1}),
        (
            pdu.associate_rq([ProposedContext(1, "CT", ("1.02", " 1.2"))]),
            {Oddity.UID: 3},
        ),
        (pdu.associate_rq(application_context="1."), {Oddity.UID: 1}),
        (
            pdu.associate_rq([ProposedContext(n) for n in (2, 3, 3, 0)]),
            {Oddity.CONTEXT_ID: 3},
        ),
        (pdu.associate_rq(max_pdu=None), {Oddity.MISSING_ITEM: 3}),
        (pdu.associate_rq(application_context=None), {Oddity.MISSING_ITEM: 1}),
        (bare(), {Oddity.MISSING_ITEM: 4}),
        (
            pdu.associate_rq(user_items=[pdu.maximum_length(7)]),
            {Oddity.REPEATED_ITEM: 1},
        ),
        (
            pdu.associate_rq(further_items=[pdu.item(0x50, b"")]),
            {Oddity.REPEATED_ITEM: 1},
        ),
        (
            pdu.associate_rq(user_items=[pdu.item(0x55, b"V" * 17)]),
            {Oddity.VERSION_NAME: 1},
        ),
        (pdu.associate_rq(user_items=[pdu.item(0x55, b"")]), {Oddity.VERSION_NAME: 1}),
    ],
)
def test_each_kind_is_counted(wire: bytes, found: dict[Oddity, int]) -> None:
    assert found_in(wire) == found


def test_the_abstract_syntax_of_a_context_stands_there_once() -> None:
    syntax = pdu.item(0x40, IMPLICIT_LE.encode())
    class_uid = pdu.item(0x30, CT_IMAGE.encode())
    for count, kind in ((0, Oddity.MISSING_ITEM), (2, Oddity.REPEATED_ITEM)):
        context = pdu.item(0x20, b"\1\0\0\0" + class_uid * count + syntax)
        wire = pdu.associate_rq((), further_items=[context])
        assert found_in(wire) == {kind: 1}


def test_of_another_protocol_version_nothing_is_known() -> None:
    wire = pdu.associate_rq(called=b"\0" * 16, protocol_version=2)
    assert found_in(wire) == {}


@pytest.mark.parametrize(
    ("oddity", "abort"),
    [(Oddity.AE_TITLE, (2, 6)), (Oddity.REPEATED_ITEM, (2, 5)), (Oddity.UID, (2, 6))],
)
def test_a_refused_oddity_has_the_standards_reason(
    oddity: Oddity, abort: tuple[int, int]
) -> None:
    """PS3.8 Table 9-26."""
    refuse({})
    with pytest.raises(ProtocolViolation, match=f"not tolerated: {oddity.value}") as at:
        refuse({oddity: 1})
    assert at.value.abort == abort


def test_the_log_names_kinds_and_numbers() -> None:
    counts = {Oddity.ODD_FRAGMENT: 12, Oddity.LONG_PDU: 0, Oddity.AE_TITLE: 1}
    assert tolerated(counts) == (
        "12 x fragment of odd length, 1 x AE title with other than printable characters"
    )
    assert tolerated({}) == ""
