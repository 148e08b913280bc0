"""Handlers that write log records: config/logappenders.py. Spec section 2.4.

Processes are real ones here: what is promised is that they do not tear each other's
lines and that none is lost.
"""

import fcntl
import logging
import multiprocessing
import os
import select
import socket
import syslog
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dcmrecv.config import logappenders
from dcmrecv.config.logappenders import (
    SCHEDULES,
    Appender,
    ConsoleAppender,
    DailyRollingFileAppender,
    FileAppender,
    Layout,
    LocalSysLog,
    LogFile,
    RemoteSysLog,
    Reporter,
    RollingFileAppender,
    SysLogAppender,
    cut_at_line_ends,
    period_at,
    severity_of,
    write_all,
)
from dcmrecv.config.loglines import TRACE, Lines, PatternLayout, SimpleLayout

DEADLINE_S = 60.0
FORK = multiprocessing.get_context("fork")
WRITERS = 4
RECORDS = 1_000

PLAIN = PatternLayout("%m%n", print)
PREFIXED = PatternLayout("%P: %m%n", print)


def record(
    message: object, *, level: int = logging.INFO, created: float | None = None
) -> logging.LogRecord:
    """A record as a logger would have made it."""
    made = logging.LogRecord("dcmtk.dcmnet", level, "x.py", 1, message, (), None)
    if created is not None:
        made.created = created
    return made


def log(appender: logging.Handler, *messages: object) -> None:
    """Hand messages to an appender one after the other."""
    for message in messages:
        appender.handle(record(message))


def lines_of_writers(writer: int) -> list[str]:
    """What one of several writers logs, of many lengths."""
    return [f"{writer} {number} {'x' * (number % 97)}|" for number in range(RECORDS)]


def run_processes(*work: Callable[[], None]) -> None:
    """Run each function in a process of its own until all are done."""
    processes = [FORK.Process(target=function) for function in work]
    for process in processes:
        process.start()
    for process in processes:
        process.join(DEADLINE_S)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * len(work)


def run_writers(appender: logging.Handler) -> None:
    """Log `lines_of_writers` through one inherited appender in several processes."""
    run_processes(
        *(
            lambda writer=writer: log(appender, *lines_of_writers(writer))
            for writer in range(WRITERS)
        )
    )


def read_all(descriptor: int) -> bytes:
    """Read until the last writer has closed."""
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([descriptor], [], [], DEADLINE_S)
        assert ready, "no end of the stream"
        part = os.read(descriptor, 65_536)
        if not part:
            return b"".join(parts)
        parts.append(part)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe; a test may close either."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


@pytest.fixture
def reporter() -> Reporter:
    """Reports to stderr, where `capfd` finds them."""
    return Reporter()


def test_reports_go_to_stderr_unless_quiet(
    reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the prefixes of log4cplus."""
    reporter.error("one")
    reporter.warn("two")
    reporter.quiet = True
    reporter.error("three")
    assert capfd.readouterr() == ("", "log4cplus:ERROR one\nlog4cplus:WARN two\n")


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (b"", []),
        (b"abcd", [b"abcd"]),
        (b"ab\ncd\n", [b"ab\n", b"cd\n"]),
        (b"a\nb\nc\nd\n", [b"a\nb\n", b"c\nd\n"]),
        (b"abcdefgh\ni\n", [b"abcdefgh\n", b"i\n"]),
        (b"abcdefgh", [b"abcdefgh"]),
        (b"a\nbcdefg\nh", [b"a\n", b"bcdefg\n", b"h"]),
    ],
)
def test_long_records_are_cut_at_line_ends(data: bytes, pieces: list[bytes]) -> None:
    """As many whole lines as fit; a line that fits nowhere stays whole."""
    assert list(cut_at_line_ends(data, 5)) == pieces


def test_a_record_is_one_write(pipe: tuple[int, int], reporter: Reporter) -> None:
    """A pipe in packet mode shows where a write began."""
    reading, writing = os.pipe2(os.O_DIRECT)
    log(ConsoleAppender(PREFIXED, reporter, writing), "one\ntwo\nthree", "four")
    os.close(writing)
    packets = [os.read(reading, 65_536) for _ in range(3)]
    os.close(reading)
    assert packets == [b"I: one\nI: two\nI: three\n", b"I: four\n", b""]


def test_writers_of_one_pipe_do_not_tear_each_other(
    pipe: tuple[int, int], reporter: Reporter
) -> None:
    """Forked after the appender was made, as workers are: all lines, and whole."""
    reading, writing = pipe
    appender = ConsoleAppender(PREFIXED, reporter, writing)

    def write() -> None:
        os.close(reading)
        run_writers(appender)

    process = FORK.Process(target=write)
    process.start()
    os.close(writing)
    got = read_all(reading).decode().splitlines()
    process.join(DEADLINE_S)
    assert process.exitcode == 0
    for writer in range(WRITERS):
        sent = [f"I: {line}" for line in lines_of_writers(writer)]
        assert [line for line in got if line.startswith(f"I: {writer} ")] == sent
    assert len(got) == WRITERS * RECORDS


def test_records_too_long_for_a_pipe_keep_their_lines(
    pipe: tuple[int, int], reporter: Reporter
) -> None:
    """More than PIPE_BUF bytes of several processes mix by lines, not within one."""
    reading, writing = pipe
    os.set_blocking(writing, False)  # another trap: every write may be a part only
    appender = ConsoleAppender(PLAIN, reporter, writing)
    messages = {
        writer: "\n".join(f"{writer} {n} {'y' * 200}|" for n in range(400))
        for writer in "abcd"
    }

    def write() -> None:
        os.close(reading)
        run_processes(
            *(
                lambda message=message: log(appender, *[message] * 5)
                for message in messages.values()
            )
        )

    process = FORK.Process(target=write)
    process.start()
    os.close(writing)
    got = read_all(reading).decode().splitlines()
    process.join(DEADLINE_S)
    assert process.exitcode == 0
    for writer, message in messages.items():
        assert [line for line in got if line[0] == writer] == message.split("\n") * 5
    assert len(got) == 4 * 5 * 400


def test_a_single_line_of_any_length_is_written_whole(
    pipe: tuple[int, int],
) -> None:
    """Partial writes of a non-blocking pipe are carried on."""
    reading, writing = pipe
    line = b"z" * 1_000_000 + b"\n"

    def write() -> None:
        os.close(reading)
        os.set_blocking(writing, False)
        write_all(writing, line)

    process = FORK.Process(target=write)
    process.start()
    os.close(writing)
    assert read_all(reading) == line
    process.join(DEADLINE_S)
    assert process.exitcode == 0


def test_a_full_pipe_that_nobody_reads_costs_the_record_only(
    pipe: tuple[int, int],
    reporter: Reporter,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The wait has a bound, and the loss is told when there is room again."""
    reading, writing = pipe
    os.set_blocking(writing, False)
    monkeypatch.setattr(logappenders, "PATIENCE_MS", 1)
    appender = ConsoleAppender(PLAIN, reporter, writing)
    prefix = "log4cplus:ERROR "
    trouble = f"Cannot write to {writing}: Resource temporarily unavailable\n"
    for number in (2, 1):
        filled = 0
        while select.select([], [writing], [], 0)[1]:
            filled += os.write(writing, b"." * select.PIPE_BUF)
        log(appender, *["lost"] * number)
        assert capfd.readouterr().err == prefix + trouble
        while filled:
            filled -= len(os.read(reading, filled))
        log(appender, "kept")
        assert os.read(reading, 100) == b"kept\n"
        loss = f"Records lost for {writing}: {number}\n"
        assert capfd.readouterr().err == prefix + loss


def test_a_reader_that_has_gone_neither_raises_nor_kills(
    pipe: tuple[int, int], reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python ignores SIGPIPE; the failure is told once."""
    reading, writing = pipe
    os.close(reading)
    log(ConsoleAppender(PLAIN, reporter, writing), "one", "two")
    assert capfd.readouterr().err == (
        f"log4cplus:ERROR Cannot write to {writing}: Broken pipe\n"
    )


def test_a_broken_stderr_is_nobodys_problem() -> None:
    """There is no other place to complain to; the process goes on."""

    def work() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 2)
        log(ConsoleAppender(PLAIN, Reporter(), 2), "one")
        os.close(2)
        log(ConsoleAppender(PLAIN, Reporter(), 2), "two")

    run_processes(work)


def test_a_full_disk_is_told_once(
    reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """/dev/full takes nothing; reception goes on."""
    log(FileAppender(PLAIN, reporter, LogFile("/dev/full")), "one", "two")
    assert capfd.readouterr().err == (
        "log4cplus:ERROR Cannot write to /dev/full: No space left on device\n"
    )


def test_a_bug_in_a_layout_is_not_swallowed(reporter: Reporter) -> None:
    """Only what the system refuses is survived."""

    class Broken:
        def format(self, record: logging.LogRecord) -> str:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        log(ConsoleAppender(Broken(), reporter, 1), "x")


def test_an_appender_must_say_where_to(reporter: Reporter) -> None:
    """The base class alone is no appender."""
    with pytest.raises(NotImplementedError):
        log(Appender(PLAIN, reporter, "nowhere"), "x")


@pytest.mark.parametrize(("append", "text"), [(True, "old\nnew\n"), (False, "new\n")])
def test_a_file_is_continued_or_begun_anew(
    tmp_path: Path, reporter: Reporter, append: bool, text: str
) -> None:
    """Append."""
    path = tmp_path / "x.log"
    path.write_text("old\n")
    log(FileAppender(PLAIN, reporter, LogFile(str(path), append)), "new")
    assert path.read_text() == text


def test_a_relative_name_means_the_directory_at_the_start(
    tmp_path: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for what is opened later."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    appender = RollingFileAppender(
        PLAIN, reporter, LogFile("x.log"), max_size_bytes=1, max_backup_index=1
    )
    monkeypatch.chdir(elsewhere)
    log(appender, "one", "two")
    assert sorted(p.name for p in tmp_path.glob("x*")) == ["x.log", "x.log.1"]
    assert list(elsewhere.iterdir()) == []


def test_a_file_that_cannot_be_opened_is_tried_again(
    tmp_path: Path, reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """The name stands in the message as it was given."""
    path = tmp_path / "later" / "x.log"
    file = LogFile(str(path), reopen_delay_s=0.0)
    appender = FileAppender(PLAIN, reporter, file)
    log(appender, "one", "two")
    assert capfd.readouterr().err == f"log4cplus:ERROR Unable to open file: {path}\n"
    path.parent.mkdir()
    log(appender, "three")
    assert path.read_text() == "three\n"
    assert capfd.readouterr().err == f"log4cplus:ERROR Records lost for {path}: 2\n"


def test_a_file_is_not_tried_again_at_once(tmp_path: Path, reporter: Reporter) -> None:
    """Not every record pays for the failure."""
    path = tmp_path / "later" / "x.log"
    appender = FileAppender(PLAIN, reporter, LogFile(str(path), reopen_delay_s=999.0))
    path.parent.mkdir()
    log(appender, "one")
    assert not path.exists()


def test_a_closed_file_takes_no_more_records(
    tmp_path: Path, reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its descriptor may belong to somebody else by then."""
    path = tmp_path / "x.log"
    appender = FileAppender(PLAIN, reporter, LogFile(str(path)))
    log(appender, "one")
    appender.close()
    appender.close()
    log(appender, "two")
    assert path.read_text() == "one\n"
    assert capfd.readouterr().err == ""


def test_writers_of_one_file_do_not_tear_each_other(
    tmp_path: Path, reporter: Reporter
) -> None:
    """Half of them inherit the descriptor, half open the file themselves."""
    path = tmp_path / "x.log"
    inherited = FileAppender(PLAIN, reporter, LogFile(str(path)))
    long = "\n".join("long" * 500 for _ in range(20))

    def write(writer: int) -> None:
        own = FileAppender(PLAIN, reporter, LogFile(str(path)))
        appender = inherited if writer % 2 else own
        for number, line in enumerate(lines_of_writers(writer)):
            log(appender, line)
            if number % 100 == 0:
                log(appender, f"{long}\nend")

    run_processes(*(lambda w=w: write(w) for w in range(WRITERS)))
    text = path.read_text()
    assert text.count(f"{long}\nend\n") == WRITERS * RECORDS // 100
    got = text.replace(f"{long}\nend\n", "").splitlines()
    for writer in range(WRITERS):
        own = [line for line in got if line.startswith(f"{writer} ")]
        assert own == lines_of_writers(writer)
    assert len(got) == WRITERS * RECORDS


def rolling(
    path: Path, reporter: Reporter, *, size: int = 10, backups: int = 3
) -> RollingFileAppender:
    """A rolling file with limits that a test reaches quickly."""
    return RollingFileAppender(
        PLAIN,
        reporter,
        LogFile(str(path)),
        max_size_bytes=size,
        max_backup_index=backups,
    )


def contents(directory: Path) -> dict[str, str]:
    """Every file of a directory."""
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_a_file_is_rolled_by_the_record_that_makes_it_too_long(
    tmp_path: Path, reporter: Reporter
) -> None:
    """Exactly the limit is not too long; the oldest backup goes."""
    appender = rolling(tmp_path / "x.log", reporter, backups=2)
    log(appender, "123456789")
    assert contents(tmp_path) == {"x.log": "123456789\n"}
    log(appender, "a", "bbbbbbbbbb", "cccccccccc")
    assert contents(tmp_path) == {
        "x.log": "",
        "x.log.1": "cccccccccc\n",
        "x.log.2": "bbbbbbbbbb\n",
    }


def test_other_files_of_like_names_stay(tmp_path: Path, reporter: Reporter) -> None:
    """Only NAME.1 to NAME.N are backups."""
    others = {"x.log.01": "a", "x.log.7": "b", "x.log.1.gz": "c", "xxlog.1": "d"}
    for name, text in others.items():
        (tmp_path / name).write_text(text)
    log(rolling(tmp_path / "x.log", reporter), "1" * 10, "2" * 10)
    rolled = {"x.log": "", "x.log.1": "2" * 10 + "\n", "x.log.2": "1" * 10 + "\n"}
    assert contents(tmp_path) == others | rolled


def test_a_gap_among_the_backups_is_kept(tmp_path: Path, reporter: Reporter) -> None:
    """Each backup moves on by one."""
    (tmp_path / "x.log.2").write_text("old")
    log(rolling(tmp_path / "x.log", reporter, backups=5), "1" * 10)
    assert contents(tmp_path) == {
        "x.log": "",
        "x.log.1": "1" * 10 + "\n",
        "x.log.3": "old",
    }


def test_a_process_notices_that_another_has_rolled(
    tmp_path: Path, reporter: Reporter
) -> None:
    """With its next record, which still goes to the file that it has open."""
    path = tmp_path / "x.log"
    one, other = rolling(path, reporter), rolling(path, reporter)
    log(one, "1" * 10)
    log(other, "late", "now")
    assert contents(tmp_path) == {"x.log": "now\n", "x.log.1": "1" * 10 + "\nlate\n"}


def test_a_record_for_a_file_without_a_name_is_written_again(
    tmp_path: Path, reporter: Reporter
) -> None:
    """Rolled out by others, or deleted by somebody, between two records."""
    path = tmp_path / "x.log"
    appender = rolling(path, reporter)
    log(appender, "one")
    path.unlink()
    log(appender, "two", "three")
    assert path.read_text() == "two\nthree\n"


def test_nobody_waits_for_the_process_that_rolls(
    tmp_path: Path, reporter: Reporter
) -> None:
    """Even one that was stopped in the middle of it; the next record tries again."""
    path = tmp_path / "x.log"
    appender = rolling(path, reporter)
    locked, locked_end = os.pipe()
    release_end, release = os.pipe()

    def hold() -> None:
        with path.open("a") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(locked_end, b"x")
            os.read(release_end, 1)

    holder = FORK.Process(target=hold, daemon=True)  # ends with a failing test
    holder.start()
    assert select.select([locked], [], [], DEADLINE_S)[0]
    log(appender, "1" * 10)
    assert contents(tmp_path) == {"x.log": "1" * 10 + "\n"}
    os.write(release, b"x")
    holder.join(DEADLINE_S)
    assert holder.exitcode == 0
    log(appender, "2")
    assert contents(tmp_path) == {"x.log": "", "x.log.1": "1" * 10 + "\n2\n"}
    for end in (locked, locked_end, release_end, release):
        os.close(end)


def test_a_file_that_cannot_be_renamed_grows_on(
    tmp_path: Path, reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """The original truncates it. Tried again when it has grown by another limit."""
    path = tmp_path / "x.log"
    obstacle = tmp_path / "x.log.1"
    obstacle.mkdir()
    (obstacle / "file").touch()
    appender = rolling(path, reporter, backups=1)
    log(appender, "1" * 10, "2" * 5)
    assert path.read_text() == "1" * 10 + "\n" + "2" * 5 + "\n"
    trouble = (
        f"log4cplus:ERROR Failed to rename file from {path} to {obstacle}; error 21\n"
    )
    assert capfd.readouterr().err == trouble
    (obstacle / "file").unlink()
    obstacle.rmdir()
    log(appender, "3" * 10, "4")
    assert contents(tmp_path)["x.log"] == "4\n"


def test_what_goes_wrong_after_the_write_does_not_count_as_a_loss(
    tmp_path: Path, reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """The directory has gone: the record is in the file, which has no name any more."""
    directory = tmp_path / "logs"
    directory.mkdir()
    appender = rolling(directory / "x.log", reporter)
    link = tmp_path / "link"
    os.link(directory / "x.log", link)
    (directory / "x.log").unlink()
    directory.rmdir()
    log(appender, "1" * 10, "2")
    assert link.read_text() == "1" * 10 + "\n2\n"
    path = directory / "x.log"
    assert capfd.readouterr().err == (
        f"log4cplus:ERROR Cannot roll {path}: No such file or directory\n"
    )


@pytest.mark.parametrize("inherited", [True, False])
def test_writers_of_one_rolling_file_lose_nothing(
    tmp_path: Path, reporter: Reporter, inherited: bool
) -> None:
    """Whether the descriptor was inherited or each opened the file itself."""
    path = tmp_path / "x.log"
    shared = rolling(path, reporter, size=5_000, backups=999)

    def write(writer: int) -> None:
        own = rolling(path, reporter, size=5_000, backups=999)
        log(shared if inherited else own, *lines_of_writers(writer))

    run_processes(*(lambda w=w: write(w) for w in range(WRITERS)))
    files = contents(tmp_path)
    numbers = sorted(int(name[6:]) for name in files if name != "x.log")
    assert numbers == list(range(1, len(files)))
    assert len(files) > 3
    newest_first = [files["x.log"], *(files[f"x.log.{n}"] for n in numbers)]
    got = "".join(reversed(newest_first)).splitlines()
    expected = [line for w in range(WRITERS) for line in lines_of_writers(w)]
    assert sorted(got) == sorted(expected)


def test_writers_that_roll_out_their_own_records_leave_the_newest(
    tmp_path: Path, reporter: Reporter
) -> None:
    """Few backups and many rolls: the last record of each writer is always there."""
    path = tmp_path / "x.log"
    appender = rolling(path, reporter, size=500, backups=2)
    run_writers(appender)
    files = contents(tmp_path)
    assert set(files) <= {"x.log", "x.log.1", "x.log.2"}
    got = "".join(files.values()).splitlines()
    everything = {line for w in range(WRITERS) for line in lines_of_writers(w)}
    assert set(got) <= everything
    assert len(got) == len(set(got))
    assert any(line.split()[1] == str(RECORDS - 1) for line in got)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time with summer time."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def local(*fields: int) -> float:
    """Seconds since the epoch of a local time."""
    year, month, day, hour, minute, second = (*fields, 0, 0, 0)[:6]
    return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("schedule", "suffix", "end"),
    [
        ("MONTHLY", "2026-11", (2026, 12, 1)),
        ("WEEKLY", "2026-46", (2026, 11, 29)),
        ("DAILY", "2026-11-22", (2026, 11, 23)),
        ("TWICE_DAILY", "2026-11-22-PM", (2026, 11, 23)),
        ("HOURLY", "2026-11-22-17", (2026, 11, 22, 18)),
        ("MINUTELY", "2026-11-22-17-24", (2026, 11, 22, 17, 25)),
    ],
)
def test_periods_of_every_schedule(
    schedule: str, suffix: str, end: tuple[int, ...]
) -> None:
    """Names as dcmrecv 3.6.7 gave them on that Sunday."""
    period = period_at(schedule, local(2026, 11, 22, 17, 24, 19) + 0.5)
    assert (period.suffix, period.end) == (suffix, local(*end))


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("schedule", "when", "suffix", "end"),
    [
        ("MONTHLY", (2026, 12, 31, 23, 59, 59), "2026-12", (2027, 1, 1)),
        ("WEEKLY", (2026, 11, 28, 23, 59, 59), "2026-46", (2026, 11, 29)),
        ("WEEKLY", (2027, 1, 1), "2026-51", (2027, 1, 3)),
        ("DAILY", (2026, 3, 29, 12), "2026-03-29", (2026, 3, 30)),
        ("DAILY", (2026, 10, 25), "2026-10-25", (2026, 10, 26)),
        ("TWICE_DAILY", (2026, 2, 28, 11, 59), "2026-02-28-AM", (2026, 2, 28, 12)),
        ("HOURLY", (2026, 3, 29, 1, 30), "2026-03-29-01", (2026, 3, 29, 3)),
    ],
)
def test_periods_at_the_edges_of_the_calendar(
    schedule: str, when: tuple[int, ...], suffix: str, end: tuple[int, ...]
) -> None:
    """Years, weeks, and days of 23 and 25 hours."""
    period = period_at(schedule, local(*when))
    assert (period.suffix, period.end) == (suffix, local(*end))


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "zone", ["CET-1CEST,M3.5.0,M10.5.0/3", "BRT3BRST,M10.3.0/0,M2.3.0/0"]
)
def test_a_period_always_lies_ahead(
    monkeypatch: pytest.MonkeyPatch, schedule: str, zone: str
) -> None:
    """Also where an hour, or midnight, comes twice or never; or every record rolls."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    begin = local(2026, 1, 1)
    for when in range(int(begin), int(begin) + 366 * 86_400, 1_700):
        period = period_at(schedule, when)
        assert period.end > when
        assert period_at(schedule, period.end - 1.0) == period
        assert period_at(schedule, period.end).end > period.end


MINUTE = 1_700_000_040.0  # a full minute: 22:14 UTC


def daily(
    path: Path, reporter: Reporter, *, now: float = MINUTE, backups: int = 3
) -> DailyRollingFileAppender:
    """A file that is rolled every minute."""
    return DailyRollingFileAppender(
        PLAIN,
        reporter,
        LogFile(str(path)),
        schedule="MINUTELY",
        max_backup_index=backups,
        now=now,
    )


def log_at(appender: logging.Handler, minutes: float, message: str) -> None:
    """Hand over a record made so many minutes after MINUTE."""
    appender.handle(record(message, created=MINUTE + 60.0 * minutes))


def name_of(minute: int) -> str:
    """What the file of that minute is called in the end."""
    return f"x.log.{period_at('MINUTELY', MINUTE + 60.0 * minute).suffix}"


def test_a_new_period_begins_a_new_file(tmp_path: Path, reporter: Reporter) -> None:
    """The first record of it does; the old file is called after its own period."""
    appender = daily(tmp_path / "x.log", reporter)
    log_at(appender, 0, "one")
    log_at(appender, 0.99, "two")
    log_at(appender, 1, "three")
    log_at(appender, 4, "four")
    assert contents(tmp_path) == {
        name_of(0): "one\ntwo\n",
        name_of(1): "three\n",
        "x.log": "four\n",
    }


def test_a_period_that_has_a_file_already_keeps_it(
    tmp_path: Path, reporter: Reporter
) -> None:
    """After a restart within the period; MaxBackupIndex counts these."""
    for message in ("one", "two", "three", "four"):
        log_at(daily(tmp_path / "x.log", reporter, backups=2), 1, message)
    assert contents(tmp_path) == {
        "x.log": "four\n",
        name_of(0): "three\n",
        f"{name_of(0)}.1": "two\n",
        f"{name_of(0)}.2": "one\n",
    }


def test_a_new_period_is_begun_by_one_process_only(
    tmp_path: Path, reporter: Reporter
) -> None:
    """The others go on with the file that it made."""
    path = tmp_path / "x.log"
    appenders = [daily(path, reporter) for _ in range(3)]
    for appender in appenders:
        log_at(appender, 0, "old")
    for appender in appenders:
        log_at(appender, 1, "new")
    assert contents(tmp_path) == {name_of(0): "old\n" * 3, "x.log": "new\n" * 3}


def test_a_process_that_missed_a_period_does_not_mix_it_with_the_next(
    tmp_path: Path, reporter: Reporter
) -> None:
    """Asleep while others rolled: it finds out from the file how far they came."""
    path = tmp_path / "x.log"
    asleep, awake = daily(path, reporter), daily(path, reporter)
    log_at(asleep, 0, "zero")
    log_at(awake, 1, "one")
    os.utime(path, (MINUTE + 90.0, MINUTE + 90.0))
    log_at(asleep, 2, "two")
    log_at(awake, 2, "two as well")
    assert contents(tmp_path) == {
        name_of(0): "zero\n",
        name_of(1): "one\n",
        "x.log": "two\ntwo as well\n",
    }


def test_a_file_that_cannot_be_renamed_waits_for_the_next_period(
    tmp_path: Path, reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is lost, and it is told once."""
    obstacle = tmp_path / name_of(0)
    (obstacle / "in the way").mkdir(parents=True)
    (tmp_path / f"{name_of(0)}.1" / "as well").mkdir(parents=True)
    appender = daily(tmp_path / "x.log", reporter, backups=1)
    log_at(appender, 1, "one")
    log_at(appender, 1, "two")
    assert (tmp_path / "x.log").read_text() == "one\ntwo\n"
    assert capfd.readouterr().err == (
        f"log4cplus:ERROR Failed to rename file from {obstacle} to {obstacle}.1;"
        " error 39\n"
        f"log4cplus:ERROR Failed to rename file from {tmp_path / 'x.log'} to"
        f" {obstacle}; error 21\n"
    )
    log_at(appender, 2, "three")
    assert (tmp_path / name_of(1)).read_text() == "one\ntwo\n"


def test_a_lost_directory_costs_no_exception_at_the_end_of_a_period(
    tmp_path: Path, reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """The records cannot be kept, which is told."""
    directory = tmp_path / "logs"
    directory.mkdir()
    appender = daily(directory / "x.log", reporter)
    (directory / "x.log").unlink()
    directory.rmdir()
    log_at(appender, 1, "one")
    log_at(appender, 1, "two")
    path = directory / "x.log"
    assert capfd.readouterr().err == (
        f"log4cplus:ERROR Cannot roll {path}: No such file or directory\n"
        f"log4cplus:ERROR Cannot write to {path}: No such file or directory\n"
    )


def test_writers_at_the_end_of_a_period_lose_nothing(
    tmp_path: Path, reporter: Reporter
) -> None:
    """Four processes pass from minute to minute, all of them at the same moment."""
    inherited = daily(tmp_path / "x.log", reporter, backups=999)
    minute_begins = FORK.Barrier(WRITERS)

    def write(writer: int) -> None:
        for number, line in enumerate(lines_of_writers(writer)):
            if number % 20 == 0:
                minute_begins.wait(DEADLINE_S)
            log_at(inherited, number / 20, line)

    run_processes(*(lambda w=w: write(w) for w in range(WRITERS)))
    got = "".join(contents(tmp_path).values()).splitlines()
    expected = [line for w in range(WRITERS) for line in lines_of_writers(w)]
    assert sorted(got) == sorted(expected)
    assert len(contents(tmp_path)) >= 50


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (TRACE, syslog.LOG_DEBUG),
        (logging.DEBUG, syslog.LOG_DEBUG),
        (logging.INFO, syslog.LOG_INFO),
        (logging.WARNING, syslog.LOG_WARNING),
        (logging.ERROR, syslog.LOG_ERR),
        (logging.CRITICAL, syslog.LOG_CRIT),
    ],
)
def test_levels_have_a_severity_each(level: int, severity: int) -> None:
    """As dcmrecv 3.6.7 sent them."""
    assert severity_of(level) == severity


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        (SimpleLayout(), b"INFO - one\nINFO - two\n"),
        (PREFIXED, b"I: one\nI: two\n"),
        (PatternLayout("%m|", print), b"one|two|"),
    ],
)
def test_lines_look_as_if_logged_alone_but_are_one_write(
    pipe: tuple[int, int], reporter: Reporter, layout: Layout, text: bytes
) -> None:
    reading, writing = pipe
    appender = ConsoleAppender(layout, reporter, writing)
    made = record(Lines("one", "two"))
    for _ in range(2):  # every handler of a logger gets the same record
        appender.handle(made)
        assert os.read(reading, 1_000) == text


def test_lines_are_messages_of_their_own_for_syslog(reporter: Reporter) -> None:
    sent: list[bytes] = []

    class Remembering:
        def send(self, priority: int, made: logging.LogRecord, data: bytes) -> None:
            sent.append(data)

        def close(self) -> None:
            pass

    appender = SysLogAppender(PREFIXED, reporter, Remembering(), facility=0)
    log(appender, Lines("one", "two"))
    assert sent == [b"I: one\n", b"I: two\n"]


def test_a_record_for_syslog_has_facility_and_severity(reporter: Reporter) -> None:
    """One message a record, also for several lines."""
    sent: list[tuple[int, bytes] | str] = []

    class Remembering:
        def send(self, priority: int, made: logging.LogRecord, data: bytes) -> None:
            sent.append((priority, data))

        def close(self) -> None:
            sent.append("closed")

    appender = SysLogAppender(
        PREFIXED, reporter, Remembering(), facility=syslog.LOG_LOCAL3
    )
    log(appender, "one\ntwo")
    appender.close()
    priority = syslog.LOG_LOCAL3 | syslog.LOG_INFO
    assert sent == [(priority, b"I: one\nI: two\n"), "closed"]


def test_any_bytes_may_go_to_the_local_syslog() -> None:
    """It takes neither NUL nor what is no text."""
    local = LocalSysLog("dcmrecv")
    local.send(syslog.LOG_USER | syslog.LOG_DEBUG, record("x"), b"a\0b\xff\n")
    local.close()


@pytest.fixture
def syslog_host() -> Iterator[socket.socket]:
    """Another host's system logger, on the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(DEADLINE_S)
        yield listener


def test_a_remote_syslog_gets_rfc_5424_messages(
    syslog_host: socket.socket, reporter: Reporter
) -> None:
    """Field by field as dcmrecv 3.6.7 sent it."""
    host, port = syslog_host.getsockname()
    remote = RemoteSysLog(reporter, host, port, "abc")
    made = record("hello", level=logging.ERROR, created=MINUTE + 0.622)
    remote.send(11, made, b"ERROR - hello\n")
    remote.close()
    head = f"<11>1 2023-11-14T22:14:00.622Z {remote.hostname} abc {os.getpid()}"
    expected = f"{head} dcmtk.dcmnet - ERROR - hello\n"
    assert syslog_host.recv(1_000) == expected.encode()


def test_a_remote_syslog_that_is_away_costs_a_warning(
    syslog_host: socket.socket, reporter: Reporter, capfd: pytest.CaptureFixture[str]
) -> None:
    """A message that does not fit, then a host that is not there, then it works."""
    host, port = syslog_host.getsockname()
    remote = RemoteSysLog(reporter, host, port, "abc")
    warning = "log4cplus:WARN SysLogAppender::appendRemote- socket write failed\n"
    remote.send(11, record("x"), b"x" * 100_000)
    assert capfd.readouterr().err == warning
    remote.send(11, record("x"), b"y\n")
    assert syslog_host.recv(1_000).endswith(b" - y\n")
    remote.close()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("host", ["x" * 64, "256.1.1.1"])
def test_a_remote_syslog_that_cannot_exist_is_not_looked_up_each_time(
    reporter: Reporter,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
) -> None:
    """A look-up can take seconds; the warning comes with every record, as it did."""
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def remembering(name: str, port: int, **options: int) -> object:
        asked.append(name)
        return look_up(name, port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", remembering)
    remote = RemoteSysLog(reporter, host, 514, ident="abc")
    remote.send(11, record("x"), b"x\n")
    remote.send(11, record("x"), b"x\n")
    warning = "log4cplus:WARN SysLogAppender::appendRemote- socket write failed\n"
    assert capfd.readouterr().err == warning * 2
    assert asked == [host]
