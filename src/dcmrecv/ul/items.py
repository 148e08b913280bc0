"""Items and sub-items of A-ASSOCIATE PDUs: the walk over them, user information.

Owns every length check inside an A-ASSOCIATE PDU. Never knows a PDU header. What cannot
be read is a ProtocolViolation with the reason in DCMTK's words.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from dcmrecv.errors import ProtocolViolation

_UID_BYTES_MAX = 64
_VERSION_NAME_BYTES_MAX = 16
# 128 contexts with 64 transfer syntaxes each have 8,448 items.
_ITEMS_MAX = 16_384

_SUB_ITEM_LENGTH = "(data before length field is not included in length field)"


class AbortSource(IntEnum):
    """Source of an A-ABORT; PS3.8 Table 9-26."""

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class AbortReason(IntEnum):
    """Reason of an A-ABORT of the service provider; PS3.8 Table 9-26."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER_VALUE = 6


class ItemType(IntEnum):
    """Items and sub-items; PS3.8 section 9.3 and Annex D, PS3.7 Annex D."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56
    USER_IDENTITY = 0x58
    USER_IDENTITY_RESPONSE = 0x59


@dataclass(frozen=True, slots=True)
class AsynchronousOperationsWindow:
    """How many operations may be outstanding, 0 = any number; PS3.7 D.3.3.3."""

    invoked: int
    performed: int


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """The requestor's roles for a SOP class, one byte each; PS3.7 section D.3.3.4."""

    sop_class: str
    scu: int
    scp: int


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """Opaque information about a SOP class; PS3.7 section D.3.3.5."""

    sop_class: str
    information: bytes


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Who says that he asks; PS3.7 section D.3.3.7."""

    type: int
    response_requested: int
    primary: bytes
    secondary: bytes = field(default=b"", repr=False)  # may be a passcode


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInformation:
    """The user information item; PS3.8 Annex D and PS3.7 Annex D.3.3.

    Lists keep the order of the PDU. Text that is absent is "".
    """

    max_length: int = 0  # bytes of a P-DATA-TF body; 0: no limit, or absent
    implementation_class_uid: str = ""
    asynchronous_operations_window: AsynchronousOperationsWindow | None = None
    roles: tuple[RoleSelection, ...] = ()
    implementation_version_name: str = ""
    extended_negotiation: tuple[ExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    identity_response: bytes | None = None  # of an A-ASSOCIATE-AC; PS3.7 D.3.3.7.2


def invalid_parameter(message: str) -> ProtocolViolation:
    """The error for a parameter that cannot be: an A-ABORT 2, 6 answers it."""
    return ProtocolViolation(
        message,
        abort=(AbortSource.SERVICE_PROVIDER, AbortReason.INVALID_PARAMETER_VALUE),
    )


def encode_item(kind: int, body: bytes) -> bytes:
    """An item or sub-item as bytes; PS3.8 section 9.3.2.1."""
    return struct.pack(">BxH", kind, len(body)) + body


def encode_text(text: str) -> bytes:
    """A UID or name as it stands in an item: not padded."""
    return text.encode("latin-1")


def _sop_class_item(kind: int, sop_class: str, rest: bytes) -> bytes:
    uid = encode_text(sop_class)
    return encode_item(kind, struct.pack(">H", len(uid)) + uid + rest)


def encode_extended_negotiation(value: ExtendedNegotiation) -> bytes:
    """One SOP class extended negotiation sub-item as bytes; PS3.7 section D.3.3.5."""
    return _sop_class_item(
        ItemType.EXTENDED_NEGOTIATION, value.sop_class, value.information
    )


def _encode_user_identity(identity: UserIdentity) -> bytes:
    body = bytes((identity.type, identity.response_requested))
    for value in (identity.primary, identity.secondary):
        body += struct.pack(">H", len(value)) + value
    return encode_item(ItemType.USER_IDENTITY, body)


def encode_user_information(user: UserInformation) -> bytes:
    """The user information item as bytes, sub-items in ascending order.

    Raises:
        struct.error: more than 65,535 bytes.

    Source:
        PS3.8 Annex D.1; PS3.7 Annex D.3.3.
    """
    body = [encode_item(ItemType.MAXIMUM_LENGTH, struct.pack(">I", user.max_length))]
    if user.implementation_class_uid:
        uid = encode_text(user.implementation_class_uid)
        body.append(encode_item(ItemType.IMPLEMENTATION_CLASS_UID, uid))
    window = user.asynchronous_operations_window
    if window is not None:
        counts = struct.pack(">HH", window.invoked, window.performed)
        body.append(encode_item(ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW, counts))
    for role in user.roles:
        roles = bytes((role.scu, role.scp))
        body.append(_sop_class_item(ItemType.ROLE_SELECTION, role.sop_class, roles))
    if user.implementation_version_name:
        name = encode_text(user.implementation_version_name)
        body.append(encode_item(ItemType.IMPLEMENTATION_VERSION_NAME, name))
    body.extend(map(encode_extended_negotiation, user.extended_negotiation))
    if user.user_identity is not None:
        body.append(_encode_user_identity(user.user_identity))
    response = user.identity_response
    if response is not None:
        sized = struct.pack(">H", len(response)) + response
        body.append(encode_item(ItemType.USER_IDENTITY_RESPONSE, sized))
    return encode_item(ItemType.USER_INFORMATION, b"".join(body))


class ItemWalk:
    """Walks over items, all within one budget for the whole PDU."""

    def __init__(self) -> None:
        self._left = _ITEMS_MAX

    def split(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield kind and body of each item in `data`.

        Raises:
            ProtocolViolation: an item is cut, or there are too many of them.
        """
        at = 0
        while at < len(data):
            left = len(data) - at
            if left < 4:
                raise invalid_parameter(
                    f"DUL Illegal subitem. Got {left} bytes of data. "
                    "The minimum allowed size is 4."
                )
            kind, size = struct.unpack_from(">BxH", data, at)
            if size > left - 4:
                raise invalid_parameter(overrun(kind, left, size))
            self._left -= 1
            if self._left < 0:
                raise invalid_parameter(f"DUL more than {_ITEMS_MAX} items in one PDU")
            yield kind, data[at + 4 : at + 4 + size]
            at += 4 + size


def secret_at(items: bytes) -> int:
    """Where in the items of an A-ASSOCIATE-RQ bytes begin that nobody may see.

    That is behind the header of the first user identity sub-item. Where an item is
    broken, anything may follow its header.

    Returns:
        An offset; the length when there is nothing to hide.
    """
    at = 0
    end = len(items)
    while at < end:
        if end - at < 4:
            return at
        kind, size = struct.unpack_from(">BxH", items, at)
        at += 4
        if kind == ItemType.USER_IDENTITY or size > end - at:
            return at
        if kind != ItemType.USER_INFORMATION:
            at += size
    return end


_TEXT_ITEMS = frozenset(
    (
        ItemType.APPLICATION_CONTEXT,
        ItemType.ABSTRACT_SYNTAX,
        ItemType.TRANSFER_SYNTAX,
        ItemType.IMPLEMENTATION_CLASS_UID,
        ItemType.IMPLEMENTATION_VERSION_NAME,
    )
)


def overrun(kind: int, left: int, size: int) -> str:
    """What DCMTK says about an item whose length cannot be.

    Args:
        kind: of the item.
        left: bytes from its header to the end of what holds it.
        size: what its length field says.
    """
    claim = f"Got {left} bytes of data with a length field of {size} {_SUB_ITEM_LENGTH}"
    if kind in _TEXT_ITEMS:
        if size > _UID_BYTES_MAX:
            return _too_long(size)
        return f"DUL Illegal subitem. {claim}."
    if kind in (ItemType.PRESENTATION_CONTEXT_RQ, ItemType.PRESENTATION_CONTEXT_AC):
        return (
            f"DUL Illegal presentation context. {claim}. The minimum allowed size is 4."
        )
    if kind == ItemType.USER_INFORMATION:
        return f"DUL Illegal user info. {claim}."
    return f"DUL Illegal dummy item. {claim}."


def _too_long(size: int) -> str:
    return (
        f"DUL illegal subitem length {size}. Maximum allowed size is {_UID_BYTES_MAX}."
    )


def read_text(body: bytes) -> str:
    """The UID or name in an item: up to a NUL, since some peers pad.

    Raises:
        ProtocolViolation: longer than 64 bytes, PS3.5 section 9.1.
    """
    if len(body) > _UID_BYTES_MAX:
        raise invalid_parameter(_too_long(len(body)))
    return body.partition(b"\0")[0].decode("latin-1")


def _read_sop_class(body: bytes, name: str, size_min: int) -> tuple[str, bytes]:
    """The SOP class UID at the start of a sub-item, and what follows it."""
    if len(body) < size_min:
        raise invalid_parameter(
            f"DUL Illegal {name}. Got {len(body) + 4} bytes of data. "
            f"The minimum allowed size is {size_min + 4}."
        )
    size = int.from_bytes(body[:2], "big")
    if size > len(body) - size_min:
        raise invalid_parameter(
            f"DUL Illegal {name} UID. Got {len(body)} bytes of data with a length "
            f"field of {size} {_SUB_ITEM_LENGTH}."
        )
    uid = body[2 : 2 + size].partition(b"\0")[0]
    return uid.decode("latin-1"), body[2 + size :]


def _read_role(body: bytes) -> RoleSelection:
    sop_class, rest = _read_sop_class(body, "SCU-SCP role list", 4)
    return RoleSelection(sop_class[:_UID_BYTES_MAX], rest[0], rest[1])


def _read_extended_negotiation(body: bytes) -> ExtendedNegotiation:
    sop_class, rest = _read_sop_class(body, "extended negotiation", 2)
    return ExtendedNegotiation(sop_class, rest)


def _read_user_identity(body: bytes) -> UserIdentity:
    if len(body) < 6:
        raise invalid_parameter(
            f"DUL user identity rq length {len(body) + 4}. Need at least 10 bytes"
        )
    kind, response_requested, primary_size = struct.unpack_from(">BBH", body)
    if primary_size > len(body) - 6:
        raise invalid_parameter(
            f"DUL illegal user identify rq length {len(body) + 4}. Info claims to be "
            f"{len(body)} bytes. Primary field has {primary_size} bytes."
        )
    primary = body[4 : 4 + primary_size]
    rest = body[4 + primary_size :]
    secondary_size = int.from_bytes(rest[:2], "big")
    if secondary_size > len(rest) - 2:
        raise invalid_parameter(
            f"DUL illegal user identify rq length {len(body) + 4}. Info claims to be "
            f"{len(body)} bytes. Primary field has {primary_size} bytes. Secondary "
            f"field has {secondary_size} bytes."
        )
    return UserIdentity(kind, response_requested, primary, rest[2 : 2 + secondary_size])


def _read_max_length(body: bytes) -> int:
    if len(body) < 4:
        raise invalid_parameter(
            f"DUL Illegal Max PDU. Got {len(body) + 4} bytes of data. "
            "The minimum allowed size is 8."
        )
    return int.from_bytes(body[:4], "big")


class UserInformationReader:
    """Gathers sub-items; of what there should be one of, the last counts."""

    def __init__(self) -> None:
        self.max_length = 0
        self.class_uid = ""
        self.version_name = ""
        self.window: AsynchronousOperationsWindow | None = None
        self.roles: list[RoleSelection] = []
        self.extended: list[ExtendedNegotiation] = []
        self.identity: UserIdentity | None = None

    def read(self, body: bytes, items: ItemWalk) -> None:
        """Take the sub-items of one user information item.

        Raises:
            ProtocolViolation: a sub-item is cut, or too short for what it must hold.
        """
        for kind, sub_body in items.split(body):
            if kind == ItemType.MAXIMUM_LENGTH:
                self.max_length = _read_max_length(sub_body)
            elif kind == ItemType.IMPLEMENTATION_CLASS_UID:
                self.class_uid = read_text(sub_body)
            elif kind == ItemType.IMPLEMENTATION_VERSION_NAME:
                self.version_name = read_text(sub_body)[:_VERSION_NAME_BYTES_MAX]
            elif kind == ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW and len(sub_body) == 4:
                counts = struct.unpack(">HH", sub_body)
                self.window = AsynchronousOperationsWindow(*counts)
            elif kind == ItemType.ROLE_SELECTION:
                self.roles.append(_read_role(sub_body))
            elif kind == ItemType.EXTENDED_NEGOTIATION:
                self.extended.append(_read_extended_negotiation(sub_body))
            elif kind == ItemType.USER_IDENTITY:
                self.identity = _read_user_identity(sub_body)

    def finish(self) -> UserInformation:
        """What has been gathered."""
        return UserInformation(
            max_length=self.max_length,
            implementation_class_uid=self.class_uid,
            asynchronous_operations_window=self.window,
            roles=tuple(self.roles),
            implementation_version_name=self.version_name,
            extended_negotiation=tuple(self.extended),
            user_identity=self.identity,
        )
