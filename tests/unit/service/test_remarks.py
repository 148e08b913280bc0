"""service.remarks: the original's warnings about data sets, word by word.

tests/parity/test_normal_mode.py compares them with what the original says.
"""

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
