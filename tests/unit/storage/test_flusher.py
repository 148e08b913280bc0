"""storage.flusher: an object is stored whatever it has to survive.

Which flushes are made, and that they suffice, is tested in tests/faults/test_power.py.
"""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from dcmrecv.config.settings import (
    Durability,
    StorageMode,
    StorageSettings,
    SubdirectoryMode,
)
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving

SENT = data_set.object_of(series_date="20200102")


@pytest.mark.parametrize("durability", list(Durability))
@pytest.mark.parametrize("subdirectories", list(SubdirectoryMode))
@pytest.mark.parametrize("place", [None, "/dev/shm"])
def test_every_durability_stores_and_replaces(
    tmp_path: Path,
    durability: Durability,
    subdirectories: SubdirectoryMode,
    place: str | None,
) -> None:
    """Also after the output directory has vanished."""
    out = Path(place) / f"dcmrecv-{os.getpid()}" if place else tmp_path / "out"
    out.mkdir()
    storage = StorageSettings(
        output_directory=str(out),
        mode=StorageMode.NORMAL,
        subdirectory_mode=subdirectories,
        durability=durability,
    )
    try:
        with receiving(storage=storage) as (peer, receiver):
            for round_ in range(4):
                if round_ == 2:
                    shutil.rmtree(out)
                peer.sendall(pdu.message(1, command.c_store_rq(), SENT))
                receiver.run()
                assert receiver.status == 0
                assert receiver.overwritten == (round_ in (1, 3))
                assert Path(receiver.path).read_bytes().endswith(SENT)
        assert len([path for path in out.rglob("*") if path.is_file()]) == 1
    finally:
        shutil.rmtree(out)


def open_files() -> list[str]:
    """What the descriptors of this process lead to."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of the listing itself
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return links


def test_a_group_opens_what_it_flushes_before_it_writes(tmp_path: Path) -> None:
    """Only then is it told of every error, also of one that another was told first."""
    for durability, descriptors in ((Durability.FULL, 1), (Durability.GROUP, 2)):
        storage = StorageSettings(output_directory=str(tmp_path), durability=durability)
        with receiving(storage=storage):
            assert open_files().count(str(tmp_path)) == descriptors
