"""What depends on a value representation: PS3.5 sections 6.2 and 7.1.2.

A table over all pairs of bytes, so that no header needs a comparison by letter. Two
capital letters that are no VR of today count as a future one, with the long header;
any other pair has the short one (observed, spec 8).
"""

cdef dict _UNITS = {
    "AE": 1, "AS": 1, "AT": 2, "CS": 1, "DA": 1, "DS": 1, "DT": 1, "FD": 8, "FL": 4,
    "IS": 1, "LO": 1, "LT": 1, "OB": 1, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2,
    "PN": 1, "SH": 1, "SL": 4, "SQ": 0, "SS": 2, "ST": 1, "SV": 8, "TM": 1, "UC": 1,
    "UI": 1, "UL": 4, "UN": 1, "UR": 1, "US": 2, "UT": 1, "UV": 8,
    "ox": 1, "px": 1, "xs": 2, "lt": 2, "up": 4, "?4": 1, "??": 1,
}
cdef frozenset _LONG = frozenset(
    "OB OD OF OL OV OW SQ SV UC UN UR UT UV ox px lt ?4".split()
)
cdef frozenset _TEXT = frozenset(
    "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UR UT".split()
)
cdef frozenset _BYTES = frozenset("UI OB UN ox px ?4 ??".split())

cdef uint16_t _traits[65536]


cdef int _fill() except -1:
    cdef long code
    cdef long first
    cdef long second
    for code in range(65536):
        first, second = code >> 8, code & 0xFF
        _traits[code] = (1 << UNIT_SHIFT) | PADS_WITH_NUL
        if c'A' <= first <= c'Z' and c'A' <= second <= c'Z':
            _traits[code] |= LONG_HEADER
    for name, unit in _UNITS.items():
        code = (ord(name[0]) << 8) | ord(name[1])
        _traits[code] = (
            (unit << UNIT_SHIFT)
            | (LONG_HEADER if name in _LONG else 0)
            | (PADS_WITH_BLANK if name in _TEXT else 0)
            | (PADS_WITH_NUL if name in _BYTES else 0)
            | (STANDARD if name.isupper() else 0)
        )
    return 0


_fill()


cdef const uint16_t* vr_traits() noexcept nogil:
    """The traits of every VR, by its code; never changes."""
    return _traits


def traits_of(str vr not None):
    """What the table says of two letters; for tests.

    Returns:
        (long header?, pad byte or None, bytes of a unit, standard?)
    """
    cdef uint16_t traits = _traits[(ord(vr[0]) << 8) | ord(vr[1])]
    pad = None
    if traits & PADS_WITH_BLANK:
        pad = b" "
    elif traits & PADS_WITH_NUL:
        pad = b"\0"
    return (
        bool(traits & LONG_HEADER), pad, traits >> UNIT_SHIFT, bool(traits & STANDARD)
    )
