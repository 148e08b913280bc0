"""`--reserve`: refuses in time, and serves again as soon as there is room.

The real program runs with the faulty table of `faultio.pyx`, which also says how much
of the file system is free.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.builders.command import OUT_OF_RESOURCES, SUCCESS, c_store_rq
from tests.builders.data_set import object_of
from tests.builders.pdu import ProposedContext, associate_rq, message
from tests.builders.uids import DEFLATED_LE
from tests.faults.script import FaultScript, compile_table
from tests.peers.program import Program, storage_program
from tests.peers.promises import hidden_below
from tests.peers.scu import AssociateReject, RawScu, store_alone
from tests.peers.waiting import wait_until

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
UID = "1.2.3"
SENT = object_of(UID)


@pytest.fixture(scope="module")
def faultio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled table of faulty calls."""
    directory = tmp_path_factory.mktemp("faultio")
    compile_table("faultio", directory)
    return directory


Guarded = tuple[Program, FaultScript]


@pytest.fixture
def guarded(faultio: Path, tmp_path: Path) -> Iterator[Callable[..., Guarded]]:
    """Starts a receiver that keeps five percent free; returns it and its disk."""
    with ExitStack() as stack:

        def start(*options: str) -> Guarded:
            script = stack.enter_context(FaultScript(tmp_path / "script"))
            launcher = (sys.executable, LAUNCHER, str(faultio), "faultio")
            command = (*launcher, str(script.path))
            program = storage_program(
                tmp_path, "--reserve", "5%", *options, command=command
            )
            return stack.enter_context(program), script

        yield start


@pytest.mark.parametrize(
    ("space", "inodes"), [(49, 1_000), (1_000, 49)], ids=["bytes", "inodes"]
)
def test_a_disk_that_fills_refuses_until_it_is_emptied(
    guarded: Callable[..., Guarded], tmp_path: Path, space: int, inodes: int
) -> None:
    """A700H within an association, A-ASSOCIATE-RJ 2,3,1 instead of one."""
    program, script = guarded()
    script.say_free(space=51, inodes=51)
    with RawScu(program.port) as scu:
        scu.associate()
        assert scu.store(SENT, UID).status == SUCCESS
        script.say_free(space=space, inodes=inodes)
        assert scu.store(object_of("1.2.4"), "1.2.4").status == OUT_OF_RESOURCES
        with RawScu(program.port) as other:
            answer = other.request_association(associate_rq([ProposedContext(1)]))
            assert answer == AssociateReject(2, 3, 1)
        assert scu.echo().status == SUCCESS
        script.say_free(space=51, inodes=51)
        assert scu.store(SENT, UID).status == SUCCESS
        scu.release()
    assert store_alone(program.port, SENT, UID).status == SUCCESS
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"CT.{UID}"]
    program.wait_for_log(
        "refused: the disk is full up to its reserve, A-ASSOCIATE-RJ 2,3,1"
    )
    program.wait_for_log("Disk is full up to its reserve")


@pytest.mark.parametrize("mode", ["--normal", "--bit-preserving"])
def test_an_object_without_an_end_does_not_take_the_reserve(
    guarded: Callable[..., Guarded], tmp_path: Path, mode: str
) -> None:
    """Nor any other that is larger than what is left when it begins."""
    program, script = guarded(mode)
    out = tmp_path / "out"
    large = object_of(UID, pixel_bytes=4_000_000)
    wire = message(1, c_store_rq(UID), large)
    script.say_free(space=51, inodes=51)
    with RawScu(program.port) as scu:
        scu.associate()
        scu.send(wire[:-2_500_000])
        wait_until(lambda: hidden_below(out), "the object to be begun")
        script.say_free(space=49, inodes=51)
        scu.send(wire[-2_500_000:-1])
        wait_until(lambda: not hidden_below(out), "the object to be given up")
        scu.send(wire[-1:])
        assert scu.read_response().status == OUT_OF_RESOURCES
        script.say_free(space=51, inodes=51)
        assert scu.store(large, UID).status == SUCCESS
        scu.release()
    assert list(out.iterdir()) == [out / f"CT.{UID}"]


def test_a_deflated_object_is_measured_by_what_is_written_of_it(
    guarded: Callable[..., Guarded], tmp_path: Path
) -> None:
    """Normal mode writes it inflated before it deflates it again."""
    program, _ = guarded("--normal", "--max-object-size", "1M")
    contexts = [ProposedContext(1, transfer_syntaxes=(DEFLATED_LE,))]
    with RawScu(program.port) as scu:
        scu.associate(contexts)
        for pixel_bytes, status in ((900_000, SUCCESS), (5_000_000, OUT_OF_RESOURCES)):
            deflated = object_of(
                UID, pixel_bytes=pixel_bytes, transfer_syntax=DEFLATED_LE
            )
            assert len(deflated) < 100_000
            assert scu.store(deflated, UID).status == status
        scu.release()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"CT.{UID}"]
