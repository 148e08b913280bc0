"""Every text about associations that users may grep, in DCMTK's wording; pure.

Owns the log texts, from values to strings; what ours adds to DCMTK's lines always names
the peer. Never logs and never decides. Bytes of the peer are made printable here, so
that nobody can forge a line.
"""

import os
import os.path
from collections.abc import Mapping
from dataclasses import dataclass

from dcmrecv.config.loglines import Lines
from dcmrecv.dimse.status import Status
from dcmrecv.errors import AssociationError, PeerAborted, PeerClosed
from dcmrecv.native.fault import FaultCode
from dcmrecv.service.receiver import Duplicate
from dcmrecv.ul.items import secret_at
from dcmrecv.ul.negotiation import (
    REJECT_APPLICATION_CONTEXT,
    REJECT_CALLED_AE_TITLE,
    REJECT_CONGESTION,
    REJECT_NO_CONTEXT,
    Note,
)
from dcmrecv.ul.pdu import (
    AssociationReject,
)

# DCMTK never sends larger PDUs, and 12 bytes of each are headers.
_SEND_PDU_MAX = 131_072
_SEND_PDU_DEFAULT = 4_096
_PDU_OVERHEAD = 12
_SEND_PDV_MIN = 12

# Of a PDU, at level debug. A usual A-ASSOCIATE-RQ has less; the longest would make the
# log grow by four times its size, and the worker beyond what SECURITY.md says.
DUMPED_BYTES_MAX = 32_768

_ITEMS_AT = 74  # of an A-ASSOCIATE-RQ: behind the header, titles and reserved bytes

INCOMING_REQUEST = "Incoming Association Request:"
NO_ACCEPTABLE_CONTEXTS = "No Acceptable Presentation Contexts"
RELEASE_RECEIVED = "Received Association Release Request"
ABORT_RECEIVED = "Received Association Abort Request"
ASSOCIATION_TERMINATED = "DcmSCP: Association Terminated\n+++++++++++++++++++++++++++++"

ROLES_EMPTY = "DULFSM: both role fields are 0 in SCP/SCU role selection sub-item"
NETWORK_CLOSED = "DUL network closed"
READ_TIMEOUT = "DUL network read timeout"

NOTES = {
    Note.DEFAULT_ROLE_REFUSED: (
        "ASSOC: SCP/SCU role selection failed, Default role (i.e. SCU) proposed but "
        "only SCP role configured for acceptance"
    ),
    Note.ROLE_SET_TO_NONE: (
        "setting accepted SCP/SCU role to NONE, i.e. both role fields are 0 in "
        "SCP/SCU role selection sub-item"
    ),
}

_REFUSALS = {
    REJECT_APPLICATION_CONTEXT: "bad application context",
    REJECT_CALLED_AE_TITLE: "called AE title not recognized",
    REJECT_CONGESTION: "the disk is full up to its reserve",
    REJECT_NO_CONTEXT: "no acceptable presentation contexts",
}

# What DCMTK says about a connection without any PDU that it knows as a request.
NOTHING_RECEIVED = "Refusing Association (bad application context)"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: the calling AE title as sent, "" before it is known."""

    address: str
    calling_ae_title: str = ""

    def __str__(self) -> str:
        if not self.calling_ae_title:
            return self.address
        return f"{printable(self.calling_ae_title)} at {self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreReport:
    """A C-STORE-RQ that has been answered."""

    message_id: int
    context_id: int
    status: int
    path: str  # "" when there is no file
    fault_text: str = ""  # "" when there was no fault
    fault_errno: int = 0  # 0 when no system call is to blame
    sop_instance: str = ""  # as sent
    bit_preserving: bool = False  # whose failures DCMTK words in another way


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an association ended otherwise than by release.

    `fault` is the FaultCode of the data plane with its two numbers, `context_id` the
    presentation context of a data set that was under way, None if none was, and
    `sop_instance` whose it was, as sent.
    """

    error: AssociationError
    context_id: int | None = None
    sop_instance: str = ""
    fault: tuple[int, int, int] = (FaultCode.NO_FAULT, 0, 0)
    is_store: bool = False


def printable(text: str) -> str:
    """What the peer sent as text, one byte a character, fit for one line of a log."""
    shown = text.encode("latin-1").decode("utf-8", "backslashreplace")
    if shown.isprintable():
        return shown
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape").decode("ascii")
        for character in shown
    )


# The association request


def association_received(host: str, calling: str, called: str) -> str:
    """The first line about a connection; titles as sent, without padding."""
    return f"Association Received {host}: {printable(calling)} -> {printable(called)}"


def request_failed(reason: str, peer: Peer) -> str:
    """No association request could be read."""
    return (
        f"Could not receive association request: {reason}\n"
        f"Connection with {peer} ended without an association"
    )


def request_too_large(size: int) -> str:
    """The A-ASSOCIATE-RQ announces more than anybody needs."""
    return f"A-ASSOCIATE PDU too large: {size} bytes, refusing."


def unsupported_protocol(version: int) -> str:
    """The reason why a request of another protocol version is no request."""
    return (
        f"DUL Unsupported peer protocol {version:04x}; expected 0001 in parseAssociate"
    )


def title_not_recognized(ae_title: str) -> str:
    """The called AE title is not ours, `ae_title`."""
    return f"Called AE Title does not match configured AE Title: {ae_title}"


def refusing(reject: AssociationReject) -> str:
    """The last line about a refused association."""
    why = _REFUSALS.get(reject, f"{reject.result}, {reject.source}, {reject.reason}")
    return f"Refusing Association ({why})"


def rejected(peer: Peer, reject: AssociationReject) -> str:
    """Who was refused why, and what he was told; a line of ours."""
    told = f"A-ASSOCIATE-RJ {reject.result},{reject.source},{reject.reason}"
    why = _REFUSALS.get(reject)
    return f"Association with {peer} refused: {f'{why}, ' if why else ''}{told}"


def max_send_pdv(max_length: int) -> tuple[int, tuple[str, ...]]:
    """How much DCMTK would put into a PDV for this peer.

    Args:
        max_length: bytes, as the peer announced; 0 for no limit.

    Returns:
        Bytes of data in a PDV, and the warnings about a strange announcement.
    """
    size = min(max_length, _SEND_PDU_MAX) or _SEND_PDU_MAX
    warnings: list[str] = []
    if size % 2:
        warnings.append(f"ASSOC: PDV send length {size} is odd (using {size - 1})")
        size -= 1
    largest = size - _PDU_OVERHEAD
    if largest < _SEND_PDV_MIN:
        warnings.append(
            f"ASSOC: PDV send length {largest} (using default)"
            if largest < 1
            else "ASSOC: PDV send length too small, using DUL to split larger PDVs."
        )
        largest = _SEND_PDU_DEFAULT - _PDU_OVERHEAD
    return largest, tuple(warnings)


def acknowledged(max_length: int) -> str:
    """The association stands; `max_length` as the peer announced it."""
    return f"Association Acknowledged (Max Send PDV: {max_send_pdv(max_length)[0]})"


def received_pdu(data: bytes) -> str:
    """An A-ASSOCIATE-RQ byte by byte, for level debug."""
    lines = [
        f"PDU Type: Associate Request, PDU Length: {len(data) - 6} + 6 bytes PDU header"
    ]
    # Differs: DCMTK shows a passcode, too, and every byte of the longest PDU.
    shown = min(len(data), _ITEMS_AT + secret_at(data[_ITEMS_AT:]), DUMPED_BYTES_MAX)
    for at in range(0, shown, 16):
        lines.append(
            "".join(f"  {byte:02x}" for byte in data[at : min(at + 16, shown)])
        )
    if shown < len(data):
        lines.append(f"  ({len(data) - shown} bytes not shown)")
    return "\n".join(lines)


# Messages


# DCMTK says nothing about this fault of an object, the peer hears of it all the same.
_EMPTY = "Data set is empty"
_DUPLICATE = Status.DUPLICATE_SOP_INSTANCE


def _status(status: int) -> str:
    if status == 0:
        return "Success"
    if status >> 8 == 0xA7:
        return "Refused: OutOfResources"
    if status >> 12 == 0xC:
        return "Error: CannotUnderstand"
    if status == _DUPLICATE:
        return "Refused: DuplicateSOPInstance"
    return f"0x{status:04x}"


def echoed(message_id: int) -> tuple[str, str]:
    """The lines about a C-ECHO-RQ: received, answered."""
    return (
        f"Received C-ECHO Request (MsgID {message_id})",
        "Sending C-ECHO Response (Success)",
    )


def store_received(message_id: int | str) -> str:
    """A C-STORE-RQ came, with this Message ID or what stands for one."""
    return f"Received C-STORE Request (MsgID {message_id})"


def overwriting(path: str) -> str:
    """The object replaced another one."""
    return f"file already exists, overwriting: {path}"


_DUPLICATES = {
    Duplicate.OLDER_KEPT: "file already exists, object dropped",
    Duplicate.OLDER_IS_SAME: "file already holds the same object",
    Duplicate.BOTH_KEPT: "file already exists, object stored beside it",
    Duplicate.BOTH_DIFFER: "file already holds another object, stored beside it",
}


def duplicate(kind: Duplicate, path: str) -> str:
    """The object's file existed and was not replaced; `path` is where it is now."""
    return f"{_DUPLICATES[kind]}: {path}"


def stored(path: str) -> str:
    """The object is whole under its name."""
    return f"Stored received object to file: {path}"


def store_answered(status: int) -> str:
    """The C-STORE-RSP went out."""
    return f"Sending C-STORE Response ({_status(status)})"


def routine(message_id: int | str, path: str) -> Lines:
    """All that is said of an object that is just stored."""
    return Lines(store_received(message_id), stored(path), store_answered(0))


def store_failed(report: StoreReport, peer: Peer) -> str:
    """Why an object was not stored, what the peer was told, and who the peer is."""
    lines: list[str] = []
    if report.fault_errno and report.bit_preserving:
        lines += _unreadable(report.context_id, _cannot_fill(report))
    elif report.status >> 8 == 0xA7 or report.fault_errno:
        lines.append(_cannot_store(report))
    elif report.fault_text != _EMPTY and report.status != _DUPLICATE:
        lines += _unreadable(report.context_id, report.fault_text)
    lines.append(
        f"C-STORE Request (MsgID {report.message_id}) of {peer} answered with "
        f"0x{report.status:04x} ({_status(report.status)}): "
        f"{_with_instance(report.fault_text, report.sop_instance)}"
    )
    return "\n".join(lines)


def message_block(report: StoreReport) -> str:
    """A C-STORE-RQ and its answer, for level debug."""
    return (
        "===================== INCOMING DIMSE MESSAGE ====================\n"
        "Message Type                  : C-STORE RQ\n"
        f"Presentation Context ID       : {report.context_id}\n"
        f"Message ID                    : {report.message_id}\n"
        "Data Set                      : present\n"
        f"DIMSE Status                  : 0x{report.status:04x}: "
        f"{_status(report.status)}\n"
        "======================= END DIMSE MESSAGE ======================="
    )


def _cannot_store(report: StoreReport) -> str:
    if report.fault_text.startswith("Cannot create directory"):
        directory = os.path.dirname(report.path)
        return (
            f"cannot create directory for received object: {directory}: "
            f"{report.fault_text}"
        )
    # DCMTK names the file and the system's reason only.
    errno = report.fault_errno
    reason = os.strerror(errno) if errno else report.fault_text
    if not report.path:
        return f"cannot store received object: {reason}"
    return f"cannot store received object: {report.path}: {reason}"


def _cannot_fill(report: StoreReport) -> str:
    """What DCMTK says of a file into which a data set goes as it comes."""
    if report.fault_text.startswith(("Cannot write", "Cannot close")):
        return "0006:020a DIMSE receiveDataSetInFile: Cannot write to file"
    return f"0006:020a DIMSE createFilestream: cannot create file '{report.path}'"


def _unreadable(context_id: int, reason: str) -> list[str]:
    return [
        f"Unable to receive dataset on presentation context {context_id}: {reason}",
        f"Unable to receive C-STORE dataset on presentation context {context_id}",
    ]


# The end


def _with_instance(reason: str, sop_instance: str) -> str:
    """Which object it was, if it was one: file names do not always tell."""
    if not sop_instance:
        return reason
    return f"{reason} (SOP instance {printable(sop_instance)})"


def data_set_released(context_id: int, peer: Peer, sop_instance: str) -> str:
    """The peer asked for release before the data set had ended."""
    lines = _unreadable(context_id, "0006:0319 DUL Peer Requested Release")
    reason = _with_instance("Peer asked for release inside a data set", sop_instance)
    lines.append(association_lost(peer, reason))
    return "\n".join(lines)


# What DCMTK says when a data set cannot go on, by what the data plane found.
_DATA_SET_REASONS: Mapping[int, str] = {
    FaultCode.PDV_CONTEXT: (
        "0006:020d DIMSE Failed to receive message\n"
        "0006:0101 ASC Bad presentation context ID"
    ),
    FaultCode.PDV_KIND: "0006:020f DIMSE Unexpected PDV type",
    FaultCode.PEER_CLOSED: "0006:0317 Peer aborted Association (or never connected)",
    FaultCode.PEER_ABORTED: "0006:0317 Peer aborted Association (or never connected)",
    FaultCode.DIMSE_TIMEOUT: (
        "0006:0207 DIMSE No data available (timeout in non-blocking mode)"
    ),
}


def data_set_lost(ending: Ending) -> str | None:
    """The association ended inside a data set; None if there was none."""
    if ending.context_id is None:
        return None
    code = ending.fault[0]
    if code == FaultCode.CONTEXT_DIFFERS:
        return str(ending.error)
    reason = _DATA_SET_REASONS.get(code, str(ending.error))
    return "\n".join(_unreadable(ending.context_id, reason))


_DATA_SET_TYPE = 0x0800
_AFFECTED_SOP_INSTANCE_UID = 0x1000


def dimse_warning(ending: Ending, calling: str, called: str) -> str | None:
    """What is wrong with a request that DCMTK warns of; titles as sent.

    It warns of an empty UID, but not of one that is too long.
    """
    code, tag, size = ending.fault
    if code != FaultCode.COMMAND_VALUE or size != 0:
        return None
    what = {
        (True, _DATA_SET_TYPE): "C-Store RQ: DataSetType == NULL",
        (False, _DATA_SET_TYPE): "C-Echo RQ: DataSetType != NULL",
        (True, _AFFECTED_SOP_INSTANCE_UID): (
            "C-Store RQ: AffectedSOPInstanceUID: bad size"
        ),
    }.get((ending.is_store, tag))
    if what is None:
        return None
    return f"DIMSE Warning: ({printable(calling)},{printable(called)}): {what}"


# PS3.7 Annex E. DCMTK keeps silent about a command field that does not exist, and about
# a command that lacks an element.
_COMMAND_FIELDS = frozenset(
    request | response
    for request in (
        *(0x0001, 0x0010, 0x0020, 0x0021, 0x0030),
        *(0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150),
    )
    for response in (0, 0x8000)
) | {0x0FFF}


def ended(ending: Ending, peer: Peer) -> str | None:
    """Who broke the association off and why; None for an end that DCMTK takes calmly.

    A peer that aborts or closes between two messages is no error.
    """
    error = ending.error
    if error.abort is None:
        if ending.context_id is None and isinstance(error, PeerAborted | PeerClosed):
            return None
        return association_lost(peer, _with_instance(str(error), ending.sop_instance))
    code, field, incomplete = ending.fault
    if code != FaultCode.COMMAND_FIELD:
        reason = _with_instance(str(error), ending.sop_instance)
        return association_aborted(peer, reason)
    reason = f"unsupported DIMSE command (0x{field:04x})"
    line = association_aborted(peer, reason)
    if incomplete or field not in _COMMAND_FIELDS:
        return line
    return f"{error}\n{line}"


def association_refused(peer: Peer, reason: str) -> str:
    """A request that DCMTK would not answer at all got an A-ABORT."""
    return f"{reason}\nAssociation with {peer} refused"


def association_aborted(peer: Peer, reason: str) -> str:
    """We sent an A-ABORT."""
    return f"Association with {peer} aborted: {reason}"


def association_lost(peer: Peer, reason: str) -> str:
    """The peer ended the association without a release."""
    return f"Association with {peer} ended: {reason}"


def internal_error(peer: Peer) -> str:
    """A fault of ours; the traceback follows."""
    return f"Association with {peer} aborted: internal error"
