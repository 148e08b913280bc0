"""The targets of the fuzzer, without a fuzzer: seeds, and what is near them.

So they cannot rot between two runs of tests/fuzz/run.
"""

import random

import pytest

from tests.fuzz.targets import TARGETS

MUTATIONS = 150
INTERESTING = (0, 1, 2, 3, 0x40, 0x7F, 0x80, 0xFE, 0xFF)


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, and now and then cut or doubled."""
    data = bytearray(seed)
    for _ in range(chance.randrange(1, 6)):
        if data:
            at = chance.randrange(len(data))
            data[at] = chance.choice(INTERESTING)
    if data and chance.random() < 0.3:
        at = chance.randrange(len(data))
        data = data[:at] + data[chance.randrange(len(data)) :]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found_at_the_seeds_and_near_them(name: str) -> None:
    target = TARGETS[name]
    chance = random.Random(name)
    seeds = list(target.seeds())
    assert seeds
    target.run(b"")
    for seed in seeds:
        target.run(seed)
        for _ in range(MUTATIONS // (1 + len(seeds) // 10)):
            target.run(mutated(seed, chance))


def test_a_group_length_of_an_odd_value_settles_at_the_second_writing() -> None:
    """Found by the fuzzer: as the original's, it counts the odd length first."""
    group_length = bytes.fromhex("0000 0000 00000000")
    odd = bytes.fromhex("0000 0029 01000000 06")
    TARGETS["normalizer"].run(bytes(2) + group_length + odd)


def test_a_sequence_with_the_tag_of_a_group_length_stays_whole_in_disorder() -> None:
    """Found by the fuzzer: its length was overwritten, as if it were a number."""
    later = bytes.fromhex("0b00 1000 4c4f 0000")
    sequence = bytes.fromhex("0900 0000 5351 0000 00000000")
    TARGETS["normalizer"].run(bytes([1, 0]) + later + sequence)


def test_pixel_data_of_defined_length_passes_in_front_of_a_rest_only() -> None:
    """Found by the fuzzer: written again without the rest, it is refused."""
    encapsulated = bytes([5, 0])
    defined = bytes.fromhex("e07f 1000 4f42 0000 02000000 ffd9")
    TARGETS["normalizer"].run(encapsulated + defined + bytes(4))
