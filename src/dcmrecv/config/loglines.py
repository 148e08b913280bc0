"""What a log record looks like: level names, the message, log4cplus's layouts.

Never reads a configuration and never writes anywhere.
"""

import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

TRACE = 5
OFF = logging.CRITICAL + 10  # no record is that severe
ALL = 1  # 0 would mean "inherited" to the logging module

LEVELS: Mapping[str, int] = MappingProxyType(
    {
        "OFF": OFF,
        "FATAL": logging.CRITICAL,
        "ERROR": logging.ERROR,
        "WARN": logging.WARNING,
        "INFO": logging.INFO,
        "DEBUG": logging.DEBUG,
        "TRACE": TRACE,
        "ALL": ALL,
    }
)

ROOT_LOGGER = "dcmtk"  # stands for log4cplus's root logger as well

_NAMES = {level: name for name, level in LEVELS.items() if name not in ("OFF", "ALL")}
_TRACEBACKS = logging.Formatter()

logging.addLevelName(TRACE, "TRACE")


def level_name(level: int) -> str:
    """The name of a level; of the next lower one for a level between two."""
    name = _NAMES.get(level)
    if name is None:
        name = _NAMES[max((low for low in _NAMES if low <= level), default=TRACE)]
    return name


def logger_name(record: logging.LogRecord) -> str:
    """The name of the record's logger as DCMTK shows it."""
    return "root" if record.name == ROOT_LOGGER else record.name


def message_of(record: logging.LogRecord) -> str:
    """The message of a record, then the traceback if it carries one.

    A call whose arguments do not fit its message is a bug, but one that must neither
    end an association nor lose the line: the raw parts are shown.
    """
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError) as error:
        text = f"{record.msg} {record.args!r} (arguments do not fit: {error})"
    if record.exc_info:
        text = f"{text}\n{_TRACEBACKS.formatException(record.exc_info)}"
    if record.stack_info:
        text = f"{text}\n{record.stack_info}"
    return text


class Lines:
    """Messages of one moment that are logged as one record, so with one write.

    Each of them looks as if it had been logged alone.
    """

    __slots__ = ("messages",)

    def __init__(self, *messages: str) -> None:
        self.messages = messages

    def __str__(self) -> str:
        return "\n".join(self.messages)


def encode(text: str) -> bytes:
    """UTF-8; bytes of file names that never were text come out as they went in."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


class TimeFormat:
    """strftime, with %q for milliseconds and %Q for milliseconds.microseconds.

    What strftime made is kept for the second it was made for.

    Source:
        Spec section 2.4; %s and a percent sign at the end by running dcmrecv 3.6.7.
    """

    def __init__(self, pattern: str, *, utc: bool) -> None:
        self._convert = time.gmtime if utc else time.localtime
        self._parts = [""]  # by turns: text for strftime; one of "q", "Q", "s"
        position = 0
        while position < len(pattern):
            character = pattern[position]
            item = pattern[position + 1 : position + 2]
            position += 1 if character != "%" else 2
            if character != "%":
                self._parts[-1] += character
            elif item in ("q", "Q", "s"):
                self._parts += [item, ""]
            elif item:
                self._parts[-1] += "%" + item
        self._second = -1
        self._texts: list[str] = []

    def text(self, created: float) -> str:
        """The text for a moment, in seconds since the epoch."""
        second = int(created)
        if second != self._second:
            moment = self._convert(second)
            self._texts = [time.strftime(part, moment) for part in self._parts[::2]]
            self._second = second
        if len(self._texts) == 1:
            return self._texts[0]
        fraction = min(round((created - second) * 1_000_000), 999_999)
        milliseconds, microseconds = divmod(fraction, 1_000)
        values = {
            "q": f"{milliseconds:03d}",
            "Q": f"{milliseconds:03d}.{microseconds:03d}",
            "s": str(second),
        }
        pieces = [self._texts[0]]
        for item, text in zip(self._parts[1::2], self._texts[1:], strict=True):
            pieces += [values[item], text]
        return "".join(pieces)


class SimpleLayout:
    """`INFO - message`. Only the first line of a message has the prefix."""

    locates = False
    each_line = False
    is_plain = True

    def format(self, record: logging.LogRecord) -> str:
        return f"{level_name(record.levelno)} - {message_of(record)}\n"


class TTCCLayout:
    """`29 [thread] INFO logger <> - message`.

    Args:
        date_format: as for TimeFormat; "" shows milliseconds since the program began.
        utc: whether the date is UTC, not local time.
    """

    locates = False
    each_line = False
    is_plain = False

    def __init__(self, date_format: str = "", *, utc: bool = False) -> None:
        self._time = TimeFormat(date_format, utc=utc) if date_format else None

    def format(self, record: logging.LogRecord) -> str:
        time_text = (
            self._time.text(record.created)
            if self._time is not None
            else str(int(record.relativeCreated))
        )
        return (
            f"{time_text} [{threading.get_native_id()}] {level_name(record.levelno)}"
            f" {logger_name(record)} <> - {message_of(record)}\n"
        )


Converter = Callable[[logging.LogRecord, str], str]  # the record; one line of it

_CONVERTERS: Mapping[str, Converter] = MappingProxyType(
    {
        "m": lambda record, line: line,
        "p": lambda record, line: level_name(record.levelno),
        "P": lambda record, line: level_name(record.levelno)[0],
        "r": lambda record, line: str(int(record.relativeCreated)),
        "i": lambda record, line: str(os.getpid()),
        "t": lambda record, line: str(threading.get_native_id()),
        "T": lambda record, line: str(threading.get_native_id()),
        "F": lambda record, line: record.pathname,
        "b": lambda record, line: record.filename,
        "L": lambda record, line: str(record.lineno),
        "l": lambda record, line: f"{record.pathname}:{record.lineno}",
        "M": lambda record, line: record.funcName or "",
    }
)
_MESSAGE = _CONVERTERS["m"]
_LEVEL_OR_MESSAGE = frozenset(_CONVERTERS[item] for item in "mpP")
_LOCATIONS = frozenset("FbLlM")
_WIDTH = re.compile(r"(-*)([0-9]*)(\.?)([0-9]*)")
_DEFAULT_DATE = "%Y-%m-%d %H:%M:%S"
_WIDEST = 65_535  # characters that an item can be padded to; the original has no bound


class PatternLayout:
    """A line made after a pattern such as `%D{%H:%M:%S} %5p: %m%n`.

    A message of several lines gives the whole pattern for each of them.

    Args:
        pattern: the log4cplus conversion pattern.
        complain: is told about mistakes in the pattern.
        each_line: False takes a message of several lines as a whole.

    Attributes:
        each_line: as given.
        is_plain: whether what stands around the message depends on the level alone.

    Source:
        Items: spec section 2.4. What becomes of mistakes: by running dcmrecv 3.6.7.
    """

    def __init__(
        self,
        pattern: str,
        complain: Callable[[str], None],
        *,
        each_line: bool = True,
    ) -> None:
        self._pattern = pattern
        self._complain = complain
        self.each_line = each_line
        self._position = 0
        self._items: set[str] = set()
        self._pieces: list[str | Converter] = []
        self._parse()
        self.is_plain = self._has_plain_pieces()
        self._frames: dict[int, tuple[str, str]] = {}

    @property
    def locates(self) -> bool:
        """Does it show where in the program a record was made?"""
        return not _LOCATIONS.isdisjoint(self._items)

    def format(self, record: logging.LogRecord) -> str:
        message = message_of(record)
        if self.is_plain:
            before, after = self._frame(record)
            if self.each_line:
                message = message.replace("\n", after + before)
            return before + message + after
        if self.each_line and "\n" in message:
            return "".join([self._line(record, line) for line in message.split("\n")])
        return self._line(record, message)

    def _has_plain_pieces(self) -> bool:
        """One message, and nothing else but the level and text."""
        converters = [piece for piece in self._pieces if not isinstance(piece, str)]
        return converters.count(_MESSAGE) == 1 and _LEVEL_OR_MESSAGE.issuperset(
            converters
        )

    def _frame(self, record: logging.LogRecord) -> tuple[str, str]:
        """What stands before and behind the message, at this level."""
        frame = self._frames.get(record.levelno)
        if frame is None:
            at = self._pieces.index(_MESSAGE)
            frame = self._frames[record.levelno] = (
                self._text(self._pieces[:at], record, ""),
                self._text(self._pieces[at + 1 :], record, ""),
            )
        return frame

    def _line(self, record: logging.LogRecord, line: str) -> str:
        return self._text(self._pieces, record, line)

    def _text(
        self, pieces: Iterable[str | Converter], record: logging.LogRecord, line: str
    ) -> str:
        return "".join(
            [
                piece if isinstance(piece, str) else piece(record, line)
                for piece in pieces
            ]
        )

    def _parse(self) -> None:
        pattern = self._pattern
        while self._position < len(pattern):
            start = self._position
            percent = pattern.find("%", start)
            # A percent sign at the very end is a plain character.
            if percent < 0 or percent == len(pattern) - 1:
                self._add(pattern[start:])
                return
            self._add(pattern[start:percent])
            if pattern[percent + 1] == "%":
                self._add("%")
                self._position = percent + 2
            else:
                self._parse_item(percent)

    def _add(self, piece: str | Converter) -> None:
        last = self._pieces[-1] if self._pieces else None
        if isinstance(piece, str) and isinstance(last, str):
            self._pieces[-1] = last + piece
        else:
            self._pieces.append(piece)

    def _parse_item(self, percent: int) -> None:
        """One item, from its percent sign on; moves the position behind it."""
        pattern = self._pattern
        width = _WIDTH.match(pattern, percent + 1)
        assert width is not None  # every part of it may be empty
        minus, low, dot, high = width.groups()
        end = width.end()
        self._position = end + 1
        item = pattern[end : end + 1]
        value: str | Converter | None = None
        if dot and not high and item:
            self._complain(
                f"Error occurred in position {end + 1}.\n"
                f' Was expecting digit, instead got char "{item}".'
            )
        elif item:
            value = self._item(item)
            if value is None:
                self._complain(
                    f"Unexpected char [{item}] at position {end + 1}"
                    " in conversion pattern."
                )
        if value is None:
            self._add(pattern[percent : end + 1])
        else:
            least = min(int(low[:9] or 0), _WIDEST)
            most = int(high[:9]) if high else sys.maxsize
            self._add(_fit(value, bool(minus), least, most))

    def _item(self, item: str) -> str | Converter | None:
        """What stands for an item: a constant, a function of the record, or None."""
        self._items.add(item)
        if item == "n":
            return "\n"
        if item in ("d", "D"):
            time_format = TimeFormat(self._option() or _DEFAULT_DATE, utc=item == "d")
            return lambda record, line: time_format.text(record.created)
        if item == "c":
            number = re.match(r"\s*([+-]?[0-9]{1,9})", self._option())
            return _logger_converter(int(number[1]) if number else 0)
        if item == "x":
            return ""  # DCMTK has no nested diagnostic context
        if item == "X":
            self._option()
            return ""
        if item == "h":
            return socket.gethostname()
        if item == "H":
            return full_hostname()
        return _CONVERTERS.get(item)

    def _option(self) -> str:
        """What stands in braces at the position; moves behind it."""
        pattern = self._pattern
        if pattern[self._position : self._position + 1] != "{":
            return ""
        end = pattern.find("}", self._position)
        if end < 0:
            self._complain(
                f"No matching '}}' found in conversion pattern string \"{pattern}\""
            )
            self._position = len(pattern)
            return ""
        option = pattern[self._position + 1 : end]
        self._position = end + 1
        return option


def _logger_converter(parts: int) -> Converter:
    """The logger's name, or the last `parts` of it if that is more than 0."""
    if parts <= 0:
        return lambda record, line: logger_name(record)
    return lambda record, line: ".".join(logger_name(record).split(".")[-parts:])


def _fit(value: str | Converter, left: bool, least: int, most: int) -> str | Converter:
    """Pad to `least` characters, or keep the last `most`."""

    def fit(text: str) -> str:
        if len(text) > most:
            return text[len(text) - most :]
        return text.ljust(least) if left else text.rjust(least)

    if isinstance(value, str):
        return fit(value)
    if not least and most == sys.maxsize:
        return value
    return lambda record, line: fit(value(record, line))


def full_hostname() -> str:
    """The name of this machine with its domain, as far as it can be looked up."""
    name = socket.gethostname()
    try:
        return socket.gethostbyname_ex(name)[0]
    except (OSError, UnicodeError):  # UnicodeError: not even the form of a name
        return name
