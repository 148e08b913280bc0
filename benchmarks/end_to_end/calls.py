"""System calls of one object, counted with strace.

Two runs with different numbers of objects: their difference is what the objects cost,
without the start of the receiver and its association.
"""

import dataclasses
import subprocess
from collections import Counter
from pathlib import Path

from measure import measure
from place import Place
from works import Contender, Work

FEW, MANY = 50, 250
SHOWN_AT_LEAST = 0.1  # of a call an object; what is rarer is the time's or chance


def countable() -> bool:
    """Is strace there, and may it trace?"""
    try:
        done = subprocess.run(["strace", "-c", "true"], capture_output=True, timeout=30)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def calls_per_object(
    place: Place, work: Work, contender: Contender
) -> dict[str, float]:
    """How often each system call is made for an object, the most frequent first.

    Raises:
        BenchmarkError: the receiver did not do its job.
    """
    few, many = (_count(place, work, contender, objects) for objects in (FEW, MANY))
    many.subtract(few)
    each = sorted((-number / (MANY - FEW), name) for name, number in many.items())
    return {name: -minus for minus, name in each if -minus >= SHOWN_AT_LEAST}


def _count(
    place: Place, work: Work, contender: Contender, objects: int
) -> Counter[str]:
    report = place.root / f"calls-{contender.name}-{objects}"
    traced = dataclasses.replace(
        contender, command=f"strace -f -c -I waiting -o {report} {contender.command}"
    )
    measure(place, dataclasses.replace(work, objects=objects), traced, report.name)
    return _parse(report)


def _parse(report: Path) -> Counter[str]:
    """The column `calls` of each row; `errors` before the name may be empty."""
    counts: Counter[str] = Counter()
    for line in report.read_text().splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            counts[fields[-1]] = int(fields[3])
    return counts
