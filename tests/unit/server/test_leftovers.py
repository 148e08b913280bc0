"""Temporary files of dead workers and dead receivers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcmrecv.config.settings import StorageSettings, SubdirectoryMode
from dcmrecv.server import leftovers
from dcmrecv.server.leftovers import (
    may_have_leftovers,
    receiver_tag,
    remove_leftovers,
    remove_temporary_files,
)

TAG = "17.0a1b2c3d.4711.2"

PRINT_TAG = "from dcmrecv.server.leftovers import receiver_tag; print(receiver_tag())"


def dead_tag() -> str:
    """The tag of a process that is gone."""
    command = [sys.executable, "-c", PRINT_TAG]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return done.stdout.strip()


def settings(directory: Path, *, by_date: bool = False) -> StorageSettings:
    mode = SubdirectoryMode.SERIES_DATE if by_date else SubdirectoryMode.NONE
    return StorageSettings(output_directory=str(directory), subdirectory_mode=mode)


def make(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"part of an object")


def left(directory: Path) -> set[str]:
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_dead_workers_files_go(tmp_path: Path) -> None:
    make(tmp_path, f".dcmrecv-{TAG}-1.part", f".dcmrecv-{TAG}-20.part")
    assert remove_temporary_files(settings(tmp_path), [TAG]) == 2
    assert left(tmp_path) == set()


@pytest.mark.parametrize(
    "name",
    [
        "CT.1.2.3",
        f".dcmrecv-{TAG}0-1.part",
        f".dcmrecv-1{TAG}-1.part",
        f".dcmrecv-{TAG.replace('.', 'x')}-1.part",
        f".dcmrecv-{TAG}-1.part.dcm",
        f"x.dcmrecv-{TAG}-1.part",
        f".dcmrecv-{TAG}-.part",
    ],
)
def test_everybody_elses_files_stay(tmp_path: Path, name: str) -> None:
    make(tmp_path, name)
    assert remove_temporary_files(settings(tmp_path), [TAG]) == 0
    assert left(tmp_path) == {name}


def test_several_dead_workers_are_cleaned_up_after_in_one_search(
    tmp_path: Path,
) -> None:
    make(tmp_path, ".dcmrecv-a-1.part", ".dcmrecv-b-1.part", ".dcmrecv-c-1.part")
    assert remove_temporary_files(settings(tmp_path), ["a", "b"]) == 2
    assert left(tmp_path) == {".dcmrecv-c-1.part"}


def test_series_date_directories_are_searched(tmp_path: Path) -> None:
    """data/YYYY/MM/DD and undef/YYYYMMDD. Spec section 7.6."""
    name = f".dcmrecv-{TAG}-1.part"
    ours = {f"data/2020/01/02/{name}", f"undef/20260102/{name}", name}
    deeper = {f"data/2020/01/02/deeper/{name}", f"other/{name}"}
    make(tmp_path, *ours, *deeper)
    assert remove_temporary_files(settings(tmp_path, by_date=True), [TAG]) == 3
    assert left(tmp_path) == deeper


def test_other_directories_are_not_searched_otherwise(tmp_path: Path) -> None:
    make(tmp_path, f"data/2020/01/02/.dcmrecv-{TAG}-1.part")
    assert remove_temporary_files(settings(tmp_path), [TAG]) == 0


def test_a_vanished_directory_is_no_error(tmp_path: Path) -> None:
    assert remove_temporary_files(settings(tmp_path / "gone"), [TAG]) == 0


def test_nobody_dead_means_nothing_to_search(tmp_path: Path) -> None:
    make(tmp_path, ".dcmrecv--1.part")
    assert remove_temporary_files(settings(tmp_path), []) == 0
    assert left(tmp_path) == {".dcmrecv--1.part"}


def name_of(tag: str, worker: int, number: int = 1) -> str:
    """What storage.writer calls a temporary file."""
    return f".dcmrecv-{tag}.{worker}.3-{number}.part"


GONE = 2**22 + 1  # more than the largest process id


def test_the_files_of_a_dead_receiver_go(tmp_path: Path) -> None:
    tag = dead_tag()
    dated = f"data/2020/01/02/{name_of(tag, GONE)}"
    make(tmp_path, name_of(tag, GONE), name_of(tag, GONE, 17), dated)
    assert remove_leftovers(settings(tmp_path, by_date=True)) == 3
    assert left(tmp_path) == set()


def test_the_files_of_a_receiver_that_lives_stay(tmp_path: Path) -> None:
    """Whatever has become of the worker: the receiver removes them itself."""
    name = name_of(receiver_tag(), GONE)
    make(tmp_path, name)
    assert remove_leftovers(settings(tmp_path)) == 0
    assert left(tmp_path) == {name}


def test_the_file_of_a_worker_that_outlives_its_receiver_stays(tmp_path: Path) -> None:
    """It finishes its association."""
    name = name_of(dead_tag(), os.getpid())
    make(tmp_path, name)
    assert remove_leftovers(settings(tmp_path)) == 0
    assert left(tmp_path) == {name}


def test_another_process_with_the_same_id_is_another_receiver(tmp_path: Path) -> None:
    """The moment of the start tells them apart."""
    fields = receiver_tag().split(".")
    fields[4] = str(int(fields[4]) - 1)
    make(tmp_path, name_of(".".join(fields), GONE))
    assert remove_leftovers(settings(tmp_path)) == 1


def test_after_a_boot_nobody_of_before_lives(tmp_path: Path) -> None:
    fields = receiver_tag().split(".")
    fields[1] = "00000000"
    make(tmp_path, name_of(".".join(fields), os.getpid()))
    assert remove_leftovers(settings(tmp_path)) == 1


@pytest.mark.parametrize("field", [0, 2], ids=["machine", "namespace"])
def test_who_cannot_be_seen_may_live(tmp_path: Path, field: int) -> None:
    """Another machine or container that stores into the same directory."""
    fields = dead_tag().split(".")
    fields[field] = "0" * len(fields[field])
    make(tmp_path, name_of(".".join(fields), GONE))
    assert remove_leftovers(settings(tmp_path)) == 0


def test_names_of_any_other_shape_stay(tmp_path: Path) -> None:
    name = name_of(dead_tag(), GONE)
    others = {f"{name}.dcm", f"x{name}", name.replace("-1.part", "-x.part"), name[1:]}
    make(tmp_path, *others, f".dcmrecv-{TAG}-1.part", f"deeper/{name}")
    assert remove_leftovers(settings(tmp_path, by_date=True)) == 0
    assert len(left(tmp_path)) == len(others) + 2


def test_a_tag_fits_into_a_temporary_name() -> None:
    """TAG_BYTES_MAX of storage.writer, with the largest worker and generation."""
    assert len(f"{receiver_tag()}.{2**22}.{10**9}") < 96


def test_a_quick_look_says_whether_a_search_is_worth_while(tmp_path: Path) -> None:
    """It is when a name looks like one of ours, whoever it belongs to."""
    make(tmp_path, "CT.1.2.3", f".dcmrecv-{TAG}-1.part")
    assert not may_have_leftovers(settings(tmp_path))
    make(tmp_path, f"data/2020/01/02/{name_of(receiver_tag(), GONE)}")
    assert not may_have_leftovers(settings(tmp_path))
    assert may_have_leftovers(settings(tmp_path, by_date=True))


def test_a_large_directory_is_searched_in_any_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "QUICK_ENTRIES", 3)
    make(tmp_path, "1", "2", "3")
    assert not may_have_leftovers(settings(tmp_path))
    make(tmp_path, "4")
    assert may_have_leftovers(settings(tmp_path))
