"""The log of the real program, line by line, at the default level and at -v.

The expected lines are the original's (spec section 2); a line of ours that names the
peer may follow an error. Comparisons with the original itself: `tests/parity`.
"""

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import pdu
from tests.builders.command import SUCCESS, c_store_rq
from tests.builders.conversations import BROKEN_OBJECT, CONTEXTS, OBJECT, SAME
from tests.builders.data_set import object_of
from tests.builders.pdu import ProposedContext, associate_rq, message, release_rq
from tests.peers.disks import without_privileges
from tests.peers.program import Program, storage_program
from tests.peers.scu import PeerGone, RawScu

START = [
    "I: configuring service class provider ...",
    "I: starting service class provider and listening ...",
]
ASSOCIATION = [
    "I: Association Received localhost: RAW -> ANY",
    "I: Association Acknowledged (Max Send PDV: 16372)",
]
RELEASE = ["I: Received Association Release Request"]
ABORT = ["I: Received Association Abort Request"]

# A line that only we write, after an error: who it was, and what became of it.
OUR_OWN = re.compile(
    r"^[EI]: (Association with (RAW at )?127\.0\.0\.1 (aborted|ended|refused)"
    r"|Connection with (RAW at )?127\.0\.0\.1 ended without an association$"
    r"|C-STORE Request \(MsgID 9\) of RAW at 127\.0\.0\.1 answered with 0x)"
)


def lines_of(program: Program) -> list[str]:
    """The log so far without the lines that are ours alone."""
    return [line for line in program.log_lines() if not OUR_OWN.match(line)]


def own_lines_of(program: Program) -> list[str]:
    """The lines that are ours alone."""
    return [line for line in program.log_lines() if OUR_OWN.match(line)]


@contextlib.contextmanager
def logged(
    tmp_path: Path, *options: str, before_exec: Callable[[], None] | None = None
) -> Iterator[Program]:
    """A receiver at -v; its log is complete after the block."""
    program = storage_program(tmp_path, "-v", *options)
    program.before_exec = before_exec
    with program:
        yield program
        program.stop()


def without_summary(lines: list[str]) -> list[str]:
    """All but the last line, which tells what the receiver did in all."""
    assert lines[-1].startswith("I: Served ")
    return lines[:-1]


def test_a_normal_run_at_info(tmp_path: Path) -> None:
    """Spec 2.2, word by word."""
    with logged(tmp_path) as program, RawScu(program.port) as scu:
        scu.associate(CONTEXTS)
        scu.echo(context_id=7, message_id=7)
        scu.store(OBJECT, message_id=9)
        scu.store(OBJECT, message_id=10)
        scu.release()
    path = tmp_path / "out" / "CT.1.2.3.4.5"
    assert without_summary(program.log_lines()) == [
        *START,
        *ASSOCIATION,
        "I: Received C-ECHO Request (MsgID 7)",
        "I: Sending C-ECHO Response (Success)",
        "I: Received C-STORE Request (MsgID 9)",
        f"I: Stored received object to file: {path}",
        "I: Sending C-STORE Response (Success)",
        "I: Received C-STORE Request (MsgID 10)",
        f"W: file already exists, overwriting: {path}",
        f"I: Stored received object to file: {path}",
        "I: Sending C-STORE Response (Success)",
        *RELEASE,
    ]


def test_the_summary_counts_what_was_done(tmp_path: Path) -> None:
    """One line at the end: associations, objects, bytes, failures, time, rates."""
    with logged(tmp_path) as program:
        for _ in range(2):
            with RawScu(program.port) as scu:
                scu.associate(CONTEXTS)
                assert scu.store(OBJECT).status == SUCCESS
                scu.store(BROKEN_OBJECT)
                scu.release()
        with RawScu(program.port) as scu:
            scu.request_association(associate_rq([ProposedContext(1, "9.9")]))
        with RawScu(program.port) as scu:
            scu.associate(CONTEXTS)
            scu.abort()
        program.wait_for_log(ABORT[0])
    assert re.fullmatch(
        r"I: Served 3 associations \(1 refused, 1 aborted\): 2 objects, "
        rf"{2 * len(OBJECT)} bytes, 2 failures in \d+\.\d s "
        r"\(\d+\.\d objects/s, \d+\.\d\d MB/s\)",
        program.log_lines()[-1],
    )


def test_a_normal_run_is_silent_by_default(tmp_path: Path) -> None:
    """Level warn."""
    with storage_program(tmp_path) as program:
        with RawScu(program.port) as scu:
            scu.associate(CONTEXTS)
            scu.echo()
            scu.store(OBJECT)
            scu.release()
        program.stop()
    assert program.log() == ""
    assert program.output() == ""


@pytest.mark.parametrize("options", [("-q",), ("-ll", "fatal"), ("-ll", "off")])
def test_errors_are_silent_when_asked(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Levels fatal and off."""
    with storage_program(tmp_path, *options) as program:
        with RawScu(program.port) as scu:
            scu.associate(CONTEXTS)
            scu.store(BROKEN_OBJECT)
            scu.send(SAME["C-FIND"].said)
            assert scu.ending() == "abort 0,0"
        program.stop()
    assert program.log() == ""


@pytest.mark.parametrize(
    ("options", "host"), [((), "localhost"), (("-dhl",), "127.0.0.1")]
)
def test_host_is_a_name_or_an_address(
    tmp_path: Path, options: tuple[str, ...], host: str
) -> None:
    """Spec 2.2: the reverse look-up's first part, with -dhl the address."""
    if not options:
        host = socket.gethostbyaddr("127.0.0.1")[0].partition(".")[0]
    with logged(tmp_path, *options) as program, RawScu(program.port) as scu:
        scu.associate(CONTEXTS)
        scu.release()
    assert f"I: Association Received {host}: RAW -> ANY" in program.log_lines()


@pytest.mark.parametrize(
    ("max_pdu", "shown"),
    [
        (16_384, 16_372),
        (4_096, 4_084),
        (0, 131_060),
        (131_072, 131_060),
        (1 << 30, 131_060),
    ],
)
def test_largest_pdv_that_we_would_send(
    tmp_path: Path, max_pdu: int, shown: int
) -> None:
    """Spec 2.2: min(peer's, 131072) - 12; no limit is 131060."""
    with logged(tmp_path) as program, RawScu(program.port) as scu:
        scu.associate(CONTEXTS, max_pdu=max_pdu)
        scu.release()
    expected = f"I: Association Acknowledged (Max Send PDV: {shown})"
    assert expected in program.log_lines()


def test_titles_are_shown_without_their_padding(tmp_path: Path) -> None:
    """Spec 2.2: trailing blanks go, leading ones stay."""
    with logged(tmp_path) as program, RawScu(program.port) as scu:
        scu.associate(called=" X  Y ", calling="  a b")
        scu.release()
    assert "I: Association Received localhost:   a b ->  X  Y" in program.log_lines()


def test_a_peer_cannot_forge_a_line(tmp_path: Path) -> None:
    """Control characters of titles and UIDs never reach the log as they are."""
    with logged(tmp_path) as program, RawScu(program.port) as scu:
        scu.associate(called="A\nF: forged", calling="\x1b[2J\r\0B")
        scu.send(message(1, c_store_rq("1\nF: forged"), OBJECT))
        assert scu.read_response().status == SUCCESS
        scu.release()
    log = program.log()
    assert all(line[:3] in ("I: ", "W: ") for line in log.splitlines())
    assert re.fullmatch(r"[\x20-\x7e\n]*", log)


@pytest.mark.parametrize(
    ("request_pdu", "expected"),
    [
        (
            associate_rq([ProposedContext(1, "9.9")]),
            [
                "I: Association Received localhost: RAW -> ANY",
                "I: No Acceptable Presentation Contexts",
                "I: Refusing Association (no acceptable presentation contexts)",
            ],
        ),
        (
            associate_rq(application_context="1.2"),
            [
                "I: Association Received localhost: RAW -> ANY",
                "I: Refusing Association (bad application context)",
            ],
        ),
        (
            associate_rq(protocol_version=2),
            [
                "E: Could not receive association request: DUL Unsupported peer"
                " protocol 0002; expected 0001 in parseAssociate"
            ],
        ),
        (
            pdu.abort(),
            [
                "I: Association Received localhost:  -> ",
                "I: Refusing Association (bad application context)",
            ],
        ),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            ["E: Could not receive association request: Unrecognized PDU type: 47"],
        ),
        (
            b"\x16\x03\x01\x02\x00\x01\x00",
            ["E: Could not receive association request: Unrecognized PDU type: 16"],
        ),
        (
            pdu.pdu(1, bytes(20)),
            [
                "E: Could not receive association request: DUL Illegal associate PDU."
                " Got 20 bytes of data. The minimum allowed size is 68."
            ],
        ),
        (
            pdu.pdu(1, b"", length=2_097_152),
            [
                "E: A-ASSOCIATE PDU too large: 2097152 bytes, refusing.",
                "E: Could not receive association request: A-ASSOCIATE PDU too large",
            ],
        ),
    ],
    ids=[
        *("no context", "application context", "protocol version", "abort"),
        *("HTTP", "TLS", "short request", "long request"),
    ],
)
def test_refused_associations(
    tmp_path: Path, request_pdu: bytes, expected: list[str]
) -> None:
    """Spec 2.3 and 5.7."""
    with logged(tmp_path) as program, RawScu(program.port) as scu:
        scu.send(request_pdu)
        assert scu.is_closed()
        program.wait_for_log(expected[-1])
    assert without_summary(lines_of(program)) == [*START, *expected]


def test_silent_connection(tmp_path: Path) -> None:
    """Spec 5.7: nothing for -ta seconds."""
    with logged(tmp_path, "-ta", "1") as program, RawScu(program.port) as scu:
        assert scu.is_closed()
        program.wait_for_log("Could not receive")
    assert without_summary(lines_of(program)) == [
        *START,
        "E: Could not receive association request: DUL network read timeout",
    ]


DATA_SET_LOST = (
    "E: Unable to receive dataset on presentation context N: "
    "0006:0317 Peer aborted Association (or never connected)",
    "E: Unable to receive C-STORE dataset on presentation context 1",
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            SAME["C-FIND"].said,
            [
                "E: cannot handle this kind of DIMSE command (0x0020),"
                " we are a Storage SCP only"
            ],
        ),
        (
            SAME["release within a data set"].wire,
            [
                "I: Received C-STORE Request (MsgID 9)",
                "E: Unable to receive dataset on presentation context N: "
                "0006:0319 DUL Peer Requested Release",
                "E: Unable to receive C-STORE dataset on presentation context 1",
                *RELEASE,
            ],
        ),
        (
            SAME["abort within a data set"].said,
            ["I: Received C-STORE Request (MsgID 9)", *DATA_SET_LOST, *ABORT],
        ),
        (pdu.abort(), ABORT),
        (release_rq(), RELEASE),
    ],
    ids=["C-FIND", "release in data set", "abort in data set", "abort", "release"],
)
def test_ends_of_associations(tmp_path: Path, said: bytes, expected: list[str]) -> None:
    """Spec 2.3 and 6.5."""
    with logged(tmp_path) as program, RawScu(program.port) as scu:
        scu.associate(CONTEXTS)
        scu.send(said)
        scu.transcript()
        program.wait_for_log(expected[-1])
    assert normalised(program) == [*START, *ASSOCIATION, *expected]


def normalised(program: Program) -> list[str]:
    """The log but the summary; the original often says 0 for a data set's context."""
    return [
        re.sub(r"(dataset on presentation context) \d+:", r"\1 N:", line)
        for line in without_summary(lines_of(program))
    ]


def test_lost_connection_looks_like_an_abort(tmp_path: Path) -> None:
    """Spec 2.2."""
    with logged(tmp_path) as program:
        with RawScu(program.port) as scu:
            scu.associate(CONTEXTS)
            scu.reset()
        program.wait_for_log(ABORT[0])
    assert normalised(program) == [*START, *ASSOCIATION, *ABORT]


@pytest.mark.parametrize("mode", ["-B", "+B"])
def test_object_that_cannot_be_stored(tmp_path: Path, mode: str) -> None:
    """Spec 2.3: the path and the system's reason, in the words of the mode."""
    out = tmp_path / "out"
    with logged(tmp_path, mode, before_exec=without_privileges) as program:
        out.chmod(0o555)
        with RawScu(program.port) as scu:
            scu.associate(CONTEXTS)
            scu.store(OBJECT)
            scu.release()
        out.chmod(0o755)
    path = out / "CT.1.2.3.4.5"
    reasons = {
        "-B": [f"E: cannot store received object: {path}: Permission denied"],
        "+B": [
            "E: Unable to receive dataset on presentation context N: 0006:020a DIMSE"
            f" createFilestream: cannot create file '{path}'",
            "E: Unable to receive C-STORE dataset on presentation context 1",
        ],
    }
    assert normalised(program) == [
        *START,
        *ASSOCIATION,
        "I: Received C-STORE Request (MsgID 9)",
        *reasons[mode],
        "I: Sending C-STORE Response (Refused: OutOfResources)",
        *RELEASE,
    ]
    assert len(own_lines_of(program)) == 1


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """Spec 2.3, +ssd."""
    out = tmp_path / "out"
    with logged(tmp_path, "+ssd", before_exec=without_privileges) as program:
        out.chmod(0o555)
        with RawScu(program.port) as scu:
            scu.associate(CONTEXTS)
            scu.store(object_of(series_date="20200102"))
            scu.release()
        out.chmod(0o755)
    assert (
        f"E: cannot create directory for received object: {out}/data/2020/01/02:"
        " Cannot create directory: Permission denied"
    ) in program.log_lines()


def test_path_that_is_a_directory(tmp_path: Path) -> None:
    """Spec 2.3 and 7.4."""
    path = tmp_path / "out" / "CT.1.2.3.4.5"
    with logged(tmp_path) as program, RawScu(program.port) as scu:
        path.mkdir()
        scu.associate(CONTEXTS)
        scu.store(OBJECT)
        scu.release()
    expected = f"E: cannot store received object: {path}: Is a directory"
    assert expected in program.log_lines()


def test_broken_data_set_says_where_and_from_whom(tmp_path: Path) -> None:
    """DECISIONS row 4: the place in the data set, the peer, the answer."""
    with logged(tmp_path) as program, RawScu(program.port) as scu:
        scu.associate(CONTEXTS)
        scu.store(BROKEN_OBJECT)
        scu.release()
    assert "I: Sending C-STORE Response (Error: CannotUnderstand)" in program.log()
    assert "(7fe0,0010)" in program.log()
    assert any("RAW at 127.0.0.1" in line for line in own_lines_of(program))


def test_lines_of_many_workers_never_tear_each_other(tmp_path: Path) -> None:
    """Eight associations at once at -d, through a pipe as through a file."""
    whole = re.compile(r"^[A-Z]: ")
    with storage_program(tmp_path, "-d", "+fu") as program:
        scus = [RawScu(program.port) for _ in range(8)]
        for scu in scus:
            scu.associate(CONTEXTS)
        for number in range(20):
            for scu in scus:
                with contextlib.suppress(PeerGone):
                    scu.send(message(1, c_store_rq(message_id=number), OBJECT))
            for scu in scus:
                assert scu.read_response().status == SUCCESS
        for scu in scus:
            scu.release()
        program.wait_for_log("Received Association Release Request", times=8)
        program.stop()
    lines = program.log_lines()
    assert [line for line in lines if not whole.match(line)] == []
    stored = [line for line in lines if "Stored received object" in line]
    assert len(stored) == len(set(stored)) == 160
