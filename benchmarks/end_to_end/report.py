"""Figures made readable: medians, ratios of paired runs, targets, and the machine.

Never measures anything.
"""

import math
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import Run
from works import CONTENDERS, Target, Work

# Of each contender its runs in their order; a text says why there are no figures.
Runs = Mapping[str, Sequence[Run | str]]

COLUMNS = (
    ("objects/s", "objects_per_s"),
    ("MB/s", "mb_per_s"),
    ("wall s (min)", "wall_s"),
    ("CPU s/GB (min)", "cpu_s_per_gb"),
    ("CPU us/obj", "cpu_us_per_object"),
    ("RSS MB", "peak_rss_mb"),
    ("sum", "peak_rss_sum_mb"),
)


def good(runs: Sequence[Run | str]) -> list[Run]:
    """The runs that gave figures."""
    return [run for run in runs if isinstance(run, Run)]


def figures(runs: Sequence[Run | str], figure: str) -> list[float]:
    """One figure of every run that has it."""
    values = [getattr(run, figure) for run in good(runs)]
    return [value for value in values if value is not None]


def paired_ratios(
    runs: Sequence[Run | str], reference: Sequence[Run | str], figure: str
) -> list[float]:
    """The ratio within each repetition, so that a noisy minute touches both sides."""
    return [
        getattr(run, figure) / getattr(other, figure)
        for run, other in zip(runs, reference, strict=False)
        if isinstance(run, Run) and isinstance(other, Run)
    ]


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100 or value == 0:
        return f"{value:.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{digits}f}"


def spread(values: Sequence[float]) -> str:
    """Median, and in parentheses minimum and maximum."""
    if not values:
        return "-"
    middle = number(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values))}-{number(max(values))})"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _ratio_cell(work: Work, runs: Runs, name: str, figure: str, floor: bool) -> str:
    contender = CONTENDERS[name]
    wanted = contender.yardstick if floor else work.original or contender.original
    if wanted not in work.contenders:
        wanted = "yardstick" if floor else "original"
    if wanted == name or wanted not in runs:
        return "-"
    return spread(paired_ratios(runs[name], runs[wanted], figure))


def _against_bit_preserving(runs: Runs, name: str) -> str:
    """CPU of a receiver's normal mode in parts of its `+B`."""
    other = runs.get(f"{name}+B")
    if other is None:
        return "-"
    return spread(paired_ratios(runs[name], other, "cpu_us_per_object"))


def table(work: Work, runs: Runs) -> list[str]:
    """The lines of one work: medians, minima and ratios; [n]: only n runs count."""
    header = ["contender", *(title for title, _ in COLUMNS)]
    header += ["p50 us", "CPU/original", "wall/original", "CPU/yardstick", "CPU/+B"]
    rows = [header]
    notes = []
    count = max(len(results) for results in runs.values())
    for name, results in runs.items():
        notes += [
            f"  void: {name}: {text}" for text in results if isinstance(text, str)
        ]
        if not good(results):
            continue
        done = len(good(results))
        row = [name if done == count else f"{name} [{done}]"]
        for title, figure in COLUMNS:
            values = figures(results, figure)
            row.append(number(statistics.median(values)) if values else "-")
            if len(values) > 1 and title.endswith("(min)"):
                row[-1] += f" ({number(min(values))})"
        p50 = [run.latency_us["p50"] for run in good(results) if run.latency_us]
        row.append(number(statistics.median(p50)) if p50 else "-")
        row.append(_ratio_cell(work, runs, name, "cpu_us_per_object", False))
        row.append(_ratio_cell(work, runs, name, "wall_us_per_object", False))
        row.append(_ratio_cell(work, runs, name, "cpu_us_per_object", True))
        row.append(_against_bit_preserving(runs, name))
        rows.append(row)
    heading = f"{work.title}: medians of {count}, ratios (minimum-maximum)"
    return ["", heading, *(_aligned(rows) if len(rows) > 1 else []), *notes]


def calls_table(calls: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The lines of system calls an object: the sum, then each of them."""
    if not calls:
        return []
    sums = _aligned(
        [[name, f"{sum(each.values()):.1f}"] for name, each in calls.items()]
    )
    lines = [
        f"{row}  {_call_names(each)}"
        for row, each in zip(sums, calls.values(), strict=True)
    ]
    return ["", "System calls an object, by strace:", *lines]


def _call_names(each: Mapping[str, float]) -> str:
    return ", ".join(
        name if round(number, 1) == 1 else f"{number:.1f} {name}"
        for name, number in each.items()
    )


def judge(target: Target, runs: Runs, memory: str) -> str | None:
    """One line about a target; None when it does not apply to these runs."""
    if target.memory not in (None, memory):
        return None
    if target.contender not in runs or target.reference not in runs:
        return None
    ratios = paired_ratios(
        runs[target.contender], runs[target.reference], target.figure
    )
    if not ratios:
        return None
    what = "CPU" if target.figure.startswith("cpu") else "wall"
    verdict = "met" if statistics.median(ratios) <= target.at_most else "NOT MET"
    return (
        f"  {verdict:7}  {what} of {target.contender} at most {target.at_most:.2f} of "
        f"{target.reference}: {spread(ratios)}"
    )


def targets(work: Work, runs: Runs, memory: str) -> list[str]:
    """What became of the targets of a work."""
    lines = [judge(target, runs, memory) for target in work.targets]
    return [line for line in lines if line]


def _output(*command: str) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False
        ).stdout
    except OSError:
        return ""


def _first_line(*command: str) -> str:
    return _output(*command).partition("\n")[0].strip() or "unknown"


def machine(directory: Path, python: str) -> dict[str, object]:
    """Everything about the machine and the programs that a figure depends on."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    root = str(Path(__file__).resolve().parent)
    git = ("git", "--no-optional-locks", "-C", root)
    return {
        "commit": _first_line(*git, "rev-parse", "--verify", "HEAD"),
        "changed_files": _output(*git, "status", "--porcelain").count("\n"),
        "cpu": model[0] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_mb": round(pages / 1e6),
        "kernel": platform.release(),
        "file_system": file_system(directory),
        "python": platform.python_version(),
        "original": _first_line("dcmrecv", "--version"),
        "ours": _first_line(python, "-m", "dcmrecv", "--version"),
    }


def file_system(directory: Path) -> str:
    """Type, source and options of the mount that holds a directory; proc(5).

    Not known inside a chroot and on a Btrfs subvolume: no mount has their device.
    """
    device = os.stat(directory).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, rest = line.partition(" - ")
        if mount.split()[2] == wanted:
            kind, source, options = rest.split(" ", 2)
            return f"{kind} on {source} ({options})"
    return "unknown"
