"""Temporary files of workers and receivers that died.

Knows the shape of their names (storage/writer makes them), what the tags in them say,
and the directories in which they can lie. Never touches a file whose writer is not
known to be dead: not that of another machine or container, nor one that it cannot read.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from dcmrecv.config.settings import StorageSettings, SubdirectoryMode

# Below the output directory: data/YYYY/MM/DD and undef/YYYYMMDD; spec section 7.6.
SERIES_DATE_ROOTS: Final = ("data", "undef")
SERIES_DATE_DEPTH: Final = 3

# A look at so many directory entries takes minutes; past it the search is given up.
MAX_ENTRIES: Final = 50_000_000


# A look at so many takes some milliseconds.
QUICK_ENTRIES: Final = 10_000

_TEMPORARY_NAME: Final = re.compile(
    r"\.dcmrecv-"
    r"(?P<machine>[0-9a-f]{8})\.(?P<boot>[0-9a-f]{8})\.(?P<namespace>[0-9]+)\."
    r"(?P<receiver>[0-9]+)\.(?P<started>[0-9]+)\.[0-9a-f]{8}\."
    r"(?P<worker>[0-9]+)\.[0-9]+-[0-9]+\.part"
)


def receiver_tag() -> str:
    """The part of temporary names that says whose they are: the calling process's.

    Unique on all machines that store into the same directory, and telling after a crash
    whether its writer still lives: machine, boot, namespace of process ids, process id
    and the moment of its start.
    """
    pid = os.getpid()
    place = ".".join(_here())
    return f"{place}.{pid}.{_started(pid)}.{os.urandom(4).hex()}"


def may_have_leftovers(storage: StorageSettings) -> bool:
    """Whether remove_leftovers() might find something; takes milliseconds.

    True too when there are too many directory entries for a quick look.
    """
    for seen, entry in enumerate(_entries(storage)):
        if seen >= QUICK_ENTRIES or _TEMPORARY_NAME.fullmatch(entry.name):
            return True
    return False


def remove_leftovers(storage: StorageSettings) -> int:
    """Remove the temporary files of receivers that have died on this machine.

    Those of a receiver that runs stay, and those of its workers as long as one of that
    process id runs.

    Returns:
        How many files were removed.
    """
    removed = 0
    if not _started(os.getpid()):
        return 0  # without /proc everybody looks dead
    for seen, entry in enumerate(_entries(storage)):
        if seen >= MAX_ENTRIES:
            break
        match = _TEMPORARY_NAME.fullmatch(entry.name)
        if match is not None and _is_dead(match):
            removed += _remove(entry.path)
    return removed


def _is_dead(name: re.Match[str]) -> bool:
    """Whether nobody can be writing the file of that name any more."""
    machine, boot, namespace = _here()
    if name["machine"] != machine:
        return False
    if name["boot"] != boot:
        return True
    if name["namespace"] != namespace:
        return False
    if _started(int(name["receiver"])) == name["started"]:
        return False
    return _started(int(name["worker"])) == ""


def _here() -> tuple[str, str, str]:
    """Which machine this is, since which boot, and which process ids are meant.

    Machines that were copied have the same id, so the name counts as well.
    """
    identity = _text("/etc/machine-id") + os.uname().nodename
    boot = _text("/proc/sys/kernel/random/boot_id")
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return _digest(identity), _digest(boot), str(namespace)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process has started, in ticks since the boot; "" when there is none.

    Source:
        proc(5), /proc/PID/stat, field 22; the second may hold blanks and brackets.
    """
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def remove_temporary_files(storage: StorageSettings, tags: Collection[str]) -> int:
    """Remove every `.dcmrecv-<tag>-<n>.part` in the directories of received files.

    Args:
        storage: where the files are.
        tags: of workers that are known to be dead.

    Returns:
        How many files were removed.
    """
    if not tags:
        return 0
    alternatives = "|".join(re.escape(tag) for tag in tags)
    temporary_name = re.compile(rf"\.dcmrecv-(?:{alternatives})-[0-9a-f]+\.part")
    removed = 0
    for seen, entry in enumerate(_entries(storage)):
        if seen >= MAX_ENTRIES:
            break
        if temporary_name.fullmatch(entry.name):
            removed += _remove(entry.path)
    return removed


def _entries(storage: StorageSettings) -> Iterator[os.DirEntry[str]]:
    top = Path(storage.output_directory)
    yield from _walk(top, 0)
    if storage.subdirectory_mode is SubdirectoryMode.SERIES_DATE:
        for root in SERIES_DATE_ROOTS:
            yield from _walk(top / root, SERIES_DATE_DEPTH)


def _walk(directory: Path, depth: int) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            below = []
            for entry in entries:
                yield entry
                if depth and entry.is_dir():
                    below.append(Path(entry.path))
    except OSError:
        # Vanished or not readable: the worker could not have a file here either.
        return
    for child in below:
        yield from _walk(child, depth - 1)


def _remove(path: str) -> int:
    try:
        os.unlink(path)
    except OSError:
        return 0
    return 1
