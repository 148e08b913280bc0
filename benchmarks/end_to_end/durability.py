"""What `--durability` costs: close, data, full and group in turns, and their flushes.

    python benchmarks/end_to_end/durability.py [--repetitions N] [--directory PATH]

Eight associations at once, 512 KiB objects, bit preserving. Each turn also writes the
same bytes to one file and flushes it, since nothing that waits for the disk is faster
than the disk. Flushes are counted by strace in a run of their own, whose times are not
used. Prints medians and ratios within each turn, and stores every repetition as JSON.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from measure import measure
from place import Place
from processes import BenchmarkError
from report import machine, number, spread
from works import KIB, MIB, OURS, Contender, Work

RESULTS = Path(__file__).resolve().parents[1] / "results"
WORK = Work(
    name="durability",
    title="8 associations at once, 512 KiB objects",
    objects=75,
    size=512 * KIB,
    associations=8,
    contenders=("close", "data", "full", "group"),
)
FLUSHES = ("fdatasync", "fsync", "syncfs")
END_S = 15.0

# Of issue 6: what group may cost, and what a flush has to serve.
THROUGHPUT_AT_LEAST = 0.75
FLUSHES_PER_OBJECT_AT_MOST = 0.25


def _contender(durability: str, prefix: str = "") -> Contender:
    command = f"{prefix}{OURS} +B --durability {durability}"
    return Contender(name=durability, command=command)


def disk_mb_per_s(directory: Path, size: int) -> float:
    """What the disk takes when one file is written and flushed once."""
    piece = os.urandom(MIB)
    path = directory / "disk"
    begin = time.monotonic()
    with path.open("wb", buffering=0) as file:
        for _ in range(size // MIB):
            file.write(piece)
        os.fdatasync(file.fileno())
    wall_s = time.monotonic() - begin
    os.truncate(path, 0)  # not deleted: see Place
    return size / wall_s / 1e6


def count_flushes(place: Place, work: Work, durability: str, turn: int) -> int:
    """How many flushes the receiver makes for the work.

    Raises:
        BenchmarkError: strace gave no summary.
    """
    counts = place.root / f"{durability}-{turn}.strace"
    traced = ",".join((*FLUSHES, "listen"))  # strace sums up no calls at all as ""
    prefix = (
        f"strace -DDD -f -c -U calls,name --seccomp-bpf -e trace={traced} -o {counts} "
    )
    measure(place, work, _contender(durability, prefix), f"counted-{durability}-{turn}")
    end = time.monotonic() + END_S
    while not counts.exists() or "total" not in counts.read_text():
        if time.monotonic() > end:
            raise BenchmarkError("strace has not written its summary")
        time.sleep(0.05)
    rows = [line.split() for line in counts.read_text().splitlines()]
    return sum(int(row[0]) for row in rows if len(row) == 2 and row[1] in FLUSHES)


def _verdict(name: str, met: bool, text: str) -> str:
    return f"  {'met' if met else 'NOT MET':7}  {name}: {text}"


def show(turns: Sequence[dict[str, Any]], total: int) -> None:
    """The table, and what became of the targets."""
    ratios = {
        name: [turn[name]["mb_per_s"] / turn["close"]["mb_per_s"] for turn in turns]
        for name in WORK.contenders
    }
    disk = [turn["disk_mb_per_s"] for turn in turns]
    print(f"\n{WORK.title}: medians of {len(turns)}, ratios (minimum-maximum)")
    print(f"the disk itself: {spread(disk)} MB/s")
    for name in WORK.contenders:
        runs = [turn[name] for turn in turns]
        flushes = [run["flushes"] / total for run in runs]
        print(
            f"{name:6} {number(median(run['mb_per_s'] for run in runs)):>5} MB/s"
            f"  p50 {number(median(run['latency_us']['p50'] for run in runs)):>6} us"
            f"  CPU {number(median(run['cpu_us_per_object'] for run in runs)):>5} us/o"
            f"  flushes/object {spread(flushes)}  MB/s of close: {spread(ratios[name])}"
        )
    flushes = [turn["group"]["flushes"] / total for turn in turns]
    print("\nTargets")
    print(
        _verdict(
            f"throughput of group at least {THROUGHPUT_AT_LEAST} of close",
            median(ratios["group"]) >= THROUGHPUT_AT_LEAST,
            spread(ratios["group"]),
        )
    )
    print(
        _verdict(
            f"flushes of group at most {FLUSHES_PER_OBJECT_AT_MOST} an object",
            median(flushes) <= FLUSHES_PER_OBJECT_AT_MOST,
            spread(flushes),
        )
    )


def main(argv: Sequence[str]) -> int:
    """Returns 0, whatever the figures are."""
    parser = argparse.ArgumentParser(description="Compare the kinds of durability.")
    parser.add_argument("--repetitions", type=int, default=7, help="turns (7)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--results", type=Path)
    parser.add_argument("--quick", action="store_true", help="does it work?")
    arguments = parser.parse_args(argv)
    work = WORK.quick() if arguments.quick else WORK
    repetitions = 1 if arguments.quick else arguments.repetitions
    facts = machine(arguments.directory, sys.executable)
    facts["when"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts["load_average"] = os.getloadavg()[0]
    print("\n".join(f"{key}: {value}" for key, value in facts.items()), flush=True)
    total = work.objects * work.associations
    turns: list[dict[str, Any]] = []
    memory = "as-is" if arguments.quick else "warm"
    with Place(arguments.directory, memory, 0, total * work.size) as place:
        for number_of_turn in range(repetitions):
            turn: dict[str, Any] = {
                "disk_mb_per_s": disk_mb_per_s(place.root, total * work.size)
            }
            for name in work.contenders:
                run = measure(place, work, _contender(name), f"{name}-{number_of_turn}")
                turn[name] = dataclasses.asdict(run)
                turn[name]["flushes"] = count_flushes(place, work, name, number_of_turn)
            turns.append(turn)
    show(turns, total)
    path = arguments.results or RESULTS / f"{facts['when']}-durability.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": facts, "work": dataclasses.asdict(work), "turns": turns}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (BenchmarkError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(f"{failure}")
