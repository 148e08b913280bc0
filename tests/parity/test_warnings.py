"""What DCMTK's dcmrecv 3.6.7 warns of in a data set, and what we do: the same lines.

In the same order, for everything that normal mode has a rule for and for random data
sets. Not compared are data sets that one of the two refuses, whose errors each words in
its own way, and those with more warnings than we tell.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.builders import uids
from tests.builders.command import SUCCESS
from tests.builders.data_set import PIXEL_DATA, UNDEFINED, Encoding, deflate
from tests.builders.mixture import CONTEXTS, SYNTAXES, mixture
from tests.peers.program import ORIGINAL, OURS, Program, storage_program
from tests.peers.scu import PeerGone, RawScu

EXPLICIT = Encoding.of(uids.EXPLICIT_LE)
IMPLICIT = Encoding.of(uids.IMPLICIT_LE)
RANDOM_DATA_SETS = 150
PDV_MAX = 131_072 - 12
TOLD_MAX = 31  # of one object; ours counts the rest
MARK = "Received C-STORE Request (MsgID "

ODD = EXPLICIT.element(0x0010_0010, "PN", b"A^B")
OTHER_ODD = EXPLICIT.element(0x0010_0020, "LO", b"x")
MODALITY = EXPLICIT.text(0x0008_0060, "CS", "CT")
NAME = EXPLICIT.text(0x0010_0010, "PN", "A^")
UNKNOWN = EXPLICIT.element(
    0x0008_1140, "UN", IMPLICIT.item(b""), length=UNDEFINED
) + IMPLICIT.element(0xFFFE_E0DD, "")
NESTED = EXPLICIT.sequence(0x0008_1140, [EXPLICIT.item(ODD)])


def with_vr(element: bytes, vr: bytes) -> bytes:
    return element[:4] + vr + element[6:]


FRAGMENTS = EXPLICIT.element(
    PIXEL_DATA, "OW", EXPLICIT.item(b"") + EXPLICIT.item(b"abc"), length=UNDEFINED
) + EXPLICIT.element(0xFFFE_E0DD, "")
CASES: dict[str, tuple[int, bytes]] = {
    "nothing": (3, MODALITY),
    "odd length": (3, ODD + OTHER_ODD),
    "length of no unit": (3, EXPLICIT.element(0x0028_0010, "US", b"abc") + OTHER_ODD),
    "odd item": (3, NESTED + OTHER_ODD),
    "odd item of a retired sequence": (
        3,
        EXPLICIT.sequence(0x0040_030E, [EXPLICIT.item(ODD)]) + OTHER_ODD,
    ),
    "odd item of a private sequence": (
        3,
        EXPLICIT.sequence(0x0009_1001, [EXPLICIT.item(ODD)]) + OTHER_ODD,
    ),
    "no VR": (3, with_vr(MODALITY, b"\0\0") + with_vr(NAME, b"ab")),
    "future VR": (3, with_vr(EXPLICIT.element(0x0009_1001, "UN", b"ab"), b"ZZ")),
    "unknown sequence": (3, UNKNOWN),
    "late": (3, NAME + MODALITY),
    "repeated": (3, MODALITY + MODALITY),
    "late sequence, told behind what it holds": (3, NAME + NESTED + OTHER_ODD + NAME),
    "repeated sequence": (3, NESTED + NESTED),
    "late in an item": (
        3,
        EXPLICIT.sequence(0x0008_1140, [EXPLICIT.item(NAME + MODALITY + NAME)]),
    ),
    "group of the file's meta": (3, EXPLICIT.element(0x0002_0010, "UI", b"1.")),
    "late in an invalid group": (3, NAME + EXPLICIT.element(0x0003_0010, "LO", b"")),
    "sequence in an invalid group": (
        3,
        EXPLICIT.sequence(0x0003_0010, [EXPLICIT.item(ODD)]) + OTHER_ODD,
    ),
    "highest tag": (3, EXPLICIT.element(0xFFFF_FFFF, "LO", b"")),
    "group length of another VR": (3, EXPLICIT.element(0x0008_0000, "SL", bytes(4))),
    "that comes twice": (3, EXPLICIT.element(0x0008_0000, "SL", bytes(4)) * 2),
    "OX for pixel data": (7, with_vr(FRAGMENTS, b"OX") + OTHER_ODD),
    "odd fragment": (7, FRAGMENTS + EXPLICIT.element(0xFFFC_FFFD, "LO", b"x")),
    "zeros at the end": (3, MODALITY + bytes(6)),
}


def random_data_sets() -> Iterator[tuple[int, bytes]]:
    """The same ones each time, in all transfer syntaxes."""
    for seed in range(RANDOM_DATA_SETS):
        chance = random.Random(seed)
        context_id = chance.choice(tuple(SYNTAXES))
        encoding = Encoding.of(SYNTAXES[context_id])
        data = mixture(chance, encoding, encapsulated=context_id == 7)
        if len(data) <= PDV_MAX:
            yield context_id, deflate(data) if context_id == 9 else data


def send(program: Program, data_sets: Sequence[tuple[int, bytes]]) -> list[bool]:
    """Send each with its number as message id; which of them were stored?"""
    stored = []
    scu = None
    for number, (context_id, data_set) in enumerate(data_sets):
        if scu is None:
            scu = RawScu(program.port)
            scu.associate(CONTEXTS)
        try:
            response = scu.store(data_set, context_id=context_id, message_id=number)
        except (PeerGone, ValueError):
            scu.close()
            scu = None
            stored.append(False)
        else:
            stored.append(response.status == SUCCESS)
    if scu is not None:
        scu.release()
    return stored


def warnings_of(log: Sequence[str]) -> Mapping[int, list[str]]:
    """The warnings by message id, as far as they are about the data set."""
    found: dict[int, list[str]] = {}
    lines: list[str] = []
    for line in log:
        if MARK in line:
            lines = found[int(line.partition(MARK)[2].rstrip(")"))] = []
        elif line.startswith("W: ") and "overwriting" not in line:
            lines.append(line)
    return found


@pytest.fixture(scope="module")
def logs(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[list[str], list[str]]]:
    """What both say of each data set that both store, by the name of the case."""
    base = tmp_path_factory.mktemp("warnings")
    cases = dict(CASES)
    for number, case in enumerate(random_data_sets()):
        cases[f"random {number}"] = case
    data_sets = list(cases.values())
    logs, stored = [], []
    for command, output in ((ORIGINAL, "original"), (OURS, "ours")):
        options = ("-v", "-pdu", "131072")
        with storage_program(base, *options, command=command, output=output) as program:
            stored.append(send(program, data_sets))
        logs.append(warnings_of(program.log_lines()))
    return {
        name: (logs[0][number], logs[1][number])
        for number, name in enumerate(cases)
        if stored[0][number] and stored[1][number]
    }


@pytest.mark.parametrize("name", CASES)
def test_the_same_is_said_of_what_is_odd(
    logs: dict[str, tuple[list[str], list[str]]], name: str
) -> None:
    """Spec section 8, row by row."""
    original, ours = logs[name]
    assert ours == original
    assert bool(original) == (name != "nothing")


def test_the_same_is_said_of_random_data_sets(
    logs: dict[str, tuple[list[str], list[str]]],
) -> None:
    compared = {
        name: said
        for name, said in logs.items()
        if name not in CASES and len(said[0]) <= TOLD_MAX
    }
    assert len(compared) > RANDOM_DATA_SETS // 2
    for name, (original, ours) in compared.items():
        assert ours == original, name
