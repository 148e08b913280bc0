"""What a peer does that the standard forbids and that does no harm.

Owns the kinds, their names in the log, and the search for those of an A-ASSOCIATE-RQ.
Never decides whether something is tolerated. What does harm is a ProtocolViolation of
the module that finds it.
"""

import re
import struct
from collections import Counter
from collections.abc import Mapping
from enum import Enum

from dcmrecv.errors import ProtocolViolation
from dcmrecv.ul.items import AbortReason, AbortSource, ItemType, ItemWalk
from dcmrecv.ul.pdu import AE_TITLE_BYTES, HEADER_BYTES

_CALLED_AT = HEADER_BYTES + 4
_ITEMS_AT = HEADER_BYTES + 68
_VERSION_NAME_BYTES_MAX = 16


class Oddity(Enum):
    """One kind; the value is its name in the log."""

    # Of an A-ASSOCIATE-RQ.
    AE_TITLE = "AE title with other than printable characters"
    UID = "UID padded or malformed in the A-ASSOCIATE-RQ"
    CONTEXT_ID = "presentation context id even or repeated"
    MISSING_ITEM = "mandatory item missing"
    REPEATED_ITEM = "item repeated"
    VERSION_NAME = "implementation version name empty or longer than 16 bytes"
    # Of what follows; counted by the PDataReader and the StoreReceiver.
    ODD_FRAGMENT = "fragment of odd length"
    EMPTY_PDU = "P-DATA-TF without a PDV"
    LONG_PDU = "PDU longer than announced"
    COMMAND_UID = "UID padded or malformed in a command set"


# PS3.5 section 9.1: no component begins with a zero that is not the whole of it.
_UID = re.compile(rb"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
_UID_BYTES_MAX = 64

# PS3.5 Table 6.2-1, AE: the default repertoire without backslash and controls.
_TITLE = re.compile(rb"[\x20-\x5b\x5d-\x7e]*")

_ONCE_IN_PDU = (ItemType.APPLICATION_CONTEXT, ItemType.USER_INFORMATION)
_ONCE_IN_USER_INFORMATION = (
    ItemType.MAXIMUM_LENGTH,
    ItemType.IMPLEMENTATION_CLASS_UID,
    ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW,
    ItemType.IMPLEMENTATION_VERSION_NAME,
    ItemType.USER_IDENTITY,
)
# PS3.8 Table 9-11; PS3.8 Annex D.1 and PS3.7 section D.3.3.2.
_MANDATORY = (
    *_ONCE_IN_PDU,
    ItemType.MAXIMUM_LENGTH,
    ItemType.IMPLEMENTATION_CLASS_UID,
)


def _is_uid(body: bytes) -> bool:
    return len(body) <= _UID_BYTES_MAX and _UID.fullmatch(body) is not None


class _Search:
    """One A-ASSOCIATE-RQ."""

    def __init__(self) -> None:
        self.found: Counter[Oddity] = Counter()
        self._seen: Counter[int] = Counter()
        self._ids: set[int] = set()
        self._items = ItemWalk()

    def look(self, pdu: bytes) -> None:
        titles = pdu[_CALLED_AT : _CALLED_AT + 2 * AE_TITLE_BYTES]
        for at in (0, AE_TITLE_BYTES):
            if not _TITLE.fullmatch(titles, at, at + AE_TITLE_BYTES):
                self.found[Oddity.AE_TITLE] += 1
        for kind, body in self._items.split(pdu[_ITEMS_AT:]):
            self._seen[kind] += 1
            if kind == ItemType.APPLICATION_CONTEXT:
                self._look_at_uid(body)
            elif kind == ItemType.PRESENTATION_CONTEXT_RQ:
                self._look_at_context(body)
            elif kind == ItemType.USER_INFORMATION:
                self._look_at_user_information(body)
        for kind in _MANDATORY:
            if not self._seen[kind]:
                self.found[Oddity.MISSING_ITEM] += 1
        for kind in (*_ONCE_IN_PDU, *_ONCE_IN_USER_INFORMATION):
            if self._seen[kind] > 1:
                self.found[Oddity.REPEATED_ITEM] += 1

    def _look_at_uid(self, body: bytes) -> None:
        if not _is_uid(body):
            self.found[Oddity.UID] += 1

    def _look_at_context(self, body: bytes) -> None:
        context_id = body[0]
        if context_id % 2 == 0 or context_id in self._ids:
            self.found[Oddity.CONTEXT_ID] += 1
        self._ids.add(context_id)
        abstract_syntaxes = 0
        for kind, sub_body in self._items.split(body[4:]):
            if kind in (ItemType.ABSTRACT_SYNTAX, ItemType.TRANSFER_SYNTAX):
                self._look_at_uid(sub_body)
            abstract_syntaxes += kind == ItemType.ABSTRACT_SYNTAX
        if abstract_syntaxes > 1:
            self.found[Oddity.REPEATED_ITEM] += 1
        elif not abstract_syntaxes:
            self.found[Oddity.MISSING_ITEM] += 1

    def _look_at_user_information(self, body: bytes) -> None:
        for kind, sub_body in self._items.split(body):
            self._seen[kind] += 1
            if kind == ItemType.IMPLEMENTATION_CLASS_UID:
                self._look_at_uid(sub_body)
            elif kind == ItemType.IMPLEMENTATION_VERSION_NAME:
                is_odd = not 1 <= len(sub_body) <= _VERSION_NAME_BYTES_MAX
                self.found[Oddity.VERSION_NAME] += is_odd


def oddities_of(pdu: bytes) -> Mapping[Oddity, int]:
    """What is odd about an A-ASSOCIATE-RQ that has been decoded.

    Args:
        pdu: with its header; `ul.pdu.decode` has read it without complaint.

    Returns:
        How often each kind occurs; empty for a good one. Of a request of another
        protocol version only the version is known, and nothing is looked at.

    Source:
        PS3.8 section 9.3.2 and Annex D, PS3.7 section D.3.3.
    """
    search = _Search()
    (version,) = struct.unpack_from(">H", pdu, HEADER_BYTES)
    if version & 1:
        search.look(pdu)
    return +search.found


def refuse(found: Mapping[Oddity, int]) -> None:
    """End an association at the first of these.

    Raises:
        ProtocolViolation: there is one; PS3.8 Table 9-26 has the reason.
    """
    for oddity in found:
        reason = AbortReason.INVALID_PARAMETER_VALUE
        if oddity is Oddity.REPEATED_ITEM:
            reason = AbortReason.UNEXPECTED_PARAMETER
        raise ProtocolViolation(
            f"not tolerated: {oddity.value}",
            abort=(AbortSource.SERVICE_PROVIDER, reason),
        )


def tolerated(counts: Mapping[Oddity, int]) -> str:
    """The kinds with their numbers, for the log; "" when there are none."""
    return ", ".join(f"{n} x {oddity.value}" for oddity, n in counts.items() if n)
