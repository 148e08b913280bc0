"""The command line cases of the specification, run against the real program.

Every line of data/cli-cases.jsonl was captured from dcmrecv 3.6.7. Where we differ on
purpose, the case stands in DIFFERENT below, with the reason.

    argv, setup      arguments, and shell text to run before; with the placeholders
                     {tmp} a new directory, which is the working directory, too
                     {port} a free port
                     {etc} DCMTK's storescp.cfg and logger.cfg
                     {tls} what data/make-tls.sh makes
    exit             the exit code; null together with "listening": the port is open
                     until SIGTERM comes
    stream, contains where a text appears, and a part of it
    silent           nothing at all appears
    requires         "nonroot": not as root
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.peers.program import free_port, is_listening
from tests.peers.waiting import wait_until

DATA = Path(__file__).parent / "data"
ETC = Path("/etc/dcmtk")
NOBODY = 65534

# The program, and the program after giving up root. Its modules and its data dictionary
# are loaded before that, for nobody else may be able to read them, or Python's.
PROGRAM = (sys.executable, "-m", "dcmrecv")
PROGRAM_OF_NOBODY = (
    sys.executable,
    "-c",
    "import os; from dcmrecv.cli import entry_point; "
    "from dcmrecv.encoding.dictionary import default_table; default_table(); "
    "os.setgroups([]); "
    f"os.setgid({NOBODY}); os.setuid({NOBODY}); entry_point()",
)
# A copy: pytest changes the environment of this process at every test, and a child that
# another thread starts at that moment would find it torn.
ENVIRONMENT = dict(os.environ)

DEADLINE_S = 60.0
THREADS = 4


@dataclass(frozen=True, slots=True)
class Case:
    """One command line and what has to come of it."""

    argv: tuple[str, ...]
    setup: str
    exit: int | None  # None: listens
    stream: str
    contains: str
    silent: bool
    nonroot: bool

    @property
    def name(self) -> str:
        """As typed, with the usual key and certificate shortened; then the setup."""
        words = " ".join(word or "''" for word in self.argv)
        words = words.replace("+tls {tls}/server.key {tls}/server.pem", "TLS")
        return f"{words} <- {self.setup}" if self.setup else words


@dataclass(frozen=True, slots=True)
class Difference:
    """What comes of a case instead, and why."""

    why: str
    exit: int | None
    contains: str
    stream: str = "stderr"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case. The streams are as they were before SIGTERM."""

    exit: int
    listened: bool
    stdout: str
    stderr: str
    places: dict[str, str]  # the placeholders' values


def read_cases() -> tuple[Case, ...]:
    """The cases in the order of the file."""
    rows = map(json.loads, (DATA / "cli-cases.jsonl").read_text().splitlines())
    return tuple(
        Case(
            argv=tuple(row["argv"]),
            setup=row["setup"],
            exit=row["exit"],
            stream=row["stream"],
            contains=row["contains"],
            silent=row.get("silent", False),
            nonroot=row.get("requires") == "nonroot",
        )
        for row in rows
    )


CASES = read_cases()

AT_ONCE = Difference(
    why="No row of its own in DECISIONS, but of the README's table: the original holds "
    "lines back in a buffer and loses them at a signal. Ours come from many processes, "
    "each of which would lose some, or mix up their order",
    exit=None,
    contains="INFO - configuring service class provider ...\n",
    stream="stdout",
)
LATER_VERSION = "DECISIONS 1: options of later DCMTK versions are accepted"
VERIFICATION_ONLY = (
    "W: no configuration file specified, "
    "SCP will only support the Verification SOP Class"
)

DIFFERENT = {
    "-i4 {port}": Difference(LATER_VERSION, None, VERIFICATION_ONLY),
    "-i6 {port}": Difference(LATER_VERSION, None, VERIFICATION_ONLY),
    "--list-profiles": Difference(
        LATER_VERSION, 0, "TLS Secure Transport Connection Profiles are:", "stdout"
    ),
    "-lc {tmp}/e.cfg {port} <- "
    'printf "log4cplus.rootLogger = INFO, c\\n'
    'log4cplus.appender.c = log4cplus::ConsoleAppender\\n" > {tmp}/e.cfg': AT_ONCE,
    "-lc {tmp}/e.cfg {port} <- "
    'printf "log4cplus.rootLogger = INFO, c\\n'
    "log4cplus.appender.c = log4cplus::ConsoleAppender\\n"
    "log4cplus.appender.c.logToStderr=true\\n"
    'log4cplus.appender.c.layout = log4cplus::SimpleLayout\\n" > {tmp}/e.cfg': AT_ONCE,
}


def run_case(case: Case, tls: Path, ports: Iterator[int]) -> Outcome:
    """Run one case in a directory of its own."""
    user = NOBODY if case.nonroot and os.geteuid() == 0 else None
    command = PROGRAM if user is None else PROGRAM_OF_NOBODY
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="dcmrecv-case-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        tmp = folder / "tmp"
        tmp.mkdir()
        folder.chmod(0o755)
        if user is not None:
            os.chown(tmp, user, user)
        port = next(ports)
        places = {"tmp": str(tmp), "port": str(port), "etc": str(ETC), "tls": str(tls)}
        taken = case.setup == "listen_on_port {port}"
        if taken:
            stack.enter_context(socket.create_server(("", port)))
        elif case.setup:
            subprocess.run(
                ["sh", "-c", filled(case.setup, places)],
                check=True,
                env=ENVIRONMENT,
                timeout=DEADLINE_S,
                user=user,
                group=user,
                cwd=tmp,
            )
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            program = subprocess.Popen(
                [*command, *(filled(word, places) for word in case.argv)],
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=tmp,
            )
        stack.callback(end, program)
        wait_until(
            # A port that we listen on ourselves says nothing of the program.
            lambda: program.poll() is not None or (not taken and serves(program, port)),
            f"listening or end of: {case.name}",
            DEADLINE_S,
        )
        listened = program.poll() is None
        stdout, stderr = (folder / "out").read_text(), (folder / "err").read_text()
        program.terminate()
        return Outcome(program.wait(DEADLINE_S), listened, stdout, stderr, places)


def filled(text: str, places: dict[str, str]) -> str:
    """Put the values into the place of the placeholders."""
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def serves(program: subprocess.Popen[bytes], port: int) -> bool:
    """Is the port open, and would SIGTERM be handled?"""
    status = Path(f"/proc/{program.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    handled = int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1
    return bool(handled) and is_listening(port)


def end(program: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind when a case fails."""
    program.kill()
    program.wait(DEADLINE_S)


def distinct_free_ports() -> Iterator[int]:
    """Free ports, none of them twice: cases run at the same time."""
    seen: set[int] = set()
    while True:
        if (port := free_port()) not in seen:
            seen.add(port)
            yield port


class Locked(Iterator[int]):
    """An iterator for several threads."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self._lock = threading.Lock()

    def __next__(self) -> int:
        with self._lock:
            return next(self._numbers)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Case, Future[Outcome]]]:
    """The outcomes of the cases that were selected; some run at the same time."""
    selected: list[Case] = [
        cast(Case, item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and getattr(item, "originalname", "")
        == test_the_case_ends_as_specified.__name__
    ]
    tls = tmp_path_factory.mktemp("tls")
    if any("{tls}" in word for case in selected for word in case.argv):
        subprocess.run(
            ["sh", DATA / "make-tls.sh", tls],
            check=True,
            capture_output=True,
            timeout=DEADLINE_S,
        )
    ports = Locked(distinct_free_ports())
    with ThreadPoolExecutor(THREADS) as pool:
        yield {case: pool.submit(run_case, case, tls, ports) for case in selected}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_case_ends_as_specified(
    case: Case, outcomes: dict[Case, Future[Outcome]]
) -> None:
    """Exit code, stream and text are the original's, or those of DIFFERENT."""
    outcome = outcomes[case].result()
    expected: Case | Difference = DIFFERENT.get(case.name, case)
    assert outcome.listened == (expected.exit is None), outcome.stderr
    assert outcome.exit == (expected.exit or 0), outcome.stderr
    wanted = filled(expected.contains, outcome.places)
    assert wanted in (outcome.stdout if expected.stream == "stdout" else outcome.stderr)
    if isinstance(expected, Case) and expected.silent:
        assert (outcome.stdout, outcome.stderr) == ("", "")
    if outcome.exit:
        assert outcome.stdout == ""


def test_every_difference_belongs_to_one_case() -> None:
    """A case that goes away or ends as the original again leaves the table."""
    names = [case.name for case in CASES]
    assert [name for name in DIFFERENT if names.count(name) != 1] == []
    unchanged = [
        case.name
        for case in CASES
        if (other := DIFFERENT.get(case.name))
        and (other.exit, other.stream) == (case.exit, case.stream)
        and filled(other.contains, {}) == case.contains
    ]
    assert unchanged == []


def test_no_case_is_left_out() -> None:
    """The specification has 358 of them."""
    assert len(CASES) == 358
