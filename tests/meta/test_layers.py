"""Imports point down, whether Python's or Cython's. ARCHITECTURE.md section 3.

A tool that knows `import` alone would miss half of the edges: the lines are read here.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "dcmrecv"
SUFFIXES = (".py", ".pyi", ".pyx", ".pxd")

# What each part of the package may import besides itself. `config.settings` alone is
# open to the layers below `service`.
ALLOWED = {
    "": set(),
    "errors": set(),
    "native": {"errors"},
    "config": {"errors"},
    "ul": {"native", "config.settings", "errors"},
    "dimse": {"native", "config.settings", "errors"},
    "encoding": {"native", "config.settings", "errors"},
    "storage": {"encoding", "native", "config.settings", "errors"},
    "service": {
        *("storage", "ul", "dimse", "encoding"),
        *("native", "config", "errors"),
    },
    "server": {"service", "native", "config", "errors"},
    "cli": {"server", "config", "errors"},
    "api": {"server", "config", "errors"},
    "__main__": {"cli"},
}

CYTHON_IMPORT = re.compile(
    r"^(?P<indent>[ \t]*)(?:from\s+(?P<origin>[\w.]+)\s+c?import\s+(?P<names>[^#\n]+)"
    r"|c?import\s+(?P<plain>[\w., ]+))",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Import:
    """One line that imports a module of ours."""

    line: int
    target: str  # below dcmrecv: "native.wire"; "" for the package itself
    nested: bool


def source_files() -> list[Path]:
    """Every file that can import something."""
    return sorted(p for p in SOURCE.rglob("*") if p.suffix in SUFFIXES)


def module_name(path: Path) -> str:
    """Dotted name below dcmrecv, "" for its `__init__`."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path) for path in source_files()}


def python_imports(text: str) -> Iterator[tuple[int, str, tuple[str, ...], bool]]:
    """Line, origin, names and whether it is nested, of every import statement."""
    tree = ast.parse(text)
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, (), id(node) not in top
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            names = tuple(alias.name for alias in node.names)
            yield node.lineno, origin, names, id(node) not in top


def cython_imports(text: str) -> Iterator[tuple[int, str, tuple[str, ...], bool]]:
    """The same for Cython, where a statement is a line that begins with it."""
    for match in CYTHON_IMPORT.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        nested = bool(match["indent"])
        if match["plain"]:
            for name in match["plain"].split(","):
                yield line, name.split(" as ")[0].strip(), (), nested
        else:
            names = tuple(n.strip(" ()\\") for n in match["names"].split(","))
            yield line, match["origin"], names, nested


def own_imports(path: Path) -> list[Import]:
    """Every import of a module of ours in a file."""
    text = path.read_text()
    read = cython_imports if path.suffix in (".pyx", ".pxd") else python_imports
    found = []
    for line, origin, names, nested in read(text):
        if origin.startswith("."):
            found.append(Import(line, "relative import", nested))
        elif origin == "dcmrecv" or origin.startswith("dcmrecv."):
            target = origin.removeprefix("dcmrecv").removeprefix(".")
            submodules = [f"{target}.{n}".lstrip(".") for n in names]
            hits = [name for name in submodules if name in MODULES]
            found += [Import(line, hit, nested) for hit in hits or [target]]
    return found


def may_import(importer: str, target: str) -> bool:
    """Is this edge in the table?"""
    own = importer.partition(".")[0]
    other = target.partition(".")[0]
    if target == "" or own == other:
        return True
    return other in ALLOWED[own] or target in ALLOWED[own]


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_imports_point_down(path: Path) -> None:
    """No edge that the table of layers does not have."""
    importer = module_name(path)
    assert importer.partition(".")[0] in ALLOWED, "a part that no layer owns"
    wrong = [
        f"line {found.line}: {found.target}"
        for found in own_imports(path)
        if not may_import(importer, found.target)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_imports_stand_at_the_top(path: Path) -> None:
    """No import inside a function, none for the type checker only."""
    text = path.read_text()
    read = cython_imports if path.suffix in (".pyx", ".pxd") else python_imports
    assert [line for line, _, _, nested in read(text) if nested] == []
    assert "TYPE_CHECKING" not in text


def test_no_module_imports_itself_on_a_detour() -> None:
    """The graph of modules, Python's and Cython's edges together, has no cycle."""
    edges: dict[str, set[str]] = {name: set() for name in MODULES}
    for path in source_files():
        own = module_name(path)
        edges[own] |= {f.target for f in own_imports(path)} & MODULES - {own, ""}
    while leaves := {name for name, targets in edges.items() if not targets}:
        edges = {
            name: targets - leaves
            for name, targets in edges.items()
            if name not in leaves
        }
    assert edges == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from dcmrecv.ul.pdata cimport PDataReader\n", ["ul.pdata"]),
        ("cimport dcmrecv.native.wire as wire\n", ["native.wire"]),
        ("from dcmrecv.native cimport wire, sysio\n", ["native.wire", "native.sysio"]),
        ("from dcmrecv.native.wire cimport (\n    Span,\n)\n", ["native.wire"]),
        ("import os, dcmrecv.errors\n", ["errors"]),
        ("from . import wire\n", ["relative import"]),
        ("cdef extern from '<poll.h>':\n    int poll()\n", []),
    ],
)
def test_every_form_of_a_cython_import_is_seen(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    """The reader above is only as good as the forms that it knows."""
    path = tmp_path / "form.pyx"
    path.write_text(text)
    assert [found.target for found in own_imports(path)] == expected
