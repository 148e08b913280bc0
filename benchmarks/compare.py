"""Two results of the paired comparison side by side.

    python benchmarks/compare.py before.json after.json

Two sittings differ by more than the programs, so two columns are given for each figure:
the ratio of the medians, and the same after dividing both by the original of their own
sitting. Where the ranges of the repetitions overlap the answer is "no difference".
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIGURES = (
    ("CPU us/obj", "cpu_us_per_object"),
    ("wall us/obj", "wall_us_per_object"),
    ("RSS MB", "peak_rss_mb"),
)
ENOUGH = 3  # repetitions before their range says anything
MUST_AGREE = ("cpu", "cores", "kernel", "file_system", "original")
ORIGINALS = ("original", "original+B", "original-ignore")


def values_of(work: dict[str, Any], contender: str, figure: str) -> list[float]:
    """One figure of every repetition that is not void."""
    runs = work["contenders"].get(contender, {"runs": []})["runs"]
    return [run[figure] for run in runs if run.get(figure) is not None]


def original_of(contender: str) -> str:
    """The original in the same mode."""
    for suffix, original in (("+B", "original+B"), ("-ignore", "original-ignore")):
        if contender.endswith(suffix):
            return original
    return "original"


def verdict(before: Sequence[float], after: Sequence[float]) -> str:
    """What may be said, lower being better."""
    if min(len(before), len(after)) < ENOUGH:
        return "too few runs"
    if max(after) < min(before):
        return "better"
    return "worse" if min(after) > max(before) else "no difference"


def _against_original(
    works: tuple[dict[str, Any], dict[str, Any]], contender: str, figure: str
) -> str:
    ratios = []
    for work in works:
        own = values_of(work, contender, figure)
        original = values_of(work, original_of(contender), figure)
        if not own or not original or contender in ORIGINALS:
            return ""
        ratios.append(statistics.median(own) / statistics.median(original))
    return f"{ratios[0]:.2f} -> {ratios[1]:.2f}"


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The lines of the comparison."""
    lines = []
    for key in MUST_AGREE:
        one, other = before["machine"].get(key), after["machine"].get(key)
        if one != other:
            lines.append(f"WARNING: {key} differs: {one} / {other}")
    for key in ("memory", "quick"):
        one, other = before["parameters"].get(key), after["parameters"].get(key)
        if one != other:
            lines.append(f"WARNING: {key} differs: {one} / {other}")
    lines += [f"before: {before['machine']['commit']} {before['machine']['when']}"]
    lines += [f"after:  {after['machine']['commit']} {after['machine']['when']}"]
    for name, work in before["works"].items():
        other_work = after["works"].get(name)
        if other_work is None:
            continue
        lines += ["", name]
        if work["parameters"] != other_work["parameters"]:
            lines.append("  WARNING: the parameters differ")
        for contender in work["contenders"]:
            for title, figure in FIGURES:
                one = values_of(work, contender, figure)
                two = values_of(other_work, contender, figure)
                if not one or not two:
                    continue
                a, b = statistics.median(one), statistics.median(two)
                relative = _against_original((work, other_work), contender, figure)
                lines.append(
                    f"  {contender:18} {title:11} {a:12.1f} {b:12.1f}  x {b / a:.2f}  "
                    f"{verdict(one, two):13}  {relative}".rstrip()
                )
    return lines


def main(argv: Sequence[str]) -> int:
    """Print the comparison of two files."""
    parser = argparse.ArgumentParser(description="Compare two results.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    arguments = parser.parse_args(argv)
    before = json.loads(arguments.before.read_text())
    after = json.loads(arguments.after.read_text())
    print("\n".join(compare(before, after)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
