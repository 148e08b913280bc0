"""service.wording: the log texts, as DCMTK's dcmrecv 3.6.7 words them.

The expected lines were captured from it; `tests/parity` asks it again.
"""

import errno
import re
from dataclasses import replace
from pathlib import Path

import pytest

from dcmrecv.errors import (
    AssociationError,
    AssociationTimeout,
    PeerAborted,
    PeerClosed,
    ProtocolViolation,
    TransportError,
)
from dcmrecv.native import fault
from dcmrecv.native.fault import FaultCode
from dcmrecv.service import wording
from dcmrecv.service.receiver import Duplicate
from dcmrecv.service.wording import Ending, Peer, StoreReport
from dcmrecv.ul.negotiation import (
    REJECT_APPLICATION_CONTEXT,
    REJECT_CALLED_AE_TITLE,
    REJECT_CONGESTION,
    REJECT_LOCAL_LIMIT,
    REJECT_NO_CONTEXT,
)
from dcmrecv.ul.pdu import AssociationReject
from tests.builders import pdu

PEER = Peer("192.0.2.7", "MODALITY")


def report_of(
    status: int = 0xA700,
    fault_text: str = "",
    fault_errno: int = 0,
    path: str = "./CT.1.2",
) -> StoreReport:
    return StoreReport(
        message_id=9,
        context_id=3,
        status=status,
        path=path,
        fault_text=fault_text,
        fault_errno=fault_errno,
    )


# Bytes of the peer


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("STORESCU", "STORESCU"),
        ("  A B", "  A B"),
        ("\xc3\x84", "\u00c4"),
        ("\xe4", "\\xe4"),
        ("A\nI: forged", "A\\nI: forged"),
        ("\r\t\x1b[2J\x7f", "\\r\\t\\x1b[2J\\x7f"),
        ("\xe2\x80\xa8", "\\u2028"),
        ("A\\nB", "A\\nB"),
    ],
)
def test_bytes_of_the_peer_never_make_a_line(sent: str, shown: str) -> None:
    assert wording.printable(sent) == shown


def test_a_peer_is_named_as_far_as_it_is_known() -> None:
    assert str(Peer("192.0.2.7")) == "192.0.2.7"
    assert str(PEER) == "MODALITY at 192.0.2.7"


# The request


def test_a_request_that_fails_is_told_with_the_peer() -> None:
    assert wording.request_failed("DUL network read timeout", Peer("192.0.2.7")) == (
        "Could not receive association request: DUL network read timeout\n"
        "Connection with 192.0.2.7 ended without an association"
    )


def test_an_association_begins_with_both_titles() -> None:
    received = wording.association_received("localhost", " A\n", "B")
    assert received == "Association Received localhost:  A\\n -> B"


@pytest.mark.parametrize(
    ("reject", "why"),
    [
        (REJECT_APPLICATION_CONTEXT, "bad application context"),
        (REJECT_NO_CONTEXT, "no acceptable presentation contexts"),
        (REJECT_CALLED_AE_TITLE, "called AE title not recognized"),
        (REJECT_LOCAL_LIMIT, "2, 3, 2"),
    ],
)
def test_a_refusal_says_why(reject: object, why: str) -> None:
    refusing = wording.refusing(reject)  # type: ignore[arg-type]
    assert refusing == f"Refusing Association ({why})"


def test_another_protocol_version_is_told_in_hex() -> None:
    assert wording.unsupported_protocol(0x8002) == (
        "DUL Unsupported peer protocol 8002; expected 0001 in parseAssociate"
    )


def test_a_title_that_is_not_ours_is_told_with_ours() -> None:
    assert wording.title_not_recognized("STORE") == (
        "Called AE Title does not match configured AE Title: STORE"
    )


ODD = "ASSOC: PDV send length {} is odd (using {})"
SMALL = "ASSOC: PDV send length too small, using DUL to split larger PDVs."
DEFAULT = "ASSOC: PDV send length {} (using default)"


@pytest.mark.parametrize(
    ("announced", "largest", "warnings"),
    [
        (16_384, 16_372, []),
        (0, 131_060, []),
        (131_072, 131_060, []),
        (131_073, 131_060, []),
        (2**32 - 1, 131_060, []),
        (131_071, 131_058, [ODD.format(131_071, 131_070)]),
        (4_095, 4_082, [ODD.format(4_095, 4_094)]),
        (26, 14, []),
        (25, 12, [ODD.format(25, 24)]),
        (24, 12, []),
        (15, 4_084, [ODD.format(15, 14), SMALL]),
        (14, 4_084, [SMALL]),
        (13, 4_084, [ODD.format(13, 12), DEFAULT.format(0)]),
        (12, 4_084, [DEFAULT.format(0)]),
        (10, 4_084, [DEFAULT.format(-2)]),
    ],
)
def test_the_largest_pdv_follows_from_what_the_peer_announced(
    announced: int, largest: int, warnings: list[str]
) -> None:
    assert wording.max_send_pdv(announced) == (largest, tuple(warnings))
    assert wording.acknowledged(announced) == (
        f"Association Acknowledged (Max Send PDV: {largest})"
    )


def test_a_request_is_dumped_16_bytes_a_line() -> None:
    assert wording.received_pdu(bytes(range(1, 19))) == (
        "PDU Type: Associate Request, PDU Length: 12 + 6 bytes PDU header\n"
        "  01  02  03  04  05  06  07  08  09  0a  0b  0c  0d  0e  0f  10\n"
        "  11  12"
    )


def test_a_dump_of_the_longest_pdu_is_cut() -> None:
    request = pdu.associate_rq(further_items=[pdu.item(0x99, bytes(65_000))] * 16)
    dump = wording.received_pdu(request)
    missing = len(request) - wording.DUMPED_BYTES_MAX
    assert dump.endswith(f"\n  ({missing} bytes not shown)")
    assert len(dump) < 5 * wording.DUMPED_BYTES_MAX


def test_a_dump_ends_where_a_passcode_may_stand() -> None:
    identity = pdu.user_identity("anna", response_requested=False)
    dump = wording.received_pdu(pdu.associate_rq(user_items=[identity]))
    assert dump.endswith(f"\n  ({len(identity) - 4} bytes not shown)")
    assert b"anna".hex("x").replace("x", "  ") not in dump


# Messages


def test_an_echo_has_two_lines() -> None:
    assert wording.echoed(7) == (
        "Received C-ECHO Request (MsgID 7)",
        "Sending C-ECHO Response (Success)",
    )


def test_a_stored_object_has_its_lines() -> None:
    assert wording.store_received(9) == "Received C-STORE Request (MsgID 9)"
    assert wording.overwriting("./CT.1") == "file already exists, overwriting: ./CT.1"
    assert wording.stored("./CT.1") == "Stored received object to file: ./CT.1"


def test_every_fate_of_a_duplicate_has_its_line() -> None:
    fates = [fate for fate in Duplicate if fate is not Duplicate.NONE]
    lines = {wording.duplicate(fate, "./CT.1") for fate in fates}
    assert len(lines) == len(fates)
    assert all(re.fullmatch(r"file already .*: \./CT\.1", line) for line in lines)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0x0000, "Success"),
        (0x0111, "Refused: DuplicateSOPInstance"),
        (0xA700, "Refused: OutOfResources"),
        (0xC000, "Error: CannotUnderstand"),
        (0x0110, "0x0110"),
    ],
)
def test_a_response_is_told_by_its_status(status: int, text: str) -> None:
    assert wording.store_answered(status) == f"Sending C-STORE Response ({text})"


@pytest.mark.parametrize(
    ("reject", "text"),
    [
        (
            REJECT_NO_CONTEXT,
            "no acceptable presentation contexts, A-ASSOCIATE-RJ 1,1,1",
        ),
        (
            REJECT_CONGESTION,
            "the disk is full up to its reserve, A-ASSOCIATE-RJ 2,3,1",
        ),
        (REJECT_LOCAL_LIMIT, "A-ASSOCIATE-RJ 2,3,2"),
    ],
)
def test_a_rejection_names_the_peer_and_what_he_was_told(
    reject: AssociationReject, text: str
) -> None:
    assert wording.rejected(PEER, reject) == (
        f"Association with MODALITY at 192.0.2.7 refused: {text}"
    )


def test_a_message_block_has_what_is_known() -> None:
    lines = wording.message_block(report_of(status=0)).splitlines()
    assert "Presentation Context ID       : 3" in lines
    assert "Message ID                    : 9" in lines
    assert "DIMSE Status                  : 0x0000: Success" in lines


ANSWERED = "C-STORE Request (MsgID 9) of MODALITY at 192.0.2.7 answered with "


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (
            report_of(
                fault_text="Cannot write to file: No space left on device",
                fault_errno=errno.ENOSPC,
            ),
            "cannot store received object: ./CT.1.2: No space left on device",
        ),
        (
            report_of(fault_text="Pixel representation not found"),
            "cannot store received object: ./CT.1.2: Pixel representation not found",
        ),
        (
            report_of(fault_text="No unused file name after 9 tries", path=""),
            "cannot store received object: No unused file name after 9 tries",
        ),
        (
            report_of(
                fault_text="Cannot create directory: Permission denied",
                fault_errno=errno.EACCES,
                path="./data/2026/11/22/CT.1.2",
            ),
            "cannot create directory for received object: ./data/2026/11/22: "
            "Cannot create directory: Permission denied",
        ),
    ],
)
def test_an_object_that_cannot_be_written_is_told_with_file_and_reason(
    report: StoreReport, line: str
) -> None:
    assert wording.store_failed(report, PEER).splitlines() == [
        line,
        f"{ANSWERED}0xa700 (Refused: OutOfResources): {report.fault_text}",
    ]


def test_a_data_set_that_cannot_be_read_is_told_with_its_context() -> None:
    report = report_of(0xC000, "(0008,0016) at offset 0: data set ends inside")
    assert wording.store_failed(report, PEER).splitlines() == [
        "Unable to receive dataset on presentation context 3: "
        "(0008,0016) at offset 0: data set ends inside",
        "Unable to receive C-STORE dataset on presentation context 3",
        f"{ANSWERED}0xc000 (Error: CannotUnderstand): {report.fault_text}",
    ]


def test_our_own_line_says_which_object_it_was() -> None:
    """Its file need not be called after it; and a line is not for a peer to break."""
    report = StoreReport(
        message_id=9,
        context_id=3,
        status=0xA700,
        path="./CT.X.2.25.7",
        fault_text="Disk is full up to its reserve",
        sop_instance="1.2.\nE: 3",
    )
    assert wording.store_failed(report, PEER).endswith(
        f"{ANSWERED}0xa700 (Refused: OutOfResources): "
        "Disk is full up to its reserve (SOP instance 1.2.\\nE: 3)"
    )


def test_an_end_inside_a_data_set_says_whose_it_was() -> None:
    for error in (ProtocolViolation("Bad", abort=(2, 6)), PeerClosed("Closed")):
        ending = Ending(error=error, context_id=3, sop_instance="1.2.3")
        line = wording.ended(ending, PEER)
        assert line is not None
        assert line.endswith(f": {error} (SOP instance 1.2.3)")
    line = wording.data_set_released(3, PEER, "1.2.3")
    assert line.endswith(
        "Peer asked for release inside a data set (SOP instance 1.2.3)"
    )


def test_an_empty_data_set_is_told_in_our_own_line_only() -> None:
    """The original answers it without a word."""
    assert wording.store_failed(report_of(0xC000, "Data set is empty"), PEER) == (
        ANSWERED + "0xc000 (Error: CannotUnderstand): Data set is empty"
    )


# The end

LOST = "0006:0317 Peer aborted Association (or never connected)"
TIMEOUT = "DIMSE No data available (timeout in non-blocking mode)"
WHO = "Association with MODALITY at 192.0.2.7"


def ending_of(
    error: AssociationError,
    code: FaultCode,
    a: int = 0,
    b: int = 0,
    *,
    context_id: int | None = None,
    is_store: bool = True,
) -> Ending:
    return Ending(
        error=error, context_id=context_id, fault=(code, a, b), is_store=is_store
    )


CLOSED = ending_of(PeerClosed("Peer closed the connection"), FaultCode.PEER_CLOSED)
ABORTED = ending_of(PeerAborted("Peer aborted"), FaultCode.PEER_ABORTED)


@pytest.mark.parametrize(
    ("ending", "reasons"),
    [
        (CLOSED, [LOST]),
        (ABORTED, [LOST]),
        (
            ending_of(AssociationTimeout(TIMEOUT, "DIMSE"), FaultCode.DIMSE_TIMEOUT),
            [f"0006:0207 {TIMEOUT}"],
        ),
        (
            ending_of(ProtocolViolation("Bad"), FaultCode.PDV_CONTEXT, 99),
            [
                "0006:020d DIMSE Failed to receive message",
                "0006:0101 ASC Bad presentation context ID",
            ],
        ),
        (
            ending_of(ProtocolViolation("Kind"), FaultCode.PDV_KIND, 1),
            ["0006:020f DIMSE Unexpected PDV type"],
        ),
        (
            ending_of(ProtocolViolation("Illegal PDV"), FaultCode.PDV_LENGTH),
            ["Illegal PDV"],
        ),
    ],
)
def test_a_lost_data_set_is_told_with_its_context(
    ending: Ending, reasons: list[str]
) -> None:
    lost = wording.data_set_lost(replace(ending, context_id=3))
    assert lost is not None
    assert lost.splitlines() == [
        f"Unable to receive dataset on presentation context 3: {reasons[0]}",
        *reasons[1:],
        "Unable to receive C-STORE dataset on presentation context 3",
    ]
    assert wording.data_set_lost(ending) is None


def test_a_data_set_on_another_context_is_told_by_both() -> None:
    text = "Presentation Context ID of command (3) and data set (5) differs"
    ending = ending_of(
        ProtocolViolation(text), FaultCode.CONTEXT_DIFFERS, 3, 5, context_id=3
    )
    assert wording.data_set_lost(ending) == text


def test_a_release_inside_a_data_set_is_told_with_the_peer() -> None:
    assert wording.data_set_released(3, PEER, "").splitlines() == [
        "Unable to receive dataset on presentation context 3: "
        "0006:0319 DUL Peer Requested Release",
        "Unable to receive C-STORE dataset on presentation context 3",
        f"{WHO} ended: Peer asked for release inside a data set",
    ]


VALUE = ProtocolViolation("Command set: impossible value", abort=(0, 0))


@pytest.mark.parametrize(
    ("tag", "size", "is_store", "warning"),
    [
        (0x0800, 0, True, "C-Store RQ: DataSetType == NULL"),
        (0x0800, 0, False, "C-Echo RQ: DataSetType != NULL"),
        (0x1000, 0, True, "C-Store RQ: AffectedSOPInstanceUID: bad size"),
        (0x1000, 65, True, None),
        (0x0002, 0, True, None),
    ],
)
def test_some_impossible_values_are_warned_of(
    tag: int, size: int, is_store: bool, warning: str | None
) -> None:
    ending = ending_of(VALUE, FaultCode.COMMAND_VALUE, tag, size, is_store=is_store)
    whole = None if warning is None else f"DIMSE Warning: (A\\n,B): {warning}"
    assert wording.dimse_warning(ending, "A\n", "B") == whole


def test_another_fault_is_not_warned_of() -> None:
    ending = ending_of(VALUE, FaultCode.COMMAND_MISSING, 0x0800)
    assert wording.dimse_warning(ending, "A", "B") is None


@pytest.mark.parametrize("ending", [CLOSED, ABORTED])
def test_a_peer_that_leaves_between_two_messages_is_no_error(ending: Ending) -> None:
    assert wording.ended(ending, PEER) is None
    assert wording.ended(replace(ending, context_id=3), PEER) == (
        f"{WHO} ended: {ending.error}"
    )


def test_a_broken_connection_is_told_with_the_peer() -> None:
    error = TransportError("Cannot read from the connection: reset")
    ending = ending_of(error, FaultCode.SOCKET_READ)
    assert wording.ended(ending, PEER) == f"{WHO} ended: {error}"


def test_an_abort_of_ours_is_told_with_the_peer() -> None:
    ending = ending_of(VALUE, FaultCode.COMMAND_VALUE)
    assert wording.ended(ending, PEER) == f"{WHO} aborted: {VALUE}"


COMMAND = (
    "cannot handle this kind of DIMSE command (0x{:04x}), we are a Storage SCP only"
)


@pytest.mark.parametrize(
    ("field", "incomplete", "told"),
    [
        (0x0020, 0, True),
        (0x8020, 0, True),
        (0x0FFF, 0, True),
        (0x0020, 1, False),
        (0x4321, 0, False),
    ],
)
def test_an_unsupported_command_keeps_the_originals_line(
    field: int, incomplete: int, told: bool
) -> None:
    line = COMMAND.format(field)
    error = ProtocolViolation(line, abort=(0, 0))
    ending = ending_of(error, FaultCode.COMMAND_FIELD, field, incomplete)
    own = f"{WHO} aborted: unsupported DIMSE command (0x{field:04x})"
    assert wording.ended(ending, PEER) == (f"{line}\n{own}" if told else own)


def test_a_refusal_and_a_fault_of_ours_name_the_peer() -> None:
    assert wording.association_refused(PEER, "x") == f"x\n{WHO} refused"
    assert wording.internal_error(PEER) == f"{WHO} aborted: internal error"


def test_every_fault_code_is_the_data_planes() -> None:
    """native/fault.pyi says to type checkers what the extension has."""
    stub = Path(fault.__file__).with_name("fault.pyi").read_text()
    listed = re.findall(r"^    ([A-Z_]+) = (\d+)$", stub, re.MULTILINE)
    assert {name: int(value) for name, value in listed} == {
        code.name: int(code) for code in FaultCode
    }
