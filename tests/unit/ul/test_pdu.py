"""ul.pdu: the PDUs of association establishment and end."""

import pytest

from dcmrecv.errors import ProtocolViolation
from dcmrecv.ul.items import UserInformation
from dcmrecv.ul.pdu import (
    Abort,
    AssociationAccept,
    AssociationReject,
    AssociationRequest,
    ContextResult,
    PresentationContext,
    ReleaseReply,
    ReleaseRequest,
    Result,
    decode,
    encode,
    read_header,
)
from tests.builders import pdu
from tests.builders.pdu import ProposedContext
from tests.builders.uids import (
    APPLICATION_CONTEXT,
    CT_IMAGE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    VERIFICATION,
)


def decode_request(wire: bytes) -> AssociationRequest:
    request = decode(wire)
    assert isinstance(request, AssociationRequest)
    return request


def refusal(wire: bytes) -> ProtocolViolation:
    with pytest.raises(ProtocolViolation) as caught:
        decode(wire)
    return caught.value


def test_a_request_is_read_as_it_was_sent() -> None:
    wire = pdu.associate_rq(
        [
            ProposedContext(1, VERIFICATION),
            ProposedContext(3, CT_IMAGE, (EXPLICIT_LE, IMPLICIT_LE)),
        ],
        called="STORE",
        calling="MODALITY",
        max_pdu=32_768,
    )
    assert decode_request(wire) == AssociationRequest(
        called=b"STORE           ",
        calling=b"MODALITY        ",
        application_context=APPLICATION_CONTEXT,
        contexts=(
            PresentationContext(1, VERIFICATION, (IMPLICIT_LE,)),
            PresentationContext(3, CT_IMAGE, (EXPLICIT_LE, IMPLICIT_LE)),
        ),
        user=UserInformation(max_length=32_768, implementation_class_uid="1.2.3.4.5.6"),
    )


def test_the_least_request_is_read() -> None:
    """No context, no user information: for the negotiation to judge."""
    wire = pdu.associate_rq([], application_context=None, max_pdu=None)
    request = decode_request(wire)
    assert (request.application_context, request.contexts) == ("", ())
    assert request.user == UserInformation()


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        (b"STORE", "STORE"),
        (b"  STORE", "  STORE"),
        (b"STORE\0\0\0\0\0\0\0\0\0\0\0", "STORE"),
        (b"STORE \0 x", "STORE"),
        (b"A" * 16, "A" * 16),
        (b"\xe4", "\xe4"),
        (b"", ""),
    ],
)
def test_a_title_is_shown_up_to_a_nul_without_trailing_blanks(
    raw: bytes, title: str
) -> None:
    """PS3.8 section 9.3.2 pads with blanks; some peers pad with NUL."""
    request = decode_request(pdu.associate_rq(called=raw, calling=raw))
    assert (request.called_ae_title, request.calling_ae_title) == (title, title)
    assert request.called == request.calling == raw.ljust(16)


def test_items_may_come_in_any_order() -> None:
    wire = pdu.associate_rq(
        [],
        application_context=None,
        further_items=[
            pdu.presentation_context(ProposedContext(1)),
            pdu.item(0x10, APPLICATION_CONTEXT.encode()),
        ],
    )
    request = decode_request(wire)
    assert request.application_context == APPLICATION_CONTEXT
    assert [context.id for context in request.contexts] == [1]


def test_unknown_items_are_skipped() -> None:
    wire = pdu.associate_rq(further_items=[pdu.item(0x99, b"abc")])
    assert decode_request(wire) == decode_request(pdu.associate_rq())


def test_of_a_repeated_item_the_last_counts() -> None:
    """As dcmrecv 3.6.7 does."""
    wire = pdu.associate_rq(
        further_items=[
            pdu.item(0x10, b"1.2.3"),
            pdu.item(0x50, pdu.maximum_length(6_000)),
        ]
    )
    request = decode_request(wire)
    assert (request.application_context, request.user.max_length) == ("1.2.3", 6_000)


def test_context_ids_are_not_checked() -> None:
    """Even ids, 0, and the same id again: spec section 5.1."""
    wire = pdu.associate_rq([ProposedContext(i) for i in (0, 2, 1, 1)])
    assert [context.id for context in decode_request(wire).contexts] == [0, 2, 1, 1]


def test_parts_of_a_context_may_be_strange() -> None:
    """No abstract syntax, two of them, an unknown sub-item, transfer syntax first."""
    transfer = pdu.item(0x40, IMPLICIT_LE.encode())
    first, second = (pdu.item(0x30, uid) for uid in (b"1.2.3", b"1.2.4"))
    wire = pdu.associate_rq(
        [],
        further_items=[
            pdu.item(0x20, b"\1\0\0\0" + transfer),
            pdu.item(0x20, b"\3\0\0\0" + first + second + transfer),
            pdu.item(0x20, b"\5\0\0\0" + transfer + pdu.item(0x99, b"z") + first),
        ],
    )
    assert [
        (context.id, context.abstract_syntax)
        for context in decode_request(wire).contexts
    ] == [(1, ""), (3, "1.2.4"), (5, "1.2.3")]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (
            pdu.item(0x20, b"\1\0\0\0" + pdu.item(0x30, CT_IMAGE.encode())),
            "DUL Presentation Context translation failure",
        ),
        (pdu.item(0x20, b"\1\0\0\0"), "DUL Presentation Context translation failure"),
        (
            pdu.item(0x20, b"\1\0"),
            "DUL Illegal presentation context. Got 6 bytes of data with a length field",
        ),
        (
            pdu.item(0x20, b"\1\0\0\0" + pdu.item(0x40, b"1.2", length=0x7FFF)),
            "DUL illegal subitem length 32767. Maximum allowed size is 64.",
        ),
        (pdu.item(0x10, b"1" * 65), "DUL illegal subitem length 65."),
        (b"\x10", "DUL Illegal subitem. Got 1 bytes of data."),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_in_the_words_of_dcmtk(
    item: bytes, text: str
) -> None:
    """Observed with dcmrecv 3.6.7, which then says nothing to the peer."""
    violation = refusal(pdu.associate_rq(further_items=[item]))
    assert str(violation).startswith(text)
    assert violation.abort == (2, 6)


@pytest.mark.parametrize("size", [0, 2, 20, 67])
def test_a_request_without_its_fixed_part_is_refused(size: int) -> None:
    violation = refusal(pdu.pdu(0x01, bytes(size)))
    assert str(violation) == (
        f"DUL Illegal associate PDU. Got {size} bytes of data. "
        "The minimum allowed size is 68."
    )


def test_of_another_protocol_version_only_the_fixed_part_is_read() -> None:
    """What follows may have any shape, here a broken one; PS3.8 Table 9-11."""
    broken = pdu.associate_rq(protocol_version=2, further_items=[b"\x20\0\x7f\xff"])
    request = decode_request(broken)
    assert not request.supports_version_1
    assert (request.protocol_version, request.contexts) == (2, ())


@pytest.mark.parametrize("version", [1, 3, 0x8001])
def test_only_bit_0_of_the_protocol_version_is_tested(version: int) -> None:
    """PS3.8 section 9.3.2."""
    request = decode_request(pdu.associate_rq(protocol_version=version))
    assert request.supports_version_1
    assert request.contexts


def test_a_request_of_the_largest_size_is_read() -> None:
    plain = len(pdu.associate_rq()) - 6
    room = 1_048_576 - plain
    fillers = [pdu.item(0x99, bytes(65_531)) for _ in range(room // 65_535)]
    fillers.append(pdu.item(0x99, bytes(room % 65_535 - 4)))
    wire = pdu.associate_rq(further_items=fillers)
    assert len(wire) == 6 + 1_048_576
    assert decode_request(wire).contexts


def test_a_larger_request_is_refused_by_its_header() -> None:
    violation = refusal(pdu.pdu(0x01, b"", length=1_048_577))
    assert (str(violation), violation.abort) == ("A-ASSOCIATE PDU too large", (2, 6))


@pytest.mark.parametrize("kind", [0x00, 0x08, 0x55, 0xFF])
def test_an_unknown_pdu_type_is_refused(kind: int) -> None:
    violation = refusal(pdu.pdu(kind, bytes(4)))
    assert str(violation) == f"Unrecognized PDU type: {kind:2x}"
    assert violation.abort == (2, 1)


def test_p_data_is_none_of_this_module() -> None:
    assert refusal(pdu.pdu(0x04, bytes(4))).abort == (2, 2)


@pytest.mark.parametrize("cut", [0, 5, 9])
def test_a_cut_pdu_is_refused(cut: int) -> None:
    assert refusal(pdu.release_rq()[:cut]).abort == (2, 6)


@pytest.mark.parametrize("kind", [0x03, 0x05, 0x06, 0x07])
@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_short_pdu_has_four_bytes(kind: int, size: int) -> None:
    assert refusal(pdu.pdu(kind, bytes(size))).abort == (2, 6)


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (AssociationReject(1, 2, 2), b"\x03\x00\x00\x00\x00\x04\x00\x01\x02\x02"),
        (ReleaseRequest(), b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"),
        (ReleaseReply(), b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"),
        (Abort(2, 6), b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x06"),
    ],
)
def test_a_short_pdu_is_written_and_read(value: object, wire: bytes) -> None:
    """PS3.8 sections 9.3.4, 9.3.6 to 9.3.8."""
    assert encode(value) == wire  # type: ignore[arg-type]
    assert decode(wire) == value


def test_an_accept_is_written_as_the_standard_has_it() -> None:
    """PS3.8 section 9.3.3, Tables 9-17 to 9-20."""
    accept = AssociationAccept(
        called=b"CALLED          ",
        calling=b"CALLING         ",
        application_context="1.2.3",
        contexts=(
            ContextResult(1, Result.ACCEPTANCE, "1.2.840.10008.1.2"),
            ContextResult(3, Result.ABSTRACT_SYNTAX_NOT_SUPPORTED, "1.2"),
        ),
        user=UserInformation(max_length=16_384, implementation_class_uid="1.2.3"),
    )
    assert (
        encode(accept)
        == (
            b"\x02\x00\x00\x00\x00\x8e"  # A-ASSOCIATE-AC, 142 bytes
            b"\x00\x01\x00\x00"  # protocol version 1, reserved
            b"CALLED          CALLING         " + bytes(32) + b"\x10\x00\x00\x051.2.3"
            b"\x21\x00\x00\x19\x01\x00\x00\x00"  # context 1: acceptance
            b"\x40\x00\x00\x111.2.840.10008.1.2"
            b"\x21\x00\x00\x0b\x03\x00\x03\x00"  # context 3: result 3
            b"\x40\x00\x00\x031.2"
            b"\x50\x00\x00\x11"  # user information
            b"\x51\x00\x00\x04\x00\x00\x40\x00"
            b"\x52\x00\x00\x051.2.3"
        )
    )


def test_a_refused_context_may_lack_its_transfer_syntax() -> None:
    body = b"\0\1\0\0" + bytes(64) + pdu.item(0x21, b"\1\0\3\0")
    accept = decode(pdu.pdu(0x02, body))
    assert isinstance(accept, AssociationAccept)
    assert accept.contexts == (ContextResult(1, 3, ""),)


def test_the_header_says_type_and_length() -> None:
    assert read_header(b"\x01\xff\x00\x01\x02\x03...") == (1, 0x010203)
