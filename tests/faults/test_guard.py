"""`--reserve`: refuses in time, and serves again as soon as there is room.

The real program runs with the faulty table of `faultio.pyx`, which also says how much
of the file system is free.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.command import OUT_OF_RESOURCES, SUCCESS
from tests.builders.data_set import object_of
from tests.builders.pdu import ProposedContext, associate_rq
from tests.faults.script import FaultScript, compile_table
from tests.peers.program import Program, storage_program
from tests.peers.scu import AssociateReject, RawScu, store_alone

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
UID = "1.2.3"
SENT = object_of(UID)


@pytest.fixture(scope="module")
def faultio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled table of faulty calls."""
    directory = tmp_path_factory.mktemp("faultio")
    compile_table("faultio", directory)
    return directory


@pytest.fixture
def guarded(faultio: Path, tmp_path: Path) -> Iterator[tuple[Program, FaultScript]]:
    """A receiver that keeps five percent free, and its disk."""
    with FaultScript(tmp_path / "script") as script:
        command = (sys.executable, LAUNCHER, str(faultio), "faultio", str(script.path))
        with storage_program(tmp_path, "--reserve", "5%", command=command) as program:
            yield program, script


@pytest.mark.parametrize(
    ("space", "inodes"), [(49, 1_000), (1_000, 49)], ids=["bytes", "inodes"]
)
def test_a_disk_that_fills_refuses_until_it_is_emptied(
    guarded: tuple[Program, FaultScript], tmp_path: Path, space: int, inodes: int
) -> None:
    """A700H within an association, A-ASSOCIATE-RJ 2,3,1 instead of one."""
    program, script = guarded
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
    program.wait_for_log("the disk is full up to its reserve")
    program.wait_for_log("Disk is full up to its reserve")
