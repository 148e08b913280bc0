"""service.journal: the lines of stored objects, written without the logging module."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcmrecv.config.logs import configure
from dcmrecv.config.settings import LogSettings
from dcmrecv.service.journal import PLACE, Journal, journal_of
from dcmrecv.service.wording import routine
from tests.builders.loggers import loggers_kept

TEXT = b"I: Received (MsgID \0)\nI: Stored: ./\0\nI: Sending\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe, the reading one first; neither ever waits."""
    ends = os.pipe2(os.O_NONBLOCK)
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Whatever a test sets up is gone after it."""
    with loggers_kept():
        yield


def journal_under(settings: LogSettings, directory: str) -> Journal | None:
    """The journal for a directory under log settings."""
    configure(settings)
    return journal_of(routine(PLACE, directory + PLACE))


def test_message_id_and_path_come_into_their_places(pipe: tuple[int, int]) -> None:
    journal = Journal(pipe[1], TEXT)
    assert journal.write(65_535, b"CT.1.2")
    assert journal.write(1, b"\xff.dcm")
    assert os.read(pipe[0], 4_096) == (
        b"I: Received (MsgID 65535)\nI: Stored: ./CT.1.2\nI: Sending\n"
        b"I: Received (MsgID 1)\nI: Stored: ./\xff.dcm\nI: Sending\n"
    )


def test_what_a_pipe_would_not_keep_whole_is_left_to_others(
    pipe: tuple[int, int],
) -> None:
    """PIPE_BUF, POSIX; `logging` cuts such a record at the ends of its lines."""
    journal = Journal(pipe[1], TEXT)
    assert not journal.write(1, bytes([0x41]) * 4_096)
    longest = 4_095 - len(TEXT) + len(b"\0\0") - len(b"1")
    assert not journal.write(1, bytes([0x41]) * (longest + 1))
    assert journal.write(1, bytes([0x41]) * longest)
    assert len(os.read(pipe[0], 10_000)) == 4_095


def test_a_full_pipe_gets_nothing(pipe: tuple[int, int]) -> None:
    journal = Journal(pipe[1], TEXT)
    while journal.write(7, b"CT.1"):
        pass
    assert not journal.write(7, b"CT.1")
    one = TEXT.replace(b"\0", b"7", 1).replace(b"\0", b"CT.1")
    received = os.read(pipe[0], 1_000_000)
    assert received == one * (len(received) // len(one))


def test_a_closed_descriptor_is_no_crash(pipe: tuple[int, int]) -> None:
    spare = os.dup(pipe[1])
    os.close(spare)
    assert not Journal(spare, TEXT).write(1, b"CT.1")


@pytest.mark.parametrize("text", [b"", b"one \0 place", b"\0\0\0"])
def test_a_text_with_other_than_two_places_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="unpack"):
        Journal(1, text)


def test_the_default_log_has_a_journal(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    journal = journal_under(LogSettings(level="info"), "/archive/")
    assert journal is not None
    assert journal.write(12, b"CT.1.2")
    assert capfdbinary.readouterr().err == (
        b"I: Received C-STORE Request (MsgID 12)\n"
        b"I: Stored received object to file: /archive/CT.1.2\n"
        b"I: Sending C-STORE Response (Success)\n"
    )


def test_a_line_end_in_the_directory_looks_as_it_does_in_the_log(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    journal = journal_under(LogSettings(level="info"), "a\nb/")
    assert journal is not None and journal.write(1, b"CT.1.2")
    assert b"to file: a\nI: b/CT.1.2\n" in capfdbinary.readouterr().err


@pytest.mark.parametrize(
    ("appenders", "has_one"),
    [
        ("c\nlog4cplus.appender.c = log4cplus::ConsoleAppender\n", True),
        (
            "c\nlog4cplus.appender.c = log4cplus::ConsoleAppender\n"
            "log4cplus.appender.c.layout = log4cplus::PatternLayout\n"
            "log4cplus.appender.c.layout.ConversionPattern = %D %m%n\n",
            False,  # the time changes
        ),
        (
            "c, d\nlog4cplus.appender.c = log4cplus::ConsoleAppender\n"
            "log4cplus.appender.d = log4cplus::ConsoleAppender\n",
            False,  # two descriptors
        ),
        (
            "c\nlog4cplus.appender.c = log4cplus::ConsoleAppender\n"
            "log4cplus.appender.c.filters.1 = log4cplus::spi::DenyAllFilter\n",
            False,  # a filter decides
        ),
        (
            "c, d\nlog4cplus.appender.c = log4cplus::ConsoleAppender\n"
            "log4cplus.appender.d = log4cplus::ConsoleAppender\n"
            "log4cplus.appender.d.Threshold = WARN\n",
            True,  # the second one never sees them
        ),
        (
            "f\nlog4cplus.appender.f = log4cplus::FileAppender\n"
            "log4cplus.appender.f.File = {file}\n",
            False,  # may have to be opened again
        ),
    ],
)
def test_only_lines_that_go_straight_to_one_descriptor_have_a_journal(
    tmp_path: Path,
    appenders: str,
    has_one: bool,
) -> None:
    appenders = appenders.format(file=tmp_path / "log")
    file = tmp_path / "logger.cfg"
    file.write_text(f"log4cplus.rootLogger = INFO, {appenders}")
    journal = journal_under(LogSettings(config_file=str(file)), "./")
    assert logging.getLogger("dcmtk.dcmnet").isEnabledFor(logging.INFO)
    assert (journal is not None) == has_one
