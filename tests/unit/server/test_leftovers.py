"""Temporary files of dead workers."""

from pathlib import Path

import pytest

from dcmrecv.config.settings import StorageSettings, SubdirectoryMode
from dcmrecv.server.leftovers import remove_temporary_files

TAG = "17.0a1b2c3d.4711.2"


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
