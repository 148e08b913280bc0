"""The parameter block: all that a request and its answer say, in DCMTK's layout; pure.

Never logs and never decides. A passcode is never shown.

Source:
    Observed with dcmrecv 3.6.7 -d and --verbose-pc.
"""

from collections.abc import Sequence

from dcmrecv.config.settings import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    Role,
)
from dcmrecv.config.uids import name_of
from dcmrecv.service.wording import printable
from dcmrecv.ul.items import ExtendedNegotiation, UserIdentity
from dcmrecv.ul.negotiation import (
    JudgedContext,
    Negotiation,
    proposed_roles,
    role_of,
)
from dcmrecv.ul.pdu import (
    AssociationReject,
    AssociationRequest,
    PresentationContext,
    Result,
)

# Items of extended negotiation shown, and bytes of each: nothing known has so many.
NEGOTIATIONS_MAX = 128
INFORMATION_BYTES_MAX = 256

_RESULTS = {
    Result.ACCEPTANCE: "Accepted",
    Result.NO_REASON: "No Reason",
    Result.ABSTRACT_SYNTAX_NOT_SUPPORTED: "Abstract Syntax Not Supported",
    Result.TRANSFER_SYNTAXES_NOT_SUPPORTED: "Transfer Syntaxes Not Supported",
}

_ROLES = {
    None: "Default",
    Role.SCU: "SCU",
    Role.SCP: "SCP",
    Role.BOTH: "SCP/SCU",
}


def _uid(uid: str) -> str:
    name = name_of(uid)
    return printable(uid) if name is None else f"={name}"


def request_block(request: AssociationRequest, max_pdu: int) -> str:
    """Everything that an A-ASSOCIATE-RQ says; `max_pdu` is ours, in bytes."""
    return _block("A-ASSOCIATE-RQ", request, max_pdu, None)


def answer_block(
    request: AssociationRequest, max_pdu: int, negotiation: Negotiation
) -> str:
    """Everything that an A-ASSOCIATE-AC or -RJ answers to a request."""
    rejected = isinstance(negotiation.answer, AssociationReject)
    kind = "A-ASSOCIATE-RJ" if rejected else "A-ASSOCIATE-AC"
    return _block(kind, request, max_pdu, negotiation)


def _block(
    kind: str,
    request: AssociationRequest,
    max_pdu: int,
    negotiation: Negotiation | None,
) -> str:
    user = request.user
    called = printable(request.called_ae_title)
    class_uid = printable(user.implementation_class_uid)
    version_name = printable(user.implementation_version_name)
    lines = [
        f"====================== BEGIN {kind} =====================",
        f"Our Implementation Class UID:      {IMPLEMENTATION_CLASS_UID}",
        f"Our Implementation Version Name:   {IMPLEMENTATION_VERSION_NAME}",
        f"Their Implementation Class UID:    {class_uid}",
        f"Their Implementation Version Name: {version_name}",
        f"Application Context Name:    {printable(request.application_context)}",
        f"Calling Application Name:    {printable(request.calling_ae_title)}",
        f"Called Application Name:     {called}",
        f"Responding Application Name: {'' if negotiation is None else called}",
        f"Our Max PDU Receive Size:    {max_pdu}",
        f"Their Max PDU Receive Size:  {user.max_length}",
        "Presentation Contexts:",
    ]
    selections = proposed_roles(request)
    answers = {} if negotiation is None else {c.id: c for c in negotiation.contexts}
    for context in request.contexts:
        # A repeated context id is answered once, and shown answered once.
        answer = answers.pop(context.id, None)
        role = _ROLES[role_of(selections.get(context.abstract_syntax))]
        lines += _context_lines(context, role, answer)
    lines += _extended_lines(
        "Requested Extended Negotiation:", user.extended_negotiation
    )
    lines += _extended_lines(
        "Accepted Extended Negotiation: ", _answered_negotiation(negotiation)
    )
    lines += _identity_lines(user.user_identity)
    lines += [
        "User Identity Negotiation Response:  none",
        f"======================= END {kind} ======================",
    ]
    return "\n".join(lines)


def _context_lines(
    context: PresentationContext, role: str, answer: JudgedContext | None
) -> list[str]:
    shown = "Proposed" if answer is None else _RESULTS[answer.result]
    lines = [
        f"  Context ID:        {context.id} ({shown})",
        f"    Abstract Syntax: {_uid(context.abstract_syntax)}",
        f"    Proposed SCP/SCU Role: {role}",
    ]
    if answer is None:
        lines.append("    Proposed Transfer Syntax(es):")
        lines += [f"      {_uid(syntax)}" for syntax in context.transfer_syntaxes]
        return lines
    lines.append(f"    Accepted SCP/SCU Role: {_ROLES[answer.role]}")
    if answer.result == Result.ACCEPTANCE:
        lines.append(f"    Accepted Transfer Syntax: {_uid(answer.transfer_syntax)}")
    return lines


def _answered_negotiation(
    negotiation: Negotiation | None,
) -> Sequence[ExtendedNegotiation]:
    if negotiation is None or isinstance(negotiation.answer, AssociationReject):
        return ()
    return negotiation.answer.user.extended_negotiation


def _extended_lines(
    title: str, negotiations: Sequence[ExtendedNegotiation]
) -> list[str]:
    if not negotiations:
        return [f"{title} none"]
    lines = [title.rstrip()]
    for negotiation in negotiations[:NEGOTIATIONS_MAX]:
        name = name_of(negotiation.sop_class) or "Unknown-UID"
        shown = negotiation.information[:INFORMATION_BYTES_MAX]
        values = ", ".join(f"0x{byte:02x}" for byte in shown)
        if len(shown) < len(negotiation.information):
            values += f", and {len(negotiation.information) - len(shown)} bytes"
        lines.append(f"  ={name} ({printable(negotiation.sop_class)})")
        lines.append(f"    [{values}]")
    if len(negotiations) > NEGOTIATIONS_MAX:
        lines.append(f"  and {len(negotiations) - NEGOTIATIONS_MAX} more")
    return lines


def _identity_lines(identity: UserIdentity | None) -> list[str]:
    title = "Requested User Identity Negotiation:"
    if identity is None:
        return [f"{title} none"]
    primary = len(identity.primary)
    kinds = {
        1: ("1: Username", [f"Username: [{_c_string(identity.primary)}]"]),
        2: (
            "2: Username/Password",
            [
                f"Username: [{_c_string(identity.primary)}]",
                # Differs: DCMTK prints it in clear.
                "Password: [not shown]",
            ],
        ),
        3: ("3: Kerberos", [f"Kerberos Service Ticket (not dumped) length: {primary}"]),
        4: ("4: SAML", [f"SAML Assertion (not dumped) length: {primary}"]),
        5: ("5: JWT", [f"JSON Web Token (not dumped) length: {primary}"]),
    }
    known = kinds.get(identity.type)
    if known is None:
        lines = [
            "Authentication mode: Unknown ",
            f"First value (not dumped), length: {primary}",
            f"Second Value (not dumped), length: {len(identity.secondary)}",
        ]
    else:
        lines = [f"Authentication mode {known[0]}", *known[1]]
    wanted = "Yes" if identity.response_requested else "No"
    lines.append(f"Positive Response requested: {wanted}")
    return [title, *(f"  {line}" for line in lines)]


def _c_string(value: bytes) -> str:
    return printable(value.partition(b"\0")[0].decode("latin-1"))
