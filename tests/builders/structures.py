"""Data sets of odd structure, one for each rule or breach of a rule, by name.

`structures()` gives them in one encoding, `nested()` at several depths, and `streams()`
as deflated streams that are whole, cut off or something else.
"""

import zlib
from collections.abc import Mapping

from tests.builders.data_set import PIXEL_DATA, UNDEFINED, Encoding

ITEM, END_ITEM, END_SEQUENCE = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
SEQUENCE = 0x0008_1140
IMPLICIT = Encoding(explicit=False, byte_order="<")
DEPTHS = (1, 10, 64, 200, 1_000)


def structures(encoding: Encoding) -> Mapping[str, bytes]:
    """Every one in one encoding."""
    name = encoding.text(0x0010_0010, "PN", "AB")
    modality = encoding.text(0x0008_0060, "CS", "CT")
    found = {
        **_delimiters(encoding, modality, name),
        **_lengths(encoding, modality, name),
        **_pixel_data(encoding, modality),
        **_group_lengths(encoding, modality, name),
    }
    for size in range(2, 17, 2):
        in_item = encoding.item(modality + bytes(size))
        found[f"{size} zeros at the end"] = modality + bytes(size)
        found[f"{size} bytes FF at the end"] = modality + b"\xff" * size
        found[f"{size} zeros in an item"] = encoding.sequence(SEQUENCE, [in_item])
    return {case: _even(encoding, data) for case, data in found.items()}


def _even(encoding: Encoding, data: bytes) -> bytes:
    """An odd data set gets an element more: nobody can send it otherwise."""
    return data + encoding.element(0xFFFC_FFFD, "LO", b"x") * (len(data) % 2)


def _mark(encoding: Encoding, tag: int, length: int = 0) -> bytes:
    return encoding.element(tag, "", length=length)


def _open(encoding: Encoding, content: bytes) -> bytes:
    """A sequence of undefined length, without its delimiter."""
    return encoding.element(SEQUENCE, "SQ", content, length=UNDEFINED)


def _delimiters(encoding: Encoding, modality: bytes, name: bytes) -> dict[str, bytes]:
    end_item, end = _mark(encoding, END_ITEM), _mark(encoding, END_SEQUENCE)
    item = encoding.item(modality)
    open_item = encoding.element(ITEM, "", modality, length=UNDEFINED)
    found = {
        "end of item in a sequence": _open(encoding, item + end_item) + end,
        "end of sequence in one of defined length": encoding.sequence(
            SEQUENCE, [item, end]
        ),
        "end of item in one of defined length": encoding.sequence(
            SEQUENCE, [encoding.item(modality + end_item)]
        ),
        "end of item amid one of defined length": encoding.sequence(
            SEQUENCE, [encoding.item(modality + end_item + name)]
        ),
        "end of sequence in an item": encoding.sequence(
            SEQUENCE, [encoding.item(modality + end)]
        ),
        "end of sequence in an open item": _open(encoding, open_item + end),
        "item in an item": encoding.sequence(SEQUENCE, [encoding.item(item)]),
        "two ends of an item": _open(encoding, open_item + end_item * 2) + end,
        "two ends of a sequence": _open(encoding, item) + end * 2,
        "item at the top": modality + item,
        "empty item at the top": modality + encoding.item(b""),
        "end of sequence at the top": modality + end,
        "end of item at the top": modality + end_item,
        "another tag of the group": modality + encoding.element(0xFFFE_1234, "LO"),
        "no end of a sequence": modality + _open(encoding, item),
        "no end of an item": modality + _open(encoding, open_item),
    }
    for length in (1, 4, 8, UNDEFINED):
        long_end = _mark(encoding, END_SEQUENCE, length)
        long_end_item = _mark(encoding, END_ITEM, length)
        found[f"end of sequence with length {length}"] = (
            _open(encoding, item) + long_end
        )
        found[f"end of item with length {length}"] = (
            _open(encoding, open_item + long_end_item) + end
        )
    return {case: data + name for case, data in found.items()}


def _lengths(encoding: Encoding, modality: bytes, name: bytes) -> dict[str, bytes]:
    found = {}
    item = encoding.item(modality)
    for more in (-8, -2, 2, 8):
        wrong = encoding.element(ITEM, "", modality, length=len(modality) + more)
        found[f"item with {more} bytes"] = encoding.sequence(SEQUENCE, [wrong])
        found[f"sequence with {more} bytes"] = encoding.element(
            SEQUENCE, "SQ", item, length=len(item) + more
        )
    for size in (2, 4, 8):
        found[f"sequence of {size} bytes"] = encoding.element(
            SEQUENCE, "SQ", b"12345678"[:size]
        )
    header_only = encoding.element(ITEM, "", modality, length=4)
    found["item that ends in a header"] = encoding.element(SEQUENCE, "SQ", header_only)
    return {case: data + name for case, data in found.items()}


def _pixel_data(encoding: Encoding, modality: bytes) -> dict[str, bytes]:
    end = _mark(encoding, END_SEQUENCE)
    table, fragment = encoding.item(b""), encoding.item(b"abcd")

    def pixels(content: bytes, vr: str = "OB") -> bytes:
        return encoding.element(PIXEL_DATA, vr, content, length=UNDEFINED)

    whole = pixels(table + fragment) + end
    native = encoding.element(PIXEL_DATA, "OB", b"ab")
    endless = encoding.element(ITEM, "", b"ab", length=UNDEFINED)
    return {
        "fragments": whole,
        "fragments in an item": encoding.sequence(0x0088_0200, [encoding.item(whole)]),
        "native pixels in an item": encoding.sequence(
            0x0088_0200, [encoding.item(native)]
        ),
        "fragment of undefined length": pixels(table + endless) + end,
        "no offset table": pixels(b"") + end,
        "odd offset table": pixels(encoding.item(b"abc") + fragment) + end,
        "end of item among fragments": pixels(table + _mark(encoding, END_ITEM)) + end,
        "elements behind fragments": whole + encoding.element(0xFFFC_FFFC, "OB", b"ab"),
        "fragments twice": whole * 2,
        "native, then fragments": native + whole,
        "fragments, then native": whole + native,
        "fragments of UN": pixels(table + fragment, "UN") + end,
        "a sequence": encoding.element(PIXEL_DATA, "SQ", encoding.item(modality)),
        "a text": encoding.element(PIXEL_DATA, "LO", b"abcd"),
        "fragments of another element": encoding.element(
            0x7FE0_0008, "OF", table + fragment, length=UNDEFINED
        )
        + end,
    }


def _group_lengths(
    encoding: Encoding, modality: bytes, name: bytes
) -> dict[str, bytes]:
    found = {}
    for group in (0x0000, 0x0002, 0x0008, 0x0009, 0x0010, 0x7FE0, 0xFFFC, 0xFFFF):
        length = encoding.element(group << 16, "UL", b"\1\2\3\4")
        inside = encoding.sequence(SEQUENCE, [encoding.item(length + modality + name)])
        found[f"length of group {group:04x}"] = length + modality + name
        found[f"length of group {group:04x}, late"] = modality + name + length
        found[f"length of group {group:04x} in an item"] = inside + length
    return found


def nested(encoding: Encoding) -> Mapping[str, bytes]:
    """Sequences inside of sequences, of both lengths and unknown."""
    found = {}
    for depth in DEPTHS:
        for undefined in (False, True):
            data = encoding.text(0x0010_0020, "LO", "ab")
            for _ in range(depth):
                item = encoding.item(data, undefined=undefined)
                data = encoding.sequence(SEQUENCE, [item], undefined=undefined)
            found[f"{depth} deep, undefined length {undefined}"] = data
        data = IMPLICIT.text(0x0010_0020, "LO", "ab")
        end = IMPLICIT.element(END_SEQUENCE, "")
        for level in range(depth, 0, -1):
            outer = encoding if level == 1 else IMPLICIT
            content = IMPLICIT.item(data) + end
            data = outer.element(0x0009_1001, "UN", content, length=UNDEFINED)
        found[f"{depth} deep, unknown"] = data
    return found


def streams(data_set: bytes) -> Mapping[str, bytes]:
    """A data set in Explicit VR Little Endian, deflated in many ways."""

    def deflated(level: int = -1, strategy: int = 0, bits: int = -15) -> bytes:
        codec = zlib.compressobj(level, zlib.DEFLATED, bits, 8, strategy)
        half = codec.compress(data_set[: len(data_set) // 2])
        half += codec.flush(zlib.Z_FULL_FLUSH if strategy == 0 else zlib.Z_NO_FLUSH)
        return half + codec.compress(data_set[len(data_set) // 2 :]) + codec.flush()

    usual = deflated()
    found = {
        **{f"level {level}": deflated(level) for level in range(10)},
        **{f"strategy {strategy}": deflated(6, strategy) for strategy in range(1, 5)},
        **{f"window of {-bits} bits": deflated(bits=bits) for bits in range(-15, -8)},
        **{f"cut by {size}": usual[:-size] for size in (1, 2, 5, 10, 20)},
        "header of zlib": deflated(bits=15),
        "header of gzip": deflated(bits=31),
        "something behind": usual + b"something",
        "zeros behind": usual + bytes(1_000),
        "two streams": usual * 2,
        "nothing": b"\3\0",
        "only zeros": bytes(10),
    }
    return {case: stream + b"\0" * (len(stream) % 2) for case, stream in found.items()}
