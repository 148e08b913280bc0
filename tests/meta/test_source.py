"""Format, lint and types are clean."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sysconfig.get_path("scripts")  # cython-lint calls pycodestyle by its name
DEADLINE_S = 300

CHECKS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy"],
    "cython": ["cython_lint.cython_lint", "src", "tests/faults"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_source_is_clean(check: str) -> None:
    """What the tool would say to a developer, said here."""
    done = subprocess.run(
        [sys.executable, "-m", *CHECKS[check]],
        cwd=ROOT,
        env={
            **os.environ,
            "MYPYPATH": "src",
            "PATH": os.pathsep.join([SCRIPTS, os.environ.get("PATH", os.defpath)]),
        },
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_source_file_is_too_long() -> None:
    """600 lines at most: beyond that a file has more than one owner's idea."""
    sources = [p for p in (ROOT / "src").rglob("*.py*") if p.suffix in (".py", ".pyx")]
    lengths = {path.name: len(path.read_text().splitlines()) for path in sources}
    assert {name: size for name, size in lengths.items() if size > 600} == {}
