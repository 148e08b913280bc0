"""Fuzz one target, guided by the coverage of Python and of the extensions.

    python -m tests.fuzz.fuzz TARGET DIRECTORY [arguments of libFuzzer]

DIRECTORY takes the corpus; the seeds are put there first. Run by tests/fuzz/run, which
builds the extensions for it.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dcmrecv"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, directory: Path, *arguments: str) -> None:
    """Never returns when something was found."""
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds()):
        (directory / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], str(directory), *arguments], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
