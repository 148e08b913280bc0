"""Command sets as bytes: Implicit VR Little Endian, group 0000. PS3.7 section 6.3.

`command_set()` takes any elements; the rest are the messages that the tests send.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tests.builders.uids import CT_IMAGE, VERIFICATION

AFFECTED_SOP_CLASS_UID = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_RESPONDED_TO = 0x0120
PRIORITY = 0x0700
DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000
MOVE_ORIGINATOR_AE_TITLE = 0x1030
MOVE_ORIGINATOR_MESSAGE_ID = 0x1031

C_STORE_RQ = 0x0001
C_FIND_RQ = 0x0020
C_ECHO_RQ = 0x0030
N_ACTION_RQ = 0x0130
C_CANCEL_RQ = 0x0FFF
C_STORE_RSP = 0x8001
C_ECHO_RSP = 0x8030

NO_DATA_SET = 0x0101
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000

Value = int | str | bytes


def element(tag: int, value: Value) -> bytes:
    """One element of group 0000; an int is a US, a str is padded with a NUL."""
    if isinstance(value, int):
        raw = struct.pack("<H", value)
    elif isinstance(value, str):
        raw = value.encode()
        raw += b"\0" * (len(raw) % 2)
    else:
        raw = value
    return struct.pack("<HHI", 0x0000, tag, len(raw)) + raw


def command_set(
    elements: Mapping[int, Value | None], *, group_length: int | None = -1
) -> bytes:
    """The elements in ascending order, after the group length.

    Args:
        elements: element number to value; None leaves an element out.
        group_length: -1 for the right one, None for no (0000,0000) at all.
    """
    body = b"".join(
        element(tag, value)
        for tag, value in sorted(elements.items())
        if value is not None
    )
    if group_length is None:
        return body
    size = len(body) if group_length == -1 else group_length
    return element(0x0000, struct.pack("<I", size)) + body


def c_store_rq(
    sop_instance_uid: Value | None = "1.2.3.4.5",
    *,
    sop_class_uid: Value | None = CT_IMAGE,
    message_id: int = 9,
    changes: Mapping[int, Value | None] | None = None,
    group_length: int | None = -1,
) -> bytes:
    """A C-STORE-RQ. PS3.7 section 9.3.1.1.

    `changes` adds elements, replaces their values, or with None leaves them out.
    """
    elements: dict[int, Value | None] = {
        AFFECTED_SOP_CLASS_UID: sop_class_uid,
        COMMAND_FIELD: C_STORE_RQ,
        MESSAGE_ID: message_id,
        PRIORITY: 0,
        DATA_SET_TYPE: 0,
        AFFECTED_SOP_INSTANCE_UID: sop_instance_uid,
    }
    return command_set(elements | dict(changes or {}), group_length=group_length)


def c_echo_rq(
    message_id: int = 7,
    *,
    sop_class_uid: Value | None = VERIFICATION,
    changes: Mapping[int, Value | None] | None = None,
) -> bytes:
    """A C-ECHO-RQ. PS3.7 section 9.3.5.1."""
    elements: dict[int, Value | None] = {
        AFFECTED_SOP_CLASS_UID: sop_class_uid,
        COMMAND_FIELD: C_ECHO_RQ,
        MESSAGE_ID: message_id,
        DATA_SET_TYPE: NO_DATA_SET,
    }
    return command_set(elements | dict(changes or {}))


def request(field: int, message_id: int = 5, *, data_set: bool = False) -> bytes:
    """A request of any command field, as C-FIND-RQ and N-ACTION-RQ look."""
    return command_set(
        {
            AFFECTED_SOP_CLASS_UID: CT_IMAGE,
            COMMAND_FIELD: field,
            MESSAGE_ID: message_id,
            PRIORITY: 0,
            DATA_SET_TYPE: 0 if data_set else NO_DATA_SET,
        }
    )


@dataclass(frozen=True, slots=True)
class Response:
    """A C-STORE-RSP or C-ECHO-RSP as it came; `raw` has every element's bytes."""

    context_id: int
    raw: Mapping[int, bytes]

    def number(self, tag: int) -> int:
        """The value of a US element."""
        return int.from_bytes(self.raw[tag], "little")

    def text(self, tag: int) -> str:
        """The value of an element of text without its padding."""
        return self.raw[tag].decode().rstrip("\0 ")

    @property
    def status(self) -> int:
        """(0000,0900)."""
        return self.number(STATUS)

    @property
    def message_id(self) -> int:
        """(0000,0120)."""
        return self.number(MESSAGE_ID_RESPONDED_TO)

    @property
    def error_comment(self) -> str:
        """(0000,0902), or nothing."""
        return self.text(ERROR_COMMENT) if ERROR_COMMENT in self.raw else ""


def parse_command_set(data: bytes) -> dict[int, bytes]:
    """Element number to value of a whole command set.

    Raises:
        ValueError: not a well-formed command set of group 0000, in ascending order,
            with the right group length first.
    """
    elements: dict[int, bytes] = {}
    at, before = 0, -1
    while at < len(data):
        group, tag, size = struct.unpack_from("<HHI", data, at)
        value = data[at + 8 : at + 8 + size]
        if group != 0 or tag <= before or len(value) != size or size % 2:
            raise ValueError(f"bad element at {at}: {data[at : at + 16].hex(' ')}")
        elements[tag] = value
        before = tag
        at += 8 + size
    if elements.get(0) != struct.pack("<I", len(data) - 12):
        raise ValueError(f"bad group length: {elements.get(0)!r} of {len(data)} bytes")
    return elements
