"""service.remarks: the original's warnings about data sets, word by word.

tests/parity/test_warnings.py compares them with what the original says.
"""

import pytest

from dcmrecv.service.remarks import remarks


def test_a_remark_names_the_element() -> None:
    (line,) = remarks(1, [(2, 0x0028_0010, "US", 2)])
    assert line == (
        "DcmItem: Length of element (0028,0010) is not a multiple of 2 (VR=US)"
    )


def test_letters_that_are_no_vr_cannot_forge_a_line() -> None:
    (line,) = remarks(1, [(4, 0x0009_1001, "\n\x9b", 2)])
    assert "VR '  ' (0a\\9b)" in line


def test_what_is_too_much_to_tell_is_counted() -> None:
    lines = list(remarks(40, [(1, 0x0010_0010, "PN", 3)] * 32))
    assert len(lines) == 33
    assert lines[-1] == "8 more warnings about this data set"


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        (0x0008_1140, "ReferencedImageSequence"),
        (0x0040_030E, "RETIRED_ExposureDoseSequence"),
        (0x3004_0010, "RTDoseROISequence"),  # retired since
        (0x0008_041E, "Unknown Tag & Data"),  # came into the standard since
        (0x50EE_2600, "RETIRED_CurveReferencedOverlaySequence"),
        (0x0000_0000, "CommandGroupLength"),
        (0x0008_0000, "GenericGroupLength"),
        (0x0007_0000, "IllegalGroupLength"),
        (0x0007_00FF, "IllegalPrivateCreator"),
        (0x0009_0000, "PrivateGroupLength"),
        (0x0009_0010, "PrivateCreator"),
        (0x0009_1001, "Unknown Tag & Data"),
    ],
)
def test_a_sequence_is_called_as_in_the_dictionary_of_the_original(
    tag: int, name: str
) -> None:
    (line,) = remarks(1, [(3, tag, "SQ", 9)])
    number = f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
    assert line == (
        f"DcmSequenceOfItems: Length of item in sequence {name} {number} is odd"
    )


def test_the_highest_tag_has_no_number() -> None:
    (line,) = remarks(1, [(8, 0xFFFF_FFFF, "UN", 0)])
    assert line == "DcmItem: Invalid Element (????,????) found in data set"
