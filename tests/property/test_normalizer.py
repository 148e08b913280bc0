"""What normal mode writes does not depend on how the stream was cut, and is stable.

Besides: garbage comes to an end, and no rule reaches outside of its bytes (the
sanitizer build runs this file). DCMRECV_FUZZ_EXAMPLES sets how many data sets; 1000000
take some hours.
"""

import itertools
import os
import random
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcmrecv.encoding.dictionary import default_table
from dcmrecv.encoding.inflater import Deflater, Inflater
from dcmrecv.encoding.normalizer import Normalizer
from dcmrecv.encoding.scanner import DatasetScanner
from tests.builders import uids
from tests.builders.data_set import Encoding, deflate
from tests.builders.mixture import mixture

EXAMPLES = int(os.environ.get("DCMRECV_FUZZ_EXAMPLES", "150"))
SYNTAXES: dict[str, tuple[Encoding, dict[str, bool]]] = {
    "implicit": (Encoding.of(uids.IMPLICIT_LE), {"explicit_vr": False}),
    "explicit": (Encoding.of(uids.EXPLICIT_LE), {}),
    "big endian": (Encoding.of(uids.EXPLICIT_BE), {"big_endian": True}),
    "encapsulated": (Encoding.of(uids.EXPLICIT_LE), {"encapsulated": True}),
}
NORMALIZER = Normalizer(DatasetScanner(default_table()))

seeds = st.integers(0, 2**48)
examples = settings(
    max_examples=EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    """Some pieces, many of them short."""
    count = chance.choice((1, 3, 40, len(data) // 2))
    edges = sorted(chance.randrange(len(data) + 1) for _ in range(count))
    return [data[a:b] for a, b in itertools.pairwise([0, *edges, len(data)])]


@pytest.mark.parametrize("syntax", SYNTAXES)
@examples
@given(seed=seeds, wild=st.sampled_from([0, 5, 60]))
def test_any_split_gives_the_same_and_it_is_stable(
    syntax: str, seed: int, wild: int
) -> None:
    encoding, flags = SYNTAXES[syntax]
    chance = random.Random(seed)
    encapsulated = syntax == "encapsulated"
    data = mixture(chance, encoding, encapsulated=encapsulated, wild=wild)
    written = NORMALIZER.rewrite([data], **flags)
    assert NORMALIZER.rewrite(cut(data, chance), **flags) == written
    if isinstance(written, bytes):
        # The next time group lengths count odd bytes padded, and numbers that had
        # become unknown are padded; the original is no different.
        again = NORMALIZER.rewrite([written], **flags)
        assert NORMALIZER.rewrite([again], **flags) == again


@examples
@given(seed=seeds, wild=st.sampled_from([0, 5, 60]))
def test_any_split_of_a_deflated_data_set_gives_the_same(seed: int, wild: int) -> None:
    """What lies between inflating and deflating is Explicit VR Little Endian."""
    encoding, flags = SYNTAXES["explicit"]
    chance = random.Random(seed)
    data = mixture(chance, encoding, wild=wild)
    written = NORMALIZER.rewrite([data], **flags)
    inflated = Inflater().inflate(cut(deflate(data), chance))
    assert NORMALIZER.rewrite(inflated, **flags) == written
    if isinstance(written, bytes):
        stream = Deflater().deflate([written])
        assert Deflater().deflate(cut(written, chance)) == stream
        assert zlib.decompress(stream, wbits=-zlib.MAX_WBITS) == written


@pytest.mark.parametrize("syntax", SYNTAXES)
@examples
@given(seed=seeds)
def test_damage_anywhere_comes_to_an_end(syntax: str, seed: int) -> None:
    """Bytes changed, cut out and doubled; the same in any split."""
    encoding, flags = SYNTAXES[syntax]
    chance = random.Random(seed)
    data = bytearray(mixture(chance, encoding, wild=60) + bytes(8))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] = chance.choice((0, 1, 8, 0x7F, 0x80, 0xE0, 0xFE, 0xFF))
        elif kind == 1:
            data[at : at + 4] = chance.choice((b"\xff" * 4, b"\xfe\xff\xff\xff", b"UN"))
        elif kind == 2:
            del data[at : at + chance.randrange(12)]
            data += b"\0"
        else:
            data[at:at] = data[at : at + chance.randrange(40)]
    written = NORMALIZER.rewrite([bytes(data)], **flags)
    assert NORMALIZER.rewrite(cut(bytes(data), chance), **flags) == written


@given(st.binary(max_size=400), st.sampled_from(sorted(SYNTAXES)))
def test_garbage_comes_to_an_end(garbage: bytes, syntax: str) -> None:
    NORMALIZER.rewrite([garbage], **SYNTAXES[syntax][1])
