"""What is printed, where, and with which exit code the program ends.

Runs that listen are in tests/integration.
"""

import contextlib
import logging
import os
import pty
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
from dcmrecv.config.users import read_users

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


def test_tls_problem_ends_with_its_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    """Spec 10.2: never a plain socket where TLS was asked for."""
    assert main([*TLS, "104"]) == 71
    assert capfd.readouterr().err.endswith(
        "E: OpenSSL error 80000002: OpenSSL error\n"
        "F: 000b:0004 Unable to load private TLS key from 'key'\n"
    )


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


def test_a_user_is_added_with_the_passcode_from_standard_input(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\r\n", b"three"):
        done = subprocess.run(
            [sys.executable, "-m", "dcmrecv", "--add-user", "users", "anna"],
            input=line,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        (hashed,) = read_users("users").values()
        assert hashed.matches(line.strip())
    os.unlink("users")


def test_a_user_with_an_impossible_name_is_a_mistake(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("/dev/null") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert main(["--add-user", "users", "a:b"]) == 1
    assert "error: user name must not" in capfd.readouterr().err


def test_a_passcode_typed_on_a_terminal_is_asked_for_twice() -> None:
    for second, code in ((b"one", 0), (b"two", 1)):
        child, terminal = pty.fork()
        if child == 0:
            os.execv(
                sys.executable,
                [sys.executable, "-m", "dcmrecv", "--add-user", "users", "anna"],
            )
        said = b""
        with open(terminal, "r+b", buffering=0) as stream:
            for prompt, answer in ((b"anna: ", b"one"), (b"more: ", second)):
                while not said.endswith(prompt):
                    said += stream.read(1)
                stream.write(answer + b"\n")
            with contextlib.suppress(OSError):  # EIO is the end of a terminal
                while piece := stream.read(1_024):
                    said += piece
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
        assert b"one" not in said
    assert b"the two passcodes differ" in said
    os.unlink("users")


def test_a_configuration_is_checked_without_listening(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The port may be in use by the receiver that shall be replaced."""
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["--check-config", "--promiscuous", port]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("The configuration can be used.")
    assert err == ""


def test_an_unusable_configuration_is_an_error_with_its_exit_code(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["--check-config", "-od", "missing", "104"]) == 45
    assert main(["--check-config", "--user-file", "missing", "104"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "Directory does not exist" in err and "cannot read user file" in err
