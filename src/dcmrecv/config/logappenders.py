"""Where log records go: one handler for each kind of log4cplus appender.

Owns every descriptor that a log record is written to, and the lines that the logging
system says about itself (`log4cplus:ERROR ...`). Never reads a configuration, never
makes the text of a record and never decides what is logged.

Every record is one write to a descriptor that all worker processes share or have opened
with O_APPEND, so the lines of different workers never tear each other; `write_all()`
says what becomes of a record that a pipe would not keep whole. Nothing is buffered.

A record that cannot be written is dropped: a full disk or a closed terminal must not
stop the reception of objects. It is not dropped in silence: the first failure is
reported on stderr, and when writing works again the number of lost records too.
"""

import errno
import fcntl
import logging
import os
import re
import select
import socket
import stat
import syslog
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from dcmrecv.config.loglines import (
    Lines,
    TimeFormat,
    encode,
    full_hostname,
    logger_name,
)

STDOUT = 1
STDERR = 2

PATIENCE_MS = 1_000  # for a descriptor in non-blocking mode that is full
RECONNECT_DELAY_S = 10.0  # after the host of a SysLogAppender could not be found

SCHEDULES: Mapping[str, str] = MappingProxyType(
    {  # -> what is appended to the name of the file, as for strftime
        "MONTHLY": "%Y-%m",
        "WEEKLY": "%Y-%W",
        "DAILY": "%Y-%m-%d",
        "TWICE_DAILY": "%Y-%m-%d-%p",
        "HOURLY": "%Y-%m-%d-%H",
        "MINUTELY": "%Y-%m-%d-%H-%M",
    }
)


class Layout(Protocol):
    """Makes the text of a record, with its line end."""

    @property
    def locates(self) -> bool: ...

    @property
    def each_line(self) -> bool:
        """Is the second line of a message laid out like the first?"""

    @property
    def is_plain(self) -> bool:
        """Does what stands around the message depend on the level alone?"""

    def format(self, record: logging.LogRecord) -> str: ...


class Reporter:
    """Says on stderr what is wrong with the logging itself.

    Attributes:
        quiet: True silences it, as DCMTK does when the root logger is not enabled for
            ERROR.
    """

    def __init__(self) -> None:
        self.quiet = False

    def error(self, text: str) -> None:
        self._say(f"log4cplus:ERROR {text}\n")

    def warn(self, text: str) -> None:
        self._say(f"log4cplus:WARN {text}\n")

    def _say(self, line: str) -> None:
        if not self.quiet:
            # There is no further place to complain to when stderr is broken.
            with suppress(OSError):
                write_all(STDERR, encode(line))


def cut_at_line_ends(data: bytes, limit: int) -> Iterator[bytes]:
    """Cut into pieces of whole lines, each piece as long as `limit` bytes allow.

    A single line beyond the limit is a piece of its own.
    """
    start = 0
    while len(data) - start > limit:
        end = data.rfind(b"\n", start, start + limit) + 1
        if not end:
            end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end
    if start < len(data):
        yield data[start:]


def write_all(descriptor: int, data: bytes) -> None:
    """Write one record, as one write wherever that keeps it whole.

    A regular file takes a record of any length in one piece. A pipe, a socket or a
    terminal only promises that for PIPE_BUF bytes (POSIX, write()); a longer record is
    written in several pieces cut at line ends, so that no line is torn, though lines of
    other processes may then stand between them.

    Raises:
        OSError: the data, or the rest of it, could not be written.
    """
    if len(data) <= select.PIPE_BUF or stat.S_ISREG(os.fstat(descriptor).st_mode):
        _write(descriptor, data)
    else:
        for piece in cut_at_line_ends(data, select.PIPE_BUF):
            _write(descriptor, piece)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            # Somebody who shares the terminal or pipe made it non-blocking.
            waiter = select.poll()
            waiter.register(descriptor, select.POLLOUT)
            if not waiter.poll(PATIENCE_MS):
                raise


class Appender(logging.Handler):
    """A handler that hands every record to `append()` and survives its failures."""

    def __init__(self, layout: Layout, reporter: Reporter, target: str) -> None:
        super().__init__()
        self.layout = layout
        self._reporter = reporter
        self._target = target  # for messages
        self._faulty = False  # and somebody has been told
        self._lost = 0  # records since then

    def append(self, record: logging.LogRecord, data: bytes) -> None:
        raise NotImplementedError

    @property
    def locates(self) -> bool:
        """Does it show where in the program a record was made?"""
        return self.layout.locates

    def lay_out(self, record: logging.LogRecord) -> bytes:
        """What a record looks like."""
        lines = record.msg
        if not isinstance(lines, Lines) or self.layout.each_line:
            return encode(self.layout.format(record))
        texts = []
        for record.msg in lines.messages:
            texts.append(self.layout.format(record))
        record.msg = lines  # for the next handler
        return encode("".join(texts))

    def emit(self, record: logging.LogRecord) -> None:
        data = self.lay_out(record)
        try:
            self.append(record, data)
        except OSError as error:
            if not self._faulty:
                self._faulty = True
                self._reporter.error(
                    f"Cannot write to {self._target}: {error.strerror}"
                )
            self._lost += 1
        else:
            if self._faulty:
                self._faulty = False
                self._reporter.error(f"Records lost for {self._target}: {self._lost}")
                self._lost = 0


class ConsoleAppender(Appender):
    """Writes to stdout or stderr, or to any descriptor that somebody else owns."""

    def __init__(self, layout: Layout, reporter: Reporter, descriptor: int) -> None:
        names = {STDOUT: "stdout", STDERR: "stderr"}
        super().__init__(layout, reporter, names.get(descriptor, str(descriptor)))
        self.descriptor = descriptor

    def append(self, record: logging.LogRecord, data: bytes) -> None:
        write_all(self.descriptor, data)


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file to write records to."""

    path: str
    append: bool = True  # False empties it when it is opened for the first time
    reopen_delay_s: float = 1.0


class FileAppender(Appender):
    """Appends to a file; O_APPEND keeps the records of several processes apart.

    The descriptor is opened at once, so that workers inherit it. When that fails, it is
    tried again with a record that comes at least `reopen_delay_s` after the last try.
    """

    def __init__(self, layout: Layout, reporter: Reporter, file: LogFile) -> None:
        super().__init__(layout, reporter, file.path)
        self._path = file.path
        self._descriptor = -1
        self._closed = False
        self._reopen_delay_s = file.reopen_delay_s
        self._retry_at = 0.0  # on the monotonic clock
        try:
            # A later change of the working directory must not move the log.
            self._path = os.path.join(os.getcwd(), file.path)
            self._descriptor = self._open(0 if file.append else os.O_TRUNC)
        except OSError:
            self._faulty = True
            reporter.error(f"Unable to open file: {file.path}")
            self._retry_at = time.monotonic() + file.reopen_delay_s

    def _open(self, flags: int = 0) -> int:
        flags |= os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.open(self._path, flags, 0o666)

    def append(self, record: logging.LogRecord, data: bytes) -> None:
        if self._closed:
            return
        if self._descriptor < 0:
            now = time.monotonic()
            if now < self._retry_at:
                raise OSError(errno.EBADF, "file is not open")
            self._retry_at = now + self._reopen_delay_s
            self._descriptor = self._open()
        self.write(record, data)

    def write(self, record: logging.LogRecord, data: bytes) -> None:
        """Write to the open file."""
        write_all(self._descriptor, data)

    def close(self) -> None:
        self.acquire()
        try:
            self._closed = True
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        finally:
            self.release()
        super().close()


class _Rotating(FileAppender):
    """What both kinds of rotation share: a file that other processes rename as well.

    Nobody waits for anybody. A record goes to the descriptor at hand, whatever the file
    is called by now; only if the file has lost its last name meanwhile, and the record
    with it, is it written again to the current file. To rename takes a lock on the very
    file that is to be renamed, so that a process that comes second finds that the name
    means another file already; if the lock is taken, somebody is just renaming, and the
    next record may try again. Record locks end with their process.
    """

    def _put(self, data: bytes) -> os.stat_result:
        """Write; returns the status of the file that now holds the data."""
        write_all(self._descriptor, data)
        status = os.fstat(self._descriptor)
        if not status.st_nlink:
            self._reopen()
            write_all(self._descriptor, data)
            status = os.fstat(self._descriptor)
        return status

    def _lock(self) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, fcntl(2)
            return False
        return True

    def _unlock(self) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _is_current(self) -> bool:
        """Whether the file's name still means the file that is open."""
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._descriptor))

    def _reopen(self) -> None:
        """Go on with the file that has the name now; ends the lock."""
        descriptor = self._open()
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _rename(self, source: str, target: str) -> bool:
        """Rename; False if that failed. A source that does not exist is no failure."""
        try:
            os.rename(source, target)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._reporter.error(
                f"Failed to rename file from {source} to {target}; error {error.errno}"
            )
            return False
        return True

    def _put_aside(self, path: str, backups: int) -> bool:
        """Rename PATH to PATH.1, that to PATH.2, ...; PATH.`backups` is dropped."""
        with suppress(OSError):
            os.unlink(f"{path}.{backups}")
        directory, name = os.path.split(path)
        backup = re.compile(rf"{re.escape(name)}\.([1-9][0-9]{{0,8}})")
        found = [backup.fullmatch(entry) for entry in os.listdir(directory)]
        for number in sorted((int(match[1]) for match in found if match), reverse=True):
            if number < backups:
                self._rename(f"{path}.{number}", f"{path}.{number + 1}")
        return self._rename(path, f"{path}.1")


class RollingFileAppender(_Rotating):
    """Starts a new file when the current one has grown beyond `max_size_bytes`."""

    def __init__(
        self,
        layout: Layout,
        reporter: Reporter,
        file: LogFile,
        *,
        max_size_bytes: int,
        max_backup_index: int,
    ) -> None:
        self._max_size = max_size_bytes
        self._limit = max_size_bytes  # higher after a failure
        self._max_backup_index = max_backup_index
        super().__init__(layout, reporter, file)

    def write(self, record: logging.LogRecord, data: bytes) -> None:
        size = self._put(data).st_size
        if size <= self._limit:
            return
        # The record is written; what goes wrong from here on does not lose it.
        try:
            rolled = self._roll()
        except OSError as error:
            self._reporter.error(f"Cannot roll {self._target}: {error.strerror}")
            rolled = False
        self._limit = self._max_size if rolled else size + self._max_size

    def _roll(self) -> bool:
        if not self._lock():
            return True  # by another process, just now
        # Differs: the original truncates a file that it could not rename.
        if self._is_current() and not self._put_aside(
            self._path, self._max_backup_index
        ):
            self._unlock()
            return False
        self._reopen()
        return True


@dataclass(frozen=True, slots=True)
class Period:
    """One stretch of a schedule."""

    suffix: str  # of the file that holds its records, once it is over
    end: float  # seconds since the epoch; the first moment of the next one


def period_at(schedule: str, when: float) -> Period:
    """The period of a schedule that a moment lies in, local time.

    Args:
        schedule: a key of SCHEDULES.
        when: seconds since the epoch.

    Source:
        Suffixes by running dcmrecv 3.6.7.
    """
    # Differs: the original aligns only the first period; a later one begins with the
    # first record after the one before, so periods drift, each process on its own.
    now = time.localtime(when)
    year, month, day, hour, minute, second = now[:6]
    first, last = (month, day, 0), (month, day + 1, 0)
    if schedule == "MONTHLY":
        first, last = (month, 1, 0), (month + 1, 1, 0)
    elif schedule == "WEEKLY":
        sunday = day - (now.tm_wday + 1) % 7
        first, last = (month, sunday, 0), (month, sunday + 7, 0)
    elif schedule == "TWICE_DAILY":
        half = hour - hour % 12
        first, last = (month, day, half), (month, day, half + 12)
    start = time.mktime((year, *first, 0, 0, 0, 0, -1))
    end = time.mktime((year, *last, 0, 0, 0, 0, -1))
    # Shorter ones without mktime: an hour that a change of the clock repeats is two.
    if schedule == "HOURLY":
        start = int(when) - minute * 60 - second
        end = start + 3600.0
    elif schedule == "MINUTELY":
        start = int(when) - second
        end = start + 60.0
    suffix = time.strftime(SCHEDULES[schedule], time.localtime(start))
    while end <= when:  # of a midnight that is skipped mktime may make anything
        end += 3600.0
    return Period(suffix, end)


# Differs: the original also renames the file when it ends by itself. It does that only
# when it could not start.
class DailyRollingFileAppender(_Rotating):
    """Starts a new file with each period of a schedule.

    Args:
        now: seconds since the epoch; what is in the file counts to the period of then.
    """

    def __init__(
        self,
        layout: Layout,
        reporter: Reporter,
        file: LogFile,
        *,
        schedule: str,
        max_backup_index: int,
        now: float,
    ) -> None:
        self._schedule = schedule
        self._max_backup_index = max_backup_index
        self._period = period_at(schedule, now)
        super().__init__(layout, reporter, file)

    def write(self, record: logging.LogRecord, data: bytes) -> None:
        if record.created >= self._period.end:
            try:
                self._roll(record.created)
            except OSError as error:
                self._reporter.error(f"Cannot roll {self._target}: {error.strerror}")
                self._period = period_at(self._schedule, record.created)
        self._put(data)

    def _roll(self, now: float) -> None:
        while now >= self._period.end and self._lock():
            if self._is_current():
                target = f"{self._path}.{self._period.suffix}"
                self._put_aside(target, self._max_backup_index)
                renamed = self._rename(self._path, target)
                self._period = period_at(self._schedule, now)
                if not renamed:
                    self._unlock()
                    return
                self._reopen()
            else:
                # Another process renamed it, perhaps several periods ago.
                self._reopen()
                status = os.fstat(self._descriptor)
                begun = status.st_mtime if status.st_size else now
                self._period = period_at(self._schedule, min(begun, now))


class SysLog(Protocol):
    """A way to a system logger."""

    def send(self, priority: int, record: logging.LogRecord, data: bytes) -> None: ...

    def close(self) -> None: ...


class SysLogAppender(Appender):
    """Hands records to a system logger; closes the way to it in the end.

    Args:
        facility: one of syslog.LOG_USER, ....
    """

    def __init__(
        self, layout: Layout, reporter: Reporter, log: SysLog, *, facility: int
    ) -> None:
        super().__init__(layout, reporter, "syslog")
        self._log = log
        self._facility = facility

    def emit(self, record: logging.LogRecord) -> None:
        lines = record.msg
        if not isinstance(lines, Lines):
            super().emit(record)
            return
        # The system logger takes one message at a time.
        for record.msg in lines.messages:
            super().emit(record)
        record.msg = lines

    def append(self, record: logging.LogRecord, data: bytes) -> None:
        self._log.send(self._facility | severity_of(record.levelno), record, data)

    def close(self) -> None:
        self._log.close()
        super().close()


def severity_of(level: int) -> int:
    """The syslog severity of a level; RFC 5424 Table 2, matched as DCMTK does."""
    for limit, severity in (
        (logging.INFO, syslog.LOG_DEBUG),
        (logging.WARNING, syslog.LOG_INFO),
        (logging.ERROR, syslog.LOG_WARNING),
        (logging.CRITICAL, syslog.LOG_ERR),
    ):
        if level < limit:
            return severity
    return syslog.LOG_CRIT


class LocalSysLog:
    """Sends to the system logger of this machine."""

    def __init__(self, ident: str) -> None:
        syslog.openlog(ident, 0, syslog.LOG_USER)

    def send(self, priority: int, record: logging.LogRecord, data: bytes) -> None:
        # It takes no NUL, and nothing that is no text.
        syslog.syslog(priority, data.decode("utf-8", "replace").replace("\0", ""))

    def close(self) -> None:
        syslog.closelog()


class RemoteSysLog:
    """Sends to the system logger of another host, one datagram a record.

    Attributes:
        hostname: what this machine calls itself.

    Source:
        RFC 5424 section 6, RFC 5426; field by field as dcmrecv 3.6.7 sends it.
    """

    def __init__(self, reporter: Reporter, host: str, port: int, ident: str) -> None:
        self._reporter = reporter
        self._address = (host, port)
        self._ident = ident
        self.hostname = full_hostname()
        self._time = TimeFormat("%Y-%m-%dT%H:%M:%S.%qZ", utc=True)
        self._socket: socket.socket | None = None
        self._retry_at = 0.0  # on the monotonic clock
        with suppress(OSError, UnicodeError):
            self._connect()

    def send(self, priority: int, record: logging.LogRecord, data: bytes) -> None:
        head = (
            f"<{priority}>1 {self._time.text(record.created)} {self.hostname}"
            f" {self._ident} {os.getpid()} {logger_name(record)} - "
        )
        try:
            self._connect().send(encode(head) + data)
        except (OSError, UnicodeError):  # UnicodeError: not even the form of a name
            self._reporter.warn("SysLogAppender::appendRemote- socket write failed")
            self.close()

    def _connect(self) -> socket.socket:
        if self._socket is None:
            now = time.monotonic()
            if now < self._retry_at:
                raise OSError(errno.EHOSTUNREACH, "host not found")
            try:
                found = socket.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)
            except (OSError, UnicodeError):
                # Looking up a name can take seconds; not with every record.
                self._retry_at = now + RECONNECT_DELAY_S
                raise
            family, kind, protocol, _, address = found[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.connect(address)
        return self._socket

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
