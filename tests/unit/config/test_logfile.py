"""The logger configuration file: config/logfile.py. Spec section 2.4.

What mistakes lead to was seen with dcmrecv 3.6.7, the lines on stderr included.
"""

import logging
import os
import socket
import syslog
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcmrecv.config.logappenders import ConsoleAppender, Reporter, RollingFileAppender
from dcmrecv.config.logfile import (
    Properties,
    expand_variables,
    make_appender,
    parse_properties,
    parse_size,
)
from dcmrecv.config.loglines import TRACE
from dcmrecv.errors import ConfigurationError

DEADLINE_S = 60.0

MIB = 1024 * 1024


@pytest.fixture
def reporter() -> Reporter:
    """Reports to stderr, where `capfd` finds them."""
    return Reporter()


@pytest.fixture
def made() -> Iterator[list[logging.Handler]]:
    """Appenders of a test, to be closed."""
    appenders: list[logging.Handler] = []
    yield appenders
    for appender in appenders:
        appender.close()


def appender_of(text: str, reporter: Reporter) -> logging.Handler | None:
    """Make the appender `c` that a configuration describes."""
    properties = parse_properties(text).subset("c")
    return make_appender(properties.subset("."), properties.get("", ""), reporter)


def console(text: str, reporter: Reporter) -> ConsoleAppender:
    """Make a console appender with these keys."""
    appender = appender_of(f"c = log4cplus::ConsoleAppender\n{text}", reporter)
    assert isinstance(appender, ConsoleAppender)
    return appender


def record(
    message: str = "hello", *, level: int = logging.INFO, name: str = "dcmtk.dcmnet"
) -> logging.LogRecord:
    """A record as a logger would have made it."""
    return logging.LogRecord(name, level, "x.py", 1, message, (), None)


def hand_over(appender: logging.Handler, *levels: int, message: str = "hello") -> None:
    """Log one record of each level, as a logger does."""
    for level in levels:
        if level >= appender.level:
            appender.handle(record(message, level=level))


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("", {}),
        ("a = b\n", {"a": "b"}),
        ("a=b", {"a": "b"}),
        (" \t a \t=\v b c \f\n", {"a": "b c"}),
        ("a = b\r\nc = d\r\n", {"a": "b", "c": "d"}),
        ("# a = b\n   # c = d\n", {}),
        ("! a = b\n", {"! a": "b"}),
        ("a = b # c\n", {"a": "b # c"}),
        ("a = b = c\n", {"a": "b = c"}),
        ("a = b\na = c\n", {"a": "c"}),
        ("a\n\n = b\nc =\n", {"": "b", "c": ""}),
        ("a = b\\\nc = d\n", {"a": "b\\", "c": "d"}),
        ("a = b\rc = d\n", {"a": "b\rc = d"}),
        ("a = b\0c\n", {"a": "b"}),
        ("\ufeffa = b\n", {"\ufeffa": "b"}),
    ],
)
def test_lines_of_a_properties_file(text: str, properties: dict[str, str]) -> None:
    """Comments begin with `#` alone, and nothing continues on the next line."""
    assert parse_properties(text) == properties


def test_a_subset_has_the_rest_of_the_keys_in_order() -> None:
    """As the original goes through them, which decides the order of its complaints."""
    properties = parse_properties("b.z = 1\na = 2\nb.a = 3\nb. = 4\nb = 5\n")
    assert list(properties.subset("b.").items()) == [("", "4"), ("a", "3"), ("z", "1")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        (" True ", True),
        ("1", True),
        ("0", False),
        ("-7", True),
        ("+0", False),
        ("yes", None),
        ("", None),
        ("true x", None),
        ("1x", None),
        ("0x1", None),
        ("1 2", None),
    ],
)
def test_truth_values(text: str, value: bool | None) -> None:
    """None: the default stays."""
    properties = Properties(key=text)
    answers = (properties.boolean("key", True), properties.boolean("key", False))
    assert answers == ((True, False) if value is None else (value, value))


def test_a_missing_value_is_the_default() -> None:
    """Of every kind."""
    nothing = Properties()
    assert nothing.boolean("key", True)
    assert nothing.integer("key", 7) == 7
    assert nothing.level("key") == logging.NOTSET


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 12 ", 12),
        ("-3", -3),
        ("+3", 3),
        ("3x", 7),
        ("3.0", 7),
        ("2147483647", 2_147_483_647),
        ("2147483648", 7),
        ("9" * 5_000, 7),
        ("٣", 7),
    ],
)
def test_numbers(text: str, value: int) -> None:
    """32 bits; anything else leaves the default, which is 7 here."""
    assert Properties(key=text).integer("key", 7) == value


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("fatal", logging.CRITICAL),
        ("Warn", logging.WARNING),
        ("TRACE", TRACE),
        ("WARNING", logging.NOTSET),
        ("", logging.NOTSET),
    ],
)
def test_levels(text: str, level: int) -> None:
    """In any case; what is none is not set."""
    assert Properties(key=text).level("key") == level


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 10 * MIB),
        ("5MB", 5 * MIB),
        ("5 mb", 5 * MIB),
        ("500KB", 500 * 1024),
        ("300000", 300_000),
        ("5", 200 * 1024),
        ("1KB", 200 * 1024),
        ("MB", 200 * 1024),
        ("many", 200 * 1024),
        ("-5MB", 200 * 1024),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """200 KiB is the least."""
    assert parse_size(text) == size


def expanded(text: str, reporter: Reporter) -> dict[str, str]:
    """Expand with the environment HOME=/home/x and EMPTY."""
    environment = {"HOME": "/home/x", "EMPTY": "", "a": "environment"}
    return expand_variables(parse_properties(text), environment, reporter)


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("a = 1\nb = <${a}>\n", {"a": "1", "b": "<1>"}),
        ("b = ${a}${a}\na = 1\n", {"a": "1", "b": "11"}),
        ("c = ${HOME}/x", {"c": "/home/x/x"}),
        ("c = ${nope} ${EMPTY} ${}", {"c": "${nope} ${EMPTY} ${}"}),
        ("a =\nc = ${a}", {"a": "", "c": "environment"}),
        ("c = ${b}\nb = ${HOME}", {"b": "/home/x", "c": "/home/x"}),
        ("a = b\nb = c\nd = ${${a}}", {"a": "b", "b": "c", "d": "${${a}}"}),
        ("a = 1\nx.${a} = y", {"a": "1", "x.1": "y"}),
        ("a = 1\n${a}${a} = ${a}", {"a": "1", "11": "1"}),
        ("x = $ { } $a {a}", {"x": "$ { } $a {a}"}),
    ],
)
def test_variables(text: str, properties: dict[str, str], reporter: Reporter) -> None:
    """Properties come before the environment; in keys too; what is unknown stays."""
    assert expanded(text, reporter) == properties


def test_a_variable_without_its_brace_is_reported(
    reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """The whole value stays as it is; told once a round, as in the original."""
    text = "a = ${b}\nb = c\nx = ${a} ${b %m\n"
    assert expanded(text, reporter) == {"a": "c", "b": "c", "x": "${a} ${b %m"}
    line = 'log4cplus:ERROR "c ${b %m" has no closing brace.'
    assert capfd.readouterr().err == f"{line} Opening brace at position 2.\n" * 2


@pytest.mark.parametrize(
    "text",
    [
        "x = ${x}",
        "x = ${y}\ny = ${x}",
        "x = a${x}",
        "x = ${y}${y}\ny = ${z}${z}\nz = " + "z" * 30_000,
        "y = x${y}\n${y} = z",
    ],
)
def test_endless_variables_are_refused(text: str, reporter: Reporter) -> None:
    """The original never comes back from the first of these."""
    with pytest.raises(ConfigurationError, match="endless variable"):
        expanded(text, reporter)


def test_an_unknown_appender_is_reported(
    reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """And is not made."""
    assert appender_of("c = log4cplus::NoSuch", reporter) is None
    assert capfd.readouterr().err == (
        "log4cplus:ERROR PropertyConfigurator::configureAppenders()-"
        " Cannot find AppenderFactory: log4cplus::NoSuch\n"
    )


@pytest.mark.parametrize(
    ("key", "to_stderr"),
    [
        ("", False),
        ("c.logToStdErr = true", True),
        ("c.logToStdErr = 1", True),
        ("c.logToStdErr = no", False),
        ("c.logToStderr = true", False),
    ],
)
def test_the_console_is_stdout_unless_spelled_exactly(
    reporter: Reporter, capfd: pytest.CaptureFixture[str], key: str, to_stderr: bool
) -> None:
    """DCMTK's own files have the last spelling, and so log to stdout."""
    hand_over(console(key, reporter), logging.INFO)
    text = "INFO - hello\n"
    assert capfd.readouterr() == (("", text) if to_stderr else (text, ""))


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("c.layout = log4cplus::SimpleLayout", "INFO - hello\n"),
        (
            "c.layout = log4cplus::PatternLayout\n"
            "c.layout.ConversionPattern = %P|%m%n\n",
            "I|hello\n",
        ),
        (
            "c.layout = log4cplus::TTCCLayout\nc.layout.DateFormat = %%\n",
            f"% [{threading.get_native_id()}] INFO dcmtk.dcmnet <> - hello\n",
        ),
    ],
)
def test_layouts(
    reporter: Reporter, capfd: pytest.CaptureFixture[str], keys: str, text: str
) -> None:
    """The three that exist."""
    hand_over(console(keys, reporter), logging.INFO)
    assert capfd.readouterr() == (text, "")


def test_a_message_of_several_lines_can_be_taken_as_one(
    reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """FormatEachLine."""
    keys = "c.layout = log4cplus::PatternLayout\nc.layout.ConversionPattern = %P|%m%n\n"
    hand_over(console(keys, reporter), logging.INFO, message="a\nb")
    keys += "c.layout.FormatEachLine = false\n"
    hand_over(console(keys, reporter), logging.INFO, message="a\nb")
    assert capfd.readouterr().out == "I|a\nI|b\n" + "I|a\nb\n"


@pytest.mark.parametrize(
    ("keys", "text", "reports"),
    [
        (
            "c.layout = log4cplus::NoSuch\nc.Threshold = FATAL",
            "INFO - hello\n",
            ['ERROR Cannot find LayoutFactory: "log4cplus::NoSuch"'],
        ),
        (
            "c.layout = log4cplus::PatternLayout\n"
            "c.filters.1 = log4cplus::spi::DenyAllFilter",
            "INFO - hello\n",
            [
                "ERROR ConversionPattern not specified in properties",
                "ERROR Error while creating Layout:"
                " ConversionPattern not specified in properties",
            ],
        ),
        (
            "c.layout = log4cplus::PatternLayout\nc.layout.ConversionPattern =",
            "hello",
            ["WARN PatternLayout pattern is empty.  Using default..."],
        ),
        (
            "c.layout = log4cplus::PatternLayout\nc.layout.Pattern = old %m",
            "old hello",
            [
                'WARN PatternLayout- the "Pattern" property has been deprecated.'
                '  Use "ConversionPattern" instead.'
            ],
        ),
        (
            "c.layout = log4cplus::PatternLayout\nc.layout.ConversionPattern = %y",
            "%y",
            ["ERROR Unexpected char [y] at position 2 in conversion pattern."],
        ),
    ],
)
def test_a_bad_layout_is_reported_and_replaced(
    reporter: Reporter,
    capfd: pytest.CaptureFixture[str],
    keys: str,
    text: str,
    reports: list[str],
) -> None:
    """By SimpleLayout, which then has neither threshold nor filters."""
    hand_over(console(keys, reporter), logging.INFO)
    lines = "".join(f"log4cplus:{report}\n" for report in reports)
    assert capfd.readouterr() == (text, lines)


LEVELS = (TRACE, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
RANGE = "c.filters.1 = log4cplus::spi::LogLevelRangeFilter\n"
MATCH = "c.filters.1 = log4cplus::spi::LogLevelMatchFilter\n"
STRING = "c.filters.1 = log4cplus::spi::StringMatchFilter\n"
THEN_NONE = "c.filters.2 = log4cplus::spi::DenyAllFilter\n"
ACCEPT = "c.filters.1.AcceptOnMatch = true\n"


@pytest.mark.parametrize(
    ("keys", "letters"),
    [
        ("", "TDIWE"),
        ("c.Threshold = warn", "WE"),
        ("c.Threshold = OFF", ""),
        ("c.Threshold = ALL", "TDIWE"),
        ("c.Threshold = BOGUS", "TDIWE"),
        ("c.filters.1 = log4cplus::spi::DenyAllFilter", ""),
        ("c.filters.2 = log4cplus::spi::DenyAllFilter", "TDIWE"),
        (RANGE + "c.filters.1.LogLevelMin = info", "IWE"),
        (RANGE + "c.filters.1.LogLevelMax = INFO", "TDI"),
        (RANGE + "c.filters.1.LogLevelMax = INF", "TDIWE"),
        (
            RANGE
            + "c.filters.1.LogLevelMin = DEBUG\nc.filters.1.LogLevelMax = WARN\n"
            + ACCEPT
            + THEN_NONE,
            "DIW",
        ),
        (RANGE + "c.filters.1.LogLevelMin = DEBUG\n" + THEN_NONE, ""),
        (RANGE + "c.filters.1.logLevelMin = WARN\n", "TDIWE"),
        (MATCH + "c.filters.1.LogLevelToMatch = INFO\n", "TDWE"),
        (MATCH + "c.filters.1.LogLevelToMatch = INFO\n" + ACCEPT + THEN_NONE, "I"),
        (MATCH + ACCEPT + THEN_NONE, ""),
        (STRING + "c.filters.1.StringToMatch = ell\n", ""),
        (STRING + "c.filters.1.StringToMatch = ell\n" + ACCEPT + THEN_NONE, "TDIWE"),
        (STRING + "c.filters.1.StringToMatch = no\n", "TDIWE"),
        (STRING, "TDIWE"),
    ],
)
def test_thresholds_and_filters(
    reporter: Reporter, capfd: pytest.CaptureFixture[str], keys: str, letters: str
) -> None:
    """Which levels get through. The keys of filters have a capital, always."""
    layout = "c.layout = log4cplus::PatternLayout\nc.layout.ConversionPattern = %P\n"
    hand_over(console(layout + keys, reporter), *LEVELS)
    assert capfd.readouterr() == (letters, "")


def test_an_unknown_filter_is_reported(
    reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """The ones after it still count."""
    keys = "c.filters.1 = x\n" + THEN_NONE
    hand_over(console(keys, reporter), logging.INFO)
    line = "log4cplus:ERROR Appender::ctor()- Cannot find FilterFactory: x\n"
    assert capfd.readouterr() == ("", line)


@pytest.mark.parametrize(
    ("kind", "keys", "text"),
    [
        ("FileAppender", "", "INFO - hello\n"),
        ("FileAppender", "c.Append = true", "old\nINFO - hello\n"),
        ("RollingFileAppender", "", "old\nINFO - hello\n"),
        ("RollingFileAppender", "c.Append = 0", "INFO - hello\n"),
        ("DailyRollingFileAppender", "c.Schedule = hourly", "old\nINFO - hello\n"),
    ],
)
def test_files(
    tmp_path: Path,
    reporter: Reporter,
    capfd: pytest.CaptureFixture[str],
    made: list[logging.Handler],
    kind: str,
    keys: str,
    text: str,
) -> None:
    """A plain file begins anew unless told otherwise, the others are continued."""
    path = tmp_path / "x.log"
    path.write_text("old\n")
    appender = appender_of(f"c = log4cplus::{kind}\nc.File = {path}\n{keys}", reporter)
    assert appender is not None
    made.append(appender)
    hand_over(appender, logging.INFO)
    assert path.read_text() == text
    assert capfd.readouterr() == ("", "")


def test_a_rolling_file_has_the_limits_that_were_asked_for(
    tmp_path: Path, reporter: Reporter, made: list[logging.Handler]
) -> None:
    """MaxFileSize and MaxBackupIndex."""
    text = (
        f"c = log4cplus::RollingFileAppender\nc.File = {tmp_path / 'x.log'}\n"
        "c.MaxFileSize = 300KB\nc.MaxBackupIndex = 2\n"
    )
    appender = appender_of(text, reporter)
    assert isinstance(appender, RollingFileAppender)
    made.append(appender)
    for _ in range(13):  # three files and a beginning
        hand_over(appender, logging.INFO, message="x" * 100 * 1024)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    one = 100 * 1024 + len("INFO - \n")
    assert sizes == {"x.log": one, "x.log.1": 3 * one, "x.log.2": 3 * one}


@pytest.mark.parametrize(
    ("kind", "reports"),
    [
        ("FileAppender", ["ERROR Invalid filename"]),
        ("RollingFileAppender", ["ERROR Invalid filename"]),
        (
            "DailyRollingFileAppender",
            [
                "ERROR Invalid filename",
                'WARN DailyRollingFileAppender::ctor()- "Schedule" not valid: ',
            ],
        ),
    ],
)
def test_a_file_needs_a_name(
    reporter: Reporter, capfd: pytest.CaptureFixture[str], kind: str, reports: list[str]
) -> None:
    """Without one the records are gone, but the logger has its appender."""
    appender = appender_of(f"c = log4cplus::{kind}", reporter)
    assert appender is not None
    hand_over(appender, logging.INFO)
    lines = "".join(f"log4cplus:{report}\n" for report in reports)
    assert capfd.readouterr() == ("", lines)


def test_an_unknown_schedule_is_daily(
    tmp_path: Path,
    reporter: Reporter,
    capfd: pytest.CaptureFixture[str],
    made: list[logging.Handler],
) -> None:
    """It is reported."""
    path = tmp_path / "x.log"
    text = f"c = log4cplus::DailyRollingFileAppender\nc.File = {path}\nc.Schedule = Foo"
    appender = appender_of(text, reporter)
    assert appender is not None
    made.append(appender)
    later = record()
    later.created += 3 * 24 * 3_600
    appender.handle(later)
    assert len(next(tmp_path.glob("x.log.*")).suffix) == len(".2026-11-22")
    assert capfd.readouterr().err == (
        'log4cplus:WARN DailyRollingFileAppender::ctor()- "Schedule" not valid: Foo\n'
    )


def test_the_null_appender_does_nothing(
    reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """It counts as an appender."""
    appender = appender_of("c = log4cplus::NullAppender", reporter)
    assert appender is not None
    hand_over(appender, logging.CRITICAL)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("facility", "priority", "report"),
    [
        ("", syslog.LOG_USER | syslog.LOG_INFO, ""),
        ("LOCAL3", syslog.LOG_LOCAL3 | syslog.LOG_INFO, ""),
        ("daemon", syslog.LOG_DAEMON | syslog.LOG_INFO, ""),
        ("authpriv", (10 << 3) | syslog.LOG_INFO, ""),
        ("ftp", (11 << 3) | syslog.LOG_INFO, ""),
        (
            "Foo",
            syslog.LOG_USER | syslog.LOG_INFO,
            "log4cplus:ERROR Unknown syslog facility: foo\n",
        ),
    ],
)
def test_a_remote_syslog(
    reporter: Reporter,
    capfd: pytest.CaptureFixture[str],
    made: list[logging.Handler],
    facility: str,
    priority: int,
    report: str,
) -> None:
    """host, port, ident and facility."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(DEADLINE_S)
        appender = appender_of(
            "c = log4cplus::SysLogAppender\nc.host = 127.0.0.1\nc.ident = abc\n"
            f"c.port = {listener.getsockname()[1]}\nc.facility = {facility}\n",
            reporter,
        )
        assert appender is not None
        made.append(appender)
        hand_over(appender, logging.INFO)
        message = listener.recv(1_000)
    assert message.startswith(b"<%d>1 " % priority)
    assert message.endswith(b" abc %d dcmtk.dcmnet - INFO - hello\n" % os.getpid())
    assert capfd.readouterr() == ("", report)


def test_a_local_syslog_may_be_missing(
    reporter: Reporter, capfd: pytest.CaptureFixture[str], made: list[logging.Handler]
) -> None:
    """Whether there is one or not, nothing is said here."""
    appender = appender_of("c = log4cplus::SysLogAppender", reporter)
    assert appender is not None
    made.append(appender)
    hand_over(appender, logging.DEBUG)
    assert capfd.readouterr() == ("", "")
