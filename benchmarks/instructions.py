"""Instructions that the inner loops take, counted by valgrind, against stored figures.

    python -m benchmarks.instructions            # fails when one has become dearer
    python -m benchmarks.instructions --store    # keep today's figures

Unlike times, instruction counts are the same on a busy machine. They depend on the
compiler, so a small difference means nothing.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcmrecv.dimse.command import parse, respond
from dcmrecv.encoding.dictionary import default_table
from dcmrecv.encoding.normalizer import Normalizer
from dcmrecv.encoding.scanner import DatasetScanner
from dcmrecv.native.buffer import AlignedBuffer
from dcmrecv.ul.pdata import PDataReader
from tests.builders import command, pdu
from tests.builders.data_set import Encoding

ROOT = Path(__file__).resolve().parents[1]
STORED = Path(__file__).resolve().with_name("instructions.json")
TOLERANCE = 1.10
DEADLINE_S = 300
ROUNDS = 20

UID = "1.2.840.113619.2.55.3.2831164355.781.1593602417.467"
REQUEST = command.c_store_rq(UID)
EXPLICIT = Encoding(explicit=True, byte_order="<")


def _read(pdu_size: int, staging: int) -> None:
    reader = PDataReader(AlignedBuffer(1 << 20))
    reader.accept([1])
    wire = pdu.message(1, REQUEST, bytes(512 << 10), pdu_size=pdu_size)
    for _ in range(ROUNDS):
        reader.feed(wire, staging)


def _command() -> None:
    for _ in range(ROUNDS):
        parse(REQUEST)
        respond(REQUEST, 0, b"", 1, 16_384)


def _sequences(undefined: bool) -> bytes:
    item = EXPLICIT.item(EXPLICIT.text(0x0008_0100, "SH", "mm"), undefined=undefined)
    return EXPLICIT.sequence(0x0040_A730, [item] * 1_000)


def _scan_sequences() -> None:
    for _ in range(ROUNDS):
        DatasetScanner(default_table()).examine([_sequences(True)])


def _normalize_sequences() -> None:
    for _ in range(ROUNDS):
        Normalizer(DatasetScanner(default_table())).rewrite([_sequences(False)])


@dataclass(frozen=True, slots=True)
class Work:
    """What is counted: `run`, but only inside of `functions`, per `unit`."""

    run: Callable[[], None]
    functions: tuple[str, ...]
    unit: str


READER = ("*PDataReader_plan", "*PDataReader_commit", "*PDataReader_consume")
SCANNER = ("__pyx_pw*DatasetScanner*examine",)
NORMALIZER = ("*Normalizer_normalize", "*Normalizer_finish")
WORKS = {
    "reader, 16 KiB PDUs, scattered": Work(
        lambda: _read(16_384, 524_288), READER, "object of 512 KiB"
    ),
    "reader, 16 KiB PDUs, copied": Work(
        lambda: _read(16_384, 0), READER, "object of 512 KiB"
    ),
    "command set": Work(
        _command, ("*parse_command", "*encode_response"), "C-STORE-RQ and -RSP"
    ),
    "scanner, sequences": Work(_scan_sequences, SCANNER, "1,000 items"),
    "normalizer, sequences": Work(_normalize_sequences, NORMALIZER, "1,000 items"),
}


def _count(name: str) -> int:
    """Instructions of one round of a work, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "callgrind.out"
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={out}",
                "--collect-atstart=no",
                *(f"--toggle-collect={pattern}" for pattern in WORKS[name].functions),
                *(sys.executable, "-m", "benchmarks.instructions", "--run", name),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"valgrind failed: {done.stderr}")
        total = re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)
    if total is None or int(total[1]) == 0:
        raise SystemExit(f"{name}: nothing was counted; was a function renamed?")
    return int(total[1]) // ROUNDS


def main(argv: Sequence[str]) -> int:
    """Count, then compare or store."""
    parser = argparse.ArgumentParser(description="Count instructions of inner loops.")
    parser.add_argument("--store", action="store_true", help="keep today's figures")
    parser.add_argument("--run", choices=WORKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.run:
        WORKS[arguments.run].run()
        return 0
    figures = {name: _count(name) for name in WORKS}
    if arguments.store:
        STORED.write_text(json.dumps(figures, indent=2) + "\n")
    stored = json.loads(STORED.read_text())
    dearer = 0
    for name, figure in figures.items():
        ratio = figure / stored[name]
        dearer += ratio > TOLERANCE
        mark = "DEARER" if ratio > TOLERANCE else ""
        unit = WORKS[name].unit
        print(f"{name:32} {figure:>9} per {unit:20} {ratio:5.2f} {mark}".rstrip())
    return 1 if dearer else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
