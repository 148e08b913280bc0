"""The logger configuration file: log4cplus properties -> appenders.

Owns the syntax of the file, its variables, and the keys of every appender, layout and
filter. Never installs anything in the logging module.

A mistake in the file is reported on stderr in log4cplus's words and costs what it is
about, an appender or a layout, as in the original. A key that nobody knows is ignored;
so is `logToStderr`, as DCMTK's own logger.cfg spells `logToStdErr`.
"""

import logging
import re
import syslog
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from dcmrecv.config.logappenders import (
    SCHEDULES,
    STDERR,
    STDOUT,
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
)
from dcmrecv.config.loglines import (
    LEVELS,
    PatternLayout,
    SimpleLayout,
    TTCCLayout,
    message_of,
)
from dcmrecv.errors import ConfigurationError

APPLICATION_NAME = "dcmrecv"

DEFAULT_MAX_SIZE = 10 * 1024 * 1024  # bytes; RollingFileAppender
LEAST_MAX_SIZE = 200 * 1024

SYSLOG_PORT = 514

MAX_EXPANSIONS = 1_000  # variables in one value, those in their values included
MAX_EXPANDED = 65_536  # characters

_SPACE = " \t\n\v\f\r"


class Properties(dict[str, str]):
    """Keys and values of a properties file, with the original's reading of values."""

    def subset(self, prefix: str) -> "Properties":
        """What begins with the prefix, without it, in the order of the keys."""
        return Properties(
            (key[len(prefix) :], self[key])
            for key in sorted(self)
            if key.startswith(prefix)
        )

    def boolean(self, key: str, default: bool) -> bool:
        """`true`, `false` or a number; anything else leaves the default."""
        value = self.get(key, "").strip(_SPACE).lower()
        if value in ("true", "false"):
            return value == "true"
        return self.integer(key, int(default)) != 0

    def integer(self, key: str, default: int) -> int:
        """A decimal number of 32 bits; anything else leaves the default."""
        match = re.fullmatch(r"\s*([+-]?[0-9]{1,10})\s*", self.get(key, ""), re.ASCII)
        number = int(match[1]) if match else default
        return number if -(2**31) <= number < 2**31 else default

    def level(self, key: str) -> int:
        """A level; NOTSET for anything else."""
        return LEVELS.get(self.get(key, "").upper(), logging.NOTSET)


def parse_properties(text: str) -> Properties:
    """Read `key = value` lines.

    A line that begins with `#` is a comment, one without `=` is ignored; the last of
    several equal keys counts. Nothing continues on the next line.

    Source:
        Spec section 2.4 and dcmrecv 3.6.7: a line with `!` is no comment.
    """
    properties = Properties()
    for line in text.split("\n"):
        line = line.lstrip(_SPACE).partition("\0")[0]
        if line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if equals:
            properties[key.rstrip(_SPACE)] = value.strip(_SPACE)
    return properties


def expand_variables(
    properties: Properties, environment: Mapping[str, str], reporter: Reporter
) -> Properties:
    """Replace `${name}` in keys and values, again and again while something changes.

    A name is looked for among the properties, then in the environment. What is found in
    neither, or is empty, stays as it is.

    Raises:
        ConfigurationError: a variable is its own value, or grows without end. (The
            original never returns.)
    """
    expanded = Properties(properties)

    def look_up(name: str) -> str:
        return expanded.get(name) or environment.get(name, "")

    for _ in range(MAX_EXPANSIONS):
        changed = False
        for key in sorted(expanded):
            value = expanded[key]
            new_key = _expand(key, look_up, reporter)
            if new_key != key:
                del expanded[key]
                expanded[new_key] = value
                changed = True
            new_value = _expand(value, look_up, reporter)
            if new_value != value:
                expanded[new_key] = new_value
                changed = True
        if not changed:
            return expanded
    raise ConfigurationError("Specified --log-config file contains endless variables")


def _expand(text: str, look_up: Callable[[str], str], reporter: Reporter) -> str:
    expanded = text
    position = 0
    for _ in range(MAX_EXPANSIONS):
        start = expanded.find("${", position)
        if start < 0:
            return expanded
        end = expanded.find("}", start)
        if end < 0:
            reporter.error(
                f'"{expanded}" has no closing brace. Opening brace at position {start}.'
            )
            return text
        value = look_up(expanded[start + 2 : end])
        if value:
            expanded = expanded[:start] + value + expanded[end + 1 :]
            position = start
        else:
            position = end + 1
        if len(expanded) > MAX_EXPANDED:
            break
    raise ConfigurationError(
        f"Specified --log-config file contains the endless variable '{text[:64]}'"
    )


def make_appender(
    properties: Properties, kind: str, reporter: Reporter
) -> logging.Handler | None:
    """Make the handler for one appender.

    Args:
        properties: the keys below the appender's own.
        kind: the class, such as `log4cplus::FileAppender`.

    Returns:
        None if the class is not known, which has been reported.
    """
    build = _APPENDERS.get(kind)
    if build is None:
        reporter.error(
            "PropertyConfigurator::configureAppenders()-"
            f" Cannot find AppenderFactory: {kind}"
        )
        return None
    layout = _make_layout(properties, reporter)
    filters = _make_filters(properties.subset("filters."), reporter) if layout else []
    handler = build(properties, layout or SimpleLayout(), reporter)
    # As in the original a bad layout costs the threshold and the filters as well.
    if layout:
        handler.setLevel(properties.level("Threshold"))
    if filters:
        handler.addFilter(_chain(filters))
    return handler


def _make_layout(properties: Properties, reporter: Reporter) -> Layout | None:
    kind = properties.get("layout", "log4cplus::SimpleLayout")
    build = _LAYOUTS.get(kind)
    if build is None:
        reporter.error(f'Cannot find LayoutFactory: "{kind}"')
        return None
    return build(properties.subset("layout."), reporter)


def _make_ttcc_layout(properties: Properties, reporter: Reporter) -> Layout:
    return TTCCLayout(
        properties.get("DateFormat", ""), utc=properties.boolean("Use_gmtime", False)
    )


def _make_pattern_layout(properties: Properties, reporter: Reporter) -> Layout | None:
    if "Pattern" in properties:
        reporter.warn(
            'PatternLayout- the "Pattern" property has been deprecated.'
            '  Use "ConversionPattern" instead.'
        )
    pattern = properties.get("ConversionPattern", properties.get("Pattern"))
    if pattern is None:
        trouble = "ConversionPattern not specified in properties"
        reporter.error(trouble)
        reporter.error(f"Error while creating Layout: {trouble}")
        return None
    if not pattern:
        reporter.warn("PatternLayout pattern is empty.  Using default...")
        pattern = "%m"
    return PatternLayout(
        pattern,
        reporter.error,
        each_line=properties.boolean("FormatEachLine", True),
    )


# What a filter says about a record: True accepts, False denies, None has no opinion.
Filter = Callable[[logging.LogRecord], bool | None]


def _make_filters(properties: Properties, reporter: Reporter) -> list[Filter]:
    filters = []
    number = 1
    while (kind := properties.get(str(number))) is not None:
        build = _FILTERS.get(kind)
        if build is None:
            reporter.error(f"Appender::ctor()- Cannot find FilterFactory: {kind}")
        else:
            filters.append(build(properties.subset(f"{number}.")))
        number += 1
    return filters


def _chain(filters: Iterable[Filter]) -> Callable[[logging.LogRecord], bool]:
    def decide(record: logging.LogRecord) -> bool:
        for ask in filters:
            answer = ask(record)
            if answer is not None:
                return answer
        return True

    return decide


def _make_range_filter(properties: Properties) -> Filter:
    low = properties.level("LogLevelMin")
    high = properties.level("LogLevelMax")
    inside = True if properties.boolean("AcceptOnMatch", False) else None

    def decide(record: logging.LogRecord) -> bool | None:
        if record.levelno < low or (high != logging.NOTSET and record.levelno > high):
            return False
        return inside

    return decide


def _make_match_filter(properties: Properties) -> Filter:
    level = properties.level("LogLevelToMatch")
    accept = properties.boolean("AcceptOnMatch", False)
    return lambda record: accept if record.levelno == level else None


def _make_string_filter(properties: Properties) -> Filter:
    text = properties.get("StringToMatch", "")
    accept = properties.boolean("AcceptOnMatch", False)
    return lambda record: accept if text and text in message_of(record) else None


def _make_console(
    properties: Properties, layout: Layout, reporter: Reporter
) -> logging.Handler:
    # Differs: without ImmediateFlush the original keeps lines back, and loses them when
    # a signal ends it. Here a line is never kept back.
    to_stderr = properties.boolean("logToStdErr", False)
    return ConsoleAppender(layout, reporter, STDERR if to_stderr else STDOUT)


def _make_file(
    properties: Properties, layout: Layout, reporter: Reporter
) -> logging.Handler:
    file = _log_file(properties, append=False)
    if not file.path:
        return _no_file(reporter)
    return FileAppender(layout, reporter, file)


def _make_rolling_file(
    properties: Properties, layout: Layout, reporter: Reporter
) -> logging.Handler:
    file = _log_file(properties, append=True)
    if not file.path:
        return _no_file(reporter)
    return RollingFileAppender(
        layout,
        reporter,
        file,
        max_size_bytes=parse_size(properties.get("MaxFileSize", "")),
        max_backup_index=max(properties.integer("MaxBackupIndex", 1), 1),
    )


def _make_daily_rolling_file(
    properties: Properties, layout: Layout, reporter: Reporter
) -> logging.Handler:
    file = _log_file(properties, append=True)
    if not file.path:
        reporter.error("Invalid filename")
    schedule = properties.get("Schedule", "").upper()
    if schedule not in SCHEDULES:
        reporter.warn(
            'DailyRollingFileAppender::ctor()- "Schedule" not valid:'
            f" {properties.get('Schedule', '')}"
        )
        schedule = "DAILY"
    if not file.path:
        return logging.NullHandler()
    return DailyRollingFileAppender(
        layout,
        reporter,
        file,
        schedule=schedule,
        max_backup_index=max(properties.integer("MaxBackupIndex", 10), 0),
        now=time.time(),
    )


def _log_file(properties: Properties, *, append: bool) -> LogFile:
    return LogFile(
        path=properties.get("File", ""),
        append=properties.boolean("Append", append),
        reopen_delay_s=max(properties.integer("ReopenDelay", 1), 0),
    )


def _no_file(reporter: Reporter) -> logging.Handler:
    reporter.error("Invalid filename")
    return logging.NullHandler()


def parse_size(text: str) -> int:
    """A size in bytes from `500KB`, `5MB` or a plain number; 200 KiB at least."""
    if not text:
        return DEFAULT_MAX_SIZE
    match = re.match(r"\s*([+-]?[0-9]{1,10})", text, re.ASCII)
    size = int(match[1]) if match else 0
    if len(text) > 2:
        size *= {"MB": 1024 * 1024, "KB": 1024}.get(text[-2:].upper(), 1)
    return max(size, LEAST_MAX_SIZE)


def _make_syslog(
    properties: Properties, layout: Layout, reporter: Reporter
) -> logging.Handler:
    facility = _facility(properties.get("facility", "").lower(), reporter)
    ident = properties.get("ident", "")
    host = properties.get("host", "")
    if host:
        port = properties.integer("port", SYSLOG_PORT) & 0xFFFF
        remote = RemoteSysLog(reporter, host, port, ident)
        return SysLogAppender(layout, reporter, remote, facility=facility)
    local = LocalSysLog(ident or APPLICATION_NAME)
    return SysLogAppender(layout, reporter, local, facility=facility)


def _facility(name: str, reporter: Reporter) -> int:
    if name and name not in _FACILITIES:
        reporter.error(f"Unknown syslog facility: {name}")
    return _FACILITIES.get(name, syslog.LOG_USER)


def _make_null(
    properties: Properties, layout: Layout, reporter: Reporter
) -> logging.Handler:
    return logging.NullHandler()


_APPENDERS: Mapping[str, Callable[[Properties, Layout, Reporter], logging.Handler]] = (
    MappingProxyType(
        {
            "log4cplus::ConsoleAppender": _make_console,
            "log4cplus::FileAppender": _make_file,
            "log4cplus::RollingFileAppender": _make_rolling_file,
            "log4cplus::DailyRollingFileAppender": _make_daily_rolling_file,
            "log4cplus::NullAppender": _make_null,
            "log4cplus::SysLogAppender": _make_syslog,
        }
    )
)
_LAYOUTS: Mapping[str, Callable[[Properties, Reporter], Layout | None]] = (
    MappingProxyType(
        {
            "log4cplus::SimpleLayout": lambda properties, reporter: SimpleLayout(),
            "log4cplus::TTCCLayout": _make_ttcc_layout,
            "log4cplus::PatternLayout": _make_pattern_layout,
        }
    )
)
_FILTERS: Mapping[str, Callable[[Properties], Filter]] = MappingProxyType(
    {
        "log4cplus::spi::DenyAllFilter": lambda properties: lambda record: False,
        "log4cplus::spi::LogLevelRangeFilter": _make_range_filter,
        "log4cplus::spi::LogLevelMatchFilter": _make_match_filter,
        "log4cplus::spi::StringMatchFilter": _make_string_filter,
    }
)
_FACILITIES: Mapping[str, int] = MappingProxyType(
    {
        "auth": syslog.LOG_AUTH,
        "authpriv": 10 << 3,  # Python 3.11 has no name for these two
        "cron": syslog.LOG_CRON,
        "daemon": syslog.LOG_DAEMON,
        "ftp": 11 << 3,
        "kern": syslog.LOG_KERN,
        **{f"local{n}": syslog.LOG_LOCAL0 + (n << 3) for n in range(8)},
        "lpr": syslog.LOG_LPR,
        "mail": syslog.LOG_MAIL,
        "news": syslog.LOG_NEWS,
        "syslog": syslog.LOG_SYSLOG,
        "user": syslog.LOG_USER,
        "uucp": syslog.LOG_UUCP,
    }
)
