"""Level names, messages and layouts: config/loglines.py. Spec section 2.4.

What mistakes in a pattern lead to was seen with dcmrecv 3.6.7.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from dcmrecv.config.loglines import (
    LEVELS,
    TRACE,
    PatternLayout,
    SimpleLayout,
    TimeFormat,
    TTCCLayout,
    encode,
    full_hostname,
    level_name,
    message_of,
)

MOMENT = 1_700_000_000.045678  # 2023-11-14 22:13:20 UTC


def record(
    message: str = "hello",
    *args: object,
    level: int = logging.ERROR,
    name: str = "dcmtk.dcmnet",
) -> logging.LogRecord:
    """A record as a logger would have made it."""
    made = logging.LogRecord(
        name, level, "/some/where.py", 7, message, args, None, "function"
    )
    made.created = MOMENT
    made.relativeCreated = 1_029.7
    return made


def lines(pattern: str, made: logging.LogRecord) -> tuple[str, list[str]]:
    """What a pattern makes of a record, and the complaints about it."""
    complaints: list[str] = []
    layout = PatternLayout(pattern, complaints.append)
    return layout.format(made), complaints


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC-5 here, without summer time."""
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_trace_is_known_to_the_logging_module_by_its_name() -> None:
    """Other people's formatters show TRACE, and what Python has names for stays."""
    assert logging.getLevelName(TRACE) == "TRACE"
    assert logging.getLevelName(logging.WARNING) == "WARNING"


def test_levels_are_in_order() -> None:
    """OFF is above all that is ever logged, ALL below."""
    order = ["ALL", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"]
    assert [name for name, _ in sorted(LEVELS.items(), key=lambda i: i[1])] == order
    assert LEVELS["ALL"] > logging.NOTSET


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (TRACE, "TRACE"),
        (logging.DEBUG, "DEBUG"),
        (logging.INFO, "INFO"),
        (logging.WARNING, "WARN"),
        (logging.ERROR, "ERROR"),
        (logging.CRITICAL, "FATAL"),
        (25, "INFO"),
        (1, "TRACE"),
        (99, "FATAL"),
    ],
)
def test_levels_have_the_names_of_dcmtk(level: int, name: str) -> None:
    """A level between two is called as the lower one."""
    assert level_name(level) == name


def test_arguments_that_do_not_fit_neither_raise_nor_lose_the_line() -> None:
    """A wrong log call is a bug, but not one to end an association for."""
    assert message_of(record("%d of %d", 1)).startswith("%d of %d (1,) (arguments do ")
    assert message_of(record("%d", "x")).startswith("%d ('x',) (arguments do not fit: ")


def test_a_traceback_follows_the_message() -> None:
    """What is logged with logger.exception() keeps its traceback."""
    made = record("oops")
    try:
        raise ValueError("why")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    text = message_of(made).split("\n")
    assert text[:2] == ["oops", "Traceback (most recent call last):"]
    assert text[-1] == "ValueError: why"


def test_a_stack_follows_the_message() -> None:
    """stack_info=True is shown as well."""
    made = record("here")
    made.stack_info = "Stack (most recent call last):\n  it"
    assert message_of(made) == "here\nStack (most recent call last):\n  it"


def test_bytes_that_never_were_text_come_out_as_they_went_in() -> None:
    """A file name with any bytes is logged with these bytes."""
    assert encode(os.fsdecode(b"\xff\xe4.dcm \xc3\xa4")) == b"\xff\xe4.dcm \xc3\xa4"
    assert encode("\ud800") == b"\\ud800"


def test_simple_layout_has_level_and_message() -> None:
    """One prefix, also for a message of two lines."""
    assert SimpleLayout().format(record("a\nb")) == "ERROR - a\nb\n"


def test_ttcc_layout_shows_milliseconds_since_the_start() -> None:
    """Time, thread, category, context."""
    thread = threading.get_native_id()
    expected = f"1029 [{thread}] ERROR dcmtk.dcmnet <> - a\nb\n"
    assert TTCCLayout().format(record("a\nb")) == expected


@pytest.mark.usefixtures("in_new_york")
def test_ttcc_layout_shows_a_date_when_it_has_a_format() -> None:
    """Local time unless Use_gmtime is set."""
    local = TTCCLayout("%H:%M:%S.%q").format(record())
    utc = TTCCLayout("%H:%M:%S %Q", utc=True).format(record())
    assert local.split(" [")[0] == "17:13:20.045"
    assert utc.split(" [")[0] == "22:13:20 045.678"


@pytest.mark.usefixtures("in_new_york")
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%Y-%m-%d %H:%M:%S", "2023-11-14 17:13:20"),
        ("%q|%Q|%s", "045|045.678|1700000000"),
        ("%H.%q %H.%q", "17.045 17.045"),
        ("%%q %%Q %%s", "%q %Q %s"),
        ("%%%q", "%045"),
        ("50%", "50"),
        ("", ""),
        ("%j%", "318"),
    ],
)
def test_time_format_is_strftime_with_fractions(pattern: str, text: str) -> None:
    """A percent sign at the end vanishes."""
    assert TimeFormat(pattern, utc=False).text(MOMENT) == text


def test_time_format_follows_the_clock() -> None:
    """What was made for one second is not shown for the next."""
    form = TimeFormat("%S.%q", utc=True)
    moments = (MOMENT, MOMENT + 0.5, MOMENT + 1, MOMENT - 1, 1_700_000_000.999_999_7)
    texts = [form.text(moment) for moment in moments]
    assert texts == ["20.045", "20.545", "21.045", "19.045", "20.999"]


@pytest.mark.usefixtures("in_new_york")
@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("%P: %m%n", "E: hello\n"),
        ("%p|%c|%m", "ERROR|dcmtk.dcmnet|hello"),
        ("%c{1}|%c{2}|%c{9}|%c{0}", "dcmnet|dcmtk.dcmnet|dcmtk.dcmnet|dcmtk.dcmnet"),
        ("%c{x}|%c{ 1}|%c{-1}|%c{1x}", "dcmtk.dcmnet|dcmnet|dcmtk.dcmnet|dcmnet"),
        ("%c{}|%m{1}", "dcmtk.dcmnet|hello{1}"),
        ("[%-7p][%7p]", "[ERROR  ][  ERROR]"),
        ("[%.2p][%3.2p][%-4.1p]", "[OR][OR][R]"),
        ("[%.0p][%0p][%20.3c]", "[][ERROR][net]"),
        ("[%-15c][%15c]", "[dcmtk.dcmnet   ][   dcmtk.dcmnet]"),
        ("%--6p|%007p", "ERROR |  ERROR"),
        ("%3n|", "  \n|"),
        ("a%%b%%%%", "a%b%%"),
        ("%d", "2023-11-14 22:13:20"),
        ("%D", "2023-11-14 17:13:20"),
        (
            "%d{}|%d{%H:%M:%S.%q}|%D{%H %Q}",
            "2023-11-14 22:13:20|22:13:20.045|17 045.678",
        ),
        ("%25D{%Y}|%.2D{%Y}", f"{'2023':>25}|23"),
        ("%r", "1029"),
        ("%F|%b|%L|%l|%M", "/some/where.py|where.py|7|/some/where.py:7|function"),
        ("%x|%3x|%X|%X{a}|%2X{a}|", "|   |||  |"),
        ("", ""),
        ("plain", "plain"),
        ("%", "%"),
        ("50%", "50%"),
        ("%5", "%5"),
        ("%-", "%-"),
        ("%5.", "%5."),
        ("%.3", "%.3"),
        ("%m%n%", "hello\n%"),
    ],
)
def test_pattern_items(pattern: str, line: str) -> None:
    """Every item, with widths, and what is no item because the pattern ends."""
    assert lines(pattern, record()) == (line, [])


@pytest.mark.parametrize(
    ("pattern", "line", "complaint"),
    [
        (
            "a%%b%y|",
            "a%b%y|",
            "Unexpected char [y] at position 6 in conversion pattern.",
        ),
        (
            "%-5-p|",
            "%-5-p|",
            "Unexpected char [-] at position 4 in conversion pattern.",
        ),
        ("%+5p|", "%+5p|", "Unexpected char [+] at position 2 in conversion pattern."),
        (
            "%5%|%m",
            "%5%|hello",
            "Unexpected char [%] at position 3 in conversion pattern.",
        ),
        (
            "%5.x%m",
            "%5.xhello",
            "Error occurred in position 4.\n"
            ' Was expecting digit, instead got char "x".',
        ),
        (
            "%c{1%n",
            "dcmtk.dcmnet",
            "No matching '}' found in conversion pattern string \"%c{1%n\"",
        ),
    ],
)
def test_mistakes_in_a_pattern_are_reported_and_shown_as_they_stand(
    pattern: str, line: str, complaint: str
) -> None:
    """Positions count from 1, and the rest of the pattern still works."""
    assert lines(pattern, record()) == (line, [complaint])


def test_every_mistake_is_reported() -> None:
    """One does not hide the next."""
    _, complaints = lines("%z%q%n%y", record())
    assert [text[:19] for text in complaints] == [
        "Unexpected char [z]",
        "Unexpected char [q]",
        "Unexpected char [y]",
    ]


@pytest.mark.parametrize("width", ["99999999999", "9" * 5_000])
def test_a_huge_width_costs_no_huge_line(width: str) -> None:
    """The memory for a line has a bound, whatever the pattern says."""
    line, _ = lines(f"%{width}p", record())
    assert line == "ERROR".rjust(65_535)
    assert lines(f"%.{width}m", record("x" * 70_000))[0] == "x" * 70_000


def test_process_thread_and_host_are_those_of_now() -> None:
    """%i, %T, %t, %h, %H."""
    thread = threading.get_native_id()
    host = socket.gethostname()
    line, _ = lines("%i %T %t %h %H", record())
    assert line == f"{os.getpid()} {thread} {thread} {host} {full_hostname()}"


def test_each_line_of_a_message_has_the_whole_pattern() -> None:
    """Also the empty one after a line end at the end."""
    made = record("one\ntwo\n")
    assert lines("%P: %m%n", made)[0] == "E: one\nE: two\nE: \n"
    whole = PatternLayout("%P: %m%n", print, each_line=False)
    assert whole.format(made) == "E: one\ntwo\n\n"


def test_dcmtk_itself_is_the_root_logger() -> None:
    """Nothing else logs as `dcmtk`, the root logger of log4cplus as Python sees it."""
    assert lines("%c|%c{1}", record(name="dcmtk"))[0] == "root|root"


@pytest.mark.parametrize("name", ["nosuch.invalid", "x" * 64])
def test_a_host_name_that_cannot_be_looked_up_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A machine that no name server knows, or could know, can still log."""
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert full_hostname() == name
