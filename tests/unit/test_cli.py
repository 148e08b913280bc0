"""What is printed, where, and with which exit code the program ends.

Runs that listen are in tests/integration.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcmrecv.cli import entry_point, main
from dcmrecv.config.help import HEADER, TEXTS, error_text
from dcmrecv.config.logs import ROOT_LOGGER

DEADLINE_S = 60.0
TLS = ["+tls", "key", "certificate"]


@pytest.fixture(autouse=True)
def nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The program sets up logging and SIGINT for its whole process."""
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger(ROOT_LOGGER)
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    on_interrupt = signal.getsignal(signal.SIGINT)
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate
    signal.signal(signal.SIGINT, on_interrupt)
    assert os.listdir(tmp_path) == []


def log_configuration(folder: Path, level: str) -> str:
    """A file that sends everything from `level` on to stderr."""
    path = folder / "logger.cfg"
    path.write_text(
        f"log4cplus.rootLogger = {level}, console\n"
        "log4cplus.appender.console = log4cplus::ConsoleAppender\n"
        "log4cplus.appender.console.logToStdErr = true\n"
    )
    return str(path)


@pytest.mark.parametrize("option", TEXTS)
def test_exclusive_option_prints_its_text(
    option: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Spec 1.5."""
    assert main(["-v", option]) == 0
    assert capfd.readouterr() == (TEXTS[option](), "")


def test_text_that_nobody_can_read_is_no_error() -> None:
    """As with the original: a full disk, a reader that has gone."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dcmrecv", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=DEADLINE_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("argv", [["-z"], ["-q", "-z", "104"]])
def test_syntax_error_is_printed_even_in_quiet_mode(
    argv: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Spec 1.3: the log is not set up yet."""
    assert main(argv) == 1
    assert capfd.readouterr() == ("", error_text("Unknown option -z"))


def test_argument_is_quoted_byte_for_byte(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """Whatever its encoding."""
    assert main([os.fsdecode(b"--\xff\xc3\xa9")]) == 1
    assert capfdbinary.readouterr().err.endswith(b"Unknown option --\xff\xc3\xa9\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-lc", "none"], "Specified --log-config file does not exist"),
        (["-ll", "bogus"], "Invalid log level for --log-level option"),
    ],
)
def test_unusable_log_is_a_syntax_error(
    argv: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Spec 1.3: found before the values."""
    assert main([*argv, "0"]) == 1
    assert capfd.readouterr() == ("", error_text(message))


def test_unknown_level_in_a_log_configuration_is_a_message(
    tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    """DECISIONS 12: the original crashes."""
    path = log_configuration(tmp_path_factory.mktemp("log"), "LOUD")
    assert main(["-lc", path, "0"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(HEADER) and "LOUD" in err


def test_bad_value_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """Spec 1.3."""
    assert main(["0"]) == 1
    expected = error_text("Invalid parameter value 0 (underflow)")
    assert capfd.readouterr() == ("", expected)


@pytest.mark.parametrize("argv", [["-q"], ["-ll", "fatal"], ["-ll", "off"]])
def test_bad_value_is_not_printed_in_quiet_mode(
    argv: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The exit code stays."""
    assert main([*argv, "0"]) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("level", "printed"), [("FATAL", False), ("ERROR", True)])
def test_log_configuration_may_make_it_quiet(
    level: str,
    printed: bool,
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its root logger decides."""
    path = log_configuration(tmp_path_factory.mktemp("log"), level)
    assert main(["-lc", path, "0"]) == 1
    assert bool(capfd.readouterr().err) == printed


@pytest.mark.parametrize("option", ["-q", "-v"])
def test_arguments_are_shown_at_any_level(
    option: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Spec 1.6: and before the values are looked at."""
    long = {"-q": "--quiet", "-v": "--verbose"}[option]
    assert main(["--arguments", option, "0"]) == 1
    assert capfd.readouterr().err.startswith(
        f"I: calling 'dcmrecv' with 3 arguments: '--arguments' '{long}' '0' \nI: \n"
    )


def test_arguments_of_a_syntax_error_are_not_shown(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Spec 1.6."""
    assert main(["--arguments", "-z"]) == 1
    assert "calling" not in capfd.readouterr().err


@pytest.mark.parametrize("level", ["-v", "-q"])
def test_unusable_settings_are_logged(
    level: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Spec 3.2: quiet mode leaves the last line."""
    assert main([level, "-od", "none", "104"]) == 45
    out, err = capfd.readouterr()
    assert out == ""
    last = "F: cannot specify output directory: Directory does not exist"
    assert err.splitlines()[-1] == last
    assert err.startswith("I: configuring service" if level == "-v" else last)


def test_details_are_logged_before_the_last_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Spec 3.2."""
    problem = "unable to open configuration file: none"
    assert main(["-xf", "none", "Default", "104"]) == 66
    assert capfd.readouterr().err.splitlines() == [
        f"E: Unable to parse association configuration file: none: {problem}",
        f"F: cannot load association configuration: {problem}",
    ]


def test_busy_port_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """Spec 3.2."""
    with socket.create_server(("", 0)) as busy:
        port = busy.getsockname()[1]
        assert main(["-ll", "error", str(port)]) == 64
    assert capfd.readouterr() == (
        "",
        f"F: cannot start SCP and listen on port {port}: "
        "TCP Initialization Error: Address already in use\n",
    )


def test_tls_ends_with_a_clear_message(capfd: pytest.CaptureFixture[str]) -> None:
    """Until it is built: never a plain socket where TLS was asked for."""
    assert main([*TLS, "-q", "104"]) == 71
    assert "TLS is not available" in capfd.readouterr().err


def test_debug_log_begins_with_the_version(capfd: pytest.CaptureFixture[str]) -> None:
    """Spec 2.2."""
    assert main(["-d", "-od", "none", "104"]) == 45
    assert capfd.readouterr().err.startswith(f"D: {HEADER}\nD: \nI: configuring")


def test_entry_point_ends_the_process_with_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And an interrupted start ends without a traceback."""
    monkeypatch.setattr(sys, "argv", ["dcmrecv", "-od", "none", "104"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(SystemExit) as ended:
        entry_point()
    assert ended.value.code == 45
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert capfd.readouterr().err.count("F: ") == 1


def test_entry_point_leaves_an_ignored_interrupt_ignored(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A shell starts background jobs that way."""
    monkeypatch.setattr(sys, "argv", ["dcmrecv", "--version"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with pytest.raises(SystemExit):
        entry_point()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert HEADER in capfd.readouterr().out
