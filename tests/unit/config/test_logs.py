"""The set-up of logging: config/logs.py. Spec sections 1.3 and 2."""

import logging
import multiprocessing
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dcmrecv.config.logs import (
    APPLICATION_LOGGER,
    DATA_LOGGER,
    NETWORK_LOGGER,
    ROOT_LOGGER,
    TLS_LOGGER,
    TRACE,
    configure,
)
from dcmrecv.config.settings import LogSettings
from dcmrecv.errors import ConfigurationError, ExitCode
from tests.builders.loggers import loggers_kept

DEADLINE_S = 60.0
FORK = multiprocessing.get_context("fork")

CONSOLE = "log4cplus.appender.c = log4cplus::ConsoleAppender\n"
PATTERN = (
    CONSOLE
    + "log4cplus.appender.c.layout = log4cplus::PatternLayout\n"
    + "log4cplus.appender.c.layout.ConversionPattern ="
)

application = logging.getLogger(APPLICATION_LOGGER)
network = logging.getLogger(NETWORK_LOGGER)
data = logging.getLogger(DATA_LOGGER)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Whatever a test sets up is gone after it."""
    with loggers_kept():
        yield


@pytest.fixture
def write_configuration(tmp_path: Path) -> Callable[[str], LogSettings]:
    """Write a logger configuration file; the settings that name it."""

    def write(text: str) -> LogSettings:
        path = tmp_path / "logger.cfg"
        path.write_text(text)
        return LogSettings(config_file=str(path))

    return write


def log_at_all_levels() -> None:
    """One record of each level, from two loggers."""
    network.log(TRACE, "trace")
    application.debug("debug")
    application.info("info")
    network.warning("warn")
    network.error("error")
    application.critical("fatal")


def test_loggers_have_the_names_of_dcmtk() -> None:
    """Users name them in their configurations."""
    assert (APPLICATION_LOGGER, NETWORK_LOGGER, DATA_LOGGER, TLS_LOGGER) == (
        "dcmtk.apps.dcmrecv",
        "dcmtk.dcmnet",
        "dcmtk.dcmdata",
        "dcmtk.dcmtls",
    )


@pytest.mark.parametrize(
    ("level", "letters"),
    [
        ("off", ""),
        ("fatal", "F"),
        ("error", "EF"),
        ("warn", "WEF"),
        ("info", "IWEF"),
        ("debug", "DIWEF"),
        ("trace", "TDIWEF"),
        ("all", "TDIWEF"),
        ("Info", "IWEF"),
    ],
)
def test_levels_and_the_default_line(
    capfd: pytest.CaptureFixture[str], level: str, letters: str
) -> None:
    """A letter, a colon, the message; on stderr."""
    configure(LogSettings(level=level))
    log_at_all_levels()
    out, err = capfd.readouterr()
    words = {w[0].upper(): w for w in ("trace", "debug", "info", "warn", "error")}
    words["F"] = "fatal"
    assert out == ""
    assert err == "".join(f"{letter}: {words[letter]}\n" for letter in letters)
    assert application.isEnabledFor(logging.INFO) == ("I" in letters)
    assert network.isEnabledFor(logging.ERROR) == ("E" in letters)


def test_the_default_level_is_warn(capfd: pytest.CaptureFixture[str]) -> None:
    """Without any option."""
    configure(LogSettings())
    log_at_all_levels()
    assert capfd.readouterr().err == "W: warn\nE: error\nF: fatal\n"


@pytest.mark.parametrize("level", ["", "not_set", "verbose", "warning"])
def test_an_unknown_level_is_refused(level: str) -> None:
    """With the text of the original."""
    with pytest.raises(ConfigurationError) as caught:
        configure(LogSettings(level=level))
    assert str(caught.value) == "Invalid log level for --log-level option"
    assert caught.value.exit_code is ExitCode.COMMAND_LINE


def test_each_line_of_a_message_has_the_prefix(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """As of `--arguments`, whose message ends with a line end."""
    configure(LogSettings(level="info"))
    application.info("calling %s\n", "x")
    assert capfd.readouterr().err == "I: calling x\nI: \n"


def test_a_layout_may_show_where_a_record_was_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logger.cfg"
    file.write_text(f"log4cplus.rootLogger = INFO, c\n{PATTERN} %b %m%n\n")
    configure(LogSettings(config_file=str(file)))
    network.info("hello")
    assert capfd.readouterr().out == "test_logs.py hello\n"


def test_a_record_can_be_forced_through(capfd: pytest.CaptureFixture[str]) -> None:
    """Handed to the root logger itself, whatever the level: `--arguments` with -q."""
    configure(LogSettings(level="off"))
    root = logging.getLogger(ROOT_LOGGER)
    root.handle(root.makeRecord(root.name, logging.INFO, "x.py", 0, "yes", (), None))
    assert capfd.readouterr().err == "I: yes\n"


def test_a_traceback_is_logged_with_prefixes(capfd: pytest.CaptureFixture[str]) -> None:
    """What nobody expected can be found with grep."""
    configure(LogSettings())
    try:
        raise ValueError("why")
    except ValueError:
        application.exception("bug")
    lines = capfd.readouterr().err.splitlines()
    assert lines[:2] == ["E: bug", "E: Traceback (most recent call last):"]
    assert all(line.startswith("E: ") for line in lines)


def test_records_do_not_reach_the_root_logger_of_python(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever embeds the receiver does not get every line twice."""
    configure(LogSettings())
    application.warning("x")
    assert caplog.records == []


def test_a_second_set_up_replaces_the_first(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    write_configuration: Callable[[str], LogSettings],
) -> None:
    """Levels, additivity and appenders of the first are gone, its files closed."""
    path = tmp_path / "x.log"
    settings = write_configuration(
        "log4cplus.rootLogger = TRACE, f\n"
        "log4cplus.logger.dcmtk.dcmnet = OFF\n"
        "log4cplus.additivity.dcmtk.dcmdata = false\n"
        "log4cplus.appender.f = log4cplus::FileAppender\n"
        f"log4cplus.appender.f.File = {path}\n"
    )
    open_before = len(os.listdir("/proc/self/fd"))
    configure(settings)
    application.info("one")
    configure(LogSettings(level="error"))
    assert len(os.listdir("/proc/self/fd")) == open_before
    for logger in (application, network, data):
        logger.info("two")
        logger.error("three")
    assert path.read_text() == "INFO - one\n"
    assert capfd.readouterr() == ("", "E: three\n" * 3)


def test_a_refused_set_up_leaves_the_one_before(
    capfd: pytest.CaptureFixture[str],
    write_configuration: Callable[[str], LogSettings],
) -> None:
    """Nothing is half done."""
    configure(LogSettings(level="info"))
    with pytest.raises(ConfigurationError):
        configure(write_configuration(CONSOLE))
    application.info("one")
    assert capfd.readouterr() == ("", "I: one\n")


def test_handlers_of_others_stay(capfd: pytest.CaptureFixture[str]) -> None:
    """On our loggers and on Python's root."""
    seen: list[str] = []

    class Foreign(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    foreign = Foreign()
    network.addHandler(foreign)
    root_handlers = logging.root.handlers[:]
    for level in ("error", "warn"):
        configure(LogSettings(level=level))
        network.warning(level)
    assert seen == ["warn"]
    assert capfd.readouterr().err == "W: warn\n"
    assert foreign in network.handlers
    assert logging.root.handlers == root_handlers


def test_levels_of_other_loggers_stay() -> None:
    """Nobody else's logging changes."""
    other = logging.getLogger("somebody.else")
    other.setLevel(logging.DEBUG)
    root_level = logging.root.level
    configure(LogSettings(level="off"))
    assert other.isEnabledFor(logging.DEBUG)
    assert logging.root.level == root_level


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "does not contain any settings"),
        ("# a = b\nno equals sign\n", "does not contain any settings"),
        ("foo = bar\n", "does not contain any valid settings"),
        ("! a = b\n", "does not contain any valid settings"),
        ("log4cplus = x\n", "does not contain any valid settings"),
        ("log4cplus.foo = bar\n", "does not set up log4cplus.rootLogger"),
        ("\ufefflog4cplus.rootLogger = INFO\n", "does not contain any valid settings"),
    ],
)
def test_a_file_without_a_root_logger_is_refused(
    write_configuration: Callable[[str], LogSettings], text: str, fault: str
) -> None:
    """Spec section 1.3."""
    with pytest.raises(ConfigurationError) as caught:
        configure(write_configuration(text))
    assert str(caught.value) == f"Specified --log-config file {fault}"
    assert caught.value.exit_code is ExitCode.COMMAND_LINE


@pytest.mark.parametrize("name", ["", "nosuch", ".", "a\0b"])
def test_a_missing_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A directory is none either."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"file does not exist$"):
        configure(LogSettings(config_file=name))


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A socket exists and cannot be opened, not even by root."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        with pytest.raises(ConfigurationError, match=r"file cannot be read$"):
            configure(LogSettings(config_file=str(path)))


@pytest.mark.parametrize(
    ("line", "word"), [("BOGUS, c", "BOGUS"), (",c", ""), ("INHERIT", "INHERIT")]
)
def test_an_unknown_level_of_the_root_logger_is_refused(
    tmp_path: Path,
    write_configuration: Callable[[str], LogSettings],
    line: str,
    word: str,
) -> None:
    """The original dies of it with SIGABRT. No appender has been made by then."""
    settings = write_configuration(
        f"log4cplus.rootLogger = {line}\n"
        "log4cplus.appender.c = log4cplus::FileAppender\n"
        f"log4cplus.appender.c.File = {tmp_path / 'x.log'}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        configure(settings)
    assert str(caught.value) == (
        f"Specified --log-config file sets log4cplus.rootLogger to the unknown level"
        f" '{word}' (allowed: OFF, FATAL, ERROR, WARN, INFO, DEBUG, TRACE, ALL)"
    )
    assert not (tmp_path / "x.log").exists()


ONE = "INFO - one\n"
TWO = "ERROR - two\n"
THREE = "FATAL - three\n"
INVALID = "log4cplus:ERROR PropertyConfigurator::configureLogger()- Invalid "
NO_APPENDER = (
    "log4cplus:ERROR No appenders could be found for logger ({}).\n"
    "log4cplus:ERROR Please initialize the log4cplus system properly.\n"
)


@pytest.mark.parametrize(
    ("text", "out", "err"),
    [
        ("rootLogger = INFO, c", ONE + TWO + THREE, ""),
        ("rootLogger = error,,c,", TWO + THREE, ""),
        ("rootLogger = F A T A L,c,c", THREE, ""),
        (
            "rootLogger = INFO, x, c, y",
            ONE + TWO + THREE,
            f"{INVALID}appender: x\n{INVALID}appender: y\n",
        ),
        ("rootLogger = INFO", "", NO_APPENDER.format(APPLICATION_LOGGER)),
        ("rootLogger = ERROR", "", NO_APPENDER.format(NETWORK_LOGGER)),
        ("rootLogger = FATAL", "", ""),
        (
            "rootLogger =",
            "",
            f'{INVALID}config string(Logger = root): ""\nI: one\nE: two\nF: three\n',
        ),
        ("rootLogger = INFO, c\nquietMode = 1\nlogger.x = INFO, y", None, ""),
        ("rootLogger = INFO, c\nlogger.dcmtk.apps = ERROR", TWO + THREE, ""),
        ("rootLogger = INFO, c\nlogger.dcmtk.apps = INHERIT", ONE + TWO + THREE, ""),
        ("rootLogger = INFO, c\nlogger.dcmtk.apps = BOGUS", ONE + TWO + THREE, ""),
        (
            "rootLogger = INFO, c\nlogger.dcmtk.apps =",
            ONE + TWO + THREE,
            f'{INVALID}config string(Logger = dcmtk.apps): ""\n',
        ),
        ("rootLogger = OFF, c\nlogger.dcmtk.dcmnet = ALL", TWO, ""),
        (
            "rootLogger = INFO, c\nlogger.dcmtk.dcmnet = INHERIT, c",
            ONE + TWO + TWO + THREE,
            "",
        ),
        (
            "rootLogger = INFO, c\nlogger.dcmtk.dcmnet = INHERIT, c\n"
            "additivity.dcmtk.dcmnet = false",
            ONE + TWO + THREE,
            "",
        ),
        (
            "rootLogger = INFO, c\nadditivity.dcmtk.dcmnet = false",
            ONE + THREE,
            NO_APPENDER.format(NETWORK_LOGGER),
        ),
        (
            "rootLogger = INFO, c\nadditivity.dcmtk.dcmnet = maybe",
            ONE + TWO + THREE,
            "",
        ),
        (
            "rootLogger = INFO\nlogger.dcmtk.dcmnet = INFO, c",
            TWO,
            NO_APPENDER.format(APPLICATION_LOGGER),
        ),
        ("rootLogger = INFO, c\nlogger.dcmtk = ERROR, c", (TWO * 2 + THREE * 2), ""),
        (
            "rootLogger = INFO, c\nadditivity.dcmtk = false",
            "",
            NO_APPENDER.format(APPLICATION_LOGGER),
        ),
        (
            "rootLogger = OFF, c\nlogger.dcmtk = INFO\nadditivity.dcmtk = 0\n"
            "logger.dcmtk.dcmnet = INHERIT, c",
            TWO,
            "",
        ),
        ("rootLogger = INFO, c\nlogger. = FATAL, c", THREE, ""),
        (
            "rootLogger = INFO, c\nlogger.foo.bar = FATAL, c\nlogger.dcmtkx = OFF\n"
            "logger.root = OFF\nadditivity.root = false",
            ONE + TWO + THREE,
            "",
        ),
        ("rootLogger = INFO, c\nlogger.foo = X, y", None, f"{INVALID}appender: y\n"),
    ],
)
def test_loggers_of_a_configuration(
    capfd: pytest.CaptureFixture[str],
    write_configuration: Callable[[str], LogSettings],
    text: str,
    out: str | None,
    err: str,
) -> None:
    """Levels, appenders, inheritance and additivity, as with dcmrecv 3.6.7."""
    lines = "".join(f"log4cplus.{line}\n" for line in text.split("\n"))
    configure(write_configuration(lines + CONSOLE))
    application.info("one")
    network.error("two")
    application.critical("three")
    expected = ONE + TWO + THREE if out is None else out
    assert capfd.readouterr() == (expected, err)


def test_complaints_come_in_the_order_of_the_names(
    capfd: pytest.CaptureFixture[str],
    write_configuration: Callable[[str], LogSettings],
) -> None:
    """Appenders, then the root logger, then the others."""
    configure(
        write_configuration(
            "log4cplus.appender.z = Z\nlog4cplus.appender.b = B\n"
            "log4cplus.logger.z = INFO, nozz\nlog4cplus.logger.a = INFO, noaa, nobb\n"
            "log4cplus.rootLogger = ERROR, q\n"
        )
    )
    err = capfd.readouterr().err
    assert re.findall(r": (\w+)$", err, re.MULTILINE) == [
        *("B", "Z"),
        *("q", "noaa", "nobb", "nozz"),
    ]


def test_a_missing_appender_is_told_once(
    capfd: pytest.CaptureFixture[str],
    write_configuration: Callable[[str], LogSettings],
) -> None:
    """For the first record that met none."""
    configure(write_configuration("log4cplus.rootLogger = INFO\n"))
    network.info("one")
    application.info("two")
    assert capfd.readouterr() == ("", NO_APPENDER.format(NETWORK_LOGGER))


def test_isenabledfor_tells_the_truth_of_every_logger(
    write_configuration: Callable[[str], LogSettings],
) -> None:
    """Whether something is worth preparing for the log."""
    configure(
        write_configuration(
            "log4cplus.rootLogger = WARN, c\n"
            "log4cplus.logger.dcmtk.dcmnet = TRACE\n" + CONSOLE
        )
    )
    assert network.isEnabledFor(TRACE)
    assert logging.getLogger("dcmtk.dcmnet.responses").isEnabledFor(TRACE)
    assert not application.isEnabledFor(logging.INFO)
    assert application.isEnabledFor(logging.WARNING)


def test_variables_of_the_program(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    write_configuration: Callable[[str], LogSettings],
) -> None:
    """Whatever the file says of these names; then the file, then the environment."""
    monkeypatch.setenv("FROM_ENVIRONMENT", "environment")
    before = time.strftime("%Y%m%d %H%M%S")
    configure(
        write_configuration(
            "appname = mine\nmy = own\nlog4cplus.rootLogger = INFO, c\n"
            f"{PATTERN} ${{appname}} ${{pid}} ${{hostname}} ${{my}}"
            " ${FROM_ENVIRONMENT} ${nope} ${date} ${time}%n\n"
        )
    )
    after = time.strftime("%Y%m%d %H%M%S")
    application.info("x")
    line = capfd.readouterr().out.removesuffix("\n")
    names = f"dcmrecv {os.getpid()} {socket.gethostname()} own environment ${{nope}} "
    assert line.startswith(names)
    assert before <= line.removeprefix(names) <= after


# The settings of DCMTK's own files, without their comments.
LOGGER_CFG = """log4cplus.rootLogger = DEBUG, console, logfile
log4cplus.appender.console = log4cplus::ConsoleAppender
log4cplus.appender.console.Threshold = INFO
log4cplus.appender.console.logToStderr = true
log4cplus.appender.console.ImmediateFlush = true
log4cplus.appender.logfile = log4cplus::FileAppender
log4cplus.appender.logfile.File = ${appname}.log
log4cplus.appender.logfile.Append = true
log4cplus.appender.logfile.ImmediateFlush = true
log4cplus.appender.console.layout = log4cplus::PatternLayout
log4cplus.appender.logfile.layout = log4cplus::PatternLayout
log4cplus.appender.console.layout.ConversionPattern = %D{%H:%M:%S} %5p: %m%n
log4cplus.appender.logfile.layout.ConversionPattern = %D{%Y-%m-%d %H:%M:%S.%q} %5p: %m%n
log4cplus.logger.dcmtk.apps.storescu.progress = INFO
log4cplus.logger.dcmtk.dcmnet.responses = INFO
"""
FILELOG_CFG = (
    LOGGER_CFG.replace("FileAppender", "RollingFileAppender")
    .replace("Threshold = INFO", "Threshold = ERROR")
    .replace("%5p: %m%n\nlog4cplus.logger", "%5p - %-8c{1} - %m%n\nlog4cplus.logger")
    + "log4cplus.appender.logfile.MaxFileSize = 5MB\n"
    + "log4cplus.appender.logfile.MaxBackupIndex = 10\n"
)
TIME = r"\d\d:\d\d:\d\d"


@pytest.mark.parametrize(
    ("text", "out", "file"),
    [
        (
            LOGGER_CFG,
            ["  INFO: one", " ERROR: two"],
            ["DEBUG: zero", " INFO: one", "ERROR: two"],
        ),
        (
            FILELOG_CFG,
            [" ERROR: two"],
            [
                "DEBUG - dcmnet   - zero",
                " INFO - dcmrecv  - one",
                "ERROR - dcmnet   - two",
            ],
        ),
    ],
)
def test_the_files_that_come_with_dcmtk(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    write_configuration: Callable[[str], LogSettings],
    text: str,
    out: list[str],
    file: list[str],
) -> None:
    """On stdout, for a misspelt key, and in a file called after the program."""
    monkeypatch.chdir(tmp_path)
    configure(write_configuration(text))
    network.debug("zero")
    application.info("one")
    network.error("two")
    got, err = capfd.readouterr()
    assert err == ""
    console_lines = [re.sub(TIME, "", line, count=1) for line in got.splitlines()]
    assert console_lines == out
    date = rf"\d{{4}}-\d\d-\d\d {TIME}\.\d{{3}} "
    file_lines = (tmp_path / "dcmrecv.log").read_text().splitlines()
    assert [re.sub(date, "", line, count=1) for line in file_lines] == file


def run_process(work: Callable[[], None]) -> None:
    """Run a function in a process of its own, whose descriptors it may spoil."""
    process = FORK.Process(target=work)
    process.start()
    process.join(DEADLINE_S)
    assert process.exitcode == 0


def test_closed_standard_descriptors_are_occupied(tmp_path: Path) -> None:
    """A received object's file must not become number 2 and get our lines."""

    def work() -> None:
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        configure(LogSettings(level="info"))
        with open(tmp_path / "object", "wb") as file:
            assert file.fileno() > 2
            application.info("x")
        assert (tmp_path / "object").read_bytes() == b""

    run_process(work)


def test_open_standard_descriptors_stay_as_they_are() -> None:
    """Only what is closed is touched."""
    before = [os.fstat(descriptor) for descriptor in (0, 1, 2)]
    configure(LogSettings())
    after = [os.fstat(descriptor) for descriptor in (0, 1, 2)]
    assert [(s.st_dev, s.st_ino) for s in before] == [
        (s.st_dev, s.st_ino) for s in after
    ]


def test_workers_inherit_what_was_set_up(
    tmp_path: Path, write_configuration: Callable[[str], LogSettings]
) -> None:
    """Forked after configure(): four times 1000 lines in one file and one pipe."""
    settings = write_configuration(
        "log4cplus.rootLogger = INFO, c, f\n"
        "log4cplus.appender.f = log4cplus::FileAppender\n"
        f"log4cplus.appender.f.File = {tmp_path / 'x.log'}\n"
        f"{PATTERN} %i %m%n\nlog4cplus.appender.c.logToStdErr = true\n"
    )
    reading, writing = os.pipe()

    def work(writer: int) -> None:
        for number in range(1_000):
            application.info("%d %d %s|", writer, number, "x" * (number % 89))

    def supervise() -> None:
        os.close(reading)
        os.dup2(writing, 2)
        configure(settings)
        workers = [FORK.Process(target=work, args=(n,)) for n in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(DEADLINE_S)
        assert [worker.exitcode for worker in workers] == [0] * 4

    supervisor = FORK.Process(target=supervise)
    supervisor.start()
    os.close(writing)
    with open(reading) as stream:
        piped = stream.read().splitlines()
    supervisor.join(DEADLINE_S)
    assert supervisor.exitcode == 0
    filed = (tmp_path / "x.log").read_text().splitlines()
    assert len({line.split()[0] for line in piped}) == 4
    for lines, prefix in ((piped, r"\d+ "), (filed, "INFO - ")):
        messages = [re.sub(f"^{prefix}", "", line) for line in lines]
        for writer in range(4):
            own = [m for m in messages if m.startswith(f"{writer} ")]
            assert own == [f"{writer} {n} {'x' * (n % 89)}|" for n in range(1_000)]
        assert len(messages) == 4_000
