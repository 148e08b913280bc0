"""The end-to-end benchmark, tiny: every contender runs and every figure is there.

What the figures are is of no interest here, only that none is missing or impossible.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
DEADLINE_S = 180
# One of each kind: stored, not stored, parallel, without data sets, of another shape,
# and DCMTK's sender.
WORKS = ("small", "echo", "parallel-8", "normal-report", "dcmsend")
FIGURES = (
    "objects",
    "wall_s",
    "wall_us_per_object",
    "objects_per_s",
    "cpu_s",
    "cpu_us_per_object",
    "peak_rss_mb",
    "peak_rss_sum_mb",
    "processes",
    "memory_ns_per_byte",
)
FIGURES_OF_DATA_SETS = ("bytes", "mb_per_s", "cpu_s_per_gb")


def run(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of the benchmarks with this interpreter."""
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that a tiny comparison has written."""
    directory = tmp_path_factory.mktemp("benchmark")
    path = directory / "results.json"
    done = run(
        "end_to_end/run.py",
        *("--quick", "--works", ",".join(WORKS)),
        *("--contenders", "original,original+B,original-ignore,yardstick*,ours*"),
        *("--directory", str(directory), "--results", str(path)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return path


@pytest.fixture(scope="module")
def content(results: Path) -> dict[str, Any]:
    """The same, read."""
    loaded: dict[str, Any] = json.loads(results.read_text())
    return loaded


def test_every_run_has_every_figure(content: dict[str, Any]) -> None:
    """Rates, processor time and memory, of every repetition."""
    assert list(content["works"]) == list(WORKS)
    for name, work in content["works"].items():
        wanted = FIGURES if name == "echo" else FIGURES + FIGURES_OF_DATA_SETS
        for contender, record in work["contenders"].items():
            for figures in record["runs"]:
                for figure in wanted:
                    assert figures[figure] > 0, (name, contender, figure)


def test_the_original_the_yardstick_and_ours_are_compared(
    content: dict[str, Any],
) -> None:
    """A figure of ours means nothing without its two references."""
    assert set(content["works"]["small"]["contenders"]) == {
        "original",
        "original+B",
        "original-ignore",
        "yardstick",
        "yardstick-discard",
        "ours",
        "ours+B",
        "ours+B-v",
        "ours-ignore",
    }


def test_the_circumstances_are_recorded(content: dict[str, Any]) -> None:
    """Style guide, section 7: machine, kernel, file system and commit."""
    for key in ("commit", "cpu", "cores", "kernel", "file_system", "original", "ours"):
        assert content["machine"][key], key
    assert content["parameters"]["memory"] == "as-is"


def test_compare_puts_two_results_side_by_side(results: Path) -> None:
    """The same file twice: nothing has changed, and one run each proves nothing."""
    done = run("compare.py", str(results), str(results))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if " x " in line]
    assert any(line.split()[0] == "ours+B" for line in lines)
    assert all("x 1.00  too few runs" in line for line in lines)
    assert "WARNING" not in done.stdout


def test_tls_is_compared_with_the_same_circumstances_recorded(tmp_path: Path) -> None:
    """With files and without, and then with what Python's ssl costs at least."""
    path = tmp_path / "results.json"
    done = run(
        "end_to_end/tls.py",
        *("--quick", "--modes", "+B,ignore", "--associations", "2"),
        *("--directory", str(tmp_path), "--results", str(path)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(path.read_text())
    for key in ("commit", "cpu", "kernel", "file_system", "original", "ours"):
        assert content["machine"][key], key
    assert content["parameters"]["memory"] == "as-is"
    contenders = {title: list(work) for title, work in content["works"].items()}
    assert contenders == {
        "+B, 2 associations": ["original", "ours"],
        "ignore, 2 associations": ["original", "ours", "sink"],
    }
    for work in content["works"].values():
        for (figures,) in work.values():
            assert figures["cipher"] == "TLS_AES_256_GCM_SHA384"
            for figure in ("mb_per_s", "cpu_s_per_gb", "memory_ns_per_byte"):
                assert figures[figure] > 0, figure


def test_durability_is_compared_in_a_burst_and_in_a_stream(tmp_path: Path) -> None:
    """With the flushes of a burst, and what either still has in memory at its end."""
    path = tmp_path / "results.json"
    done = run(
        "end_to_end/durability.py",
        *("--quick", "--directory", str(tmp_path), "--results", str(path)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("MET  ") + done.stdout.count("met  ") == 5
    content = json.loads(path.read_text())
    for key in ("commit", "cpu", "kernel", "file_system", "ours"):
        assert content["machine"][key], key
    (burst,) = content["burst"]["turns"]
    (stream,) = content["stream"]["turns"]
    flushes = {
        name: burst[name]["flushes_per_object"]
        for name in ("close", "data", "full", "group")
    }
    assert flushes == {"close": 0, "data": 1, "full": 2, "group": flushes["group"]}
    assert 0 < flushes["group"] <= 1
    for turn in (burst, stream):
        assert turn["disk_mb_per_s"] > 0
        assert turn["close"]["mb_per_s"] > 0 < turn["group"]["mb_per_s"]
        assert turn["close"]["flush_s"] > 0 < turn["group"]["flush_s"]
    assert stream["cached"]["mb_per_s"] > 0
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_work_is_refused() -> None:
    """A typing error must not look like an empty result."""
    done = run("end_to_end/run.py", "--works", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr


def test_a_file_system_without_a_mount_of_its_own_is_no_obstacle() -> None:
    """As inside a chroot, or here: nobody mounts the files of namespaces."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from pathlib import Path; from report import file_system; "
            "print(file_system(Path('/proc/self/ns/pid')), file_system(Path('/proc')))",
        ],
        cwd=BENCHMARKS / "end_to_end",
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.stdout.startswith("unknown proc on "), done.stdout + done.stderr
