"""Storing through TLS: DCMTK's dcmrecv and ours, in turns, with the same sender.

Ours takes part twice where the machine has kernel TLS, the second time with it. With
`--ignore` another one takes part that reads and drops: what Python's ssl costs.

    python benchmarks/end_to_end/tls.py [--repetitions N] [--objects N] [--quick]

512 KiB objects in 16 KiB PDUs, on one association and on eight. Needs openssl. Prints
medians and ratios within each turn, and stores every repetition as JSON. Ours starts
workers while the associations come: few objects of each show what that costs.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from place import Place
from processes import BenchmarkError, Receiver, finish, free_port
from report import machine, number, spread
from works import KIB, NODELAY, ORIGINAL, OURS

from dcmrecv.service import kernel_tls

RESULTS = Path(__file__).resolve().parents[1] / "results"
SENDER = Path(__file__).with_name("tls_sender.py")
SIZE = 512 * KIB
PDU = 16 * KIB
# What receives nothing but bytes: less than that Python's ssl cannot cost.
SINK = f"{{python}} {Path(__file__).with_name('tls_sink.py')} {SIZE} {PDU}"
START_S = 20.0
DEADLINE_S = 120.0

MODES = {"normal": "", "+B": " +B", "ignore": " --ignore"}
TARGETS = {"cpu_s_per_gb": 0.8, "mb_per_s": 1.3}  # at most, at least, of the original


def make_files(directory: Path) -> None:
    """A root, and what receiver and sender show."""
    quiet = {"check": True, "capture_output": True, "timeout": 60}
    root = ["-keyout", str(directory / "ca.key"), "-out", str(directory / "ca.pem")]
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run(
        ["openssl", "req", "-x509", *options, *root, "-subj", "/CN=CA"],
        **quiet,  # type: ignore[call-overload]
    )
    for name in ("receiver", "sender"):
        own = ["-keyout", str(directory / f"{name}.key"), "-subj", f"/CN={name}"]
        signer = ["-CA", str(directory / "ca.pem"), "-CAkey", str(directory / "ca.key")]
        out = ["-out", str(directory / f"{name}.pem")]
        subprocess.run(
            ["openssl", "req", "-x509", *options, *own, *signer, *out],
            **quiet,  # type: ignore[call-overload]
        )


def _wait_until_it_listens(receiver: Receiver, port: int) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        receiver.check()
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.02)
    receiver.settle()


def measure(
    place: Place, command: str, files: Path, associations: int, objects: int
) -> dict[str, Any]:
    """One receiver, one load.

    Raises:
        BenchmarkError: not every object was answered with Success and stored.
    """
    place.flush()
    directory, _ = place.new_directory("tls")
    port = free_port()
    words = command.format(directory=directory, pdu=PDU, python=sys.executable).split()
    words += ["+tls", f"{files}/receiver.key", f"{files}/receiver.pem"]
    words += ["+cf", f"{files}/ca.pem", str(port)]
    environment = {**os.environ, **dict(NODELAY)}
    receiver = Receiver(words, environment, files / "log")
    try:
        _wait_until_it_listens(receiver, port)
        memory_ns = place.prepare_memory(objects * associations * SIZE)
        receiver.settle()
        before = receiver.cpu_ns()
        senders = [
            subprocess.Popen(
                [
                    *(sys.executable, str(SENDER), str(port), str(objects), str(SIZE)),
                    *(str(PDU), str(number), f"{files}/sender.pem"),
                    *(f"{files}/sender.key", f"{files}/ca.pem"),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(1, associations + 1)
        ]
        answers = []
        for sender in senders:
            output, errors = finish(sender, DEADLINE_S)
            if sender.returncode:
                raise BenchmarkError(f"sender: {errors}; {receiver.last_line()}")
            answers.append(json.loads(output))
        receiver.settle()
        cpu_s = (receiver.cpu_ns() - before) / 1e9
        receiver.check()
        peak_mb = receiver.memory().peak_max_mb
    finally:
        receiver.stop()
    stored = len(list(directory.iterdir()))
    if stored != (0 if "--ignore" in command else objects * associations):
        raise BenchmarkError(f"{stored} files")
    size = answers[0]["data_set_bytes"] * objects * associations
    wall_s = max(a["ended"] for a in answers) - min(a["begun"] for a in answers)
    return {
        "wall_s": wall_s,
        "mb_per_s": size / wall_s / 1e6,
        "cpu_s_per_gb": cpu_s / size * 1e9,
        "sender_cpu_s_per_gb": sum(a["cpu_s"] for a in answers) / size * 1e9,
        "cipher": answers[0]["cipher"],
        "peak_rss_mb": peak_mb,
        "memory_ns_per_byte": memory_ns,
    }


def _show(title: str, runs: dict[str, list[dict[str, Any]]]) -> None:
    cipher = runs["original"][0]["cipher"]
    print(f"\n{title}, {cipher}: medians, ratios (minimum-maximum)")
    for name, results in runs.items():
        cells = [f"{name:10}"]
        for figure, text in (("cpu_s_per_gb", "CPU s/GB"), ("mb_per_s", "MB/s")):
            middle = statistics.median(run[figure] for run in results)
            cells.append(f"{number(middle):>6} {text}")
        if name != "original":
            for figure in TARGETS:
                ratios = [
                    run[figure] / other[figure]
                    for run, other in zip(results, runs["original"], strict=True)
                ]
                cells.append(f"{figure} / original: {spread(ratios)}")
        print("  ".join(cells), flush=True)


def main(argv: Sequence[str]) -> int:
    """Returns 0, whatever the figures are."""
    parser = argparse.ArgumentParser(description="Compare receivers inside TLS.")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--objects", type=int, default=300, help="of each association (300)"
    )
    parser.add_argument("--modes", default=",".join(MODES), help="with commas")
    parser.add_argument("--associations", default="1,8", help="with commas")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--results", type=Path)
    parser.add_argument("--quick", action="store_true", help="does it work?")
    arguments = parser.parse_args(argv)
    if arguments.quick:
        arguments.repetitions, arguments.objects = 1, 4
    facts = machine(arguments.directory, sys.executable)
    facts["when"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    records: dict[str, Any] = {}
    memory = "as-is" if arguments.quick else "warm"
    loads = [int(load) for load in arguments.associations.split(",")]
    largest = arguments.objects * max(loads) * SIZE
    with Place(arguments.directory, memory, 0, largest) as place:
        files = place.root
        make_files(files)
        for mode in arguments.modes.split(","):
            for associations in loads:
                title = f"{mode}, {associations} associations"
                contenders = {"original": ORIGINAL, "ours": OURS}
                if kernel_tls.is_available():
                    contenders["kernel TLS"] = f"{OURS} --kernel-tls auto"
                if mode == "ignore":
                    contenders["sink"] = SINK
                runs: dict[str, list[dict[str, Any]]] = {n: [] for n in contenders}
                for _ in range(arguments.repetitions):
                    for name, command in contenders.items():
                        run = measure(
                            place,
                            command + MODES[mode],
                            files,
                            associations,
                            arguments.objects,
                        )
                        runs[name].append(run)
                _show(title, runs)
                records[title] = runs
        parameters = {
            "repetitions": arguments.repetitions,
            "objects": arguments.objects,
            "quick": arguments.quick,
            "memory": memory,
            "warm_ns_per_byte": place.warm_ns_per_byte,
            "directories_spread": place.spread,
            "size": SIZE,
            "pdu": PDU,
        }
    path = arguments.results or RESULTS / (
        f"{facts['when']}-{str(facts['commit'])[:8]}-tls-{memory}.json"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": facts, "parameters": parameters, "works": records}
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nEvery repetition: {os.path.relpath(path)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (BenchmarkError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(f"{failure}")
