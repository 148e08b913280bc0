"""`--durability`: what is acknowledged survives a loss of power at any moment.

The real program runs with the recording table of `recordio.pyx`. Every object has a new
name, so what the disk keeps at the moment of an answer it keeps for ever.
"""

import sys
import threading
from pathlib import Path

import pytest

from tests.builders.command import SUCCESS
from tests.builders.data_set import object_of
from tests.faults.script import compile_table
from tests.faults.survival import Promises, promises
from tests.peers.program import storage_program
from tests.peers.scu import RawScu

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
SENDERS = 8
OBJECTS = 12  # of each sender
SIZES = (3_000, 524_288, 2_200_000)

MODES = ["--normal", "--bit-preserving", "--series-date-subdir"]


@pytest.fixture(scope="module")
def recordio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled recording table."""
    directory = tmp_path_factory.mktemp("recordio")
    compile_table("recordio", directory)
    return directory


def store_all(port: int, sender: int, done: list[str]) -> None:
    """One sender's objects over one association."""
    with RawScu(port) as scu:
        scu.associate()
        for number in range(OBJECTS):
            # Numbers of one length: none is part of another.
            uid = f"1.2.{1_000_000 + 1_000 * sender + number}"
            size = SIZES[(sender + number) % len(SIZES)]
            if scu.store(object_of(uid, pixel_bytes=size), uid).status == SUCCESS:
                done.append(uid)
        scu.release()


def receive(tmp_path: Path, recordio: Path, *options: str) -> Promises:
    """Eight senders at once; what a loss of power would have done to each promise."""
    record = tmp_path / "record"
    command = (sys.executable, LAUNCHER, str(recordio), "recordio", str(record))
    done: list[str] = []
    with storage_program(tmp_path, *options, command=command) as program:
        threads = [
            threading.Thread(target=store_all, args=(program.port, sender, done))
            for sender in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(done) == SENDERS * OBJECTS
    files = {
        path.name.removeprefix("CT."): path.stat().st_ino
        for path in (tmp_path / "out").rglob("CT.*")
    }
    judged = promises(record, files)
    assert judged.kept + judged.broken == len(done)
    return judged


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("durability", ["full", "group"])
def test_no_acknowledged_object_is_lost(
    tmp_path: Path, recordio: Path, durability: str, mode: str
) -> None:
    judged = receive(tmp_path, recordio, mode, "--durability", durability)
    assert judged.broken == 0


@pytest.mark.parametrize("durability", ["close", "data"])
def test_the_test_sees_what_is_lost(
    tmp_path: Path, recordio: Path, durability: str
) -> None:
    """close flushes nothing; with data the name is not on disk."""
    judged = receive(tmp_path, recordio, "--durability", durability)
    assert judged.broken == SENDERS * OBJECTS
    assert judged.flushes == (0 if durability == "close" else SENDERS * OBJECTS)


def test_one_flush_of_a_group_serves_several(tmp_path: Path, recordio: Path) -> None:
    """full needs two for each object. With `recordio` a flush lasts a while."""
    judged = receive(tmp_path, recordio, "--durability", "group")
    assert 0 < judged.flushes <= SENDERS * OBJECTS / 2
