"""Every source module has its test file, and every unit test file its module."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "dcmrecv"
UNIT_TESTS = ROOT / "tests" / "unit"

# What has no behaviour of its own: package docstrings, and `python -m dcmrecv`, which
# the integration tests run.
WITHOUT_TEST = ("__init__", "__main__")


def mirror_of(module: Path) -> Path:
    """Where the tests of a source file stand."""
    folder = UNIT_TESTS / module.relative_to(SOURCE).parent
    return folder / f"test_{module.stem}.py"


MODULES = sorted(
    path
    for path in SOURCE.rglob("*.py*")
    if path.suffix in (".py", ".pyx") and path.stem not in WITHOUT_TEST
)


@pytest.mark.parametrize("module", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_every_module_has_its_own_test_file(module: Path) -> None:
    """A module is covered by its own tests, not by those of its users."""
    assert mirror_of(module).is_file()


def test_no_unit_test_file_has_lost_its_module() -> None:
    """A test file that mirrors nothing tests something that moved away."""
    mirrors = {mirror_of(module) for module in MODULES}
    mirrors |= {
        UNIT_TESTS / path.relative_to(SOURCE).parent / f"test_{path.stem}.py"
        for path in SOURCE.rglob("*.pxd")
    }
    assert set(UNIT_TESTS.rglob("test_*.py")) - mirrors == set()
