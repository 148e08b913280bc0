"""The Storage SOP classes and the prefixes that they give to file names.

Owns the table sop_class.tsv beside it, which joins the prefixes of DCMTK 3.6.7 with
those that later versions added. Never makes a file name: that is `naming`.
"""

import os


def _read_table() -> tuple[tuple[str, str], ...]:
    path = os.path.join(os.path.dirname(__file__), "sop_class.tsv")
    with open(path, encoding="ascii") as table:
        rows = (line.split("\t") for line in table if not line.startswith("#"))
        return tuple((uid, prefix) for uid, prefix, _ in rows)


# SOP Class UID and prefix, ascending by the bytes of the UID, so that a C table made of
# it can be searched by halves.
PREFIXES = _read_table()

_PREFIX_OF = dict(PREFIXES)


def prefix_of(uid: str) -> str | None:
    """Look up the file name prefix of a Storage SOP class.

    Args:
        uid: the SOP Class UID of a C-STORE-RQ, without padding.

    Returns:
        One to four letters, digits or underscores such as "CT", or None for a class
        that is not known.

    Source:
        PS3.4 section B.5 for the classes; DCMTK's dcmrecv 3.6.7 for the prefixes.
    """
    return _PREFIX_OF.get(uid)
