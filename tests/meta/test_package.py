"""What is in the wheel and in the source distribution."""

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "dcmrecv"
DEADLINE_S = 300

# What Python imports or type checkers read, what other extensions are compiled with,
# and data. The compiled extensions come on top.
IN_THE_WHEEL = {".py", ".pyi", ".pxd", ".tsv", ".cfg", ".typed"}
BESIDE_THE_PACKAGE = {
    "CHANGELOG.md",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "SECURITY.md",
    "pyproject.toml",
    "setup.py",
}


def run_setup(*arguments: str) -> None:
    """Run setup.py, which finds its extensions translated to C already."""
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", *arguments],
        cwd=ROOT,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def files_of_the_package(suffixes: set[str]) -> set[str]:
    """By their paths below src."""
    return {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.suffix in suffixes
    }


def test_the_wheel_has_the_modules_declarations_and_data_and_nothing_else(
    tmp_path: Path,
) -> None:
    """No C, no Cython bodies, no tests, no benchmarks."""
    run_setup("build_py", "--build-lib", str(tmp_path))
    built = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert built == files_of_the_package(IN_THE_WHEEL)


def test_the_source_distribution_has_what_it_is_built_from(tmp_path: Path) -> None:
    """And the papers that go with it; no C, which comes from the Cython sources."""
    run_setup("sdist", "--dist-dir", str(tmp_path))
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as tar:
        names = {
            name.partition("/")[2]
            for name in tar.getnames()
            if tar.getmember(name).isfile()
        }
    made_by_setuptools = {"PKG-INFO", "setup.cfg"}
    metadata = {name for name in names if name.startswith("src/dcmrecv.egg-info/")}
    sources = {f"src/{name}" for name in files_of_the_package(IN_THE_WHEEL | {".pyx"})}
    assert names - metadata - made_by_setuptools == sources | BESIDE_THE_PACKAGE
