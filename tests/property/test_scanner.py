"""A walk over a data set must not depend on how it was cut, and never fails to end."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from dcmrecv.encoding.dictionary import default_table
from dcmrecv.encoding.scanner import DatasetScanner
from tests.builders.data_set import UNDEFINED, Encoding, encapsulated_object

VRS = ["OB", "OW", "UN", "UI", "LO", "US", "PN", "UT", "DA"]
# Without a VR on the wire the dictionary says what is a sequence, so no tag of one kind
# may stand where the other is meant; of private tags it knows nothing.
private_tags = st.builds(
    lambda group, element: (2 * group + 1) << 16 | element,
    st.integers(0x0004, 0x3FEF),
    st.integers(0x1000, 0xFFFF),
)
tags = private_tags | st.sampled_from([0x0008_0018, 0x0010_0010, 0x0028_0010])
sequence_tags = private_tags | st.sampled_from([0x0008_1110, 0x0040_A730])


@st.composite
def elements(draw: st.DrawFn, encoding: Encoding, depth: int) -> bytes:
    """A well-formed run of elements, sequences of either form of length among them."""
    data = b""
    for _ in range(draw(st.integers(0, 4))):
        if depth > 0 and draw(st.booleans()):
            items = [
                encoding.item(
                    draw(elements(encoding, depth - 1)), undefined=draw(st.booleans())
                )
                for _ in range(draw(st.integers(0, 3)))
            ]
            data += encoding.sequence(
                draw(sequence_tags), items, undefined=draw(st.booleans())
            )
        else:
            data += encoding.element(
                draw(tags), draw(st.sampled_from(VRS)), draw(st.binary(max_size=40))
            )
    return data


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[bytes, dict[str, bool]]:
    """A well-formed data set and the syntax to read it in."""
    encoding = Encoding(
        explicit=draw(st.booleans()), byte_order=draw(st.sampled_from("<>"))
    )
    if not encoding.explicit:
        encoding = Encoding(explicit=False, byte_order="<")
    return draw(elements(encoding, 3)), {
        "explicit_vr": encoding.explicit,
        "big_endian": encoding.byte_order == ">",
    }


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(at, len(data)) for at in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


cuttings = st.lists(st.integers(0, 2_000), max_size=40)


@given(data_sets(), cuttings)
def test_a_well_formed_data_set_has_no_fault_in_any_split(
    case: tuple[bytes, dict[str, bool]], cuts: list[int]
) -> None:
    data, syntax = case
    found = DatasetScanner(default_table()).examine(cut(data, cuts), **syntax)
    assert found["fault"] is None
    assert found == DatasetScanner(default_table()).examine([data], **syntax)


@given(data_sets(), st.data(), cuttings)
def test_a_damaged_data_set_says_the_same_in_any_split(
    case: tuple[bytes, dict[str, bool]], data: st.DataObject, cuts: list[int]
) -> None:
    whole, syntax = case
    damaged = bytearray(whole + b"\0" * 8)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]))
    in_pieces = DatasetScanner(default_table()).examine(
        cut(bytes(damaged), cuts), **syntax
    )
    assert in_pieces == DatasetScanner(default_table()).examine(
        [bytes(damaged)], **syntax
    )


@given(st.binary(max_size=500), st.booleans(), st.booleans(), st.booleans(), cuttings)
def test_garbage_is_walked_to_an_end(
    garbage: bytes,
    explicit_vr: bool,
    big_endian: bool,
    encapsulated: bool,
    cuts: list[int],
) -> None:
    scanner = DatasetScanner(default_table())
    syntax = {
        "explicit_vr": explicit_vr,
        "big_endian": big_endian and explicit_vr,
        "encapsulated": encapsulated,
    }
    in_pieces = scanner.examine(cut(garbage, cuts), **syntax)
    assert in_pieces == scanner.examine([garbage], **syntax)


@given(st.lists(st.binary(max_size=50), max_size=5), cuttings)
def test_fragments_of_any_length_are_walked_over(
    fragments: list[bytes], cuts: list[int]
) -> None:
    data = encapsulated_object(fragments=fragments)
    found = DatasetScanner(default_table()).examine(cut(data, cuts), encapsulated=True)
    assert found["fault"] is None


@given(st.integers(0, 0xFFFF_FFFE))
def test_no_length_of_an_element_is_taken_for_more_than_it_is(length: int) -> None:
    """An element's length counts from its value, however the sum comes out."""
    explicit = Encoding(explicit=True, byte_order="<")
    element = explicit.element(0x0009_1010, "UN", b"", length=length)
    inside = explicit.sequence(0x0008_1140, [explicit.item(element)])
    assert length != UNDEFINED
    fault = DatasetScanner(default_table()).examine([inside])["fault"]
    assert (fault is None) == (length == 0)
