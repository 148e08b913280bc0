"""encoding.vr: what depends on a VR. PS3.5 Tables 6.2-1 and 7.1-1, spec 8."""

import pytest

from dcmrecv.encoding.vr import traits_of
from tests.builders.data_set import LONG_VRS

TEXTS = (
    "AE",
    "AS",
    "CS",
    "DA",
    "DS",
    "DT",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "ST",
    "TM",
    "UC",
    "UR",
    "UT",
)
SHORT = (
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "DT",
    "FD",
    "FL",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "SL",
    "SS",
    "ST",
    "TM",
    "UI",
    "UL",
    "US",
)


@pytest.mark.parametrize("vr", [*SHORT, *LONG_VRS])
def test_every_standard_vr_has_the_header_of_the_standard(vr: str) -> None:
    long_header, pad, _, standard = traits_of(vr)
    assert standard
    assert long_header == (vr in LONG_VRS)
    assert (pad == b" ") == (vr in TEXTS)


def test_only_bytes_and_uids_are_padded_with_nul() -> None:
    padded = [vr for vr in [*SHORT, *LONG_VRS] if traits_of(vr)[1] == b"\0"]
    assert sorted(padded) == ["OB", "UI", "UN"]


@pytest.mark.parametrize(
    ("vr", "unit"), [("US", 2), ("AT", 2), ("OW", 2), ("FL", 4), ("OV", 8), ("LO", 1)]
)
def test_units_are_those_that_byte_order_turns_round(vr: str, unit: int) -> None:
    assert traits_of(vr)[2] == unit


@pytest.mark.parametrize(
    ("vr", "long_header"), [("ZZ", True), ("\0\0", False), ("a1", False), ("Zz", False)]
)
def test_what_is_no_vr_is_read_as_the_original_reads_it(
    vr: str, long_header: bool
) -> None:
    """Two capital letters are a future VR."""
    assert traits_of(vr)[0] == long_header
    assert not traits_of(vr)[3]
