"""encoding.scanner: what is well formed, and where it is not. Spec 8."""

import pytest

from dcmrecv.encoding.dictionary import default_table
from dcmrecv.encoding.scanner import DatasetScanner
from tests.builders.data_set import (
    PIXEL_DATA,
    SERIES_DATE,
    UNDEFINED,
    Encoding,
    encapsulated_object,
    object_of,
)
from tests.builders.uids import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE

EXPLICIT = Encoding(explicit=True, byte_order="<")
IMPLICIT = Encoding(explicit=False, byte_order="<")
SEQUENCE = 0x00081140
DELIMITER = EXPLICIT.element(0xFFFEE0DD, "")


def examine(data: bytes, **syntax: bool) -> dict[str, object]:
    return DatasetScanner(default_table()).examine([data], **syntax)


@pytest.mark.parametrize(
    ("uid", "syntax"),
    [
        (IMPLICIT_LE, {"explicit_vr": False}),
        (EXPLICIT_LE, {}),
        (EXPLICIT_BE, {"big_endian": True}),
    ],
)
def test_the_wanted_values_are_found_in_each_encoding(
    uid: str, syntax: dict[str, bool]
) -> None:
    data = object_of("1.2.3.4", transfer_syntax=uid, series_date="20200102")
    assert examine(data, **syntax) == {
        "fault": None,
        "sop_class": b"1.2.840.10008.5.1.4.1.1.2\0",
        "sop_instance": b"1.2.3.4\0",
        "series_date": b"20200102",
    }


def test_encapsulated_pixel_data_is_walked_over() -> None:
    assert examine(encapsulated_object(), encapsulated=True)["fault"] is None


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT])
def test_values_inside_of_sequences_are_not_taken(
    encoding: Encoding, undefined: bool
) -> None:
    inner = encoding.text(SERIES_DATE, "DA", "19990101")
    data = encoding.sequence(
        SEQUENCE,
        [encoding.item(inner, undefined=undefined)] * 2,
        undefined=undefined,
    )
    found = examine(data, explicit_vr=encoding.explicit)
    assert found["fault"] is None
    assert found["series_date"] is None


def test_the_first_of_repeated_elements_counts() -> None:
    data = EXPLICIT.text(SERIES_DATE, "DA", "20200102")
    data += EXPLICIT.text(SERIES_DATE, "DA", "20210101")
    assert examine(data)["series_date"] == b"20200102"


def test_unknown_content_of_undefined_length_is_implicit() -> None:
    """PS3.5 section 6.2.2: UN of undefined length holds Implicit VR Little Endian."""
    inner = IMPLICIT.item(IMPLICIT.text(0x00100010, "PN", "A^B"), undefined=True)
    data = EXPLICIT.element(0x00091010, "UN", inner, length=UNDEFINED) + DELIMITER
    assert examine(data)["fault"] is None


def test_a_long_value_is_captured_up_to_a_bound() -> None:
    data = EXPLICIT.element(0x00080018, "UI", b"1" * 1_000)
    assert examine(data)["sop_instance"] == b"1" * 256


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (EXPLICIT.text(0x00100010, "PN", "A^B")[:-1], "(0010,0010) at offset 0"),
        (b"\x08\x00\x16", "at offset 0: data set ends inside"),
        (
            EXPLICIT.element(0x00100010, "PN", b"ab", length=400),
            "(0010,0010) at offset 0: data set ends inside",
        ),
        (
            EXPLICIT.element(0xFFFEE00D, ""),
            "(fffe,e00d) at offset 0: unexpected delimiter",
        ),
        (DELIMITER, "(fffe,e0dd) at offset 0: unexpected delimiter"),
        (EXPLICIT.item(b""), "(fffe,e000) at offset 0: unexpected delimiter"),
        (
            EXPLICIT.element(0x00091010, "OB", b"", length=UNDEFINED),
            "(0009,1010) at offset 0: undefined length not allowed",
        ),
        (
            EXPLICIT.sequence(SEQUENCE, [EXPLICIT.text(0x00100010, "PN", "A^")]),
            "(0010,0010) at offset 12: not an item",
        ),
        (
            EXPLICIT.sequence(
                SEQUENCE,
                [EXPLICIT.item(EXPLICIT.element(0x00100010, "PN", b"", length=64))],
            ),
            "(0010,0010) at offset 20: longer than what holds it",
        ),
        (
            EXPLICIT.element(SEQUENCE, "SQ", b"", length=UNDEFINED),
            "at offset 12: data set ends inside",
        ),
        (
            EXPLICIT.element(SEQUENCE, "SQ", b"", length=UNDEFINED)
            + EXPLICIT.item(b"", undefined=True)[:8],
            "data set ends inside",
        ),
    ],
)
def test_what_is_broken_is_named_with_tag_and_offset(data: bytes, fault: str) -> None:
    assert fault in str(examine(data)["fault"])


def test_pixel_data_of_defined_length_must_not_be_in_an_encapsulated_syntax() -> None:
    data = EXPLICIT.element(PIXEL_DATA, "OW", b"ab")
    assert examine(data)["fault"] is None
    fault = examine(data, encapsulated=True)["fault"]
    assert fault == "(7fe0,0010) at offset 0: must be encapsulated"


def test_encapsulated_pixel_data_without_its_end_is_cut() -> None:
    data = encapsulated_object()
    assert "ends inside" in str(examine(data[:-8], encapsulated=True)["fault"])


def test_nesting_is_bounded() -> None:
    level = EXPLICIT.element(SEQUENCE, "SQ", b"", length=UNDEFINED)
    level += EXPLICIT.element(0xFFFEE000, "", b"", length=UNDEFINED)
    assert "nested too deeply" in str(examine(level * 1_025)["fault"])
    assert "ends inside" in str(examine(level * 1_024)["fault"])


@pytest.mark.parametrize("count", range(1, 8))
def test_zeros_too_few_for_an_element_are_padding(count: int) -> None:
    data = EXPLICIT.text(0x00100010, "PN", "A^")
    assert examine(data + bytes(count))["fault"] is None
    fault = examine(data + bytes(count - 1) + b"\1")["fault"]
    assert "ends inside" in str(fault)


def test_delimiters_at_the_end_of_defined_lengths_do_no_harm() -> None:
    item = EXPLICIT.item(EXPLICIT.element(0xFFFEE00D, ""))
    data = EXPLICIT.sequence(SEQUENCE, [item, DELIMITER])
    assert examine(data + EXPLICIT.text(0x00100010, "PN", "A^"))["fault"] is None


def test_a_length_near_the_end_of_its_range_does_not_wrap() -> None:
    inner = EXPLICIT.item(EXPLICIT.element(0x00091010, "UN", b"", length=0xFFFFFFFE))
    data = EXPLICIT.sequence(SEQUENCE, [inner])
    assert "longer than what holds it" in str(examine(data)["fault"])


@pytest.mark.parametrize(
    "data",
    [
        EXPLICIT.sequence(SEQUENCE, [EXPLICIT.item(b"")[:4] + b"\x20\0\0\0"]),
        EXPLICIT.sequence(SEQUENCE, [EXPLICIT.item(b"\x10\0\x10\0")]) + bytes(8),
        EXPLICIT.sequence(
            SEQUENCE,
            [
                EXPLICIT.element(0xFFFEE000, "", EXPLICIT.item(b""), length=UNDEFINED)[
                    :8
                ]
            ],
        ),
    ],
)
def test_lengths_that_disagree_without_loss_are_let_pass_as_seen(data: bytes) -> None:
    """The original takes them, too: tests/parity/test_normal_mode.py."""
    assert examine(data)["fault"] is None
