"""service.association: from an A-ASSOCIATE-RQ to the closed connection.

The data plane is a script of outcomes where the test is about what surrounds it, and
the real one where clients of others talk to it.
"""

import logging
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pynetdicom import AE

from dcmrecv.config.settings import (
    VERIFICATION_PROFILE,
    AssociationProfile,
    ProfileContext,
    Settings,
    StorageMode,
)
from dcmrecv.errors import (
    AssociationError,
    AssociationTimeout,
    PeerAborted,
    PeerClosed,
    ProtocolViolation,
    TransportError,
)
from dcmrecv.native.fault import FaultCode
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.association import PREPARED_REJECT
from dcmrecv.service.associations import AssociationService
from dcmrecv.service.plan import AcceptedContext
from dcmrecv.service.receiver import Duplicate, Outcome
from tests.builders import command, data_set, pdu
from tests.builders.pdu import ProposedContext
from tests.builders.serving import (
    Interruption,
    Lines,
    Nobody,
    ScriptedReceiver,
    Served,
    Step,
    logged,
    serving_with,
    settings_of,
)
from tests.builders.uids import (
    CT_IMAGE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    MR_IMAGE,
    UNKNOWN_CLASS,
    VERIFICATION,
)
from tests.peers.scu import AssociateReject, RawScu

CLIENT_DEADLINE_S = 30

PROFILE = AssociationProfile(
    (
        ProfileContext(VERIFICATION, (IMPLICIT_LE,)),
        ProfileContext(CT_IMAGE, (EXPLICIT_LE, IMPLICIT_LE)),
    )
)
CONTEXTS = (
    ProposedContext(1, CT_IMAGE, (IMPLICIT_LE, EXPLICIT_LE)),
    ProposedContext(3, UNKNOWN_CLASS),
    ProposedContext(5, VERIFICATION),
)


@pytest.fixture
def log() -> Iterator[Callable[[int], Lines]]:
    """Turn the log on at a level, until the end of the test."""
    with ExitStack() as stack:
        yield lambda level: stack.enter_context(logged(level))


def serving(
    settings: Settings,
    receiver: ScriptedReceiver | None = None,
    *,
    profile: AssociationProfile = PROFILE,
    interrupts: Interruption | None = None,
    patience_s: float = 5.0,
) -> AbstractContextManager[Served]:
    """A service with the profile of these tests."""
    return serving_with(
        settings,
        receiver,
        profile=profile,
        interrupts=interrupts,
        patience_s=patience_s,
    )


def read_all(scu: RawScu) -> bytes:
    """Everything until we close."""
    data = b""
    while piece := scu.connection.recv(65_536):
        data += piece
    return data


def test_the_prepared_reject_says_local_limit_exceeded() -> None:
    """PS3.8 Table 9-21: transient, by the presentation provider; DECISIONS row 1."""
    assert PREPARED_REJECT == b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02"


# The handshake


def test_an_accepted_association_is_handed_to_the_data_plane() -> None:
    receiver = ScriptedReceiver()
    ahead = pdu.message(5, command.c_echo_rq())
    with (
        serving(settings_of(max_pdu=8_192), receiver) as served,
        RawScu(served.port) as scu,
    ):
        request = pdu.associate_rq(CONTEXTS, calling=" MODALITY", max_pdu=20_000)
        answer = scu.request_association(request + ahead)
        assert not isinstance(answer, AssociateReject)
        assert answer.max_pdu == 8_192
        assert answer.contexts == {
            1: (0, EXPLICIT_LE),
            3: (3, IMPLICIT_LE),
            5: (0, IMPLICIT_LE),
        }
        assert scu.ending() == "release"
    (begun,) = receiver.begun
    assert begun.pop("fd") > 2
    plan = begun.pop("plan")
    assert plan.contexts == (
        AcceptedContext(1, CT_IMAGE, EXPLICIT_LE),
        AcceptedContext(5, VERIFICATION, IMPLICIT_LE),
    )
    assert plan.calling_ae_title == " MODALITY"
    assert begun == {
        "max_pdu": 8_192,
        "peer_max_pdu": 20_000,
        "dimse_timeout_s": 5,
        "received": ahead,
        "report": False,
        "journal": None,
        "strict": False,
        "min_rate": 0,
        "engine": None,
    }
    assert (receiver.watched, receiver.ended) == ([()], 1)
    assert served.slot.get("associations") == 1
    assert served.slot.get("aborted") == served.slot.get("refused") == 0


def test_every_message_is_reported_when_somebody_reads_the_log(
    log: Callable[[int], Lines],
) -> None:
    log(logging.INFO)
    receiver = ScriptedReceiver()
    with (
        serving(settings_of(), receiver) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1])
        assert scu.ending() == "release"
    assert receiver.begun[0]["report"] is True


@pytest.mark.parametrize(
    ("wire", "answer"),
    [
        (pdu.associate_rq([CONTEXTS[1]]), AssociateReject(1, 1, 1)),
        (pdu.associate_rq([]), AssociateReject(1, 1, 1)),
        (pdu.associate_rq(application_context="1.2"), AssociateReject(2, 1, 2)),
        (pdu.associate_rq(protocol_version=2), AssociateReject(1, 2, 2)),
    ],
)
def test_a_rejected_association_never_reaches_the_data_plane(
    wire: bytes, answer: AssociateReject
) -> None:
    receiver = ScriptedReceiver()
    with serving(settings_of(), receiver) as served, RawScu(served.port) as scu:
        assert scu.request_association(wire) == answer
        assert scu.is_closed()
    assert receiver.begun == []
    assert served.slot.get("refused") == 1
    assert served.slot.get("associations") == served.slot.get("aborted") == 0


def test_a_called_title_that_is_not_ours_is_rejected(
    log: Callable[[int], Lines],
) -> None:
    """DECISIONS row 9, spec section 11."""
    lines = log(logging.WARNING)
    with serving(settings_of(ae_title="STORE"), ScriptedReceiver()) as served:
        with RawScu(served.port) as scu:
            request = pdu.associate_rq(CONTEXTS, called="OTHER", calling="ME")
            assert scu.request_association(request) == AssociateReject(1, 1, 7)
            assert scu.is_closed()
        with RawScu(served.port) as scu:
            scu.associate(CONTEXTS[:1], called="STORE")
            assert scu.ending() == "release"
    assert lines.lines == [
        "E: Called AE Title does not match configured AE Title: STORE",
        "E: Association with ME at 127.0.0.1 refused: called AE title not recognized, "
        "A-ASSOCIATE-RJ 1,1,7",
    ]


def test_a_refused_title_is_told_in_the_words_of_later_versions(
    log: Callable[[int], Lines],
) -> None:
    lines = log(logging.INFO)
    with (
        serving(settings_of(ae_title="STORE"), ScriptedReceiver()) as served,
        RawScu(served.port) as scu,
    ):
        scu.request_association(pdu.associate_rq(CONTEXTS))
        assert scu.is_closed()
    assert lines.lines[-2:] == [
        "I: Refusing Association (called AE title not recognized)",
        "E: Association with RAW at 127.0.0.1 refused: called AE title not recognized, "
        "A-ASSOCIATE-RJ 1,1,7",
    ]


@pytest.mark.parametrize(
    ("further", "reason"),
    [
        (
            pdu.item(0x20, b"\1\0\0\0" + pdu.item(0x30, b"1.2")),
            "DUL Presentation Context translation failure",
        ),
        (
            pdu.item(0x20, b"\1\0\0\0" + pdu.item(0x40, b"", length=0x7FFF)),
            "DUL illegal subitem length 32767. Maximum allowed size is 64.",
        ),
    ],
)
def test_a_request_that_cannot_be_read_is_aborted_at_once(
    log: Callable[[int], Lines], further: bytes, reason: str
) -> None:
    """The original never answers; nobody shall have to wait for a time-out."""
    lines = log(logging.WARNING)
    wire = pdu.associate_rq(further_items=[further])
    receiver = ScriptedReceiver()
    with serving(settings_of(), receiver) as served, RawScu(served.port) as scu:
        scu.send(wire)
        assert scu.ending() == "abort 2,6"
        assert scu.is_closed()
    assert receiver.begun == []
    assert served.slot.get("refused") == 1
    assert lines.lines == [
        f"E: Could not receive association request: {reason}",
        "E: Connection with 127.0.0.1 ended without an association",
    ]


def test_a_request_that_is_too_large_is_refused_by_its_header(
    log: Callable[[int], Lines],
) -> None:
    lines = log(logging.WARNING)
    with (
        serving(settings_of(), ScriptedReceiver()) as served,
        RawScu(served.port) as scu,
    ):
        scu.send(pdu.pdu(0x01, bytes(100), length=1_048_577))
        assert scu.ending() == "abort 2,6"
    assert lines.lines[:2] == [
        "E: A-ASSOCIATE PDU too large: 1048577 bytes, refusing.",
        "E: Could not receive association request: A-ASSOCIATE PDU too large",
    ]


def test_a_request_with_half_the_association_behind_it_is_refused() -> None:
    """Nobody may send P-DATA before the answer, least of all by the megabyte."""
    receiver = ScriptedReceiver()
    slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0)
    service = AssociationService(
        settings_of(), PROFILE, slot, "tag", lambda *_: receiver
    )
    wire = pdu.associate_rq(CONTEXTS)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        RawScu(listener.getsockname()[1]) as scu,
    ):
        scu.finish_sending()
        connection, _ = listener.accept()
        service.serve(connection, wire + bytes(262_145), Nobody())
        assert scu.ending() == "abort 2,2"
    assert receiver.begun == []


@pytest.mark.parametrize("titles", [("", "CALLING"), ("CALLED", "")])
def test_a_blank_title_is_aborted_at_once(
    log: Callable[[int], Lines], titles: tuple[str, str]
) -> None:
    lines = log(logging.WARNING)
    called, calling = titles
    with (
        serving(settings_of(), ScriptedReceiver()) as served,
        RawScu(served.port) as scu,
    ):
        scu.send(pdu.associate_rq(CONTEXTS, called=called, calling=calling))
        assert scu.ending() == "abort 2,6"
        assert scu.is_closed()
    blank = "Calling" if called else "Called"
    assert lines.lines[0] == f"E: Illegal service parameter: {blank} AP Title"
    assert lines.lines[1].endswith("127.0.0.1 refused")


# What is no request, spec section 5.7


@pytest.mark.parametrize(
    ("wire", "ending", "reason"),
    [
        (pdu.pdu(0x04, b"\0\0\0\2\1\3"), "abort 0,0", "Unexpected PDU type: 04"),
        (pdu.release_rq(), "abort 0,0", "Unexpected PDU type: 05"),
        (pdu.pdu(0x02, bytes(80)), "abort 0,0", "Unexpected PDU type: 02"),
        (pdu.pdu(0x55, bytes(4)), "abort 2,1", "Unrecognized PDU type: 55"),
        (b"GET / HTTP/1.0\r\n\r\n", "abort 2,1", "Unrecognized PDU type: 47"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "abort 2,1", "Unrecognized PDU type: 16"),
        (bytes(100), "abort 2,1", "Unrecognized PDU type:  0"),
    ],
)
def test_what_is_no_request_is_aborted_and_told(
    log: Callable[[int], Lines], wire: bytes, ending: str, reason: str
) -> None:
    """PS3.8 Table 9-10, Sta2: AA-1."""
    lines = log(logging.WARNING)
    with serving(settings_of(), ScriptedReceiver()) as served:
        with RawScu(served.port) as scu:
            scu.send(wire)
            assert scu.ending() == ending
            assert scu.is_closed()
        with RawScu(served.port) as scu:
            scu.associate(CONTEXTS[:1])  # and the next sender is served
    assert lines.lines[:2] == [
        f"E: Could not receive association request: {reason}",
        "E: Connection with 127.0.0.1 ended without an association",
    ]


NOTHING = [
    "I: Association Received 127.0.0.1:  -> ",
    "I: Refusing Association (bad application context)",
]


@pytest.mark.parametrize("wire", [b"", b"\1\0\0", pdu.abort()])
def test_a_peer_that_leaves_without_a_word_is_no_error(
    log: Callable[[int], Lines], wire: bytes
) -> None:
    """Port scanners and health checks; A-ABORT is AA-2. The original's lines."""
    lines = log(logging.INFO)
    with serving(settings_of(host_lookup=False), ScriptedReceiver()) as served:
        with RawScu(served.port) as scu:
            scu.send(wire)
            scu.finish_sending()
            assert read_all(scu) == b""
        served.wait_for(1)
    assert lines.lines == NOTHING
    assert served.slot.get("refused") == served.slot.get("aborted") == 0


def test_a_peer_that_leaves_inside_its_request_is_told(
    log: Callable[[int], Lines],
) -> None:
    lines = log(logging.INFO)
    with serving(settings_of(), ScriptedReceiver()) as served:
        with RawScu(served.port) as scu:
            scu.send(pdu.associate_rq()[:-1])
            scu.finish_sending()
            assert read_all(scu) == b""
        served.wait_for(1)
    assert lines.lines[0] == (
        "E: Could not receive association request: DUL network closed"
    )


@pytest.mark.parametrize("wire", [b"", b"\1\0\0", pdu.associate_rq()[:-1]])
def test_a_peer_that_keeps_silent_is_told(
    log: Callable[[int], Lines], wire: bytes
) -> None:
    """ARTIM has expired before the service was asked: AA-2 without an A-ABORT."""
    lines = log(logging.INFO)
    with (
        serving(settings_of(), ScriptedReceiver(), patience_s=0.05) as served,
        RawScu(served.port) as scu,
    ):
        scu.send(wire)
        assert read_all(scu) == b""
    assert lines.lines == [
        "E: Could not receive association request: DUL network read timeout",
        "E: Connection with 127.0.0.1 ended without an association",
    ]


# Release


def test_a_release_is_answered_and_told(log: Callable[[int], Lines]) -> None:
    lines = log(logging.INFO)
    with (
        serving(settings_of(), ScriptedReceiver()) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1])
        assert scu.ending() == "release"
        assert scu.is_closed()  # though the peer does not close
    assert lines.lines[-1] == "I: Received Association Release Request"
    assert served.slot.get("aborted") == 0


def test_a_peer_that_does_not_wait_for_the_release_is_no_error(
    log: Callable[[int], Lines],
) -> None:
    lines = log(logging.WARNING)

    class Gone(ScriptedReceiver):
        def release(self, answer: bytes) -> bytes:
            scu.reset()
            return b""

    with serving(settings_of(), Gone()) as served:
        scu = RawScu(served.port)
        scu.send(pdu.associate_rq(CONTEXTS))
        served.wait_for(1)
    assert (lines.lines, served.faults) == ([], [])


def test_a_release_inside_a_data_set_loses_the_object(
    log: Callable[[int], Lines],
) -> None:
    """Spec section 6.5: A-RELEASE-RP too, and two lines."""
    lines = log(logging.INFO)
    with (
        serving(settings_of(), ScriptedReceiver(in_data_set=True)) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1], calling="ME")
        assert scu.ending() == "release"
    assert lines.lines[-5:] == [
        "I: Received C-STORE Request (MsgID 9)",
        "E: Unable to receive dataset on presentation context 1: "
        "0006:0319 DUL Peer Requested Release",
        "E: Unable to receive C-STORE dataset on presentation context 1",
        "E: Association with ME at 127.0.0.1 ended: "
        "Peer asked for release inside a data set",
        "I: Received Association Release Request",
    ]


# Faults of the association


@pytest.mark.parametrize(
    ("error", "code", "ending"),
    [
        (ProtocolViolation("x", abort=(2, 1)), FaultCode.UNRECOGNIZED_PDU, "abort 2,1"),
        (ProtocolViolation("x", abort=(2, 2)), FaultCode.UNEXPECTED_PDU, "abort 2,2"),
        (ProtocolViolation("x", abort=(0, 0)), FaultCode.COMMAND_SET, "abort 0,0"),
        (AssociationTimeout("x", "DIMSE"), FaultCode.DIMSE_TIMEOUT, "abort 0,0"),
        (PeerClosed("x"), FaultCode.PEER_CLOSED, "closed"),
        (PeerAborted("x"), FaultCode.PEER_ABORTED, "closed"),
        (TransportError("x"), FaultCode.SOCKET_READ, "closed"),
    ],
)
def test_a_fault_ends_the_association_as_it_says(
    error: AssociationError, code: FaultCode, ending: str
) -> None:
    receiver = ScriptedReceiver([Outcome.ECHOED, error], violation=(code, 0, 0))
    with serving(settings_of(), receiver) as served, RawScu(served.port) as scu:
        scu.associate(CONTEXTS[:1])
        assert scu.ending() == ending
        assert scu.is_closed()
    assert receiver.ended == 1
    assert served.slot.get("aborted") == served.slot.get("associations") == 1
    assert served.faults == []


def test_a_fault_is_told_with_the_peer(log: Callable[[int], Lines]) -> None:
    lines = log(logging.WARNING)
    receiver = ScriptedReceiver(
        [ProtocolViolation("what it was", abort=(2, 6))],
        violation=(FaultCode.PDU_LENGTH, 20_000, 16_384),
    )
    with serving(settings_of(), receiver) as served, RawScu(served.port) as scu:
        scu.associate(CONTEXTS[:1], calling="ME")
        scu.ending()
        served.wait_for(0)
    assert lines.lines == ["E: Association with ME at 127.0.0.1 aborted: what it was"]


@pytest.mark.parametrize("error", [PeerClosed("gone"), PeerAborted("aborted")])
def test_a_peer_that_leaves_is_told_at_level_info_only(
    log: Callable[[int], Lines], error: AssociationError
) -> None:
    """Spec section 2.2; inside a data set it is an error."""
    lines = log(logging.INFO)
    for in_data_set in (False, True):
        receiver = ScriptedReceiver([error], in_data_set=in_data_set)
        with serving(settings_of(), receiver) as served:
            with RawScu(served.port) as scu:
                scu.associate(CONTEXTS[:1])
                assert scu.is_closed()
            served.wait_for(1)
        assert lines.lines[-1] == "I: Received Association Abort Request"
        assert bool(lines.from_level("E")) is in_data_set


def test_a_wrong_command_is_warned_of_with_both_titles(
    log: Callable[[int], Lines],
) -> None:
    lines = log(logging.WARNING)
    receiver = ScriptedReceiver(
        [ProtocolViolation("impossible", abort=(0, 0))],
        violation=(FaultCode.COMMAND_VALUE, 0x0800, 0),
    )
    with serving(settings_of(), receiver) as served, RawScu(served.port) as scu:
        scu.associate(CONTEXTS[:1], calling="ME", called="YOU")
        assert scu.ending() == "abort 0,0"
    assert lines.lines == [
        "W: DIMSE Warning: (ME,YOU): C-Store RQ: DataSetType == NULL",
        "E: Association with ME at 127.0.0.1 aborted: impossible",
    ]


def test_an_association_goes_on_after_an_interruption() -> None:
    """Draining: the descriptors may differ afterwards."""
    receiver = ScriptedReceiver([Outcome.INTERRUPTED, Outcome.RELEASE_RQ])
    interrupts = Interruption([False])
    with (
        serving(settings_of(), receiver, interrupts=interrupts) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1])
        assert scu.ending() == "release"
    assert receiver.watched == [(100,), (101,)]


def test_an_interruption_may_end_the_association(log: Callable[[int], Lines]) -> None:
    lines = log(logging.WARNING)
    receiver = ScriptedReceiver([Outcome.INTERRUPTED])
    with (
        serving(settings_of(), receiver, interrupts=Interruption([True])) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1], calling="ME")
        assert scu.ending() == "abort 0,0"
    assert receiver.ended == 1
    assert served.slot.get("aborted") == 1
    assert lines.lines == [
        "E: Association with ME at 127.0.0.1 aborted: the receiver is being stopped"
    ]


@pytest.mark.parametrize("step", [ZeroDivisionError("a bug"), Outcome.INTERNAL_FAULT])
def test_a_fault_of_ours_aborts_and_ends_the_worker(
    log: Callable[[int], Lines], step: Step
) -> None:
    lines = log(logging.ERROR)
    receiver = ScriptedReceiver([step])
    with serving(settings_of(), receiver) as served, RawScu(served.port) as scu:
        scu.associate(CONTEXTS[:1], calling="ME")
        assert scu.ending() == "abort 2,0"
        assert scu.is_closed()
        served.wait_for(1)
    assert lines.lines == [
        "E: Association with ME at 127.0.0.1 aborted: internal error"
    ]
    assert (lines.tracebacks, receiver.ended, len(served.faults)) == (1, 1, 1)


# Messages


def test_a_stored_object_is_told_as_the_original_tells_it(
    log: Callable[[int], Lines],
) -> None:
    """Spec section 2.2."""
    lines = log(logging.INFO)
    script = [Outcome.ECHOED, Outcome.STORED, Outcome.RELEASE_RQ]
    with (
        serving(settings_of(), ScriptedReceiver(script)) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1], calling="ME", called="YOU")
        assert scu.ending() == "release"
    assert lines.lines == [
        "I: Association Received localhost: ME -> YOU",
        "I: Association Acknowledged (Max Send PDV: 16372)",
        "I: Received C-ECHO Request (MsgID 9)",
        "I: Sending C-ECHO Response (Success)",
        "I: Received C-STORE Request (MsgID 9)",
        "I: Stored received object to file: ./CT.1.2",
        "I: Sending C-STORE Response (Success)",
        "I: Received Association Release Request",
    ]


def store_lines(
    log: Callable[[int], Lines],
    receiver: ScriptedReceiver,
    mode: StorageMode = StorageMode.NORMAL,
) -> list[str]:
    """What is logged about one object."""
    lines = log(logging.INFO)
    receiver.script = [Outcome.STORED, Outcome.RELEASE_RQ]
    with (
        serving(settings_of(mode=mode), receiver) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1], calling="ME")
        assert scu.ending() == "release"
    return lines.lines[2:-1]


@pytest.mark.parametrize(
    ("mode", "order"),
    [(StorageMode.NORMAL, "IWII"), (StorageMode.BIT_PRESERVING, "WIII")],
)
def test_overwriting_is_warned_of_where_the_original_does(
    log: Callable[[int], Lines], mode: StorageMode, order: str
) -> None:
    found = store_lines(log, ScriptedReceiver(overwritten=True), mode)
    assert "".join(line[0] for line in found) == order
    assert "W: file already exists, overwriting: ./CT.1.2" in found


@pytest.mark.parametrize("status", [0x0000, 0xC000])
def test_what_a_data_set_has_that_is_odd_is_told_behind_its_request(
    log: Callable[[int], Lines], status: int
) -> None:
    """As the original warns while it reads, whatever becomes of the object."""
    odd = (1, [(1, 0x0010_0010, "PN", 3)])
    found = store_lines(log, ScriptedReceiver(remarks=odd, status=status))
    assert found[:2] == [
        "I: Received C-STORE Request (MsgID 9)",
        "W: DcmItem: Length of element (0010,0010) is odd",
    ]


@pytest.mark.parametrize(
    ("duplicate", "line"),
    [
        (Duplicate.OLDER_KEPT, "W: file already exists, object dropped: ./CT.1.2"),
        (Duplicate.OLDER_IS_SAME, "I: file already holds the same object: ./CT.1.2"),
    ],
)
def test_what_became_of_a_duplicate_is_told(
    log: Callable[[int], Lines], duplicate: Duplicate, line: str
) -> None:
    """Instead of where it has been stored."""
    found = store_lines(log, ScriptedReceiver(duplicate=duplicate))
    assert found[1:-1] == [line]


def test_an_ignored_object_has_no_file_to_tell_of(log: Callable[[int], Lines]) -> None:
    found = store_lines(log, ScriptedReceiver(path=""), StorageMode.IGNORE)
    assert found == [
        "I: Received C-STORE Request (MsgID 9)",
        "I: Sending C-STORE Response (Success)",
    ]


def test_a_failed_object_is_told_with_reason_and_peer(
    log: Callable[[int], Lines],
) -> None:
    """The old file is still there: nothing was overwritten."""
    receiver = ScriptedReceiver(
        status=0xA700,
        overwritten=True,
        fault_text="Cannot write to file: No space left on device",
        fault_errno=28,
    )
    assert store_lines(log, receiver) == [
        "I: Received C-STORE Request (MsgID 9)",
        "E: cannot store received object: ./CT.1.2: No space left on device",
        "E: C-STORE Request (MsgID 9) of ME at 127.0.0.1 answered with 0xa700 "
        "(Refused: OutOfResources): Cannot write to file: No space left on device",
        "I: Sending C-STORE Response (Refused: OutOfResources)",
    ]


# The other lines


def test_parameter_blocks_are_shown_on_request(log: Callable[[int], Lines]) -> None:
    """`+v`, spec section 2.2; their text is tested with `wording`."""
    lines = log(logging.INFO)
    with (
        serving(settings_of(presentation_contexts=True), ScriptedReceiver()) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1])
        assert scu.ending() == "release"
    words = [line[3:].strip("= ") for line in lines.lines]
    assert words[1:3] == ["Incoming Association Request:", "BEGIN A-ASSOCIATE-RQ"]
    acknowledged = words.index("Association Acknowledged (Max Send PDV: 16372)")
    assert words[acknowledged - 1] == "END A-ASSOCIATE-RQ"
    assert words[acknowledged + 1] == "BEGIN A-ASSOCIATE-AC"
    assert words[-2:] == ["END A-ASSOCIATE-AC", "Received Association Release Request"]


def test_a_reject_has_its_block_before_the_refusal(log: Callable[[int], Lines]) -> None:
    lines = log(logging.INFO)
    with (
        serving(settings_of(presentation_contexts=True), ScriptedReceiver()) as served,
        RawScu(served.port) as scu,
    ):
        scu.request_association(pdu.associate_rq([CONTEXTS[1]]))
        assert scu.is_closed()
    words = [line[3:].strip("= ") for line in lines.lines]
    no_context = words.index("No Acceptable Presentation Contexts")
    assert words[no_context + 1] == "BEGIN A-ASSOCIATE-RJ"
    assert words[-3:-1] == [
        "END A-ASSOCIATE-RJ",
        "Refusing Association (no acceptable presentation contexts)",
    ]


def test_debug_shows_blocks_bytes_and_messages(log: Callable[[int], Lines]) -> None:
    lines = log(logging.DEBUG)
    receiver = ScriptedReceiver([Outcome.STORED, Outcome.RELEASE_RQ])
    with serving(settings_of(), receiver) as served, RawScu(served.port) as scu:
        scu.associate(CONTEXTS[:1])
        assert scu.ending() == "release"
        scu.close()
        served.wait_for(1)
    shown = "\n".join(lines.from_level("D"))
    for part in (
        "PDU Type: Associate Request, PDU Length: ",
        "BEGIN A-ASSOCIATE-RQ",
        "BEGIN A-ASSOCIATE-AC",
        "INCOMING DIMSE MESSAGE",
        "DcmSCP: Association Terminated",
    ):
        assert part in shown
    assert "I: Received C-STORE Request (MsgID 9)" in lines.lines


def test_strange_offers_are_warned_of(log: Callable[[int], Lines]) -> None:
    """Before and behind the first line, as the original has them."""
    lines = log(logging.INFO)
    role = pdu.role_selection(CT_IMAGE, scu=0, scp=0)
    with (
        serving(settings_of(), ScriptedReceiver()) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1], max_pdu=4_097, user_items=[role])
        assert scu.ending() == "release"
    assert [line[:40] for line in lines.lines[:3]] == [
        "W: DULFSM: both role fields are 0 in SCP",
        "I: Association Received localhost: RAW -",
        "W: ASSOC: PDV send length 4097 is odd (u",
    ]


def test_a_numeric_address_is_shown_without_look_up(
    log: Callable[[int], Lines],
) -> None:
    lines = log(logging.INFO)
    with (
        serving(settings_of(host_lookup=False), ScriptedReceiver()) as served,
        RawScu(served.port) as scu,
    ):
        scu.associate(CONTEXTS[:1])
        assert scu.ending() == "release"
    assert lines.lines[0] == "I: Association Received 127.0.0.1: RAW -> ANY"


def test_a_title_cannot_forge_a_line(log: Callable[[int], Lines]) -> None:
    lines = log(logging.INFO)
    with (
        serving(settings_of(), ScriptedReceiver()) as served,
        RawScu(served.port) as scu,
    ):
        scu.send(pdu.associate_rq(CONTEXTS, calling="A\nE: forged"))
        assert scu.read_pdu().kind == pdu.A_ASSOCIATE_AC
        assert scu.ending() == "release"
    assert not any(line.startswith("E") for line in lines.lines)


# With the real data plane


def run_client(*arguments: str) -> str:
    """Run a client of DCMTK, which must succeed."""
    done = subprocess.run(
        arguments,
        capture_output=True,
        timeout=CLIENT_DEADLINE_S,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def ct_file() -> str:
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    return path


def test_echoscu_is_answered(tmp_path: Path) -> None:
    with serving(settings_of(tmp_path), profile=VERIFICATION_PROFILE) as served:
        run_client("/usr/bin/echoscu", "127.0.0.1", str(served.port))
        served.wait_for(1)
    assert served.slot.get("echoes") == served.slot.get("associations") == 1
    assert served.slot.get("aborted") == 0


@pytest.mark.parametrize("mode", [StorageMode.NORMAL, StorageMode.BIT_PRESERVING])
def test_storescu_stores_a_file(
    tmp_path: Path, log: Callable[[int], Lines], mode: StorageMode
) -> None:
    lines = log(logging.INFO)
    with serving(settings_of(tmp_path, mode=mode)) as served:
        for _ in range(2):
            client = ("/usr/bin/storescu", "127.0.0.1", str(served.port), ct_file())
            run_client(*client)
        served.wait_for(2)
    sent = pydicom.dcmread(ct_file())
    stored = tmp_path / f"CT.{sent.SOPInstanceUID}"
    assert pydicom.dcmread(stored).PixelData == sent.PixelData
    assert served.slot.get("objects") == 2
    assert [line for line in lines.lines if str(stored) in line] == [
        f"I: Stored received object to file: {stored}",
        f"W: file already exists, overwriting: {stored}",
        f"I: Stored received object to file: {stored}",
    ]
    assert lines.lines[-1] == "I: Received Association Release Request"


def test_pynetdicom_stores_and_releases(tmp_path: Path) -> None:
    """Another upper layer than DCMTK's; promiscuous."""
    entity = AE(ae_title="PYNETDICOM")
    entity.add_requested_context(CT_IMAGE, [EXPLICIT_LE])
    entity.add_requested_context(MR_IMAGE, [EXPLICIT_LE, IMPLICIT_LE])
    with serving(settings_of(tmp_path, promiscuous=True)) as served:
        association = entity.associate("127.0.0.1", served.port)
        assert association.is_established
        assert len(association.accepted_contexts) == 2
        status = association.send_c_store(pydicom.dcmread(ct_file()))
        assert status.Status == 0x0000
        association.release()
        served.wait_for(1)
    assert served.slot.get("objects") == 1
    assert served.slot.get("aborted") == 0


def test_an_object_cut_short_is_told_and_forgotten(
    tmp_path: Path, log: Callable[[int], Lines]
) -> None:
    lines = log(logging.WARNING)
    whole = pdu.message(1, command.c_store_rq(), data_set.object_of())
    with serving(settings_of(tmp_path)) as served:
        with RawScu(served.port) as scu:
            scu.associate(CONTEXTS[:1], calling="ME")
            scu.send(whole[:-20])
            scu.abort()
        served.wait_for(1)
    assert lines.lines == [
        "E: Unable to receive dataset on presentation context 1: "
        "0006:0317 Peer aborted Association (or never connected)",
        "E: Unable to receive C-STORE dataset on presentation context 1",
        "E: Association with ME at 127.0.0.1 ended: Peer closed the connection "
        "(SOP instance 1.2.3.4.5)",
    ]
    assert os.listdir(tmp_path) == []


def test_pipelined_messages_behind_the_request_are_answered_in_order(
    tmp_path: Path,
) -> None:
    """The window is 64; the first message came together with the A-ASSOCIATE-RQ."""
    window = pdu.asynchronous_operations_window(0, 1)
    request = pdu.associate_rq([ProposedContext(5, VERIFICATION)], user_items=[window])
    echoes = [pdu.message(5, command.c_echo_rq(number)) for number in range(1, 65)]
    with serving(settings_of(tmp_path)) as served, RawScu(served.port) as scu:
        answer = scu.request_association(request + echoes[0])
        assert not isinstance(answer, AssociateReject)
        assert answer.user_item(0x53) == b"\x00\x40\x00\x01"
        scu.send(b"".join(echoes[1:]))
        answered = [scu.read_response().message_id for _ in echoes]
        assert answered == list(range(1, 65))
        scu.release()
