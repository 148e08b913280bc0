"""Framing must not depend on how TCP cut the stream, nor on the path of the bytes."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from dcmrecv.native.buffer import AlignedBuffer
from dcmrecv.ul.pdata import PDataReader
from tests.builders import pdu

# Bytes behind the direct places; a small one keeps bets from being made.
STAGINGS = (64, 300, 4_096, 65_536)
WINDOWS = (64, 1_000, 4_096, 65_536)


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream of messages in any legal framing, and the data sets in it."""
    wire = b""
    data_sets = []
    for _ in range(draw(st.integers(1, 4))):
        context_id = draw(st.sampled_from([1, 3]))
        data_set = draw(st.binary(max_size=3_000))
        pieces = [(True, piece) for piece in draw(fragments(b"command!"))]
        pieces += [(False, piece) for piece in draw(fragments(data_set))]
        pdvs: list[bytes] = []
        for number, (is_command, piece) in enumerate(pieces):
            follows = number + 1 < len(pieces) and pieces[number + 1][0] == is_command
            pdvs.append(
                pdu.pdv(context_id, piece, command=is_command, last=not follows)
            )
            if draw(st.booleans()):
                wire += pdu.p_data_tf(*pdvs)
                pdvs = []
        wire += pdu.p_data_tf(*pdvs) if pdvs else b""
        data_sets.append(data_set)
    return wire, data_sets


@st.composite
def regular_messages(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """As most senders frame: equal PDUs, a short last one; now and then it differs."""
    wire = b""
    data_sets = []
    for _ in range(draw(st.integers(1, 3))):
        context_id = draw(st.sampled_from([1, 1, 3]))
        fragment = draw(st.sampled_from([2, 16, 50, 51, 200]))
        data_set = bytes(i % 251 for i in range(draw(st.integers(0, 40 * fragment))))
        unusual = draw(
            st.dictionaries(st.integers(0, 40), st.integers(0, 500), max_size=2)
        )
        wire += pdu.p_data_tf(pdu.pdv(context_id, b"command!", command=True, last=True))
        pieces = []
        at = 0
        while at < len(data_set):
            take = unusual.get(len(pieces), fragment)
            pieces.append(data_set[at : at + take])
            at += take
        if not pieces or draw(st.booleans()):
            pieces.append(b"")  # some senders end so
        pdvs = []
        for number, piece in enumerate(pieces):
            last = number + 1 == len(pieces)
            pdvs.append(pdu.pdv(context_id, piece, command=False, last=last))
            if number not in unusual or last:
                wire += pdu.p_data_tf(*pdvs)
                pdvs = []
        data_sets.append(data_set)
    return wire, data_sets


@st.composite
def fragments(draw: st.DrawFn, whole: bytes) -> Sequence[bytes]:
    """A sequence of bytes cut anywhere, also into empty and odd pieces."""
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *cuts, len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(edges)]


def read(
    wire: bytes, cuts: Sequence[int], *, window: int, staging: int = 0
) -> tuple[list[tuple[int, bytes]], list[bytes], list[tuple[object, ...]]]:
    """Command sets, data sets, and what else was said of a stream in pieces."""
    reader = PDataReader(AlignedBuffer(window))
    reader.accept([1, 3])
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    commands, data_sets, others = [], [], []
    data_set = b""
    for a, b in itertools.pairwise(edges):
        for event in reader.feed(wire[a:b], staging):
            if event[0] == "command":
                commands.append(event[1:])
            elif event[0] == "data":
                data_set += event[1]
            elif event[0] == "data set":
                data_sets.append(data_set)
                data_set = b""
            else:
                others.append(event)
                return commands, data_sets, others
    return commands, data_sets, others


cuttings = st.lists(st.integers(0, 20_000), max_size=30)
streams = messages() | regular_messages()
stagings = st.sampled_from((0, *STAGINGS))


@given(streams, cuttings, st.sampled_from(WINDOWS), stagings)
def test_any_split_gives_the_same_messages(
    stream: tuple[bytes, list[bytes]], cuts: list[int], window: int, staging: int
) -> None:
    wire, sent = stream
    commands, data_sets, others = read(wire, cuts, window=window, staging=staging)
    assert [command for _, command in commands] == [b"command!"] * len(sent)
    assert data_sets == sent
    assert others == []


@given(streams, st.sampled_from(WINDOWS), st.sampled_from(STAGINGS))
def test_byte_by_byte_gives_the_same_messages(
    stream: tuple[bytes, list[bytes]], window: int, staging: int
) -> None:
    wire, _ = stream
    whole = read(wire, [], window=window)
    every = list(range(len(wire)))
    assert read(wire, every, window=window) == whole
    assert read(wire, every, window=window, staging=staging) == whole


@given(streams, st.data(), cuttings, st.sampled_from(STAGINGS))
def test_a_damaged_stream_says_the_same_on_both_paths(
    stream: tuple[bytes, list[bytes]],
    data: st.DataObject,
    cuts: list[int],
    staging: int,
) -> None:
    """Whatever arrives: events or one fault, and the same on either path."""
    wire = bytearray(stream[0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(wire) - 1))
        wire[at] = data.draw(st.integers(0, 255))
    scattered = read(bytes(wire), cuts, window=4_096, staging=staging)
    linear = read(bytes(wire), [], window=65_536)
    assert scattered == linear


@given(st.binary(max_size=2_000), cuttings)
def test_garbage_is_a_fault_or_nothing_yet(garbage: bytes, cuts: list[int]) -> None:
    assert read(garbage, cuts, window=64, staging=4_096) == read(garbage, [], window=64)
