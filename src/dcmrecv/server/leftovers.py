"""Temporary files of a worker that died.

Knows the shape of their names (storage/writer makes them) and the directories in which
they can lie. Never touches a file whose tag is not exactly that of a dead worker.
"""

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
