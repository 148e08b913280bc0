"""Every legal framing of P-DATA-TF is read, and what is not legal is refused properly.

PS3.8 section 9.3.5 and Annex E; DECISIONS.md, row 6. Each test has an association of
its own; that the receiver serves the next one is checked after each.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.command import SUCCESS, c_echo_rq, c_store_rq
from tests.builders.conversations import (
    COMMAND_HALVES,
    CONTEXTS,
    CT,
    DIFFERENT,
    OBJECT,
    STORE_RQ,
    command_pdv,
    data_pdv,
    one_pdu_object,
)
from tests.builders.data_set import object_of
from tests.builders.pdu import (
    asynchronous_operations_window,
    message,
    p_data_tf,
    pdu,
    release_rq,
)
from tests.peers.program import Program, data_sets_below, storage_program
from tests.peers.scu import PeerGone, RawScu

MODES = ("--normal", "--bit-preserving")


@pytest.fixture(scope="module", params=MODES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Program, Path]]:
    """A receiver in each mode, and where it stores."""
    base = tmp_path_factory.mktemp("framing")
    with storage_program(base, request.param, "-v") as program:
        yield program, base / "out"


@pytest.fixture
def output(running: tuple[Program, Path]) -> Iterator[Path]:
    """The output directory, empty before and after; the next sender is served."""
    program, out = running
    yield out
    with RawScu(program.port) as scu:
        scu.associate(CONTEXTS)
        assert scu.echo(context_id=7).status == SUCCESS
        scu.release()
    for path in out.iterdir():
        path.unlink()


@pytest.fixture
def scu(running: tuple[Program, Path], output: Path) -> Iterator[RawScu]:
    """An open association for `CONTEXTS`."""
    with RawScu(running[0].port) as peer:
        peer.associate(CONTEXTS)
        yield peer


@pytest.mark.parametrize(
    "name",
    [
        "command and two data set PDVs in one PDU",
        "two fragments of each in one PDU",
        "two command fragments and a data set in one PDU",
        "odd fragments",
    ],
)
def test_legal_or_harmless_framing_is_read(
    scu: RawScu, output: Path, name: str
) -> None:
    """What makes the original abort or die is an object like any other."""
    scu.send(DIFFERENT[name].wire)
    assert scu.read_response().status == SUCCESS
    assert scu.ending() == "release"
    assert data_sets_below(output) == {"CT.1.2.3.4.5": OBJECT}


def test_empty_pdu_is_no_news(scu: RawScu, output: Path) -> None:
    """A P-DATA-TF without any PDV: illegal, harmless, read."""
    scu.send(p_data_tf() + p_data_tf(command_pdv(STORE_RQ)) + p_data_tf())
    scu.send(p_data_tf(data_pdv(OBJECT)) + p_data_tf())
    assert scu.read_response().status == SUCCESS
    scu.release()
    assert data_sets_below(output) == {"CT.1.2.3.4.5": OBJECT}


def test_two_whole_objects_in_one_pdu(scu: RawScu, output: Path) -> None:
    """The original dies of it."""
    scu.send(p_data_tf(one_pdu_object("1.2.1"), one_pdu_object("1.2.2")))
    answers = [scu.read_response() for _ in range(2)]
    assert [answer.text(0x1000) for answer in answers] == ["1.2.1", "1.2.2"]
    assert [answer.status for answer in answers] == [SUCCESS, SUCCESS]
    scu.release()
    assert data_sets_below(output) == {
        "CT.1.2.1": object_of("1.2.1"),
        "CT.1.2.2": object_of("1.2.2"),
    }


def test_end_of_one_message_and_begin_of_the_next_in_one_pdu(
    scu: RawScu, output: Path
) -> None:
    """A PDU is no border of a message."""
    scu.send(
        p_data_tf(command_pdv(STORE_RQ), data_pdv(OBJECT[:50], last=False))
        + p_data_tf(data_pdv(OBJECT[50:]), command_pdv(c_echo_rq(3)))
        + p_data_tf(command_pdv(COMMAND_HALVES[0], last=False))
        + p_data_tf(command_pdv(COMMAND_HALVES[1]), data_pdv(b"", last=False))
        + p_data_tf(data_pdv(OBJECT))
        + release_rq()
    )
    answers = [scu.read_response() for _ in range(3)]
    assert [answer.message_id for answer in answers] == [9, 3, 9]
    assert [answer.status for answer in answers] == [SUCCESS] * 3
    assert scu.ending() == "release"
    assert data_sets_below(output) == {"CT.1.2.3.4.5": OBJECT}


def random_framing(command: bytes, data_set: bytes, chance: random.Random) -> bytes:
    """A message as PDVs of random sizes, put into PDUs at random, 16,384 at most."""
    pdvs = []
    for data, is_command in ((command, True), (data_set, False)):
        largest = max(chance.choice((2, 64, 1_000, 16_000)), len(data) // 400)
        at = 0
        while at < len(data):
            size = chance.randrange(0, largest + 1)
            last = at + size >= len(data)
            piece = data[at : at + size]
            pdvs.append(
                command_pdv(piece, last=last)
                if is_command
                else data_pdv(piece, last=last)
            )
            at += size
    wire, body = b"", b""
    for pdv in pdvs:
        if body and (len(body) + len(pdv) > 16_384 or chance.random() < 0.5):
            wire += p_data_tf(body)
            body = b""
        body += pdv
    return wire + p_data_tf(body)


def test_any_framing_gives_the_same_file(scu: RawScu, output: Path) -> None:
    """Sixty objects in random framings over one association, cut at random by TCP."""
    chance = random.Random(20)
    sent = {}
    for number in range(1, 61):
        uid = f"1.2.{number}"
        size = chance.choice((0, 2, 500, 5_000, 60_000)) + 2 * chance.randrange(50)
        sent[f"CT.{uid}"] = data_set = object_of(uid, pixel_bytes=size)
        wire = random_framing(c_store_rq(uid, message_id=number), data_set, chance)
        scu.trickle(wire, piece=chance.choice((977, 8_191, 100_000)))
        answer = scu.read_response()
        assert (answer.status, answer.message_id) == (SUCCESS, number)
    scu.release()
    assert data_sets_below(output) == sent


def test_byte_by_byte(scu: RawScu, output: Path) -> None:
    """Every byte in a TCP segment of its own."""
    scu.trickle(message(CT, STORE_RQ, OBJECT, pdu_size=100))
    assert scu.read_response().status == SUCCESS
    scu.release()
    assert data_sets_below(output) == {"CT.1.2.3.4.5": OBJECT}


@pytest.mark.parametrize("size", [4_096, 16_384, 65_536, 131_072])
def test_pdu_of_exactly_the_announced_size(tmp_path: Path, size: int) -> None:
    """-pdu is announced; two bytes more are too many for --strict. PS3.8 D.1."""
    whole = object_of(pixel_bytes=300_000)
    with storage_program(tmp_path, "+B", "--strict", "-pdu", str(size)) as program:
        with RawScu(program.port) as scu:
            assert scu.associate(CONTEXTS).max_pdu == size
            scu.send(message(CT, STORE_RQ, whole, pdu_size=size))
            assert scu.read_response().status == SUCCESS
            scu.release()
        with RawScu(program.port) as scu:
            scu.associate(CONTEXTS)
            scu.send(message(CT, STORE_RQ, whole, pdu_size=size + 2))
            assert scu.ending() == "abort 2,6"
    assert data_sets_below(tmp_path / "out") == {"CT.1.2.3.4.5": whole}


@pytest.mark.parametrize(
    ("wire", "ending"),
    [
        (p_data_tf(data_pdv(bytes(1_048_572))), "abort 2,6"),
        (pdu(4, b"", length=0xFFFFFFFF), "abort 2,6"),
        (p_data_tf(b"\0"), "abort 2,6"),
        (p_data_tf(b"\0\0\0\2\1"), "abort 2,6"),
        (p_data_tf(b"\0\0\0\0\1\3"), "abort 2,6"),
        (p_data_tf(b"\0\0\0\1\1\3"), "abort 2,6"),
        (p_data_tf(b"\xff\xff\xff\xff\1\3"), "abort 2,6"),
        (DIFFERENT["PDV beyond its PDU"].said, "abort 2,6"),
        (pdu(0x55, b"what"), "abort 2,1"),
        (pdu(0x00, b""), "abort 2,1"),
        (b"GET / HTTP/1.1\r\n\r\n", "abort 2,1"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "abort 2,1"),
        (pdu(2, bytes(70)), "abort 2,2"),
        (pdu(3, bytes(4)), "abort 2,2"),
        (pdu(6, bytes(4)), "abort 2,2"),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else "",
)
@pytest.mark.parametrize("within", [False, True], ids=["idle", "in a data set"])
def test_malformed_pdu_is_aborted_with_the_standards_reason(
    scu: RawScu, output: Path, wire: bytes, ending: str, within: bool
) -> None:
    """PS3.8 Table 9-26: 1 unrecognized, 2 unexpected, 6 invalid parameter value."""
    scu.deadline_s = 5
    if within:
        scu.send(p_data_tf(command_pdv(STORE_RQ), data_pdv(OBJECT[:60], last=False)))
    scu.send(wire)
    assert scu.ending() == ending
    assert data_sets_below(output) == {}


def test_stray_bytes_after_the_last_pdv_are_aborted(scu: RawScu, output: Path) -> None:
    """Too few for another PDV, so the PDU's length or the PDV's is wrong."""
    scu.deadline_s = 5
    scu.send(p_data_tf(command_pdv(c_echo_rq()), b"\0\0\0"))
    assert scu.transcript()[-1] == "abort 2,6"


def test_endless_command_set_is_bounded(scu: RawScu, output: Path) -> None:
    """A command set that never ends is ended by us, before memory is."""
    fragment = p_data_tf(command_pdv(bytes(16_000), last=False))
    with pytest.raises(PeerGone):
        for _ in range(5_000):
            scu.send(fragment)
    assert data_sets_below(output) == {}


def test_empty_fragments_without_end_change_nothing(scu: RawScu, output: Path) -> None:
    """Ten thousand fragments of nothing, then the object."""
    nothing = p_data_tf(*[data_pdv(b"", last=False)] * 1_000)
    scu.send(p_data_tf(command_pdv(STORE_RQ)) + nothing * 10)
    scu.send(p_data_tf(data_pdv(OBJECT)))
    assert scu.read_response().status == SUCCESS
    scu.release()
    assert data_sets_below(output) == {"CT.1.2.3.4.5": OBJECT}


def test_pipelined_stores_are_answered_in_order(
    running: tuple[Program, Path], output: Path
) -> None:
    """Asynchronous operations window: 64 requests before the first answer is read."""
    objects = {
        f"1.2.{n}": object_of(f"1.2.{n}", pixel_bytes=n * 100) for n in range(64)
    }
    with RawScu(running[0].port) as scu:
        answer = scu.associate(
            CONTEXTS, user_items=[asynchronous_operations_window(100, 1)]
        )
        assert answer.user_item(0x53) is not None
        scu.send(
            b"".join(
                message(CT, c_store_rq(uid, message_id=number), data_set)
                for number, (uid, data_set) in enumerate(objects.items())
            )
        )
        answers = [scu.read_response() for _ in objects]
        scu.release()
    assert [answer.message_id for answer in answers] == list(range(64))
    assert [answer.text(0x1000) for answer in answers] == list(objects)
    assert {answer.status for answer in answers} == {SUCCESS}
    assert data_sets_below(output) == {
        f"CT.{uid}": data for uid, data in objects.items()
    }


def test_sender_that_reads_no_answers_loses_only_itself(
    running: tuple[Program, Path], output: Path
) -> None:
    """Echoes without end, no answer read: the receiver stops reading, others go on."""
    program, _ = running
    echoes = message(CT, c_echo_rq()) * 500
    with RawScu(program.port, deadline_s=3) as deaf, RawScu(program.port) as other:
        deaf.associate(CONTEXTS)
        deaf.connection.settimeout(1)
        with pytest.raises((TimeoutError, PeerGone)):
            for _ in range(2_000):
                deaf.send(echoes)
        other.associate(CONTEXTS)
        assert other.store(OBJECT).status == SUCCESS
        other.release()
    assert data_sets_below(output) == {"CT.1.2.3.4.5": OBJECT}
