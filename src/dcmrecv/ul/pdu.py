"""The PDUs of association establishment and end, as values and as bytes.

Owns A-ASSOCIATE-RQ, -AC and -RJ, A-RELEASE-RQ and -RP, and A-ABORT. Never P-DATA-TF,
never a socket, never a decision: what an association request deserves is negotiation's
business. What cannot be read is a ProtocolViolation with the reason in DCMTK's words.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from dcmrecv.errors import ProtocolViolation
from dcmrecv.ul.items import (
    AbortReason,
    AbortSource,
    ItemType,
    ItemWalk,
    UserInformation,
    UserInformationReader,
    encode_item,
    encode_text,
    encode_user_information,
    invalid_parameter,
    overrun,
    read_text,
)

HEADER_BYTES = 6
ASSOCIATE_RQ_BYTES_MAX = 1_048_576  # of the body; PS3.8 sets no limit, DCMTK this one
AE_TITLE_BYTES = 16

_FIXED_BYTES = 68  # of an A-ASSOCIATE body: version, titles, reserved


class PduType(IntEnum):
    """PDU types; PS3.8 section 9.3.1."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


_PDU_TYPES = frozenset(PduType)


class Result(IntEnum):
    """Result of a presentation context; PS3.8 Table 9-18."""

    ACCEPTANCE = 0
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class PresentationContext:
    """A presentation context as proposed; PS3.8 section 9.3.2.2."""

    id: int  # should be odd, is not checked
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """A presentation context as answered; PS3.8 section 9.3.3.2."""

    id: int
    result: int  # of class Result when we made it
    transfer_syntax: str


def _shown_title(title: bytes) -> str:
    return title.partition(b"\0")[0].decode("latin-1").rstrip(" ")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Associate:
    """What A-ASSOCIATE-RQ and -AC have in common; titles as the 16 bytes sent."""

    called: bytes
    calling: bytes
    protocol_version: int = 1
    application_context: str = ""
    user: UserInformation = field(default_factory=UserInformation)

    @property
    def called_ae_title(self) -> str:
        """The called AE title up to a NUL, without trailing blanks, as Latin-1."""
        return _shown_title(self.called)

    @property
    def calling_ae_title(self) -> str:
        """The calling AE title up to a NUL, without trailing blanks, as Latin-1."""
        return _shown_title(self.calling)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRequest(_Associate):
    """A-ASSOCIATE-RQ; PS3.8 section 9.3.2. Contexts in the order proposed."""

    contexts: tuple[PresentationContext, ...] = ()

    @property
    def supports_version_1(self) -> bool:
        """Is bit 0 of the protocol version set? If not, nothing behind it was read."""
        return bool(self.protocol_version & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAccept(_Associate):
    """A-ASSOCIATE-AC; PS3.8 section 9.3.3."""

    contexts: tuple[ContextResult, ...] = ()


@dataclass(frozen=True, slots=True)
class AssociationReject:
    """A-ASSOCIATE-RJ; PS3.8 section 9.3.4, Table 9-21."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ; PS3.8 section 9.3.6."""


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """A-RELEASE-RP; PS3.8 section 9.3.7."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT; PS3.8 section 9.3.8, Table 9-26."""

    source: int = 0
    reason: int = 0


Pdu = (
    AssociationRequest
    | AssociationAccept
    | AssociationReject
    | ReleaseRequest
    | ReleaseReply
    | Abort
)


# Encoding


def _encode_proposed(context: PresentationContext) -> bytes:
    body = struct.pack(">Bxxx", context.id)
    body += encode_item(ItemType.ABSTRACT_SYNTAX, encode_text(context.abstract_syntax))
    for syntax in context.transfer_syntaxes:
        body += encode_item(ItemType.TRANSFER_SYNTAX, encode_text(syntax))
    return encode_item(ItemType.PRESENTATION_CONTEXT_RQ, body)


def _encode_result(context: ContextResult) -> bytes:
    body = struct.pack(">BxBx", context.id, context.result)
    body += encode_item(ItemType.TRANSFER_SYNTAX, encode_text(context.transfer_syntax))
    return encode_item(ItemType.PRESENTATION_CONTEXT_AC, body)


def _encode_associate(pdu: _Associate, contexts: bytes) -> bytes:
    # The standard wants the reserved bytes of the request in the answer and forbids to
    # test them; DCMTK answers with zeros, and so do we.
    return (
        struct.pack(">H2x16s16s32x", pdu.protocol_version, pdu.called, pdu.calling)
        + encode_item(
            ItemType.APPLICATION_CONTEXT, encode_text(pdu.application_context)
        )
        + contexts
        + encode_user_information(pdu.user)
    )


def encode(pdu: Pdu) -> bytes:
    """A PDU as bytes, header included.

    Args:
        pdu: values within the limits of the standard.

    Raises:
        struct.error: a number or an item does not fit into its field.

    Source:
        PS3.8 section 9.3.
    """
    match pdu:
        case AssociationRequest():
            kind = PduType.ASSOCIATE_RQ
            body = _encode_associate(pdu, b"".join(map(_encode_proposed, pdu.contexts)))
        case AssociationAccept():
            kind = PduType.ASSOCIATE_AC
            body = _encode_associate(pdu, b"".join(map(_encode_result, pdu.contexts)))
        case AssociationReject():
            kind = PduType.ASSOCIATE_RJ
            body = struct.pack(">xBBB", pdu.result, pdu.source, pdu.reason)
        case ReleaseRequest():
            kind, body = PduType.RELEASE_RQ, bytes(4)
        case ReleaseReply():
            kind, body = PduType.RELEASE_RP, bytes(4)
        case Abort():
            kind = PduType.ABORT
            body = struct.pack(">xxBB", pdu.source, pdu.reason)
    return struct.pack(">BxI", kind, len(body)) + body


# Decoding


def _read_context(
    body: bytes, items: ItemWalk
) -> tuple[int, int, str, tuple[str, ...]]:
    """Id, result byte, abstract syntax and transfer syntaxes of a context item."""
    if len(body) < 4:
        raise invalid_parameter(
            overrun(ItemType.PRESENTATION_CONTEXT_RQ, len(body) + 4, len(body))
        )
    abstract_syntax = ""
    transfer_syntaxes: list[str] = []
    for kind, sub_body in items.split(body[4:]):
        if kind == ItemType.ABSTRACT_SYNTAX:
            abstract_syntax = read_text(sub_body)
        elif kind == ItemType.TRANSFER_SYNTAX:
            transfer_syntaxes.append(read_text(sub_body))
    return body[0], body[2], abstract_syntax, tuple(transfer_syntaxes)


def _read_proposed(body: bytes, items: ItemWalk) -> PresentationContext:
    context_id, _, abstract_syntax, transfer_syntaxes = _read_context(body, items)
    if not transfer_syntaxes:
        raise invalid_parameter("DUL Presentation Context translation failure")
    return PresentationContext(context_id, abstract_syntax, transfer_syntaxes)


def _read_result(body: bytes, items: ItemWalk) -> ContextResult:
    context_id, result, _, transfer_syntaxes = _read_context(body, items)
    # Some peers leave the transfer syntax of a refused context out.
    syntax = transfer_syntaxes[0] if transfer_syntaxes else ""
    return ContextResult(context_id, result, syntax)


def _decode_associate(kind: PduType, body: bytes) -> Pdu:
    if len(body) < _FIXED_BYTES:
        raise invalid_parameter(
            f"DUL Illegal associate PDU. Got {len(body)} bytes of data. "
            f"The minimum allowed size is {_FIXED_BYTES}."
        )
    version, called, calling = struct.unpack_from(">H2x16s16s", body)
    if kind == PduType.ASSOCIATE_RQ and not version & 1:
        # What another version looks like behind the version is not known.
        return AssociationRequest(
            called=called, calling=calling, protocol_version=version
        )
    items = ItemWalk()
    application_context = ""
    proposed: list[PresentationContext] = []
    results: list[ContextResult] = []
    user = UserInformationReader()
    for item_kind, item_body in items.split(body[_FIXED_BYTES:]):
        if item_kind == ItemType.APPLICATION_CONTEXT:
            application_context = read_text(item_body)
        elif item_kind == ItemType.PRESENTATION_CONTEXT_RQ:
            proposed.append(_read_proposed(item_body, items))
        elif item_kind == ItemType.PRESENTATION_CONTEXT_AC:
            results.append(_read_result(item_body, items))
        elif item_kind == ItemType.USER_INFORMATION:
            user.read(item_body, items)
    if kind == PduType.ASSOCIATE_RQ:
        return AssociationRequest(
            called=called,
            calling=calling,
            protocol_version=version,
            application_context=application_context,
            contexts=tuple(proposed),
            user=user.finish(),
        )
    return AssociationAccept(
        called=called,
        calling=calling,
        protocol_version=version,
        application_context=application_context,
        contexts=tuple(results),
        user=user.finish(),
    )


def _decode_short(kind: PduType, body: bytes) -> Pdu:
    """A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP or A-ABORT: four bytes each."""
    if len(body) != 4:
        raise invalid_parameter(f"DUL Illegal PDU Length {len(body)}.  Max expected 4")
    if kind == PduType.ASSOCIATE_RJ:
        return AssociationReject(body[1], body[2], body[3])
    if kind == PduType.RELEASE_RQ:
        return ReleaseRequest()
    if kind == PduType.RELEASE_RP:
        return ReleaseReply()
    return Abort(body[2], body[3])


def read_header(data: bytes) -> tuple[int, int]:
    """Type and length of the PDU that begins with these bytes, at least six.

    Source:
        PS3.8 section 9.3.1.
    """
    kind, length = struct.unpack_from(">BxI", data)
    return kind, length


def decode(data: bytes) -> Pdu:
    """Decode one whole PDU.

    Args:
        data: the PDU with its header, as long as its length field says.

    Returns:
        The PDU. Unknown items and sub-items are left out. Of an A-ASSOCIATE-RQ of
        another protocol version only the fixed part is read.

    Raises:
        ProtocolViolation: not a PDU of this module, or an item overruns its parent, or
            a mandatory part is missing.

    Source:
        PS3.8 section 9.3.2, Tables 9-11 to 9-16; user items: PS3.8 Annex D, PS3.7
        Annex D. Where the standard leaves it open, DCMTK 3.6.7 as observed: of a
        repeated item the last counts.
    """
    if len(data) < HEADER_BYTES:
        raise invalid_parameter(f"DUL Illegal PDU. Got {len(data)} bytes of data.")
    kind, length = read_header(data)
    if kind not in _PDU_TYPES:
        raise ProtocolViolation(
            f"Unrecognized PDU type: {kind:2x}",
            abort=(AbortSource.SERVICE_PROVIDER, AbortReason.UNRECOGNIZED_PDU),
        )
    if kind == PduType.P_DATA_TF:
        raise ProtocolViolation(
            f"Unexpected PDU type: {kind:02x}",
            abort=(AbortSource.SERVICE_PROVIDER, AbortReason.UNEXPECTED_PDU),
        )
    if length > ASSOCIATE_RQ_BYTES_MAX:
        raise invalid_parameter("A-ASSOCIATE PDU too large")
    if length != len(data) - HEADER_BYTES:
        raise invalid_parameter(
            f"DUL Illegal PDU Length {length}. Got {len(data) - HEADER_BYTES} bytes"
        )
    body = data[HEADER_BYTES:]
    if kind in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC):
        return _decode_associate(PduType(kind), body)
    return _decode_short(PduType(kind), body)
