"""What normal mode costs by the shape of a data set: ours and the original's, and +B.

`python -m benchmarks.end_to_end.data_sets` sends each shape over one association to
each receiver in turn and prints receiver CPU per object, every repetition. Not part of
`run`, whose C sender knows one shape; here Python sends bytes made before, so wall
times say nothing.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.builders import uids
from tests.builders.command import SUCCESS, c_store_rq
from tests.builders.data_set import Encoding, identification, object_of
from tests.builders.pdu import ProposedContext, message
from tests.peers.program import ORIGINAL, OURS, Program, storage_program
from tests.peers.scu import RawScu

EXPLICIT = Encoding.of(uids.EXPLICIT_LE)
CONTENDERS: dict[str, tuple[Sequence[str], str]] = {
    "original+B": (ORIGINAL, "+B"),
    "original": (ORIGINAL, "-B"),
    "ours+B": (OURS, "+B"),
    "ours": (OURS, "-B"),
}
PDU = 131_072


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of object and how many of them make a repetition."""

    name: str
    build: Callable[[], bytes]
    objects: int


def image() -> bytes:
    """A CT: some elements, 512 KiB of pixels; nothing changes."""
    return object_of(pixel_bytes=512 << 10, transfer_syntax=uids.EXPLICIT_LE)


def changed_image() -> bytes:
    """The same with sequences of defined length and group lengths in front."""
    items = [EXPLICIT.item(EXPLICIT.text(0x0008_1150, "UI", "1.2.3.4"))] * 3
    head = EXPLICIT.element(0x0008_0000, "UL", bytes(4))
    head += EXPLICIT.text(0x0008_0016, "UI", uids.CT_IMAGE)
    head += EXPLICIT.text(0x0008_0018, "UI", "1.2.3")
    head += EXPLICIT.sequence(0x0008_1140, items)
    return head + EXPLICIT.element(0x7FE0_0010, "OW", bytes(512 << 10))


def multi_frame() -> bytes:
    """2,000 frames with functional groups three sequences deep, and small pixels."""
    position = EXPLICIT.item(EXPLICIT.text(0x0020_0032, "DS", "-125.5\\-130.25\\12.75"))
    content = EXPLICIT.item(
        EXPLICIT.text(0x0018_9074, "DT", "20260102030405.123456")
        + EXPLICIT.text(0x0020_9056, "SH", "1")
        + EXPLICIT.element(0x0020_9157, "UL", bytes(8))
    )
    code = EXPLICIT.item(
        EXPLICIT.text(0x0008_0100, "SH", "121311")
        + EXPLICIT.text(0x0008_0102, "SH", "DCM")
        + EXPLICIT.text(0x0008_0104, "LO", "Localizer")
    )
    source = EXPLICIT.item(
        EXPLICIT.text(0x0008_1150, "UI", "1.2.840.10008.5.1.4.1.1.4")
        + EXPLICIT.text(0x0008_1155, "UI", "1.2.3.4.5.6.7.8.9")
        + EXPLICIT.sequence(0x0040_A170, [code])
    )
    frame = EXPLICIT.item(
        EXPLICIT.sequence(0x0008_9124, [EXPLICIT.item(
            EXPLICIT.sequence(0x0008_2112, [source])
        )])
        + EXPLICIT.sequence(0x0020_9111, [content])
        + EXPLICIT.sequence(0x0020_9113, [position])
    )  # fmt: skip
    head = identification("1.2.3", transfer_syntax=uids.EXPLICIT_LE)
    head += EXPLICIT.sequence(0x5200_9230, [frame] * 2_000)
    return head + EXPLICIT.element(0x7FE0_0010, "OW", bytes(1 << 20))


def structure_set() -> bytes:
    """An RT structure set of 20 MB: contours, all in sequences."""
    points = "\\".join(f"{n / 7:.3f}" for n in range(300))
    contour = EXPLICIT.item(
        EXPLICIT.sequence(
            0x3006_0016,
            [EXPLICIT.item(EXPLICIT.text(0x0008_1155, "UI", "1.2.3.4.5.6.7"))],
        )
        + EXPLICIT.text(0x3006_0042, "CS", "CLOSED_PLANAR")
        + EXPLICIT.text(0x3006_0046, "IS", "100")
        + EXPLICIT.text(0x3006_0050, "DS", points)
    )
    region = EXPLICIT.item(EXPLICIT.sequence(0x3006_0040, [contour] * 500))
    head = identification("1.2.3", transfer_syntax=uids.EXPLICIT_LE)
    return head + EXPLICIT.sequence(0x3006_0039, [region] * 18)


def report() -> bytes:
    """A structured report of some 10 KB."""
    code = EXPLICIT.item(
        EXPLICIT.text(0x0008_0100, "SH", "121206")
        + EXPLICIT.text(0x0008_0102, "SH", "DCM")
        + EXPLICIT.text(0x0008_0104, "LO", "Distance")
    )
    node = EXPLICIT.item(
        EXPLICIT.text(0x0040_A010, "CS", "CONTAINS")
        + EXPLICIT.text(0x0040_A040, "CS", "NUM")
        + EXPLICIT.sequence(0x0040_A043, [code])
        + EXPLICIT.text(0x0040_A30A, "DS", "12.5")
    )
    head = identification("1.2.3", transfer_syntax=uids.EXPLICIT_LE)
    return head + EXPLICIT.sequence(0x0040_A730, [node] * 70)


SHAPES = (
    Shape("ct", image, 200),
    Shape("ct, changed", changed_image, 200),
    Shape("multi-frame", multi_frame, 20),
    Shape("structure set", structure_set, 6),
    Shape("report", report, 500),
)


def cpu_s(program: Program) -> float:
    """Seconds of CPU of a receiver and its workers so far."""
    ticks = 0
    for pid in program.processes():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cost(program: Program, wire: bytes, objects: int) -> float:
    """Microseconds of receiver CPU for an object."""
    with RawScu(program.port) as scu:
        scu.associate([ProposedContext(1, transfer_syntaxes=(uids.EXPLICIT_LE,))])
        before = cpu_s(program)
        for _ in range(objects):
            scu.send(wire)
            if scu.read_response().status != SUCCESS:
                raise RuntimeError("an object was refused")
        spent = cpu_s(program) - before
        scu.release()
    return spent * 1e6 / objects


def measure(shape: Shape, repetitions: int) -> Iterator[tuple[str, list[float]]]:
    """Each contender's figures, taken in turns."""
    data_set = shape.build()
    wire = message(1, c_store_rq("1.2.3"), data_set, pdu_size=PDU)
    figures: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(repetitions):
        for name, (command, mode) in CONTENDERS.items():
            with tempfile.TemporaryDirectory() as directory:
                options = (mode, "+fu", "-q", "-pdu", str(PDU))
                program = storage_program(Path(directory), *options, command=command)
                with program:
                    cost(program, wire, 1)
                    figures[name].append(cost(program, wire, shape.objects))
    yield from figures.items()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--shapes", nargs="*", default=[s.name for s in SHAPES])
    arguments = parser.parse_args()
    for shape in SHAPES:
        if shape.name not in arguments.shapes:
            continue
        size = len(shape.build())
        print(f"{shape.name}: {size} bytes, {shape.objects} objects a repetition")
        for name, figures in measure(shape, arguments.repetitions):
            shown = " ".join(f"{figure:.0f}" for figure in figures)
            print(f"  {name:12} median {statistics.median(figures):8.0f} us: {shown}")


if __name__ == "__main__":
    main()
