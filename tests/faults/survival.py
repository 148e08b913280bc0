"""What a loss of power would leave, read from the record of `recordio`.

The disk keeps nothing but what a flush that had ended by then was told to write: bytes
of a file by its fdatasync, names by an fsync of the very directory they stand in, that
of the directory by one of the directory above, everything by a syncfs of the file
system. A flush covers what was done before it began.
"""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Disk:
    """What has been done, and what of it the disk keeps.

    Files and directories are inode numbers, times are lines of the record.
    """

    written: dict[int, int] = field(default_factory=dict)  # file: its last write
    # File, or directory that was made: when it got its name, and in which directory.
    named: dict[int, tuple[int, int]] = field(default_factory=dict)
    data_kept: dict[int, int] = field(default_factory=dict)  # file: up to which write
    names_kept: dict[int, int] = field(default_factory=dict)  # directory: up to when
    all_kept: int = -1
    began: dict[tuple[str, str], int] = field(default_factory=dict)

    def keeps(self, file: int) -> bool:
        """Would the file be whole under its final name after a loss of power now?"""
        if file not in self.named:
            return False
        data_kept = max(self.all_kept, self.data_kept.get(file, -1))
        return self.written[file] < data_kept and self._keeps_name(file)

    def _keeps_name(self, file: int) -> bool:
        """Does a path lead to it? What was there from the start has one."""
        while file in self.named:
            line, directory = self.named[file]
            if line > max(self.all_kept, self.names_kept.get(directory, -1)):
                return False
            file = directory
        return True

    def apply(
        self, line: int, what: str, process: str, file: int, directory: int = 0
    ) -> None:
        """A line of the record."""
        kind, _, phase = what.partition("-")
        if what == "write":
            self.written[file] = line
        elif what == "name":
            self.named[file] = line, directory
        elif what == "made":
            self.named.setdefault(file, (line, directory))
        elif phase == "begin":
            self.began[kind, process] = line
        elif kind == "data":
            self.data_kept[file] = self.began[kind, process]
        elif kind == "names":
            # Another process may have begun later and ended before.
            known = self.names_kept.get(file, -1)
            self.names_kept[file] = max(known, self.began[kind, process])
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
        what, process, *rest = line.split()
        flushes += what.endswith("-end")
        if what != "answer":
            disk.apply(number, what, process, *map(int, rest))
            continue
        for uid, file in by_wire.items():
            if uid in rest[0]:
                kept += disk.keeps(file)
                broken += not disk.keeps(file)
    return Promises(kept, broken, flushes)
