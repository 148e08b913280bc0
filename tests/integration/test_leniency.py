"""What is illegal but harmless: read and counted, or an A-ABORT with --strict."""

from pathlib import Path

import pytest

from tests.builders import pdu
from tests.builders.command import c_store_rq
from tests.builders.data_set import object_of
from tests.builders.pdu import ProposedContext
from tests.builders.samples import one_of_each_transfer_syntax
from tests.builders.uids import CT_IMAGE
from tests.peers.program import Program, data_sets_below, storage_program
from tests.peers.scu import AssociateAccept, RawScu
from tests.peers.senders import dcmsend, pynetdicom_send, storescu

OBJECT = object_of()
STRANGE_REQUESTS = {
    "NUL-padded title": (
        pdu.associate_rq(called=b"ANY".ljust(16, b"\0")),
        "abort 2,6",
    ),
    "no user information": (pdu.associate_rq(max_pdu=None), "abort 2,6"),
    "padded UID": (
        pdu.associate_rq([ProposedContext(1, CT_IMAGE + "\0")]),
        "abort 2,6",
    ),
    "maximum length twice": (
        pdu.associate_rq(user_items=[pdu.maximum_length(8_192)]),
        "abort 2,5",
    ),
}


LONG_OBJECT = object_of("1.2.3.4.05", pixel_bytes=20_000)
COMMAND = c_store_rq("1.2.3.4.05")
ALL_THAT_IS_ODD = (
    pdu.p_data_tf(pdu.pdv(1, COMMAND[:51], command=True, last=False))
    + pdu.p_data_tf(pdu.pdv(1, COMMAND[51:], command=True, last=True))
    + pdu.p_data_tf()
    + pdu.p_data_tf(pdu.pdv(1, LONG_OBJECT, command=False, last=True))
)
STRANGE_MESSAGES = {
    "odd fragments": (ALL_THAT_IS_ODD, "abort 2,6"),
    "no PDV": (pdu.p_data_tf(), "abort 2,6"),
    "long PDU": (
        pdu.message(1, c_store_rq(), object_of(pixel_bytes=20_000), pdu_size=20_000),
        "abort 2,6",
    ),
    "UID": (pdu.message(1, COMMAND, OBJECT), "abort 0,0"),
}


@pytest.mark.parametrize("name", STRANGE_REQUESTS)
def test_a_strange_request_is_accepted_unless_strict(tmp_path: Path, name: str) -> None:
    """PS3.8 Table 9-26: 5 unexpected parameter, 6 invalid parameter value."""
    wire, abort = STRANGE_REQUESTS[name]
    with storage_program(tmp_path, "-v") as program, RawScu(program.port) as scu:
        assert isinstance(scu.request_association(wire), AssociateAccept)
        scu.release()
    assert "I: Tolerated of RAW at 127.0.0.1: " in program.log()
    with (
        storage_program(tmp_path, "--strict") as program,
        RawScu(program.port) as scu,
    ):
        scu.send(wire)
        assert scu.ending() == abort
    assert "not tolerated" in program.log()


def test_what_is_tolerated_is_logged_once_with_its_numbers(tmp_path: Path) -> None:
    with storage_program(tmp_path, "-v", "+B") as program:
        with RawScu(program.port) as scu:
            scu.associate()
            for _ in range(3):
                scu.send(ALL_THAT_IS_ODD)
                assert scu.read_response().status == 0
            scu.release()
        with RawScu(program.port) as scu:
            scu.associate()
            scu.store(OBJECT)
            scu.release()
    lines = [line for line in program.log_lines() if "Tolerated" in line]
    assert lines == [
        "I: Tolerated of RAW at 127.0.0.1: 6 x fragment of odd length, "
        "3 x P-DATA-TF without a PDV, 3 x PDU longer than announced, "
        "3 x UID padded or malformed in a command set"
    ]
    assert data_sets_below(tmp_path / "out")["CT.1.2.3.4.05"] == LONG_OBJECT


def test_what_was_odd_about_a_refused_request_is_logged_as_well() -> None:
    with Program(["-v"]) as program, RawScu(program.port) as scu:
        title = b"ANY".ljust(16, b"\0")
        scu.send(pdu.associate_rq([ProposedContext(1, "9.9")], called=title))
        assert scu.is_closed()
        program.wait_for_log("I: Tolerated of RAW at 127.0.0.1: ")
    assert "Association with RAW at 127.0.0.1 refused: no accept" in program.log()


@pytest.mark.parametrize("name", STRANGE_MESSAGES)
def test_a_strange_message_is_aborted_when_strict(tmp_path: Path, name: str) -> None:
    wire, abort = STRANGE_MESSAGES[name]
    with storage_program(tmp_path, "--strict") as program, RawScu(program.port) as scu:
        scu.associate()
        scu.send(wire)
        assert scu.ending() == abort
    assert "E: Not tolerated of RAW at 127.0.0.1: 1 x " in program.log()
    assert data_sets_below(tmp_path / "out") == {}


def test_strict_takes_what_real_senders_send(tmp_path: Path) -> None:
    """None of them breaks the standard."""
    wanted = one_of_each_transfer_syntax()[:4]
    options = ["--strict", "-v", "--promiscuous", "--ignore"]
    with Program(options) as program:
        assert storescu(program.port, wanted, tmp_path).returncode == 0
        assert dcmsend(program.port, wanted).returncode == 0
        # Of a deflated file of odd length pynetdicom sends a fragment of odd length.
        assert set(pynetdicom_send(program.port, wanted[:2]).values()) == {0}
    assert "tolerated" not in program.log().lower()
