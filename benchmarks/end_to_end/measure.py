"""One run: a fresh receiver, a fresh directory, one sender, and the figures.

Never decides what is run or in which order, never prints.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from place import Place
from processes import BenchmarkError, Receiver, finish, free_port
from stored import check_directory
from works import KIB, Contender, Work

START_S = 20.0
SAMPLE_S = 0.05
DISTURBANCE = 0.1  # of the wall time


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The figures of one run; MB and GB are 10**6 and 10**9 bytes of data sets.

    Attributes:
        objects: answered with Success; messages when nothing is stored.
        wall_s: from the first connect to the last release; of dcmsend all it does.
        receive_s: from the first file to the last; only for dcmsend.
        flush_s: from the last release until all is on the disk; only when asked for.
        cpu_s: of the receiver's process tree, user and system.
        memory_ns_per_byte: cost of the first touch of memory right before the run.
        create_us, create_after_us: cost of an empty file in the directory of the run.
    """

    objects: int
    bytes: int
    wall_s: float
    receive_s: float | None
    flush_s: float | None
    wall_us_per_object: float
    objects_per_s: float
    mb_per_s: float
    cpu_s: float
    cpu_s_per_gb: float | None
    cpu_us_per_object: float
    peak_rss_mb: float
    peak_rss_sum_mb: float
    proportional_rss_mb: float | None
    processes: int
    latency_us: dict[str, float] | None
    association_us: dict[str, float] | None
    sender_cpu_s: float | None
    memory_ns_per_byte: float
    create_us: float
    create_after_us: float
    load_average: float
    attempts: int = 1

    def disturbed(self) -> bool:
        """Did the file system become slow at making files, and did it matter?

        That is the fault of whoever deleted files in the same block group before.
        """
        added_s = (self.create_after_us - self.create_us) * self.objects / 1e6
        return added_s > DISTURBANCE * self.wall_s


def _environment(*extra: tuple[str, str]) -> dict[str, str]:
    environment = dict(os.environ)
    environment.pop("TCP_NODELAY", None)
    return environment | dict(extra)


def command_of(
    place: Place, work: Work, contender: Contender, directory: Path, port: str
) -> list[str]:
    """The command line of a contender."""
    places = {
        "python": sys.executable,
        "yardstick": place.programs["yardstick"],
        "directory": str(directory),
        "pdu": str(work.pdu),
        "workers": str(max(2, work.associations)),
    }
    command = [part.format(**places) for part in contender.command.split()]
    # through the page cache only when it is cheap, as a good receiver would decide
    if contender.name == "yardstick" and place.memory == "cold":
        command += ["--dontcache"] if work.size >= 64 * KIB else []
    return [*command, port]


def _wait_until_it_accepts(place: Place, receiver: Receiver, port: str) -> None:
    process = place.sender(
        *("--port", port, "--echo", "--timeout", "10"),
        *("--connect-ms", str(int(START_S * 1000))),
    )
    while process.poll() is None:
        try:
            receiver.check()
        except BenchmarkError:
            process.kill()
            process.communicate()
            raise
        time.sleep(0.02)
    _answer_of(process, START_S)
    receiver.settle()


def _answer_of(process: "subprocess.Popen[str]", deadline_s: float) -> dict[str, Any]:
    """What the sender has printed; raises BenchmarkError unless all went well."""
    output, errors = finish(process, deadline_s)
    answer: dict[str, Any] = json.loads(output) if output else {"error": errors}
    if process.returncode:
        raise BenchmarkError(f"sender: {answer['error'].strip() or 'failed'}")
    return answer


def _send(
    place: Place,
    work: Work,
    objects: int,
    port: str,
    receiver: Receiver | None,
) -> dict[str, Any]:
    """Let our sender do the work; sample the memory of `receiver` meanwhile."""
    content: tuple[str, ...] = ("--size", str(work.size))
    if work.echo:
        content = ("--echo",)
    elif work.data_set is not None:
        content = ("--data-set", str(place.data_set(work.data_set)))
    process = place.sender(
        *("--port", port, "--objects", str(objects), "--pdu", str(work.pdu)),
        *("--associations", str(work.associations)),
        *("--per-association", str(work.per_association)),
        *("--timeout", str(work.deadline_s), "--window", str(work.window)),
        *content,
    )
    end = time.monotonic() + work.deadline_s
    while receiver and process.poll() is None and time.monotonic() < end:
        receiver.sample_memory()
        time.sleep(SAMPLE_S)
    return _answer_of(process, work.deadline_s)


def _dcmsend(
    work: Work, objects: int, port: str, files: Path, directory: Path
) -> dict[str, Any]:
    """Let DCMTK's sender do the work, with its defaults."""
    begin = time.monotonic()
    process = subprocess.Popen(
        ["dcmsend", "127.0.0.1", port, "+sd", str(files)],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    output, errors = finish(process, work.deadline_s)
    wall = time.monotonic() - begin
    if process.returncode:
        raise BenchmarkError(f"dcmsend: {output.strip()} {errors.strip()}")
    times = [path.stat().st_mtime_ns for path in directory.iterdir()]
    receive_s = (max(times) - min(times)) / 1e9 if times else 0.0
    return {"objects": objects, "wall_s": wall, "receive_s": receive_s}


def _flush_s() -> float:
    begin = time.monotonic()
    os.sync()
    return time.monotonic() - begin


def measure(place: Place, work: Work, contender: Contender, name: str) -> Run:
    """Run once.

    Args:
        name: of the run's directory, new.

    Raises:
        BenchmarkError: the receiver did not do its job, so there is no figure.
    """
    objects = work.objects
    if contender.slow and not work.dcmsend:
        objects = work.slow_objects
    total = objects * work.associations
    references = (
        {} if work.echo else place.references(work, objects, contender.rewrites)
    )
    files = place.write_objects(work, 0, objects) if work.dcmsend else None
    place.flush()
    directory, create_us = place.new_directory(name)
    port = str(free_port())
    receiver = Receiver(
        command_of(place, work, contender, directory, port),
        _environment(*contender.environment),
        place.root / f"{name}.log",
    )
    try:
        _wait_until_it_accepts(place, receiver, port)
        memory_ns = place.prepare_memory(total * work.size)
        receiver.settle()
        load = os.getloadavg()[0]
        before = receiver.cpu_ns()
        if files:
            answer = _dcmsend(work, objects, port, files, directory)
        else:
            sampled = receiver if contender.forks else None
            with place.line(work, port) as line:
                answer = _send(place, work, objects, line, sampled)
        flush_s = _flush_s() if work.flushed else None
        receiver.settle()
        cpu_s = (receiver.cpu_ns() - before) / 1e9
        receiver.check()
        memory = receiver.memory()
        create_after_us = place.create_us(directory)
    except BenchmarkError as error:
        raise BenchmarkError(f"{error}; its log: {receiver.last_line()}") from error
    finally:
        receiver.stop()
    if answer["objects"] != total:
        raise BenchmarkError(f"{answer['objects']} Successes instead of {total}")
    size = 0
    if references:
        stored = total if contender.stores else 0
        size = total * check_directory(directory, stored, references)
    wall = answer["wall_s"]
    return Run(
        objects=total,
        bytes=size,
        wall_s=wall,
        receive_s=answer.get("receive_s"),
        flush_s=flush_s,
        wall_us_per_object=wall / total * 1e6,
        objects_per_s=total / wall,
        mb_per_s=size / wall / 1e6,
        cpu_s=cpu_s,
        cpu_s_per_gb=cpu_s / size * 1e9 if size else None,
        cpu_us_per_object=cpu_s / total * 1e6,
        peak_rss_mb=memory.peak_max_mb,
        peak_rss_sum_mb=memory.peak_sum_mb,
        proportional_rss_mb=memory.proportional_mb,
        processes=memory.processes,
        latency_us=answer.get("latency_us"),
        association_us=answer.get("association_us"),
        sender_cpu_s=answer.get("sender_cpu_s"),
        memory_ns_per_byte=memory_ns,
        create_us=create_us,
        create_after_us=create_after_us,
        load_average=load,
    )
