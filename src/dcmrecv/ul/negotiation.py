"""What is answered to an A-ASSOCIATE-RQ; pure.

Owns the acceptor's policy: presentation contexts, roles, extended negotiation, the
asynchronous operations window, and every reason for A-ASSOCIATE-RJ. Never logs: what an
operator should hear of comes back as notes. Where the standard leaves a choice, the
answer is the one of DCMTK's dcmrecv 3.6.7 as observed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from dcmrecv.config.settings import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
    AssociationProfile,
    Role,
)
from dcmrecv.ul.items import (
    AsynchronousOperationsWindow,
    ExtendedNegotiation,
    RoleSelection,
    UserInformation,
    encode_extended_negotiation,
    encode_user_information,
    invalid_parameter,
)
from dcmrecv.ul.pdu import (
    AE_TITLE_BYTES,
    AssociationAccept,
    AssociationReject,
    AssociationRequest,
    ContextResult,
    PresentationContext,
    Result,
)

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

# PS3.8 Table 9-21: result, source, reason.
REJECT_APPLICATION_CONTEXT = AssociationReject(2, 1, 2)
REJECT_PROTOCOL_VERSION = AssociationReject(1, 2, 2)
REJECT_CALLED_AE_TITLE = AssociationReject(1, 1, 7)
REJECT_NO_CONTEXT = AssociationReject(1, 1, 1)
REJECT_CONGESTION = AssociationReject(2, 3, 1)
REJECT_LOCAL_LIMIT = AssociationReject(2, 3, 2)

OPERATIONS_OUTSTANDING_MAX = 64

# PS3.5 Annex A.1 to A.3, in no order: the sender's order decides among them.
_NATIVE_UNCOMPRESSED = frozenset(
    (IMPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
)

_ITEM_BYTES_MAX = 65_535
_UID_LENGTH_MAX = 64
_UID_CHARACTERS = frozenset("0123456789.")


class Note(Enum):
    """Something about the negotiation that belongs into the log."""

    DEFAULT_ROLE_REFUSED = "the default role proposed, only SCP allowed"
    ROLE_SET_TO_NONE = "neither of the proposed roles is allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NegotiationPolicy:
    """What we accept, and what we say about ourselves."""

    profile: AssociationProfile
    promiscuous: bool = False  # every abstract and every transfer syntax
    prefer_uncompressed: bool = False  # where the profile does not decide
    ae_title: str | None = None  # None: every called AE title is welcome
    max_pdu: int = 16_384  # bytes, as announced
    verifies_users: bool = False  # user identities have been looked at by others


@dataclass(frozen=True, slots=True)
class JudgedContext:
    """What became of a presentation context.

    `role` is what the profile says about the class, None when it says nothing or the
    context was refused before roles were looked at.
    """

    id: int
    abstract_syntax: str
    result: Result
    transfer_syntax: str
    role: Role | None


@dataclass(frozen=True, slots=True)
class Negotiation:
    """The answer, and how it came about.

    `contexts` has one entry for each context id, in the order of the request; it is
    empty when the contexts were not looked at.
    """

    answer: AssociationAccept | AssociationReject
    contexts: tuple[JudgedContext, ...] = ()
    notes: tuple[Note, ...] = ()


def proposed_roles(request: AssociationRequest) -> dict[str, RoleSelection]:
    """The role sub-items of a request by SOP class; the first one of a class counts."""
    selections: dict[str, RoleSelection] = {}
    for selection in request.user.roles:
        selections.setdefault(selection.sop_class, selection)
    return selections


def role_of(selection: RoleSelection | None) -> Role | None:
    """The roles that a sub-item proposes, None for the default, which is SCU.

    Neither role counts as both, as DCMTK takes it.

    Source:
        PS3.7 section D.3.3.4.
    """
    if selection is None:
        return None
    if selection.scu == selection.scp:
        return Role.BOTH
    return Role.SCU if selection.scu == 1 else Role.SCP


# Profile's role and proposed role -> the role sub-item of the answer, (SCU, SCP).
# PS3.7 section D.3.3.4; what DCMTK makes of it, spec section 5.3.
_ROLE_ANSWERS = {
    (Role.SCU, Role.SCU): (1, 0),
    (Role.SCU, Role.SCP): (0, 0),
    (Role.SCU, Role.BOTH): (1, 0),
    (Role.SCP, Role.SCU): (0, 0),
    (Role.SCP, Role.SCP): (0, 1),
    (Role.SCP, Role.BOTH): (0, 1),
    (Role.BOTH, Role.SCU): (1, 0),
    (Role.BOTH, Role.SCP): (0, 1),
    (Role.BOTH, Role.BOTH): (1, 1),
}


def _is_uid(text: str) -> bool:
    return 0 < len(text) <= _UID_LENGTH_MAX and _UID_CHARACTERS.issuperset(text)


def _any_transfer_syntax(
    offered: Sequence[str], prefer_uncompressed: bool
) -> str | None:
    """The transfer syntax that promiscuous mode takes, None when none is a UID."""
    usable = [syntax for syntax in offered if _is_uid(syntax)]
    if prefer_uncompressed:
        for syntax in usable:
            if syntax in _NATIVE_UNCOMPRESSED:
                return syntax
    return usable[0] if usable else None


class _Judge:
    """One request under one policy."""

    def __init__(self, request: AssociationRequest, policy: NegotiationPolicy) -> None:
        self.request = request
        self.policy = policy
        self.allowed: Mapping[str, Sequence[str]] = {
            context.abstract_syntax: context.transfer_syntaxes
            for context in policy.profile.contexts
        }
        self.proposed = proposed_roles(request)
        self.notes: list[Note] = []

    def judge(self) -> tuple[JudgedContext, ...]:
        """Judge every context; a repeated id is one context with the last result.

        DCMTK stores results by id: the class and the proposed role stay those of the
        first context that bears the id.
        """
        by_id: dict[int, JudgedContext] = {}
        for context in self.request.contexts:
            first = by_id.get(context.id)
            named = context.abstract_syntax if first is None else first.abstract_syntax
            by_id[context.id] = self._judge_one(context, named)
        return tuple(by_id.values())

    def _judge_one(self, context: PresentationContext, named: str) -> JudgedContext:
        syntax = self._transfer_syntax(context)
        if isinstance(syntax, Result):
            return JudgedContext(
                context.id, named, syntax, IMPLICIT_VR_LITTLE_ENDIAN, None
            )
        role = self.policy.profile.roles.get(context.abstract_syntax)
        if role is Role.SCP and named not in self.proposed:
            self.notes.append(Note.DEFAULT_ROLE_REFUSED)
            return JudgedContext(
                context.id, named, Result.NO_REASON, IMPLICIT_VR_LITTLE_ENDIAN, role
            )
        return JudgedContext(context.id, named, Result.ACCEPTANCE, syntax, role)

    def _transfer_syntax(self, context: PresentationContext) -> str | Result:
        """The transfer syntax to accept, or why there is none."""
        offered = context.transfer_syntaxes
        preferred = self.allowed.get(context.abstract_syntax)
        if preferred is not None:
            for syntax in preferred:
                if syntax in offered:
                    return syntax
        if self.policy.promiscuous:
            if not _is_uid(context.abstract_syntax):
                return Result.ABSTRACT_SYNTAX_NOT_SUPPORTED
            found = _any_transfer_syntax(offered, self.policy.prefer_uncompressed)
            return found or Result.TRANSFER_SYNTAXES_NOT_SUPPORTED
        if preferred is None:
            return Result.ABSTRACT_SYNTAX_NOT_SUPPORTED
        return Result.TRANSFER_SYNTAXES_NOT_SUPPORTED

    def roles(self, contexts: Sequence[JudgedContext]) -> tuple[RoleSelection, ...]:
        """The role sub-items of the answer, one for each accepted context."""
        answers: list[RoleSelection] = []
        for context in contexts:
            proposed = role_of(self.proposed.get(context.abstract_syntax))
            if context.result != Result.ACCEPTANCE or not context.role or not proposed:
                continue
            scu, scp = _ROLE_ANSWERS[context.role, proposed]
            if (scu, scp) == (0, 0):
                self.notes.append(Note.ROLE_SET_TO_NONE)
            answers.append(RoleSelection(context.abstract_syntax, scu, scp))
        return tuple(answers)

    def user_information(self, contexts: Sequence[JudgedContext]) -> UserInformation:
        """Our half of the user information item."""
        window = self.request.user.asynchronous_operations_window
        if window is not None:
            # Differs: DCMTK never answers it, which means one at a time. We answer in
            # order, but let the requestor go on sending.
            invoked = window.invoked or OPERATIONS_OUTSTANDING_MAX
            invoked = min(invoked, OPERATIONS_OUTSTANDING_MAX)
            window = AsynchronousOperationsWindow(invoked, 1)
        user = UserInformation(
            max_length=self.policy.max_pdu,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            asynchronous_operations_window=window,
            roles=self.roles(contexts),
            identity_response=self._identity_response(),
        )
        room = _ITEM_BYTES_MAX - len(encode_user_information(user))
        return replace(user, extended_negotiation=self._extended(contexts, room))

    def _identity_response(self) -> bytes | None:
        """Empty for the two kinds of identity that we verify; PS3.7 D.3.3.7.2."""
        identity = self.request.user.user_identity
        if not self.policy.verifies_users or identity is None:
            return None
        return b"" if identity.response_requested == 1 else None

    def _extended(
        self, contexts: Sequence[JudgedContext], room: int
    ) -> tuple[ExtendedNegotiation, ...]:
        """The profile's information about accepted classes, as far as it fits."""
        accepted = {
            context.abstract_syntax
            for context in contexts
            if context.result == Result.ACCEPTANCE
        }
        answers: list[ExtendedNegotiation] = []
        for sop_class, information in self.policy.profile.extended_negotiation.items():
            if sop_class not in accepted:
                continue
            answer = ExtendedNegotiation(sop_class, information)
            room -= len(encode_extended_negotiation(answer))
            if room < 0:
                break
            answers.append(answer)
        return tuple(answers)


def _is_called(request: AssociationRequest, policy: NegotiationPolicy) -> bool:
    """Does the requestor call us by our name, if we have one?"""
    if policy.ae_title is None:
        return True
    # PS3.8 section 9.3.2: leading and trailing blanks are not significant.
    ours = policy.ae_title.encode("utf-8", "surrogateescape")
    return ours.strip(b" ") == request.called.partition(b"\0")[0].strip(b" ")


def _padded(title: bytes) -> bytes:
    return title.partition(b"\0")[0].ljust(AE_TITLE_BYTES, b" ")


def negotiate(request: AssociationRequest, policy: NegotiationPolicy) -> Negotiation:
    """Decide about an association request.

    Args:
        request: as decoded; nothing in it is trusted.
        policy: what we accept.

    Returns:
        The A-ASSOCIATE-AC or -RJ to send, the contexts one by one, and what to log.

    Raises:
        ProtocolViolation: everything would be accepted, but an AE title is blank.

    Source:
        PS3.8 section 9.3.3 and 9.3.4, Tables 9-18 and 9-21; PS3.7 section D.3.3.
    """
    if not request.supports_version_1:
        return Negotiation(REJECT_PROTOCOL_VERSION)
    if request.application_context != APPLICATION_CONTEXT:
        return Negotiation(REJECT_APPLICATION_CONTEXT)
    if not _is_called(request, policy):
        return Negotiation(REJECT_CALLED_AE_TITLE)
    judge = _Judge(request, policy)
    contexts = judge.judge()
    if all(context.result != Result.ACCEPTANCE for context in contexts):
        return Negotiation(REJECT_NO_CONTEXT, contexts, tuple(judge.notes))
    if not request.called_ae_title:
        raise invalid_parameter("Illegal service parameter: Called AP Title")
    if not request.calling_ae_title:
        raise invalid_parameter("Illegal service parameter: Calling AP Title")
    answer = AssociationAccept(
        called=_padded(request.called),
        calling=_padded(request.calling),
        application_context=APPLICATION_CONTEXT,
        contexts=tuple(
            ContextResult(context.id, context.result, context.transfer_syntax)
            for context in contexts
        ),
        user=judge.user_information(contexts),
    )
    return Negotiation(answer, contexts, tuple(judge.notes))
