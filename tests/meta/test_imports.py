"""Each module can be imported alone, and the package itself costs nothing."""

import json
import operator
import subprocess
import sys
from pathlib import Path

import pytest

import dcmrecv

PACKAGE = Path(dcmrecv.__file__).parent
SOURCE = Path(__file__).parents[2] / "src" / "dcmrecv"
DEADLINE_S = 60


def module_names() -> list[str]:
    """Every module of the package, by its dotted name."""
    names = set()
    for path in SOURCE.rglob("*.py*"):
        if path.suffix in (".py", ".pyx"):
            parts = path.relative_to(SOURCE.parent).with_suffix("").parts
            names.add(".".join(part for part in parts if part != "__init__"))
    return sorted(names)


def run_python(program: str) -> str:
    """Run a program in a fresh interpreter with every warning an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", module_names())
def test_module_can_be_imported_alone(name: str) -> None:
    """No module needs another one to have been imported before it."""
    assert run_python(f"import {name}") == ""


def test_importing_the_package_loads_nothing_of_it() -> None:
    """`import dcmrecv` has no cost and no effect."""
    program = (
        "import sys, dcmrecv, json\n"
        "print(json.dumps([m for m in sys.modules if m.startswith('dcmrecv.')]))"
    )
    assert json.loads(run_python(program)) == []


def test_the_public_names_are_these() -> None:
    """What a user may rely on; a change here is a change of the interface."""
    assert sorted(dcmrecv.__all__) == ["Receiver", "Settings", "__version__"]
    assert all(getattr(dcmrecv, name) is not None for name in dcmrecv.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Lazy loading does not swallow a mistake."""
    with pytest.raises(AttributeError, match="no attribute 'Reciever'"):
        operator.attrgetter("Reciever")(dcmrecv)
