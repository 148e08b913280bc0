"""C-ECHO and C-STORE as a sender sees them: every status, every response element.

Spec sections 6.1 to 6.3 and 6.6, as changed by DECISIONS.md.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import uids
from tests.builders.command import (
    AFFECTED_SOP_CLASS_UID,
    AFFECTED_SOP_INSTANCE_UID,
    C_ECHO_RSP,
    C_FIND_RQ,
    C_STORE_RSP,
    CANNOT_UNDERSTAND,
    COMMAND_FIELD,
    DATA_SET_TYPE,
    ERROR_COMMENT,
    MESSAGE_ID_RESPONDED_TO,
    NO_DATA_SET,
    OUT_OF_RESOURCES,
    STATUS,
    SUCCESS,
    c_echo_rq,
    c_store_rq,
    request,
)
from tests.builders.conversations import (
    BROKEN_OBJECT,
    CONTEXTS,
    CT,
    CT_EXPLICIT,
    DIFFERENT,
    ECHO,
    MR,
    OBJECT,
    SAME,
    STORE_RQ,
    command_pdv,
    data_pdv,
    store,
)
from tests.builders.data_set import encapsulated_object, object_of
from tests.builders.pdu import fragmented, message, p_data_tf, release_rq
from tests.peers.program import Program, data_sets_below, storage_program
from tests.peers.scu import RawScu

NORMAL, BIT_PRESERVING, IGNORE = "--normal", "--bit-preserving", "--ignore"
MODES = (NORMAL, BIT_PRESERVING, IGNORE)

# What a C-STORE-RSP has, and what a failure adds; PS3.7 Table 9.3-2.
RESPONSE_ELEMENTS = [
    0x0000,
    AFFECTED_SOP_CLASS_UID,
    COMMAND_FIELD,
    MESSAGE_ID_RESPONDED_TO,
    DATA_SET_TYPE,
    STATUS,
    AFFECTED_SOP_INSTANCE_UID,
]


@pytest.fixture(scope="module")
def receivers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[Program, Path]]]:
    """A receiver for each storage mode, and where it stores."""
    bases = {mode: tmp_path_factory.mktemp("dimse") for mode in MODES}
    with (
        storage_program(bases[NORMAL], NORMAL) as normal,
        storage_program(bases[BIT_PRESERVING], BIT_PRESERVING) as bit_preserving,
        storage_program(bases[IGNORE], IGNORE) as ignore,
    ):
        programs = (normal, bit_preserving, ignore)
        yield {
            mode: (program, bases[mode] / "out")
            for mode, program in zip(MODES, programs, strict=True)
        }


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each storage mode."""
    return str(request.param)


@pytest.fixture
def output(receivers: dict[str, tuple[Program, Path]], mode: str) -> Iterator[Path]:
    """Where the receiver of the mode stores; empty before and after."""
    out = receivers[mode][1]
    yield out
    for path in out.iterdir():
        path.unlink()


@pytest.fixture
def scu(
    receivers: dict[str, tuple[Program, Path]], mode: str, output: Path
) -> Iterator[RawScu]:
    """An open association with the receiver of the mode."""
    with RawScu(receivers[mode][0].port) as peer:
        peer.associate(CONTEXTS)
        yield peer


def is_stored(mode: str, data_set: bytes = OBJECT, uid: str = "1.2.3.4.5") -> object:
    """What `data_sets_below()` has to be after a Success."""
    return {} if mode == IGNORE else {f"CT.{uid}": data_set}


@pytest.mark.parametrize("message_id", [0, 1, 255, 256, 65_535])
@pytest.mark.parametrize("context_id", [CT, ECHO])
def test_echo_is_answered_on_any_context(
    scu: RawScu, context_id: int, message_id: int
) -> None:
    """Spec 6.1."""
    response = scu.echo(context_id=context_id, message_id=message_id)
    assert response.context_id == context_id
    assert response.message_id == message_id
    assert response.status == SUCCESS
    assert response.number(COMMAND_FIELD) == C_ECHO_RSP
    assert response.number(DATA_SET_TYPE) == NO_DATA_SET
    assert response.raw[AFFECTED_SOP_CLASS_UID] == uids.VERIFICATION.encode() + b"\0"
    assert AFFECTED_SOP_INSTANCE_UID not in response.raw


def test_success_has_exactly_these_elements(
    scu: RawScu, mode: str, output: Path
) -> None:
    """Spec 6.2: both UIDs echoed, one PDU, one PDV, ascending order."""
    response = scu.store(OBJECT, message_id=513)
    assert list(response.raw) == RESPONSE_ELEMENTS
    assert response.context_id == CT
    assert response.status == SUCCESS
    assert response.message_id == 513
    assert response.number(COMMAND_FIELD) == C_STORE_RSP
    assert response.number(DATA_SET_TYPE) == NO_DATA_SET
    assert response.raw[AFFECTED_SOP_CLASS_UID] == uids.CT_IMAGE.encode() + b"\0"
    assert response.raw[AFFECTED_SOP_INSTANCE_UID] == b"1.2.3.4.5\0"
    assert data_sets_below(output) == is_stored(mode)


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        (b"1.2.3\0", b"1.2.3\0"),
        (b"1.2.34", b"1.2.34"),
        (b" 1.2.3", b"1.2.3\0"),
        (b"1.2.3 ", b"1.2.3\0"),
        (b"  1.23", b"1.23"),
        (b"1." + b"9" * 62, b"1." + b"9" * 62),
        (b"no uid", b"no uid"),
        (b"\xff\xfe/..", b"\xff\xfe/..\0"),
    ],
)
def test_uids_are_echoed_as_they_were_sent(
    scu: RawScu, output: Path, sent: bytes, echoed: bytes
) -> None:
    """Only blanks around them go, and the padding is a NUL."""
    sent += b"\0" * (len(sent) % 2)
    scu.send(message(CT, c_store_rq(sent), OBJECT))
    response = scu.read_response()
    assert response.status == SUCCESS
    assert response.raw[AFFECTED_SOP_INSTANCE_UID] == echoed


@pytest.mark.parametrize(
    "name",
    [
        "no group length",
        "wrong group length",
        "retired and unknown elements",
        "move originator",
        "data set type 0001",
        "data set type 0102",
        "data set type ffff",
        "priority high",
        "store on the verification context",
    ],
)
def test_harmless_oddities_of_a_request_are_accepted(
    scu: RawScu, mode: str, output: Path, name: str
) -> None:
    """Spec 6.2 and 6.3."""
    scu.send(SAME[name].said)
    assert scu.read_response().status == SUCCESS
    scu.release()
    assert data_sets_below(output) == is_stored(mode)


@pytest.mark.parametrize(
    "name",
    [
        "echo without a class",
        "echo that announces a data set",
        "data set on an unknown context",
        "no SOP class",
        "no SOP instance",
        "no message id",
        "no priority",
        "no data set type",
        "no command field",
        "empty SOP instance",
        "UID of 65",
        "no data set announced",
        "garbage for a command set",
        "empty command set",
        "command on an unknown context",
        "C-FIND",
        "C-FIND without priority",
        "C-CANCEL",
        "C-STORE-RSP",
        "unknown command field",
        "command flag within the data set",
        "data set where a command is due",
    ],
)
def test_impossible_message_is_aborted_without_a_file(
    scu: RawScu, output: Path, name: str
) -> None:
    """Spec 6.3 and 6.4: abort(0,0), never a response."""
    scu.send(SAME[name].said)
    assert scu.transcript() == ["abort 0,0"]
    assert data_sets_below(output) == {}


def test_data_set_on_another_context_is_aborted_without_a_file(
    scu: RawScu, output: Path
) -> None:
    """The original leaves the file in +B (spec 6.2); without an answer we have none."""
    scu.send(DIFFERENT["data set on another context"].said)
    assert scu.transcript() == ["abort 0,0"]
    assert data_sets_below(output) == {}


def test_context_that_changes_within_a_data_set_is_aborted(
    scu: RawScu, output: Path
) -> None:
    """All fragments of a message travel on one context. PS3.8 Annex E.1."""
    scu.send(p_data_tf(command_pdv(STORE_RQ), data_pdv(OBJECT[:100], last=False)))
    scu.send(p_data_tf(data_pdv(OBJECT[100:], context=MR)))
    assert scu.transcript() == ["abort 0,0"]
    assert data_sets_below(output) == {}


def test_every_unserved_command_is_aborted(
    receivers: dict[str, tuple[Program, Path]],
) -> None:
    """C-GET, C-FIND, C-MOVE and the N-services, with and without a data set."""
    program, _ = receivers[NORMAL]
    for field in (0x10, C_FIND_RQ, 0x21, 0x100, 0x110, 0x120, 0x130, 0x140, 0x150):
        for data_set in (None, OBJECT):
            with RawScu(program.port) as peer:
                peer.associate(CONTEXTS)
                command = request(field, data_set=data_set is not None)
                peer.send(message(CT, command, data_set))
                assert peer.transcript() == ["abort 0,0"]


@pytest.mark.parametrize(
    ("data_set", "context_id", "statuses"),
    [
        (b"", CT, (CANNOT_UNDERSTAND, SUCCESS, SUCCESS)),
        (BROKEN_OBJECT, CT, (CANNOT_UNDERSTAND, SUCCESS, CANNOT_UNDERSTAND)),
        (b"\xff" * 64, CT, (CANNOT_UNDERSTAND, SUCCESS, CANNOT_UNDERSTAND)),
        (OBJECT, CT_EXPLICIT, (CANNOT_UNDERSTAND, SUCCESS, CANNOT_UNDERSTAND)),
        (encapsulated_object(), CT_EXPLICIT, (OUT_OF_RESOURCES, SUCCESS, SUCCESS)),
    ],
    ids=["empty", "cut", "garbage", "wrong syntax", "encapsulated in native"],
)
def test_odd_data_set_gets_its_status_and_the_association_goes_on(
    scu: RawScu,
    mode: str,
    output: Path,
    data_set: bytes,
    context_id: int,
    statuses: tuple[int, ...],
) -> None:
    """Spec 6.2 with DECISIONS row 4."""
    expected = dict(zip(MODES, statuses, strict=True))[mode]
    response = scu.store(data_set, context_id=context_id)
    assert response.status == expected
    if expected == SUCCESS:
        assert list(response.raw) == RESPONSE_ELEMENTS
        assert data_sets_below(output) == is_stored(mode, data_set)
    else:
        assert sorted(response.raw) == sorted([*RESPONSE_ELEMENTS, ERROR_COMMENT])
        assert 0 < len(response.error_comment) <= 64
        assert len(response.raw[ERROR_COMMENT]) % 2 == 0
        assert data_sets_below(output) == {}
    assert scu.store(OBJECT).status == SUCCESS
    assert scu.echo().status == SUCCESS
    scu.release()
    assert data_sets_below(output) == is_stored(mode)


def test_error_comment_says_where_the_data_set_breaks(
    receivers: dict[str, tuple[Program, Path]],
) -> None:
    """A sender's operator shall find the element. PS3.7 Annex C."""
    program, _ = receivers[NORMAL]
    with RawScu(program.port) as peer:
        peer.associate(CONTEXTS)
        comment = peer.store(BROKEN_OBJECT).error_comment
        assert "(7fe0,0010)" in comment
        assert str(OBJECT.index(b"\xe0\x7f\x10\x00")) in comment
        peer.release()


def test_classes_and_instances_are_not_compared(
    scu: RawScu, mode: str, output: Path
) -> None:
    """Spec 6.2: the command may name another class or instance than the data set."""
    scu.send(message(CT, c_store_rq("9.8.7", sop_class_uid=uids.MR_IMAGE), OBJECT))
    response = scu.read_response()
    assert response.status == SUCCESS
    assert response.text(AFFECTED_SOP_CLASS_UID) == uids.MR_IMAGE
    assert response.text(AFFECTED_SOP_INSTANCE_UID) == "9.8.7"
    scu.release()
    assert data_sets_below(output) == ({} if mode == IGNORE else {"MR.9.8.7": OBJECT})


def test_many_messages_over_one_association(
    scu: RawScu, mode: str, output: Path
) -> None:
    """Two hundred stores and echoes, each answered with its own id."""
    for number in range(1, 201):
        if number % 5 == 0:
            assert scu.echo(message_id=number).message_id == number
        else:
            uid = f"1.2.{number}"
            response = scu.store(object_of(uid), uid, message_id=number)
            assert (response.status, response.message_id) == (SUCCESS, number)
    scu.release()
    assert len(data_sets_below(output)) == (0 if mode == IGNORE else 160)


def test_release_within_a_data_set_is_answered_and_stores_nothing(
    scu: RawScu, output: Path
) -> None:
    """Spec 6.5."""
    scu.send(p_data_tf(command_pdv(STORE_RQ), data_pdv(OBJECT[:100], last=False)))
    scu.send(release_rq())
    assert scu.transcript() == ["release"]
    assert data_sets_below(output) == {}


def test_connection_is_closed_soon_after_the_release(scu: RawScu) -> None:
    """DECISIONS row 8: a peer that does not close does not hold a worker."""
    scu.send(release_rq())
    assert scu.ending() == "release"
    assert scu.is_closed(deadline_s=5)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        fragmented(CT, STORE_RQ, command=True),
        store()[:-1],
        p_data_tf(command_pdv(STORE_RQ), data_pdv(OBJECT[:100], last=False)),
        message(CT, c_echo_rq())[:3],
    ],
    ids=["idle", "before the data set", "inside a PDV", "between PDUs", "in a header"],
)
def test_dimse_time_out_covers_every_wait(tmp_path: Path, said: bytes) -> None:
    """DECISIONS row 11: `-td` means what it says."""
    with storage_program(tmp_path, "-td", "1") as program, RawScu(program.port) as peer:
        peer.associate(CONTEXTS)
        peer.send(said)
        assert peer.ending() == "abort 0,0"
        program.wait_for_log("timeout")
    assert data_sets_below(tmp_path / "out") == {}


def test_dimse_time_out_counts_from_the_last_byte(tmp_path: Path) -> None:
    """A slow sender that goes on is no silent one: six pauses of a third of `-td`."""
    wire = store()
    size = len(wire) // 6
    with storage_program(tmp_path, "-td", "2") as program, RawScu(program.port) as peer:
        peer.associate(CONTEXTS)
        for at in range(0, 6 * size, size):
            peer.send(wire[at : at + size])
            with pytest.raises(TimeoutError):
                peer.read_exactly(1, deadline_s=2 / 3)
        peer.send(wire[6 * size :])
        assert peer.read_response().status == SUCCESS
        peer.release()
