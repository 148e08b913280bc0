"""PDUs of the upper layer as bytes, legal ones by default. PS3.8 section 9.3.

Every length can be falsified by the caller: the parts are plain functions from bytes to
bytes, so a wrong PDU is `pdu(...)` with other arguments, not another builder.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.builders.uids import APPLICATION_CONTEXT, CT_IMAGE, IMPLICIT_LE

A_ASSOCIATE_RQ = 0x01
A_ASSOCIATE_AC = 0x02
A_ASSOCIATE_RJ = 0x03
P_DATA_TF = 0x04
A_RELEASE_RQ = 0x05
A_RELEASE_RP = 0x06
A_ABORT = 0x07

HEADER_BYTES = 6  # of every PDU
PDV_HEADER_BYTES = 6  # item length, context id, message control header


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context of an A-ASSOCIATE-RQ. PS3.8 section 9.3.2.2."""

    id: int
    abstract_syntax: str = CT_IMAGE
    transfer_syntaxes: tuple[str, ...] = (IMPLICIT_LE,)


def pdu(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """A PDU; `length` falsifies its length field."""
    size = len(body) if length is None else length
    return struct.pack(">BxI", kind, size) + body


def item(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """An item or sub-item of an A-ASSOCIATE PDU; `length` falsifies its length."""
    size = len(body) if length is None else length
    return struct.pack(">BxH", kind, size) + body


def presentation_context(context: ProposedContext) -> bytes:
    """Presentation context item of an A-ASSOCIATE-RQ. PS3.8 Table 9-13."""
    syntaxes = b"".join(item(0x40, s.encode()) for s in context.transfer_syntaxes)
    return item(
        0x20,
        struct.pack(">Bxxx", context.id)
        + item(0x30, context.abstract_syntax.encode())
        + syntaxes,
    )


def maximum_length(size: int) -> bytes:
    """Maximum length sub-item. PS3.8 section D.1."""
    return item(0x51, struct.pack(">I", size))


def implementation_class_uid(uid: str = "1.2.3.4.5.6") -> bytes:
    """Implementation class UID sub-item. PS3.7 section D.3.3.2."""
    return item(0x52, uid.encode())


def asynchronous_operations_window(invoked: int, performed: int) -> bytes:
    """Asynchronous operations window sub-item. PS3.7 section D.3.3.3."""
    return item(0x53, struct.pack(">HH", invoked, performed))


def role_selection(abstract_syntax: str, *, scu: int, scp: int) -> bytes:
    """SCP/SCU role selection sub-item. PS3.7 section D.3.3.4."""
    uid = abstract_syntax.encode()
    return item(0x54, struct.pack(">H", len(uid)) + uid + bytes([scu, scp]))


def extended_negotiation(abstract_syntax: str, information: bytes) -> bytes:
    """SOP class extended negotiation sub-item. PS3.7 section D.3.3.5."""
    uid = abstract_syntax.encode()
    return item(0x56, struct.pack(">H", len(uid)) + uid + information)


def user_identity(
    user_name: str, passcode: str = "", *, response_requested: bool
) -> bytes:
    """User identity sub-item, with or without passcode. PS3.7 section D.3.3.7."""
    name, secret = user_name.encode(), passcode.encode()
    kind = 2 if secret else 1
    body = bytes([kind, response_requested]) + struct.pack(">H", len(name)) + name
    return item(0x58, body + struct.pack(">H", len(secret)) + secret)


def ae_title(title: str | bytes) -> bytes:
    """16 bytes, padded with blanks. PS3.8 section 9.3.2."""
    raw = title.encode() if isinstance(title, str) else title
    return raw.ljust(16, b" ")[:16]


def associate_rq(
    contexts: Iterable[ProposedContext] = (ProposedContext(1),),
    *,
    called: str | bytes = "ANY",
    calling: str | bytes = "RAW",
    protocol_version: int = 1,
    application_context: str | None = APPLICATION_CONTEXT,
    max_pdu: int | None = 16_384,
    user_items: Sequence[bytes] = (),
    further_items: Sequence[bytes] = (),
    length: int | None = None,
) -> bytes:
    """An A-ASSOCIATE-RQ. PS3.8 section 9.3.2.

    Args:
        contexts: what is proposed, in this order.
        called: called AE title.
        calling: calling AE title.
        protocol_version: bit 0 is version 1.
        application_context: None leaves the item out.
        max_pdu: None leaves the whole user information item out.
        user_items: sub-items after maximum length and implementation class UID.
        further_items: items after the user information.
        length: falsifies the length field of the PDU.
    """
    items = b""
    if application_context is not None:
        items += item(0x10, application_context.encode())
    items += b"".join(presentation_context(context) for context in contexts)
    if max_pdu is not None:
        own = maximum_length(max_pdu) + implementation_class_uid()
        items += item(0x50, own + b"".join(user_items))
    items += b"".join(further_items)
    fixed = struct.pack(">Hxx", protocol_version) + ae_title(called)
    return pdu(
        A_ASSOCIATE_RQ, fixed + ae_title(calling) + bytes(32) + items, length=length
    )


def pdv(
    context_id: int,
    fragment: bytes,
    *,
    command: bool,
    last: bool,
    reserved_bits: int = 0,
    length: int | None = None,
) -> bytes:
    """A presentation data value item. PS3.8 section 9.3.5.1 and Annex E.2.

    Args:
        context_id: presentation context.
        fragment: a piece of a command set or data set.
        command: bit 0 of the message control header.
        last: bit 1 of the message control header.
        reserved_bits: put into bits 2 to 7 of the message control header.
        length: falsifies the item's length field.
    """
    size = len(fragment) + 2 if length is None else length
    control = int(command) | int(last) << 1 | reserved_bits & 0xFC
    return struct.pack(">IBB", size, context_id, control) + fragment


def p_data_tf(*pdvs: bytes, length: int | None = None) -> bytes:
    """A P-DATA-TF of some PDVs. PS3.8 section 9.3.5."""
    return pdu(P_DATA_TF, b"".join(pdvs), length=length)


def fragments(data: bytes, size: int) -> list[bytes]:
    """`data` in pieces of `size` bytes; one empty piece when there is no data."""
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]


def fragmented(
    context_id: int, data: bytes, *, command: bool, pdu_size: int = 16_384
) -> bytes:
    """A command set or data set as P-DATA-TFs of one PDV each, as most SCUs send it."""
    pieces = fragments(data, pdu_size - PDV_HEADER_BYTES)
    return b"".join(
        p_data_tf(pdv(context_id, piece, command=command, last=piece is pieces[-1]))
        for piece in pieces
    )


def message(
    context_id: int,
    command_set: bytes,
    data_set: bytes | None = None,
    *,
    pdu_size: int = 16_384,
) -> bytes:
    """A whole DIMSE message, framed as most SCUs do it."""
    wire = fragmented(context_id, command_set, command=True, pdu_size=pdu_size)
    if data_set is not None:
        wire += fragmented(context_id, data_set, command=False, pdu_size=pdu_size)
    return wire


def release_rq() -> bytes:
    """A-RELEASE-RQ. PS3.8 section 9.3.6."""
    return pdu(A_RELEASE_RQ, bytes(4))


def release_rp() -> bytes:
    """A-RELEASE-RP. PS3.8 section 9.3.7."""
    return pdu(A_RELEASE_RP, bytes(4))


def abort(source: int = 0, reason: int = 0) -> bytes:
    """A-ABORT. PS3.8 section 9.3.8."""
    return pdu(A_ABORT, bytes([0, 0, source, reason]))
