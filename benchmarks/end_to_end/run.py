"""The paired comparison: DCMTK's dcmrecv, a yardstick in C, and ours, on the same work.

    python benchmarks/end_to_end/run.py [--quick] [--works ct-16k,small] [...]

Contenders take turns (A B C, A B C, ...), each run with a fresh receiver and a fresh
directory. Prints a table for each work and stores every repetition as JSON.
"""

import argparse
import dataclasses
import fnmatch
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from calls import calls_per_object, countable
from measure import Run, command_of, measure
from place import Place
from processes import BenchmarkError
from report import Runs, calls_table, machine, table, targets
from works import CONTENDERS, GIB, WORKS, Contender, Work

RESULTS = Path(__file__).resolve().parents[1] / "results"
COLD_AT_LEAST = 1.8  # times the cost of warm memory
ATTEMPTS = 3  # of a run, while deletions by others slow its directory down


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare storage receivers on the same work.",
        epilog=f"Works: {', '.join(WORKS)}. Contenders: {', '.join(CONTENDERS)}.",
    )
    parser.add_argument("--works", default="*", help="names or patterns, with commas")
    parser.add_argument("--contenders", default="*", help="the same")
    parser.add_argument("--repetitions", type=int, default=5, help="of each run (5)")
    parser.add_argument(
        "--memory",
        choices=("warm", "cold", "as-is"),
        help="recently used (default), idle for long, or left alone",
    )
    parser.add_argument(
        "--hold", type=float, default=4.0, metavar="GIB", help="with --memory cold (4)"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("/var/tmp"),
        help="its file system is measured (/var/tmp)",
    )
    parser.add_argument(
        "--ours-options", default="", help="added to our command line in every mode"
    )
    parser.add_argument(
        "--results", type=Path, help="file to write (benchmarks/results)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="once, tiny: does it work?"
    )
    arguments = parser.parse_args(argv)
    if arguments.memory is None:
        arguments.memory = "as-is" if arguments.quick else "warm"
    if arguments.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    if not arguments.directory.is_dir():
        parser.error(f"--directory {arguments.directory} is no directory")
    return arguments


def _chosen(names: Sequence[str], patterns: str) -> list[str]:
    wanted = patterns.split(",")
    for pattern in wanted:
        if not fnmatch.filter(names, pattern):
            raise BenchmarkError(f"{pattern}: none of {', '.join(names)}")
    return [name for name in names if any(fnmatch.fnmatch(name, p) for p in wanted)]


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:60}\r", end="", flush=True, file=sys.stderr)


def _attempt(
    place: Place, work: Work, contender: Contender, repetition: int
) -> Run | str:
    """One run, again while the file system disturbs it; a text says why it is void."""
    for attempt in range(1, ATTEMPTS + 1):
        name = f"{work.name}-{repetition}-{attempt}-{contender.name}"
        try:
            run = measure(place, work, contender, name)
        except (BenchmarkError, OSError) as error:
            return str(error)
        if not run.disturbed():
            break
    return dataclasses.replace(run, attempts=attempt)


def _run_work(
    place: Place, work: Work, contenders: Sequence[str], repetitions: int, options: str
) -> dict[str, list[Run | str]]:
    runs: dict[str, list[Run | str]] = {name: [] for name in contenders}
    for repetition in range(min(repetitions, work.repetitions)):
        for name in contenders:
            contender = CONTENDERS[name]
            if contender.slow and repetition:
                continue
            if name.startswith("ours") and options:
                command = f"{contender.command} {options}"
                contender = dataclasses.replace(contender, command=command)
            _progress(f"{work.name} {repetition + 1} {name}")
            runs[name].append(_attempt(place, work, contender, repetition + 1))
    _progress("")
    place.release()
    return runs


def _count_calls(
    place: Place, work: Work, contenders: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Of each contender its system calls an object; none without strace."""
    if not (work.counts_calls and countable()):
        return {}
    _progress(f"{work.name} system calls")
    found = {
        name: calls_per_object(place, work, CONTENDERS[name])
        for name in contenders
        if not CONTENDERS[name].slow
    }
    _progress("")
    place.release()
    return found


def _record(place: Place, work: Work, runs: Runs) -> dict[str, object]:
    return {
        "parameters": {
            key: value
            for key, value in dataclasses.asdict(work).items()
            if key not in ("contenders", "targets")
        },
        "contenders": {
            name: {
                "command": command_of(
                    place, work, CONTENDERS[name], Path("DIRECTORY"), "PORT"
                ),
                "environment": dict(CONTENDERS[name].environment),
                "runs": [
                    dataclasses.asdict(run) if isinstance(run, Run) else {"void": run}
                    for run in results
                ],
            }
            for name, results in runs.items()
        },
    }


def _circumstances(place: Place, every: Sequence[Run]) -> list[str]:
    costs = sorted(run.memory_ns_per_byte for run in every)
    line = (
        f"Memory {place.memory}: the first touch of a byte took {costs[0]:.2f} to "
        f"{costs[-1]:.2f} ns ({place.warm_ns_per_byte:.2f} when warm)"
    )
    lines = [line]
    repeated = sum(run.attempts > 1 for run in every)
    if repeated:
        lines.append(f"{repeated} runs were repeated: making files had become slow")
    if place.memory == "cold" and costs[0] < COLD_AT_LEAST * place.warm_ns_per_byte:
        lines.append("WARNING: not every run found cold memory")
    disturbed = sum(run.disturbed() for run in every)
    if disturbed:
        lines.append(
            f"WARNING: {disturbed} runs had a directory where that did not help"
        )
    if not place.spread:
        lines.append("Directories were not spread over block groups (no chattr +T)")
    return lines


def main(argv: Sequence[str]) -> int:
    """Returns 0 when every run gave figures, 1 when one did not, 2 for usage."""
    arguments = _arguments(argv)
    try:
        works = [WORKS[name] for name in _chosen(list(WORKS), arguments.works)]
        if arguments.quick:
            works = [work.quick() for work in works]
        names = _chosen(list(CONTENDERS), arguments.contenders)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    facts = machine(arguments.directory, sys.executable)
    facts["when"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    records: dict[str, object] = {}
    every: list[Run | str] = []
    verdicts: list[str] = []
    hold = int(arguments.hold * GIB)
    largest = max(work.objects * work.associations * work.size for work in works)
    with Place(arguments.directory, arguments.memory, hold, largest) as place:
        for work in works:
            contenders = [name for name in work.contenders if name in names]
            if not contenders:
                continue
            runs = _run_work(
                place, work, contenders, arguments.repetitions, arguments.ours_options
            )
            calls = _count_calls(place, work, contenders)
            records[work.name] = {**_record(place, work, runs), "calls": calls}
            every += [run for results in runs.values() for run in results]
            print("\n".join([*table(work, runs), *calls_table(calls)]), flush=True)
            judged = targets(work, runs, arguments.memory)
            verdicts += [work.title, *judged] if judged and not arguments.quick else []
        measured = [run for run in every if isinstance(run, Run)]
        lines = _circumstances(place, measured) if measured else []
        parameters = {
            "repetitions": arguments.repetitions,
            "quick": arguments.quick,
            "memory": arguments.memory,
            "hold_gib": arguments.hold if arguments.memory == "cold" else None,
            "warm_ns_per_byte": place.warm_ns_per_byte,
            "directories_spread": place.spread,
            "ours_options": arguments.ours_options,
        }
    print("\n".join(["", *lines, *(["", "Targets", *verdicts] if verdicts else [])]))
    path = arguments.results or RESULTS / (
        f"{facts['when']}-{str(facts['commit'])[:8]}-{arguments.memory}.json"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": facts, "parameters": parameters, "works": records}
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nEvery repetition: {os.path.relpath(path)}")
    return 0 if len(measured) == len(every) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (BenchmarkError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(f"{failure}")  # no compiler, no memory to hold back, no room
