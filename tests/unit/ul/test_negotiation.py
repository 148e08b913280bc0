"""ul.negotiation: what is answered to an A-ASSOCIATE-RQ."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import pytest

from dcmrecv.config.settings import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    VERIFICATION_PROFILE,
    AssociationProfile,
    ProfileContext,
    Role,
)
from dcmrecv.errors import ProtocolViolation
from dcmrecv.ul.items import (
    AsynchronousOperationsWindow,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
    encode_user_information,
)
from dcmrecv.ul.negotiation import (
    APPLICATION_CONTEXT,
    Negotiation,
    NegotiationPolicy,
    Note,
    negotiate,
)
from dcmrecv.ul.pdu import (
    AssociationAccept,
    AssociationReject,
    AssociationRequest,
    ContextResult,
    PresentationContext,
    encode,
)
from tests.builders.uids import (
    CT_IMAGE,
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_BASELINE,
    MR_IMAGE,
    RLE_LOSSLESS,
    UNKNOWN_CLASS,
    VERIFICATION,
)

PROFILE = AssociationProfile(
    contexts=(
        ProfileContext(VERIFICATION, (IMPLICIT_LE,)),
        ProfileContext(CT_IMAGE, (EXPLICIT_LE, IMPLICIT_LE)),
        ProfileContext(MR_IMAGE, (JPEG_BASELINE, EXPLICIT_LE)),
    )
)
CT = PresentationContext(1, CT_IMAGE, (IMPLICIT_LE,))


def request(
    *contexts: PresentationContext,
    user: UserInformation | None = None,
    called: bytes = b"CALLED",
    calling: bytes = b"CALLING",
    application_context: str = APPLICATION_CONTEXT,
    protocol_version: int = 1,
) -> AssociationRequest:
    return AssociationRequest(
        called=called.ljust(16),
        calling=calling.ljust(16),
        protocol_version=protocol_version,
        application_context=application_context,
        contexts=contexts,
        user=user or UserInformation(),
    )


def profile_with(
    roles: Mapping[str, Role] | None = None,
    extended_negotiation: Mapping[str, bytes] | None = None,
) -> AssociationProfile:
    return AssociationProfile(
        PROFILE.contexts,
        MappingProxyType(dict(roles or {})),
        MappingProxyType(dict(extended_negotiation or {})),
    )


def accepted(
    asked: AssociationRequest,
    profile: AssociationProfile = PROFILE,
    *,
    promiscuous: bool = False,
    prefer_uncompressed: bool = False,
    ae_title: str | None = None,
    max_pdu: int = 16_384,
) -> tuple[AssociationAccept, Negotiation]:
    policy = NegotiationPolicy(
        profile=profile,
        promiscuous=promiscuous,
        prefer_uncompressed=prefer_uncompressed,
        ae_title=ae_title,
        max_pdu=max_pdu,
    )
    negotiation = negotiate(asked, policy)
    assert isinstance(negotiation.answer, AssociationAccept)
    return negotiation.answer, negotiation


def results(
    contexts: Iterable[PresentationContext],
    profile: AssociationProfile = PROFILE,
    *,
    promiscuous: bool = False,
    prefer_uncompressed: bool = False,
) -> list[tuple[int, int, str]]:
    """Id, result and transfer syntax of every answered context."""
    answer, _ = accepted(
        request(*contexts),
        profile,
        promiscuous=promiscuous,
        prefer_uncompressed=prefer_uncompressed,
    )
    return [(c.id, c.result, c.transfer_syntax) for c in answer.contexts]


def rejected(
    asked: AssociationRequest,
    profile: AssociationProfile = PROFILE,
    ae_title: str | None = None,
) -> tuple[int, int, int]:
    """Result, source and reason."""
    policy = NegotiationPolicy(profile=profile, ae_title=ae_title)
    answer = negotiate(asked, policy).answer
    assert isinstance(answer, AssociationReject)
    return answer.result, answer.source, answer.reason


# Presentation contexts, spec section 5.1


def test_the_profile_orders_the_transfer_syntaxes() -> None:
    asked = PresentationContext(1, CT_IMAGE, (IMPLICIT_LE, EXPLICIT_BE, EXPLICIT_LE))
    assert results([asked]) == [(1, 0, EXPLICIT_LE)]


def test_refused_contexts_carry_implicit_vr_little_endian() -> None:
    """PS3.8 section 9.3.3.2: not significant; DCMTK always sends this one."""
    assert results(
        [
            PresentationContext(1, CT_IMAGE, (EXPLICIT_LE,)),
            PresentationContext(3, UNKNOWN_CLASS, (EXPLICIT_LE,)),
            PresentationContext(5, MR_IMAGE, (IMPLICIT_LE, RLE_LOSSLESS)),
        ]
    ) == [(1, 0, EXPLICIT_LE), (3, 3, IMPLICIT_LE), (5, 4, IMPLICIT_LE)]


def test_every_context_of_a_class_is_judged_on_its_own() -> None:
    assert results(
        [
            PresentationContext(7, CT_IMAGE, (IMPLICIT_LE,)),
            PresentationContext(5, CT_IMAGE, (JPEG_BASELINE,)),
            PresentationContext(3, CT_IMAGE, (EXPLICIT_LE,)),
        ]
    ) == [(7, 0, IMPLICIT_LE), (5, 4, IMPLICIT_LE), (3, 0, EXPLICIT_LE)]


def test_even_ids_and_128_contexts_are_answered() -> None:
    asked = [PresentationContext(i, CT_IMAGE, (IMPLICIT_LE,)) for i in range(128)]
    assert results(asked) == [(i, 0, IMPLICIT_LE) for i in range(128)]


def test_uids_are_compared_byte_by_byte() -> None:
    assert results(
        [
            CT,
            PresentationContext(3, CT_IMAGE + " ", (IMPLICIT_LE,)),
            PresentationContext(5, CT_IMAGE, (IMPLICIT_LE + " ", "")),
        ]
    ) == [(1, 0, IMPLICIT_LE), (3, 3, IMPLICIT_LE), (5, 4, IMPLICIT_LE)]


def test_a_repeated_id_is_answered_once_with_the_last_result() -> None:
    """As dcmrecv 3.6.7 does: the class stays the first one's, the result does not."""
    asked = request(
        PresentationContext(1, UNKNOWN_CLASS, (IMPLICIT_LE,)),
        PresentationContext(1, CT_IMAGE, (EXPLICIT_LE,)),
        PresentationContext(3, MR_IMAGE, (EXPLICIT_LE,)),
        PresentationContext(3, MR_IMAGE, (RLE_LOSSLESS,)),
    )
    answer, negotiation = accepted(asked)
    assert [(c.id, c.result, c.transfer_syntax) for c in answer.contexts] == [
        (1, 0, EXPLICIT_LE),
        (3, 4, IMPLICIT_LE),
    ]
    assert negotiation.contexts[0].abstract_syntax == UNKNOWN_CLASS


def test_without_a_profile_only_verification_is_accepted() -> None:
    asked = [PresentationContext(1, VERIFICATION, (EXPLICIT_LE, IMPLICIT_LE)), CT]
    assert results(asked[:1], VERIFICATION_PROFILE) == [(1, 0, IMPLICIT_LE)]
    assert rejected(request(CT), VERIFICATION_PROFILE) == (1, 1, 1)


# Rejection, spec section 5.2


@pytest.mark.parametrize("name", ["", "1.2.3", APPLICATION_CONTEXT + " "])
def test_another_application_context_is_rejected(name: str) -> None:
    assert rejected(request(CT, application_context=name)) == (2, 1, 2)


@pytest.mark.parametrize("version", [0, 2, 0x8000])
def test_another_protocol_version_is_rejected(version: int) -> None:
    asked = request(CT, protocol_version=version, application_context="")
    assert rejected(asked) == (1, 2, 2)


@pytest.mark.parametrize(
    "contexts", [(), (PresentationContext(1, UNKNOWN_CLASS, (IMPLICIT_LE,)),)]
)
def test_no_accepted_context_is_no_association(
    contexts: tuple[PresentationContext, ...],
) -> None:
    assert rejected(request(*contexts)) == (1, 1, 1)


def test_a_rejection_says_what_became_of_each_context() -> None:
    asked = request(PresentationContext(9, UNKNOWN_CLASS, (IMPLICIT_LE,)))
    (judged,) = negotiate(asked, NegotiationPolicy(profile=PROFILE)).contexts
    assert (judged.id, judged.abstract_syntax, judged.result) == (9, UNKNOWN_CLASS, 3)


def test_reasons_are_looked_for_in_the_order_of_dcmtk() -> None:
    """Protocol version, application context, called AE title, contexts."""
    wrong = request(application_context="1.2")
    assert rejected(wrong, ae_title="OTHER") == (2, 1, 2)
    assert rejected(request(), ae_title="OTHER") == (1, 1, 7)


@pytest.mark.parametrize(
    ("called", "own"),
    [
        (b"STORE", "STORE"),
        (b"  STORE", "STORE "),
        (b"STORE\0\0", " STORE"),
        (b"\xc3\x84", "\u00c4"),
    ],
)
def test_our_own_title_is_recognized(called: bytes, own: str) -> None:
    """PS3.8 section 9.3.2: leading and trailing blanks are not significant."""
    answer, _ = accepted(request(CT, called=called), ae_title=own)
    assert answer.contexts


@pytest.mark.parametrize("called", [b"store", b"STORE2", b"STOR", b"ST ORE", b""])
def test_another_title_is_rejected(called: bytes) -> None:
    assert rejected(request(CT, called=called), ae_title="STORE") == (1, 1, 7)


def test_without_a_title_of_our_own_every_called_title_is_welcome() -> None:
    answer, _ = accepted(request(CT, called=b"anything \\ at all"[:16]))
    assert answer.contexts


@pytest.mark.parametrize(
    ("called", "calling", "which"),
    [
        (b"", b"CALLING", "Called"),
        (b"", b"", "Called"),
        (b"CALLED", b"  ", "Calling"),
        (bytes(16), b"CALLING", "Called"),
    ],
)
def test_a_blank_title_is_invalid(called: bytes, calling: bytes, which: str) -> None:
    """The original never answers; we do, PS3.8 Table 9-26."""
    asked = request(CT, called=called, calling=calling)
    with pytest.raises(ProtocolViolation) as caught:
        negotiate(asked, NegotiationPolicy(profile=PROFILE))
    assert str(caught.value) == f"Illegal service parameter: {which} AP Title"
    assert caught.value.abort == (2, 6)


def test_a_blank_title_does_not_hide_a_rejection() -> None:
    assert rejected(request(called=b"")) == (1, 1, 1)


# Roles, spec section 5.3

OFFERS = {"SCU": (1, 0), "SCP": (0, 1), "both": (1, 1), "none": (0, 0)}
NONE = (Note.ROLE_SET_TO_NONE,)


@pytest.mark.parametrize(
    ("allowed", "offer", "answer", "notes"),
    [
        (Role.SCU, "SCU", (1, 0), ()),
        (Role.SCU, "SCP", (0, 0), NONE),
        (Role.SCU, "both", (1, 0), ()),
        (Role.SCU, "none", (1, 0), ()),
        (Role.SCP, "SCU", (0, 0), NONE),
        (Role.SCP, "SCP", (0, 1), ()),
        (Role.SCP, "both", (0, 1), ()),
        (Role.SCP, "none", (0, 1), ()),
        (Role.BOTH, "SCU", (1, 0), ()),
        (Role.BOTH, "SCP", (0, 1), ()),
        (Role.BOTH, "both", (1, 1), ()),
        (Role.BOTH, "none", (1, 1), ()),
    ],
)
def test_roles_are_answered_as_dcmtk_answers_them(
    allowed: Role, offer: str, answer: tuple[int, int], notes: tuple[Note, ...]
) -> None:
    user = UserInformation(roles=(RoleSelection(CT_IMAGE, *OFFERS[offer]),))
    found, negotiation = accepted(
        request(CT, user=user), profile_with({CT_IMAGE: allowed})
    )
    assert found.user.roles == (RoleSelection(CT_IMAGE, *answer),)
    assert found.contexts[0].result == 0
    assert negotiation.notes == notes


@pytest.mark.parametrize("allowed", [Role.SCU, Role.BOTH])
def test_no_role_offered_is_the_default_role(allowed: Role) -> None:
    found, negotiation = accepted(request(CT), profile_with({CT_IMAGE: allowed}))
    assert (found.user.roles, found.contexts[0].result) == ((), 0)
    assert negotiation.contexts[0].role is allowed


def test_no_role_offered_does_not_suit_an_scp_only_profile() -> None:
    mr = PresentationContext(3, MR_IMAGE, (EXPLICIT_LE,))
    found, negotiation = accepted(request(CT, mr), profile_with({CT_IMAGE: Role.SCP}))
    assert [context.result for context in found.contexts] == [2, 0]
    assert found.contexts[0].transfer_syntax == IMPLICIT_LE
    assert negotiation.notes == (Note.DEFAULT_ROLE_REFUSED,)


def test_without_roles_in_the_profile_none_is_answered() -> None:
    user = UserInformation(roles=(RoleSelection(CT_IMAGE, 0, 1),))
    found, negotiation = accepted(request(CT, user=user))
    assert (found.user.roles, found.contexts[0].result) == ((), 0)
    assert negotiation.notes == ()


def test_each_accepted_context_has_its_role_item() -> None:
    """The first of repeated sub-items counts; refused contexts have none."""
    user = UserInformation(
        roles=(RoleSelection(CT_IMAGE, 0, 1), RoleSelection(CT_IMAGE, 1, 0))
    )
    asked = request(
        CT,
        PresentationContext(3, CT_IMAGE, (EXPLICIT_LE,)),
        PresentationContext(5, CT_IMAGE, (JPEG_BASELINE,)),
        user=user,
    )
    found, negotiation = accepted(asked, profile_with({CT_IMAGE: Role.SCU}))
    assert found.user.roles == (RoleSelection(CT_IMAGE, 0, 0),) * 2
    assert negotiation.notes == NONE * 2


def test_errors_about_roles_stand_before_warnings() -> None:
    user = UserInformation(roles=(RoleSelection(CT_IMAGE, 0, 1),))
    mr = PresentationContext(3, MR_IMAGE, (EXPLICIT_LE,))
    profile = profile_with({CT_IMAGE: Role.SCU, MR_IMAGE: Role.SCP})
    _, negotiation = accepted(request(CT, mr, user=user), profile)
    assert negotiation.notes == (Note.DEFAULT_ROLE_REFUSED, Note.ROLE_SET_TO_NONE)


@pytest.mark.parametrize(
    ("offer", "answer"),
    [((2, 2), (1, 1)), ((1, 2), (1, 0)), ((2, 1), (0, 1)), ((3, 255), (0, 1))],
)
def test_role_bytes_that_mean_nothing_are_taken_as_dcmtk_takes_them(
    offer: tuple[int, int], answer: tuple[int, int]
) -> None:
    user = UserInformation(roles=(RoleSelection(CT_IMAGE, *offer),))
    profile = profile_with({CT_IMAGE: Role.BOTH})
    found, _ = accepted(request(CT, user=user), profile)
    assert found.user.roles == (RoleSelection(CT_IMAGE, *answer),)


# Other user information, spec sections 5.4 and 5.5


def test_extended_negotiation_is_the_profiles_for_accepted_classes() -> None:
    """Sent unasked, in the profile's order, once for each class."""
    profile = profile_with(
        extended_negotiation={MR_IMAGE: b"\2\3", CT_IMAGE: b"\1", VERIFICATION: b"\4"}
    )
    asked = request(
        CT,
        PresentationContext(3, CT_IMAGE, (EXPLICIT_LE,)),
        PresentationContext(5, MR_IMAGE, (EXPLICIT_LE,)),
        PresentationContext(7, VERIFICATION, (EXPLICIT_LE,)),
    )
    found, _ = accepted(asked, profile)
    assert found.user.extended_negotiation == (
        ExtendedNegotiation(MR_IMAGE, b"\2\3"),
        ExtendedNegotiation(CT_IMAGE, b"\1"),
    )


def test_extended_negotiation_that_is_only_asked_for_is_not_answered() -> None:
    user = UserInformation(extended_negotiation=(ExtendedNegotiation(CT_IMAGE, b"1"),))
    found, _ = accepted(request(CT, user=user))
    assert found.user.extended_negotiation == ()


def test_extended_negotiation_never_outgrows_its_item() -> None:
    """A profile may say more than the 65,535 bytes of a user information item."""
    classes = [f"1.2.{number}" for number in range(128)]
    profile = AssociationProfile(
        tuple(ProfileContext(uid, (IMPLICIT_LE,)) for uid in classes),
        extended_negotiation=MappingProxyType(dict.fromkeys(classes, bytes(1_024))),
    )
    asked = [
        PresentationContext(number, uid, (IMPLICIT_LE,))
        for number, uid in enumerate(classes)
    ]
    found, _ = accepted(request(*asked), profile)
    assert 60 < len(found.user.extended_negotiation) < 64
    assert len(encode_user_information(found.user)) <= 65_535 + 4


def test_a_user_identity_is_not_answered_when_nobody_verifies_it() -> None:
    """PS3.7 section D.3.3.7: who does not support it does not respond."""
    user = UserInformation(user_identity=UserIdentity(2, 1, b"user", b"pass"))
    found, _ = accepted(request(CT, user=user))
    assert found.user.user_identity is None
    assert found.user.identity_response is None


@pytest.mark.parametrize(
    ("identity", "response"),
    [
        (UserIdentity(2, 1, b"user", b"pass"), b""),
        (UserIdentity(2, 0, b"user", b"pass"), None),
        (None, None),
    ],
)
def test_a_verified_identity_is_answered_when_that_is_asked_for(
    identity: UserIdentity | None, response: bytes | None
) -> None:
    """PS3.7 section D.3.3.7.2: of zero length for user names."""
    user = UserInformation(user_identity=identity)
    policy = NegotiationPolicy(profile=PROFILE, verifies_users=True)
    answer = negotiate(request(CT, user=user), policy).answer
    assert isinstance(answer, AssociationAccept)
    assert answer.user.identity_response == response


@pytest.mark.parametrize(
    ("offered", "answered"), [(0, 64), (1, 1), (5, 5), (64, 64), (65, 64), (65_535, 64)]
)
def test_an_asynchronous_operations_window_is_accepted(
    offered: int, answered: int
) -> None:
    """PS3.7 section D.3.3.3; we never invoke anything, so one performed will do."""
    window = AsynchronousOperationsWindow(offered, 7)
    user = UserInformation(asynchronous_operations_window=window)
    found, _ = accepted(request(CT, user=user))
    assert found.user.asynchronous_operations_window == (
        AsynchronousOperationsWindow(answered, 1)
    )


def test_without_an_offered_window_there_is_none() -> None:
    found, _ = accepted(request(CT))
    assert found.user.asynchronous_operations_window is None


def test_the_answer_says_who_we_are() -> None:
    found, _ = accepted(request(CT), max_pdu=4_096)
    assert found.user == UserInformation(
        max_length=4_096,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
    )
    assert found.contexts == (ContextResult(1, 0, IMPLICIT_LE),)
    assert (found.protocol_version, found.application_context) == (
        1,
        APPLICATION_CONTEXT,
    )


@pytest.mark.parametrize(
    ("raw", "returned"),
    [
        (b"  LEADING", b"  LEADING       "),
        (b"NUL\0\0\0\0\0\0\0\0\0\0\0\0\0", b"NUL             "),
        (b"A\0B", b"A               "),
        (b"SIXTEEN-LETTERS!", b"SIXTEEN-LETTERS!"),
        (b"\xc4", b"\xc4               "),
    ],
)
def test_titles_are_returned_up_to_a_nul(raw: bytes, returned: bytes) -> None:
    """PS3.8 section 9.3.3 wants them back; DCMTK pads them with blanks anew."""
    found, _ = accepted(request(CT, called=raw, calling=raw))
    assert (found.called, found.calling) == (returned, returned)


# Promiscuous mode, DECISIONS.md section 3


def test_promiscuous_takes_the_senders_first_transfer_syntax() -> None:
    asked = [
        PresentationContext(1, UNKNOWN_CLASS, (RLE_LOSSLESS, EXPLICIT_LE)),
        PresentationContext(3, UNKNOWN_CLASS, ("1.2.3.4",)),
    ]
    assert results(asked, VERIFICATION_PROFILE, promiscuous=True) == [
        (1, 0, RLE_LOSSLESS),
        (3, 0, "1.2.3.4"),
    ]


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ((RLE_LOSSLESS, IMPLICIT_LE, EXPLICIT_LE), IMPLICIT_LE),
        ((RLE_LOSSLESS, EXPLICIT_BE), EXPLICIT_BE),
        ((RLE_LOSSLESS, DEFLATED_LE), RLE_LOSSLESS),
    ],
)
def test_a_native_uncompressed_syntax_may_be_preferred(
    offered: tuple[str, ...], taken: str
) -> None:
    asked = PresentationContext(1, UNKNOWN_CLASS, offered)
    assert results([asked], promiscuous=True, prefer_uncompressed=True) == [
        (1, 0, taken)
    ]


def test_the_profile_comes_first_in_promiscuous_mode() -> None:
    asked = [
        PresentationContext(1, MR_IMAGE, (IMPLICIT_LE, EXPLICIT_LE, JPEG_BASELINE)),
        PresentationContext(3, MR_IMAGE, (RLE_LOSSLESS, IMPLICIT_LE)),
        PresentationContext(5, VERIFICATION, (IMPLICIT_LE,)),
    ]
    assert results(asked, promiscuous=True, prefer_uncompressed=True) == [
        (1, 0, JPEG_BASELINE),
        (3, 0, IMPLICIT_LE),
        (5, 0, IMPLICIT_LE),
    ]


def test_preferring_uncompressed_changes_nothing_without_promiscuous() -> None:
    asked = PresentationContext(1, MR_IMAGE, (EXPLICIT_LE, JPEG_BASELINE))
    assert results([asked], prefer_uncompressed=True) == [(1, 0, JPEG_BASELINE)]


@pytest.mark.parametrize("name", ["", "name", "1.2.3 ", "1" * 65, "../1", "1\n2"])
def test_promiscuous_takes_uids_only(name: str) -> None:
    """A UID ends up in the File Meta Information of every stored object."""
    assert results(
        [
            CT,
            PresentationContext(3, name, (IMPLICIT_LE,)),
            PresentationContext(5, UNKNOWN_CLASS, (name,)),
            PresentationContext(7, UNKNOWN_CLASS, (name, EXPLICIT_LE)),
        ],
        promiscuous=True,
    ) == [
        (1, 0, IMPLICIT_LE),
        (3, 3, IMPLICIT_LE),
        (5, 4, IMPLICIT_LE),
        (7, 0, EXPLICIT_LE),
    ]


def test_the_largest_answer_can_be_sent() -> None:
    """256 context ids, each class with its role."""
    classes = [f"1.{number}.{'9' * 50}" for number in range(256)]
    profile = AssociationProfile(
        tuple(ProfileContext(uid, (IMPLICIT_LE,)) for uid in classes),
        roles=MappingProxyType(dict.fromkeys(classes, Role.BOTH)),
    )
    user = UserInformation(roles=tuple(RoleSelection(uid, 1, 1) for uid in classes))
    asked = [
        PresentationContext(number, uid, (IMPLICIT_LE,))
        for number, uid in enumerate(classes)
    ]
    found, _ = accepted(request(*asked, user=user), profile)
    assert len(found.user.roles) == 256
    assert len(encode(found)) > 20_000
