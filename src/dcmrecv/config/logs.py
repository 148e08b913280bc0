"""The set-up of the `logging` module: DCMTK's loggers, levels and default line format.

Owns which handler hangs on which logger. Never decides what is logged. Only the logger
`dcmtk` and those below it are touched, and of their handlers only those made here. It
stands for log4cplus's root logger too; its records do not reach Python's root logger.
Python's own switches (`logging.logThreads` and so on) stay as they are: they would save
a tenth of what an INFO record takes, and belong to everybody in the process.
"""

import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from dcmrecv.config.logappenders import STDERR, Appender, ConsoleAppender, Reporter
from dcmrecv.config.logfile import (
    APPLICATION_NAME,
    Properties,
    expand_variables,
    make_appender,
    parse_properties,
)
from dcmrecv.config.loglines import (
    LEVELS,
    ROOT_LOGGER,
    TRACE,
    PatternLayout,
    logger_name,
)
from dcmrecv.config.settings import LogSettings
from dcmrecv.errors import ConfigurationError

__all__ = [
    "APPLICATION_LOGGER",
    "DATA_LOGGER",
    "NETWORK_LOGGER",
    "ROOT_LOGGER",
    "TLS_LOGGER",
    "TRACE",
    "configure",
    "shortcut",
]

APPLICATION_LOGGER = "dcmtk.apps.dcmrecv"
NETWORK_LOGGER = "dcmtk.dcmnet"
DATA_LOGGER = "dcmtk.dcmdata"
TLS_LOGGER = "dcmtk.dcmtls"

DEFAULT_PATTERN = "%P: %m%n"

_PREFIX = "log4cplus."
_SOURCE_FILE = logging._srcfile


@dataclass(slots=True)
class _Node:
    """What is set on one logger."""

    level: int = logging.NOTSET  # inherited
    handlers: list[logging.Handler] = field(default_factory=list)
    additive: bool = True


@dataclass(frozen=True, slots=True)
class _Plan:
    """A whole configuration; the nodes by the names of Python's loggers."""

    nodes: dict[str, _Node]
    handlers: list[logging.Handler]


class _NoAppenderHandler(logging.Handler):
    """Stands where a record ends its way without having met any appender.

    Says so once, for the first such record.
    """

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._told or self._met_an_appender(record):
            return
        self._told = True
        name = logger_name(record)
        self._reporter.error(f"No appenders could be found for logger ({name}).")
        self._reporter.error("Please initialize the log4cplus system properly.")

    def _met_an_appender(self, record: logging.LogRecord) -> bool:
        return any(handler is not self for handler in _handlers_of(record.name))


def _handlers_of(name: str) -> Iterator[logging.Handler]:
    """Which handlers a record of this logger meets."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def shortcut(name: str, level: int, message: object) -> tuple[int, bytes] | None:
    """How else than with the `logging` module a message could be written.

    Args:
        name: of a logger that is enabled for the level.
        level: of the message.
        message: text, or Lines.

    Returns:
        The one descriptor that all of it would go to, and the bytes, which depend on
        the message alone; None when there is no such descriptor, when they do not, or
        when a filter decides.
    """
    met = [handler for handler in _handlers_of(name) if level >= handler.level]
    appender = met[0] if len(met) == 1 else None
    if (
        not isinstance(appender, ConsoleAppender)
        or not appender.layout.is_plain
        or appender.filters
    ):
        return None
    record = logging.LogRecord(name, level, "", 0, message, (), None)
    return appender.descriptor, appender.lay_out(record)


class _Installation:
    """The plan in force; one in a process, as there is one `logging`."""

    def __init__(self) -> None:
        self._plan = _Plan({}, [])

    def install(self, plan: _Plan) -> None:
        """Put a plan in force and close the handlers of the one before."""
        before, self._plan = self._plan, plan
        for name in before.nodes.keys() | plan.nodes.keys():
            logger = logging.getLogger(name)
            node = plan.nodes.get(name, _Node())
            others = [h for h in logger.handlers if h not in before.handlers]
            # addHandler() would drop an appender named by both `dcmtk` and the root.
            logger.handlers[:] = others + node.handlers
            logger.propagate = node.additive
            logger.setLevel(node.level)
        for handler in before.handlers:
            handler.close()
        _find_out_no_more_than(plan)


def _find_out_no_more_than(plan: _Plan) -> None:
    """Let `logging` only look for what an appender of the plan shows.

    Source:
        Python's Logging HOWTO, section "Optimization".
    """
    logging.logThreads = False
    logging.logProcesses = False
    logging.logMultiprocessing = False
    located = any(
        isinstance(handler, Appender) and handler.locates for handler in plan.handlers
    )
    logging._srcfile = _SOURCE_FILE if located else None


_installation = _Installation()


def configure(settings: LogSettings) -> None:
    """Set up logging as the operator asked for, in place of what was set up before.

    Workers inherit it when they are forked. Afterwards every logger below `dcmtk`
    answers `isEnabledFor()` from Python's own cache.

    Raises:
        ConfigurationError: the level is unknown or the logger configuration file cannot
            be used. What was set up before then stays in force.

    Source:
        Spec sections 1.3 and 2.
    """
    _occupy_standard_descriptors()
    if settings.config_file is None:
        plan = _default_plan(settings.level)
    else:
        plan = _plan_of_file(_read(settings.config_file))
    _installation.install(plan)


def _occupy_standard_descriptors() -> None:
    """See to it that 0, 1 and 2 are open.

    Otherwise a socket or a received object's file could become number 2, and log lines
    would be written into it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is taken, which is this one.
            os.open(os.devnull, os.O_RDWR)


def _default_plan(level: str) -> _Plan:
    number = LEVELS.get(level.upper())
    if number is None:
        raise ConfigurationError("Invalid log level for --log-level option")
    reporter = Reporter()
    reporter.quiet = number > logging.ERROR
    handler = _default_handler(reporter)
    return _Plan({ROOT_LOGGER: _Node(number, [handler], additive=False)}, [handler])


def _default_handler(reporter: Reporter) -> logging.Handler:
    return ConsoleAppender(
        PatternLayout(DEFAULT_PATTERN, reporter.error), reporter, STDERR
    )


def _read(file: str) -> Properties:
    if not os.path.exists(file) or os.path.isdir(file):
        raise ConfigurationError("Specified --log-config file does not exist")
    try:
        with open(file, encoding="utf-8", errors="surrogateescape", newline="") as text:
            properties = parse_properties(text.read())
    except OSError as error:
        raise ConfigurationError(
            "Specified --log-config file cannot be read"
        ) from error
    if not properties:
        fault = "does not contain any settings"
    elif not properties.subset(_PREFIX):
        fault = "does not contain any valid settings"
    elif _PREFIX + "rootLogger" not in properties:
        fault = "does not set up log4cplus.rootLogger"
    else:
        return properties
    raise ConfigurationError(f"Specified --log-config file {fault}")


def _plan_of_file(properties: Properties) -> _Plan:
    now = time.localtime()
    reporter = Reporter()
    properties = Properties(properties)
    properties.update(
        appname=APPLICATION_NAME,
        hostname=socket.gethostname(),
        pid=str(os.getpid()),
        date=time.strftime("%Y%m%d", now),
        time=time.strftime("%H%M%S", now),
    )
    settings = expand_variables(properties, os.environ, reporter).subset(_PREFIX)
    reporter.quiet = settings.boolean("quietMode", False)
    lines = settings.subset("logger.")
    # "" is the root logger, here as in a line `log4cplus.logger. = ...`.
    lines = Properties({"": settings["rootLogger"], **lines})
    nodes = {name: _Node(_level(name, line)) for name, line in lines.items()}
    appenders = _make_appenders(settings.subset("appender."), reporter)
    no_appender = _NoAppenderHandler(reporter)
    handlers = [*appenders.values(), no_appender]
    for name, line in lines.items():
        nodes[name].handlers += _named_appenders(name, line, appenders, reporter)
    if not _words(lines[""]):
        # DCMTK's built-in set-up stays in force.
        handlers.append(_default_handler(reporter))
        nodes[""].handlers.append(handlers[-1])
    additivity = settings.subset("additivity.")
    for name in additivity:
        node = nodes.setdefault(name, _Node())
        node.additive = additivity.boolean(name, node.additive)
    reporter.quiet = nodes[""].level > logging.ERROR
    return _Plan(_onto_python(nodes, no_appender), handlers)


def _words(line: str) -> list[str]:
    """The level and the appenders of `LEVEL, appender, ...`."""
    words = re.split(",+", line.replace(" ", ""))
    return words if words[-1] else words[:-1]


def _level(name: str, line: str) -> int:
    words = _words(line)
    level = LEVELS.get(words[0].upper()) if words else None
    if name:
        # Whatever is no level inherits: INHERIT, as DCMTK's logger.cfg has it, and any
        # other word, as the original does.
        return logging.NOTSET if level is None else level
    if not words:
        return logging.INFO
    if level is None:
        # Differs: the original ends with SIGABRT.
        raise ConfigurationError(
            "Specified --log-config file sets log4cplus.rootLogger to the unknown level"
            f" '{words[0]}' (allowed: {', '.join(LEVELS)})"
        )
    return level


def _make_appenders(
    properties: Properties, reporter: Reporter
) -> dict[str, logging.Handler]:
    appenders = {}
    for name, kind in properties.items():
        if "." not in name:
            handler = make_appender(properties.subset(f"{name}."), kind, reporter)
            if handler is not None:
                appenders[name] = handler
    return appenders


def _named_appenders(
    name: str, line: str, appenders: dict[str, logging.Handler], reporter: Reporter
) -> list[logging.Handler]:
    words = _words(line)
    if not words:
        reporter.error(
            "PropertyConfigurator::configureLogger()- Invalid config string(Logger ="
            f' {name or "root"}): "{line}"'
        )
    found: list[logging.Handler] = []
    for word in words[1:]:
        handler = appenders.get(word)
        if handler is None:
            reporter.error(
                f"PropertyConfigurator::configureLogger()- Invalid appender: {word}"
            )
        elif handler not in found:
            found.append(handler)
    return found


def _onto_python(
    nodes: dict[str, _Node], no_appender: logging.Handler
) -> dict[str, _Node]:
    """Turn log4cplus's tree into the part of Python's below `dcmtk`."""
    root = nodes[""]
    top = nodes.get(ROOT_LOGGER, _Node())
    placed = {
        ROOT_LOGGER: _Node(
            top.level or root.level,
            top.handlers + (root.handlers if top.additive else []),
            additive=False,
        )
    }
    for name, node in nodes.items():
        if name.startswith(f"{ROOT_LOGGER}."):
            placed[name] = node
    for node in placed.values():
        if not node.additive and not node.handlers:
            node.handlers.append(no_appender)
    return placed
