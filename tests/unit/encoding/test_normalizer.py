"""encoding.normalizer: each row of spec section 8, in each encoding and any split."""

import pytest

from dcmrecv.encoding.dictionary import default_table
from dcmrecv.encoding.normalizer import Normalizer
from dcmrecv.encoding.notes import Notes
from dcmrecv.encoding.scanner import DatasetScanner
from tests.builders.data_set import PIXEL_DATA, UNDEFINED, Encoding

EXPLICIT = Encoding(explicit=True, byte_order="<")
IMPLICIT = Encoding(explicit=False, byte_order="<")
BIG_ENDIAN = Encoding(explicit=True, byte_order=">")
ENCODINGS = [EXPLICIT, IMPLICIT, BIG_ENDIAN]
SEQUENCE = 0x0008_1140
MODALITY = 0x0008_0060
PATIENT_ID = 0x0010_0020


def rewrite(
    data: bytes, encoding: Encoding = EXPLICIT, *, encapsulated: bool = False
) -> bytes | str:
    """The data set as it is written, the same byte by byte and in one piece."""
    normalizer = Normalizer(DatasetScanner(default_table()))
    syntax = {
        "explicit_vr": encoding.explicit,
        "big_endian": encoding.byte_order == ">",
        "encapsulated": encapsulated,
    }
    pieces = [data[at : at + 1] for at in range(len(data))]
    written: bytes | str = normalizer.rewrite(pieces, **syntax)
    assert normalizer.rewrite([data], **syntax) == written
    if isinstance(written, bytes):
        assert normalizer.rewrite([written], **syntax) == written, "not stable"
    return written


def modality(encoding: Encoding) -> bytes:
    return encoding.text(MODALITY, "CS", "CT")


def patient_id(encoding: Encoding) -> bytes:
    return encoding.text(PATIENT_ID, "LO", "ID")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("items", [0, 1, 3])
def test_lengths_of_sequences_and_items_become_undefined(
    encoding: Encoding, items: int
) -> None:
    def nested(undefined: bool) -> bytes:
        inner = [encoding.item(modality(encoding), undefined=undefined)] * items
        inner += [encoding.item(b"", undefined=undefined)]
        data = encoding.sequence(SEQUENCE, inner, undefined=undefined)
        return encoding.sequence(
            SEQUENCE, [encoding.item(data, undefined=undefined)], undefined=undefined
        )

    assert rewrite(nested(False), encoding) == nested(True)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_group_lengths_count_what_is_written(encoding: Encoding) -> None:
    """Patched before and after what they count has left the memory."""
    for filler in (b"", bytes(600_000)):
        inside = encoding.element(0x0008_0008, "OB", filler) + modality(encoding)
        sequence = encoding.sequence(SEQUENCE, [encoding.item(inside)])
        length = encoding.element(0x0008_0000, "UL", b"\1\2\3\4")
        data = length + sequence + patient_id(encoding)
        written = rewrite(data, encoding) if not filler else whole(data, encoding)
        order = "big" if encoding.byte_order == ">" else "little"
        assert isinstance(written, bytes)
        assert int.from_bytes(written[8:12], order) == len(sequence) + 16


def whole(data: bytes, encoding: Encoding) -> bytes | str:
    written: bytes | str = Normalizer(DatasetScanner(default_table())).rewrite(
        [data],
        explicit_vr=encoding.explicit,
        big_endian=encoding.byte_order == ">",
    )
    return written


@pytest.mark.parametrize(
    ("vr", "padded"),
    [("LO", b"abc "), ("UI", b"abc\0"), ("OB", b"abc\0"), ("UN", b"abc\0")],
)
def test_odd_values_are_padded(vr: str, padded: bytes) -> None:
    data = EXPLICIT.element(0x0009_1001, vr, b"abc")
    assert rewrite(data) == EXPLICIT.element(0x0009_1001, vr, padded)


@pytest.mark.parametrize("vr", ["OW", "US", "FD", "AT", "SL", "OF"])
def test_odd_values_of_larger_units_stay(vr: str) -> None:
    data = EXPLICIT.element(0x0009_1001, vr, b"abc")
    assert rewrite(data) == data


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [4, 40_000, 400_000])
def test_elements_are_sorted_wherever_they_lie(encoding: Encoding, size: int) -> None:
    """In memory, beyond a span, and in what has been written already."""
    large = encoding.element(0x0009_1001, "OB", b"x" * size)
    inner = encoding.item(patient_id(encoding) + modality(encoding), undefined=True)
    sequence = encoding.sequence(SEQUENCE, [inner], undefined=True)
    data = patient_id(encoding) + large + sequence + modality(encoding)
    ordered = encoding.item(modality(encoding) + patient_id(encoding), undefined=True)
    expected = (
        modality(encoding)
        + encoding.sequence(SEQUENCE, [ordered], undefined=True)
        + large
        + patient_id(encoding)
    )
    assert whole(data, encoding) == expected


@pytest.mark.parametrize("size", [4, 400_000])
def test_of_repeated_elements_the_first_stays_and_is_counted(size: int) -> None:
    length = EXPLICIT.element(0x0008_0000, "UL", bytes(4))
    large = EXPLICIT.element(0x0009_1001, "OB", b"x" * size)
    twice = modality(EXPLICIT) + EXPLICIT.text(MODALITY, "CS", "MR")
    counted = EXPLICIT.element(0x0008_0000, "UL", b"\x0a\0\0\0")
    expected = counted + modality(EXPLICIT) + large
    assert whole(length + twice + large + large, EXPLICIT) == expected


@pytest.mark.parametrize("encoding", [EXPLICIT, BIG_ENDIAN])
def test_unknown_sequences_are_written_as_what_they_are(encoding: Encoding) -> None:
    """PS3.5 section 6.2.2, note 4, with the VRs of the dictionary."""

    def content(own: Encoding) -> bytes:
        return (
            own.text(MODALITY, "CS", "CT")
            + own.short(0x0028_0103, 1)
            + own.element(
                0x0028_0106, "SS", b"\1\2"[:: 1 if own.byte_order == "<" else -1]
            )
            + own.element(0x0029_1001, "UN", b"ab")
        )

    inner = IMPLICIT.item(content(IMPLICIT))
    data = encoding.element(0x0009_1001, "UN", inner, length=UNDEFINED)
    data += IMPLICIT.element(0xFFFEE0DD, "")
    expected = encoding.sequence(
        0x0009_1001, [encoding.item(content(encoding), undefined=True)], undefined=True
    )
    assert rewrite(data, encoding) == expected


def test_of_repeated_numbers_the_first_says_what_others_are() -> None:
    """Also when it has no value, as the original was seen to do it."""
    content = IMPLICIT.element(0x0028_0103, "US")
    content += IMPLICIT.short(0x0028_0103, 1)
    content += IMPLICIT.short(0x0028_0106, 2)
    content += IMPLICIT.element(0x5400_1004, "US")
    content += IMPLICIT.short(0x5400_1004, 16)
    content += IMPLICIT.element(0x5400_100A, "OW", b"ab")
    data = EXPLICIT.element(0x0009_1001, "UN", IMPLICIT.item(content), length=UNDEFINED)
    written = whole(data + IMPLICIT.element(0xFFFEE0DD, ""), EXPLICIT)
    assert isinstance(written, bytes)
    assert EXPLICIT.short(0x0028_0106, 2) in written
    assert EXPLICIT.element(0x5400_100A, "OB", b"ab") in written


def test_a_text_too_long_for_its_header_becomes_unknown() -> None:
    inner = IMPLICIT.item(IMPLICIT.element(PATIENT_ID, "LO", b"x" * 70_000))
    data = EXPLICIT.element(0x0009_1001, "UN", inner, length=UNDEFINED)
    written = whole(data + IMPLICIT.element(0xFFFEE0DD, ""), EXPLICIT)
    assert isinstance(written, bytes)
    assert EXPLICIT.element(PATIENT_ID, "UN", b"x" * 70_000) in written


def test_encapsulated_pixel_data_becomes_bytes_with_even_fragments() -> None:
    end = EXPLICIT.element(0xFFFEE0DD, "")
    odd = EXPLICIT.item(b"") + EXPLICIT.item(b"abc") + EXPLICIT.item(b"de") + end
    even = EXPLICIT.item(b"") + EXPLICIT.item(b"abc\0") + EXPLICIT.item(b"de") + end
    data = EXPLICIT.element(PIXEL_DATA, "OW", odd, length=UNDEFINED)
    expected = EXPLICIT.element(PIXEL_DATA, "OB", even, length=UNDEFINED)
    assert rewrite(data, encapsulated=True) == expected


def test_reserved_bytes_become_zero() -> None:
    data = EXPLICIT.element(0x0009_1001, "OB", b"ab")
    assert rewrite(data.replace(b"OB\0\0", b"OB\1\2")) == data


def test_what_is_no_vr_becomes_unknown() -> None:
    short = EXPLICIT.element(0x0009_1001, "LO", b"ab").replace(b"LO", b"\0\0")
    assert rewrite(short) == EXPLICIT.element(0x0009_1001, "UN", b"ab")
    long = EXPLICIT.element(0x0009_1001, "UN", b"ab").replace(b"UN", b"ZZ")
    assert rewrite(long) == EXPLICIT.element(0x0009_1001, "UN", b"ab")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_group_length_is_always_one_number(encoding: Encoding) -> None:
    length = encoding.element(0x0008_0000, "UL", b"")
    expected = encoding.element(
        0x0008_0000, "UL", b"\x0a\0\0\0"[:: 1 if encoding.byte_order == "<" else -1]
    )
    assert rewrite(length + modality(encoding), encoding) == expected + modality(
        encoding
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_everything_else_stays(encoding: Encoding) -> None:
    data = (
        encoding.element(0x0002_0010, "UI", b"1.2 ")
        + modality(encoding)
        + encoding.text(0x0009_0010, "LO", "OWNER")
        + encoding.element(0x0009_1001, "UN", encoding.item(b"abcd"))
        + encoding.element(PATIENT_ID, "LO", b"")
        + encoding.element(PIXEL_DATA, "OW", bytes(100))
        + encoding.element(0xFFFC_FFFC, "OB", bytes(20))
    )
    assert rewrite(data, encoding) == data


def test_a_hostile_number_of_elements_is_refused() -> None:
    """Bounded memory: 131,072 elements of open items together."""
    data = b"".join(
        IMPLICIT.element(0x0009_0000 + (n >> 15 << 17) + (n & 0x7FFF) + 1, "")
        for n in range(131_073)
    )
    assert "too many elements" in str(whole(data, IMPLICIT))


def test_disorder_is_sorted_in_the_time_of_a_sort() -> None:
    """130,000 elements from the last to the first: no search through all of them."""
    data = b"".join(
        IMPLICIT.element(0x0009_0000 + (n >> 15 << 17) + (n & 0x7FFF) + 1, "")
        for n in range(130_000, 0, -1)
    )
    written = whole(data, IMPLICIT)
    assert written[:8] == data[-8:]
    assert len(written) == len(data)


def test_order_is_noted_behind_what_an_element_holds_and_lengths_at_the_end() -> None:
    """As the original warns; a repeated element's own group length is not written."""
    notes = Notes()
    odd = EXPLICIT.element(0x0010_0010, "PN", b"A^B")
    nested = EXPLICIT.sequence(SEQUENCE, [EXPLICIT.item(odd)])
    length = EXPLICIT.element(0x0008_0000, "SL", bytes(4))
    late = EXPLICIT.element(0x0003_1000, "LO", b"")
    data = patient_id(EXPLICIT) + nested + late + length + length + nested
    assert isinstance(
        Normalizer(DatasetScanner(default_table(), notes)).rewrite([data]), bytes
    )
    sequence_notes = [(1, SEQUENCE), (3, SEQUENCE), (1, 0x0010_0010)]
    assert [note[:2] for note in notes.taken()[1]] == [
        *sequence_notes,
        (6, SEQUENCE),
        (6, 0x0003_1000),
        (8, 0x0003_1000),
        (6, 0x0008_0000),
        (7, 0x0008_0000),
        *sequence_notes,
        (7, SEQUENCE),
        (10, 0),
    ]


def test_disorder_beyond_what_is_told_is_only_counted() -> None:
    notes = Notes()
    rewriter = Normalizer(DatasetScanner(default_table(), notes))
    assert rewriter.rewrite([modality(EXPLICIT) * 100]) == modality(EXPLICIT)
    count, kept = notes.taken()
    assert (count, len(kept)) == (99, 32)
