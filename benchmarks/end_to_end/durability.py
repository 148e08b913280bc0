"""What `--durability` costs, in a burst and in a stream, and how often it flushes.

    python benchmarks/end_to_end/durability.py [--bursts N] [--streams N]
                                               [--directory PATH]

Eight associations at once, 512 KiB objects, bit preserving. A burst fits into memory,
so `close` never waits for the disk: what can be taken in for a moment. A stream does
not: what can be taken in for hours. Rates are given as the senders see them, and until
all is on the disk, since `close` has the burst and gigabytes of the stream in memory at
the end.

They take turns. Each turn also writes as much to one file and flushes it, since nothing
that waits for the disk is faster than the disk. Flushes are counted by strace
in a burst of their own, whose times are not used. Prints medians, ratios within each
turn and what became of the targets, and stores every repetition as JSON. A stream takes
12.6 GB of the disk, until the next one begins.
"""

import argparse
import dataclasses
import json
import mmap
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from measure import measure
from place import Place
from processes import BenchmarkError
from report import machine, number, spread
from works import KIB, MIB, OURS, Contender, Work

CACHED_GROUP = "cached"  # group, whose objects stay in the page cache

RESULTS = Path(__file__).resolve().parents[1] / "results"
BURST = Work(
    name="burst",
    title="8 associations at once, 512 KiB objects, in a burst",
    objects=75,
    size=512 * KIB,
    associations=8,
    contenders=("close", "data", "full", "group"),
    flushed=True,
)
STREAM = dataclasses.replace(
    BURST,
    name="stream",
    title="8 associations at once, 512 KiB objects, in a stream",
    objects=3000,
    contenders=("close", "group", CACHED_GROUP),
)
FLUSHES = ("fdatasync", "fsync", "syncfs")
DISK_BYTES = 4 * MIB  # in one write of the disk by itself
END_S = 15.0

# Of issue 6: what group may cost, and what a flush has to serve.
THROUGHPUT_AT_LEAST = 0.75
FLUSHES_PER_OBJECT_AT_MOST = 0.25

# The figures of each contender, and of the disk, in one turn.
Turn = dict[str, Any]


def _contender(durability: str, prefix: str = "") -> Contender:
    options = durability
    if durability == CACHED_GROUP:
        options = "group --write-mode buffered"
    command = f"{prefix}{OURS} +B --durability {options}"
    return Contender(name=durability, command=command)


def _bytes(work: Work) -> int:
    return work.objects * work.associations * work.size


def disk_mb_per_s(place: Place, size: int) -> float:
    """What the disk takes of one file, around the cache and flushed once."""
    piece = mmap.mmap(-1, DISK_BYTES)  # aligned, as O_DIRECT wants it
    piece.write(os.urandom(DISK_BYTES))
    path = place.root / "disk"
    place.flush()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
    try:
        begin = time.monotonic()
        written = 0
        while written < size:
            written += os.write(fd, piece)
        os.fdatasync(fd)
        wall_s = time.monotonic() - begin
        os.ftruncate(fd, 0)  # not deleted: see Place
    finally:
        os.close(fd)
    return written / wall_s / 1e6


def count_flushes(place: Place, work: Work, durability: str, name: str) -> int:
    """How many flushes the receiver makes for the work.

    Raises:
        BenchmarkError: strace gave no summary.
    """
    counts = place.root / f"{name}.strace"
    traced = ",".join((*FLUSHES, "listen"))  # strace sums up no calls at all as ""
    prefix = (
        f"strace -DDD -f -c -U calls,name --seccomp-bpf -e trace={traced} -o {counts} "
    )
    measure(place, work, _contender(durability, prefix), f"counted-{name}")
    end = time.monotonic() + END_S
    while not counts.exists() or "total" not in counts.read_text():
        if time.monotonic() > end:
            raise BenchmarkError("strace has not written its summary")
        time.sleep(0.05)
    rows = [line.split() for line in counts.read_text().splitlines()]
    return sum(int(row[0]) for row in rows if len(row) == 2 and row[1] in FLUSHES)


def one_turn(place: Place, work: Work, name: str, counting: bool) -> Turn:
    """Every contender once, after the disk by itself; `counting` flushes, once more."""
    turn: Turn = {"disk_mb_per_s": disk_mb_per_s(place, _bytes(work))}
    for durability in work.contenders:
        own_name = f"{name}-{durability}"
        run = measure(place, work, _contender(durability), own_name)
        turn[durability] = dataclasses.asdict(run)
        if counting:
            flushes = count_flushes(place, work, durability, own_name)
            turn[durability]["flushes_per_object"] = flushes / run.objects
    return turn


def as_sent(run: dict[str, Any]) -> float:
    """MB/s until the last object is acknowledged."""
    return float(run["mb_per_s"])


def on_disk(run: dict[str, Any]) -> float:
    """MB/s until all is on the disk."""
    return float(run["bytes"] / (run["wall_s"] + run["flush_s"]) / 1e6)


def _of_close(
    turns: Sequence[Turn], name: str, rate: Callable[[dict[str, Any]], float]
) -> list[float]:
    return [rate(turn[name]) / rate(turn["close"]) for turn in turns]


def show(work: Work, turns: Sequence[Turn]) -> None:
    """The table of one work."""
    disk = [turn["disk_mb_per_s"] for turn in turns]
    size = f"{number(_bytes(work) / 1e6)} MB"
    print(f"\n{work.title} of {size}: medians of {len(turns)} (minimum-maximum)")
    print(f"the disk itself: {spread(disk)} MB/s")
    for name in work.contenders:
        runs = [turn[name] for turn in turns]
        print(
            f"{name:6} {number(median(as_sent(run) for run in runs)):>5} MB/s"
            f"  p50 {number(median(run['latency_us']['p50'] for run in runs)):>6} us"
            f"  CPU {number(median(run['cpu_us_per_object'] for run in runs)):>5} us/o"
            f"  MB/s of close: {spread(_of_close(turns, name, as_sent))}"
        )
        rates = [on_disk(run) for run in runs]
        of_disk = [rate / of for rate, of in zip(rates, disk, strict=True)]
        print(
            f"{'':6} {number(median(rates)):>5} MB/s until all is on the disk;"
            f" of close: {spread(_of_close(turns, name, on_disk))};"
            f" of the disk: {spread(of_disk)}"
        )
        if "flushes_per_object" in runs[0]:
            flushes = [run["flushes_per_object"] for run in runs]
            print(f"{'':6} flushes an object: {spread(flushes)}")


def _verdict(name: str, met: bool, values: Sequence[float]) -> str:
    return f"  {'met' if met else 'NOT MET':7}  {name}: {spread(values)}"


def show_targets(bursts: Sequence[Turn], streams: Sequence[Turn]) -> None:
    """What became of the targets."""
    print(f"\nTargets: group at least {THROUGHPUT_AT_LEAST} of close, in MB/s")
    for name, turns, rate in (
        ("burst, as the senders see it", bursts, as_sent),
        ("burst, until all is on the disk", bursts, on_disk),
        ("stream, as the senders see it", streams, as_sent),
        ("stream, until all is on the disk", streams, on_disk),
    ):
        ratios = _of_close(turns, "group", rate)
        print(_verdict(name, median(ratios) >= THROUGHPUT_AT_LEAST, ratios))
    print(f"Target: group at most {FLUSHES_PER_OBJECT_AT_MOST} flushes an object")
    flushes = [turn["group"]["flushes_per_object"] for turn in bursts]
    print(_verdict("burst", median(flushes) <= FLUSHES_PER_OBJECT_AT_MOST, flushes))


def main(argv: Sequence[str]) -> int:
    """Returns 0, whatever the figures are."""
    parser = argparse.ArgumentParser(description="Compare the kinds of durability.")
    parser.add_argument("--bursts", type=int, default=3, help="turns (3)")
    parser.add_argument("--streams", type=int, default=3, help="turns (3)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--results", type=Path)
    parser.add_argument("--quick", action="store_true", help="does it work?")
    arguments = parser.parse_args(argv)
    burst, stream = BURST, STREAM
    if arguments.quick:
        burst, stream = burst.quick(), stream.quick()
        arguments.bursts = arguments.streams = 1
    if shutil.disk_usage(arguments.directory).free < 2 * _bytes(stream):
        raise BenchmarkError(f"less than {2 * _bytes(stream)} bytes are free")
    facts = machine(arguments.directory, sys.executable)
    facts["when"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts["load_average"] = os.getloadavg()[0]
    print("\n".join(f"{key}: {value}" for key, value in facts.items()), flush=True)
    memory = "as-is" if arguments.quick else "warm"
    works = ((burst, arguments.bursts), (stream, arguments.streams))
    turns: dict[str, list[Turn]] = {}
    with Place(arguments.directory, memory, 0, _bytes(stream)) as place:
        for work, repetitions in works:
            turns[work.name] = [
                one_turn(place, work, f"{work.name}-{turn}", work is burst)
                for turn in range(repetitions)
            ]
            show(work, turns[work.name])
    show_targets(turns[burst.name], turns[stream.name])
    path = arguments.results or RESULTS / f"{facts['when']}-durability.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": facts,
        **{
            work.name: {"work": dataclasses.asdict(work), "turns": turns[work.name]}
            for work, _ in works
        },
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (BenchmarkError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(f"{failure}")
