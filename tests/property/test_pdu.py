"""Association PDUs: what is written is read, and any bytes are a PDU or a violation."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmrecv.config.settings import AssociationProfile, ProfileContext, Role
from dcmrecv.errors import ProtocolViolation
from dcmrecv.service import parameter_block
from dcmrecv.ul.items import (
    AsynchronousOperationsWindow,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from dcmrecv.ul.negotiation import NegotiationPolicy, negotiate
from dcmrecv.ul.pdu import (
    Abort,
    AssociationAccept,
    AssociationReject,
    AssociationRequest,
    ContextResult,
    Pdu,
    PresentationContext,
    ReleaseReply,
    ReleaseRequest,
    decode,
    encode,
)
from tests.builders import pdu as build
from tests.builders.uids import CT_IMAGE, EXPLICIT_LE, IMPLICIT_LE, MR_IMAGE

bytes_1 = st.integers(0, 255)
bytes_2 = st.integers(0, 65_535)
latin_1 = st.characters(min_codepoint=1, max_codepoint=255)
uids = st.text(alphabet="0123456789.", max_size=64) | st.text(latin_1, max_size=64)
classes = st.sampled_from([CT_IMAGE, MR_IMAGE, "1.2.3"]) | uids
syntaxes = st.sampled_from([IMPLICIT_LE, EXPLICIT_LE]) | uids
titles = st.binary(min_size=16, max_size=16)

users = st.builds(
    UserInformation,
    max_length=st.integers(0, 2**32 - 1),
    implementation_class_uid=uids,
    asynchronous_operations_window=st.none()
    | st.builds(AsynchronousOperationsWindow, bytes_2, bytes_2),
    roles=st.lists(st.builds(RoleSelection, classes, bytes_1, bytes_1), max_size=4).map(
        tuple
    ),
    implementation_version_name=st.text(latin_1, max_size=16),
    extended_negotiation=st.lists(
        st.builds(ExtendedNegotiation, classes, st.binary(max_size=40)), max_size=3
    ).map(tuple),
    user_identity=st.none()
    | st.builds(
        UserIdentity, bytes_1, bytes_1, st.binary(max_size=20), st.binary(max_size=20)
    ),
)
proposed = st.builds(
    PresentationContext,
    bytes_1,
    classes,
    st.lists(syntaxes, min_size=1, max_size=3).map(tuple),
)
requests = st.builds(
    AssociationRequest,
    called=titles,
    calling=titles,
    protocol_version=bytes_2.map(lambda version: version | 1),
    application_context=st.just("1.2.840.10008.3.1.1.1") | uids,
    contexts=st.lists(proposed, max_size=6).map(tuple),
    user=users,
)
accepts = st.builds(
    AssociationAccept,
    called=titles,
    calling=titles,
    application_context=uids,
    contexts=st.lists(st.builds(ContextResult, bytes_1, bytes_1, uids), max_size=6).map(
        tuple
    ),
    user=users,
)
pdus = (
    requests
    | accepts
    | st.builds(AssociationReject, bytes_1, bytes_1, bytes_1)
    | st.builds(Abort, bytes_1, bytes_1)
    | st.just(ReleaseRequest())
    | st.just(ReleaseReply())
)
policies = st.builds(
    NegotiationPolicy,
    profile=st.builds(
        AssociationProfile,
        contexts=st.just(
            (
                ProfileContext(CT_IMAGE, (EXPLICIT_LE, IMPLICIT_LE)),
                ProfileContext(MR_IMAGE, (IMPLICIT_LE,)),
            )
        ),
        roles=st.dictionaries(
            st.sampled_from([CT_IMAGE, MR_IMAGE]), st.sampled_from(Role)
        ),
        extended_negotiation=st.dictionaries(
            st.sampled_from([CT_IMAGE, MR_IMAGE]), st.binary(max_size=40)
        ),
    ),
    promiscuous=st.booleans(),
    prefer_uncompressed=st.booleans(),
)


@given(pdus)
def test_what_is_written_is_read(value: Pdu) -> None:
    assert decode(encode(value)) == value


def only_a_pdu_or_a_violation(wire: bytes) -> None:
    try:
        decode(wire)
    except ProtocolViolation as violation:
        assert str(violation)
        assert violation.abort is not None


@given(st.binary(max_size=300))
def test_garbage_is_a_violation(wire: bytes) -> None:
    only_a_pdu_or_a_violation(wire)


@given(st.sampled_from([1, 2, 3, 5, 6, 7]), st.binary(max_size=300), st.booleans())
def test_garbage_with_a_true_header_is_a_pdu_or_a_violation(
    kind: int, body: bytes, fixed_part: bool
) -> None:
    start = b"\0\1" + bytes(66) if fixed_part else b""
    only_a_pdu_or_a_violation(build.pdu(kind, start + body))


@given(requests, st.data())
def test_a_damaged_request_is_a_pdu_or_a_violation(
    request: AssociationRequest, data: st.DataObject
) -> None:
    wire = bytearray(encode(request))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire) - 1))
        wire[at] = data.draw(bytes_1)
    only_a_pdu_or_a_violation(bytes(wire))


@given(requests, st.data())
def test_a_cut_request_is_a_violation(
    request: AssociationRequest, data: st.DataObject
) -> None:
    wire = encode(request)
    body = wire[6 : data.draw(st.integers(6, len(wire) - 1))]
    only_a_pdu_or_a_violation(build.pdu(1, body))
    only_a_pdu_or_a_violation(wire[: len(body)])


@given(requests, policies)
def test_every_request_gets_an_answer_that_can_be_sent_and_told(
    request: AssociationRequest, policy: NegotiationPolicy
) -> None:
    """An accept answers every context id once, in the order of the request."""
    try:
        negotiation = negotiate(request, policy)
    except ProtocolViolation as violation:
        assert violation.abort == (2, 6)
        return
    answer = negotiation.answer
    assert decode(encode(answer)) == answer
    if isinstance(answer, AssociationAccept):
        ids = list(dict.fromkeys(context.id for context in request.contexts))
        assert [context.id for context in answer.contexts] == ids
        assert any(context.result == 0 for context in answer.contexts)
    for block in (
        parameter_block.request_block(request, policy.max_pdu),
        parameter_block.answer_block(request, policy.max_pdu, negotiation),
    ):
        assert block.replace("\n", "").isprintable()


@given(requests)
def test_titles_never_change_the_rest(request: AssociationRequest) -> None:
    """They are the only part of fixed length: nothing in them can shift an item."""
    other = dataclasses.replace(request, called=bytes(16), calling=b"\xff" * 16)
    assert decode(encode(other)) == other


# The worst that fits into an A-ASSOCIATE-RQ: many items, in many parents or in one.
TRANSFER = build.item(0x40, b"1")
CONTEXT = build.item(0x20, b"\1\0\0\0" + build.item(0x30, b"1") + TRANSFER)
ROLE = build.role_selection("1", scu=0, scp=0)
APPLICATION = build.item(0x10, b"1.2.840.10008.3.1.1.1")
ROOM = 1_048_576 - 68 - len(APPLICATION)


def read_request(items: bytes) -> Pdu:
    """Decode a request with these items behind the application context."""
    titles = b"A".ljust(16) * 2
    return decode(build.pdu(1, b"\0\1\0\0" + titles + bytes(32) + APPLICATION + items))


@pytest.mark.parametrize(
    "unit",
    [
        TRANSFER,
        CONTEXT,
        build.item(0x20, b"\1\0\0\0" + TRANSFER * 13_000),
        build.item(0x50, build.item(0x77, b"") * 16_000),
        build.item(0x50, ROLE * 5_000),
    ],
)
def test_a_request_of_nothing_but_items_is_refused(unit: bytes) -> None:
    """Their number is bounded, and with it time and memory."""
    with pytest.raises(ProtocolViolation, match="more than 16384 items"):
        read_request(unit * (ROOM // len(unit)))


def test_the_most_expensive_request_is_judged_and_told() -> None:
    """Contexts times roles would be too many steps to end within any patience."""
    roles = [
        build.role_selection(f"2.{number}", scu=0, scp=0) for number in range(6_000)
    ]
    users = [b"".join(roles[at : at + 2_000]) for at in range(0, 6_000, 2_000)]
    items = [build.item(0x50, user) for user in users]
    request = read_request(CONTEXT * 3_000 + b"".join(items))
    assert isinstance(request, AssociationRequest)
    assert (len(request.contexts), len(request.user.roles)) == (3_000, 6_000)
    policy = NegotiationPolicy(profile=AssociationProfile(()), promiscuous=True)
    negotiation = negotiate(request, policy)
    assert "(Accepted)" in parameter_block.answer_block(
        request, policy.max_pdu, negotiation
    )
