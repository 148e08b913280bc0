"""Symbolic UID names, as association profiles and log lines spell them.

Owns data/uid-names.tsv, which joins the names of DCMTK 3.6.7 with those of later
versions. The table is read when the first name is wanted. Never judges whether a UID is
well formed.
"""

import os
import sys
from functools import cache

_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

# Names that depend on the machine, which no UID is shown as.
_BY_BYTE_ORDER = {
    "little": {
        "LocalEndianExplicit": _EXPLICIT_VR_LITTLE_ENDIAN,
        "OppositeEndianExplicit": _EXPLICIT_VR_BIG_ENDIAN,
    },
    "big": {
        "LocalEndianExplicit": _EXPLICIT_VR_BIG_ENDIAN,
        "OppositeEndianExplicit": _EXPLICIT_VR_LITTLE_ENDIAN,
    },
}


@cache
def _names() -> tuple[tuple[str, str], ...]:
    path = os.path.join(os.path.dirname(__file__), "data", "uid-names.tsv")
    with open(path, encoding="ascii") as table:
        rows = (line.split() for line in table if not line.startswith("#"))
        return tuple((name, uid) for name, uid in rows)


@cache
def _uid_by_name() -> dict[str, str]:
    return dict(_names()) | _BY_BYTE_ORDER[sys.byteorder]


@cache
def _name_by_uid() -> dict[str, str]:
    # Backwards, so that the first of two names for one UID is the one that stays.
    return {uid: name for name, uid in reversed(_names())}


def uid_of(name: str) -> str | None:
    """Look up what a symbolic name stands for.

    Args:
        name: for example "CTImageStorage" or "JPEGExtended:Process2+4"; case counts.

    Returns:
        The UID, or None for a name that is not known.

    Source:
        PS3.6 Annex A for the UIDs; DCMTK's `dcmFindUIDFromName` for the spelling.
    """
    return _uid_by_name().get(name)


def name_of(uid: str) -> str | None:
    """Look up the symbolic name of a UID.

    Args:
        uid: a UID of any kind, without padding.

    Returns:
        The name, or None for a UID that is not known.

    Source:
        PS3.6 Annex A for the UIDs; DCMTK's `dcmFindNameOfUID` for the spelling.
    """
    return _name_by_uid().get(uid)
