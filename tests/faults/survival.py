"""What a loss of power would leave, read from the record of `recordio`.

The disk keeps nothing but what a flush that had ended by then was told to write: bytes
of a file by its fdatasync, names by an fsync of their directory, everything by a syncfs
of the file system. A flush covers what was done before it began.
"""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Disk:
    """What has been done, and what of it the disk keeps; files are inode numbers."""

    written: dict[int, int] = field(default_factory=dict)  # file: its last write
    named: dict[int, int] = field(default_factory=dict)  # file: when it got its name
    data_kept: dict[int, int] = field(default_factory=dict)  # file: up to which write
    names_kept: int = -1  # up to which line
    all_kept: int = -1
    began: dict[tuple[str, str], int] = field(default_factory=dict)

    def keeps(self, file: int) -> bool:
        """Would the file be whole under its final name after a loss of power now?"""
        if file not in self.named:
            return False
        data_kept = max(self.all_kept, self.data_kept.get(file, -1))
        name_kept = max(self.all_kept, self.names_kept)
        return self.written[file] < data_kept and self.named[file] < name_kept

    def apply(self, line: int, what: str, process: str, file: int) -> None:
        """A line of the record."""
        kind, _, phase = what.partition("-")
        if what == "write":
            self.written[file] = line
        elif what == "name":
            self.named[file] = line
        elif phase == "begin":
            self.began[kind, process] = line
        elif kind == "data":
            self.data_kept[file] = self.began[kind, process]
        elif kind == "names":
            self.names_kept = max(self.names_kept, self.began[kind, process])
        else:
            self.all_kept = max(self.all_kept, self.began[kind, process])


@dataclass(frozen=True, slots=True)
class Promises:
    """The objects that were acknowledged, by what the disk kept at that moment."""

    kept: int
    broken: int
    flushes: int  # system calls


def promises(record: Path, files: dict[str, int]) -> Promises:
    """Judge every answer.

    Args:
        record: of a receiver of which every object had a new name.
        files: inode number by SOP Instance UID, of what is stored.
    """
    disk = Disk()
    kept = broken = flushes = 0
    by_wire = {uid.encode().hex(): file for uid, file in files.items()}
    for number, line in enumerate(record.read_text().splitlines()):
        what, process, rest = line.split()
        flushes += what.endswith("-end")
        if what != "answer":
            disk.apply(number, what, process, int(rest))
            continue
        for uid, file in by_wire.items():
            if uid in rest:
                kept += disk.keeps(file)
                broken += not disk.keeps(file)
    return Promises(kept, broken, flushes)
