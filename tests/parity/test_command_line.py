"""The same command lines for DCMTK's dcmrecv 3.6.7 and for us.

Every line names an output directory that does not exist, so neither ever listens.
"""

import difflib
import logging
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcmrecv.cli import main
from dcmrecv.config.help import HEADER, TEXTS, help_text
from dcmrecv.config.logs import ROOT_LOGGER
from dcmrecv.config.option import Option
from dcmrecv.config.option_table import OPTIONS
from tests.peers.program import ORIGINAL

DEADLINE_S = 60.0
SEED = 367
LINES = 300
COMMAND_FILES = 150

INTEGERS = ["0", "1", "5x", "-1", "abc", " 7", "+9", "4095", "4096", "131072", "131073"]
INTEGERS += ["", "9" * 23, "0x10", "1.9", "-0"]
LEVELS = ["info", "debug", "bogus", "warn", "FATAL", "off", "error", "", "all", "trace"]
TEXTS_TO_TAKE = ["x", "", "-v", "a b", "+tls"]
VALUES = {
    "--log-level": LEVELS,
    "--log-config": ["none", ""],
    "--output-directory": ["none"],
    "--use-passwd": ["***"],  # as we show any password
}
UNKNOWN = ["-z", "+ll", "--", "--x", "+pb"]

# Only these lines of the original's help are not in ours, for a reason in DECISIONS.
CHANGED_HELP = [
    "                                 set my AE title (default: DCMRECV)",  # 9
    "    -uca  --use-called-aetitle   always respond with called AE title",  # 9
    "  pseudo random generator:",  # 14
]


@pytest.fixture(autouse=True)
def in_an_empty_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """For both; and the log of each run of ours goes away."""
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger(ROOT_LOGGER)
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


def run_original(argv: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; it is called `dcmrecv`, whatever its path."""
    done = subprocess.run(
        ["dcmrecv", *argv],
        executable=ORIGINAL[0],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr)


def run_ours(
    argv: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> tuple[int, str, str]:
    """The same, in this process."""
    capfdbinary.readouterr()
    exit_code = int(main(argv))
    out, err = capfdbinary.readouterr()
    return exit_code, os.fsdecode(out), os.fsdecode(err)


def comparable(outcome: tuple[int, str, str]) -> tuple[int, str, list[str]]:
    """Without what names a version, and without the levels below INFO.

    Differs: of options that the original lacks with today's OpenSSL we say why.
    """
    exit_code, out, err = outcome
    lines = err.replace(" (this OpenSSL has no 3DES)", "").split("\n")
    kept = [line for line in lines if not line.startswith(("D: ", "T: ", "$dcm"))]
    return exit_code, "\n".join(out.split("\n")[1:4]), kept


@pytest.fixture(scope="module")
def known_to_the_original() -> list[Option]:
    """The options that its help names."""
    words = set(run_original(["--help"])[1].split())
    return [option for option in OPTIONS if option.long in words]


def random_line(rnd: random.Random, options: list[Option]) -> list[str]:
    """A command line of which about a third has nothing wrong but the directory."""
    about_tls = [o for o in options if o.requires or o.field == "transport.tls"]
    parts = [["-od", "none"]]
    for option in rnd.choices(
        rnd.choice([options, about_tls]), k=rnd.choice([1, 2, 4])
    ):
        name = rnd.choice([option.long, option.short or option.long])
        pool = INTEGERS if option.bounds else VALUES.get(option.long, TEXTS_TO_TAKE)
        parts.append([name, *rnd.choices(pool, k=option.values)])
    if rnd.random() < 0.5:
        parts.append(["+tls", "a", "b"])
    if rnd.random() < 0.1:
        parts.append([rnd.choice(UNKNOWN)])
    if rnd.random() < 0.2:
        parts.append([rnd.choice(["--arguments", "-v"])])
    if rnd.random() < 0.95:
        parts.append([rnd.choice(["11112", "11112", "11112", *INTEGERS])])
    rnd.shuffle(parts)
    line = [word for part in parts for word in part]
    # Never cut off the value of -od: the rest would listen.
    return line[:-1] if rnd.random() < 0.05 and line[-1] != "none" else line


def test_random_command_lines_end_alike(
    known_to_the_original: list[Option], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The first of several mistakes, exit code and log lines included."""
    rnd = random.Random(SEED)
    for _ in range(LINES):
        line = random_line(rnd, known_to_the_original)
        theirs = comparable(run_original(line))
        ours = comparable(run_ours(line, capfdbinary))
        if theirs[0] == 0:  # the text of --version and the like has a test of its own
            ours, theirs = (0, "", ours[2]), (0, "", theirs[2])
        assert ours == theirs, line


def test_random_command_files_are_cut_into_the_same_words(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Spec 1.7; any number of words, as far as the one mistake tells it."""
    rnd = random.Random(SEED)
    path = tmp_path / "commands"
    for _ in range(COMMAND_FILES):
        alphabet = rnd.choice(
            ["ab \t\r\n\"'", "a\"'", "a \"'\n", "ab'\" \v\f@\xe9\x01"]
        )
        text = "".join(rnd.choices(alphabet, k=rnd.randrange(14)))
        path.write_bytes(text.encode("latin-1"))
        before = rnd.choice([["-fe"], ["+tls"], []])
        line = ["-od", "none", "--arguments", *before, f"@{path}", "11112"]
        theirs = comparable(run_original(line))
        ours = comparable(run_ours(line, capfdbinary))
        assert ours == theirs, (line, text)


def test_help_has_every_line_of_the_original_in_its_order() -> None:
    """Byte by byte, apart from additions and the lines above."""
    theirs = run_original(["--help"])[1].split("\n")
    ours = help_text().split("\n")
    assert ours[0] == HEADER
    removed = [
        line[2:]
        for line in difflib.ndiff(theirs[1:], ours[1:])
        if line.startswith("- ")
    ]
    assert removed == CHANGED_HELP


@pytest.mark.parametrize("option", ["--version", "--list-ciphers"])
def test_version_and_ciphers_have_the_layout_of_the_original(option: str) -> None:
    """The lines that name a build differ; of the list of suites, none."""
    theirs = run_original([option])[1].split("\n")
    ours = TEXTS[option]().split("\n")
    tail = 9  # where the suites begin
    assert [line.partition(":")[0] for line in ours[1:tail]] == [
        line.partition(":")[0] for line in theirs[1:tail]
    ]
    if option == "--list-ciphers":
        assert ours[tail:] == theirs[tail:]
