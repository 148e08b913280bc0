"""What a receiver has promised, compared with what it has stored.

Of the objects of `load.Load`: their data sets follow from their names.
"""

from pathlib import Path

from tests.builders.data_set import object_of
from tests.builders.part10 import parse_part10
from tests.peers.program import files_below


def hidden_below(directory: Path) -> set[str]:
    """The temporary files, by their paths below the directory."""
    return {str(path.relative_to(directory)) for path in directory.rglob(".*.part")}


def assert_whole(path: Path) -> None:
    """A visible file holds the whole object after which it is called.

    Also one whose sender was lost before it knew.
    """
    data_set = parse_part10(path.read_bytes()).data_set
    uid = path.name.removeprefix("CT.")
    assert data_set == object_of(uid, pixel_bytes=_pixel_bytes_of(data_set)), path


def assert_stored(out: Path, stored: dict[str, bytes]) -> None:
    """Every acknowledged object is there whole, and whatever else is visible."""
    for uid, data_set in stored.items():
        assert parse_part10((out / f"CT.{uid}").read_bytes()).data_set == data_set
    for name in files_below(out).keys() - {f"CT.{uid}" for uid in stored}:
        if not name.startswith("."):
            assert_whole(out / name)


def _pixel_bytes_of(data_set: bytes) -> int:
    """The length that an `object_of()` says its pixel data has."""
    at = data_set.index(b"\xe0\x7f\x10\x00") + 4
    return int.from_bytes(data_set[at : at + 4], "little")


def is_running(pid: int) -> bool:
    """Is there a process of that id that is no zombie?"""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
