"""The grammar of the command line: arguments -> `Invocation` -> `Settings`.

Owns command files, what is an option and what a parameter, integers, and the order in
which mistakes are found. The options themselves stand in `option_table`. Never acts on
what it reads: command files are the only files it opens.

Source:
    spec sections 1.1 to 1.7 and 3.1, checked against runs of dcmrecv 3.6.7.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dcmrecv.config.option import Option
from dcmrecv.config.option_table import (
    DEPENDENCY_ORDER,
    EXCLUSIVE,
    LACKING,
    OPTIONS,
)
from dcmrecv.config.settings import (
    AccessSettings,
    CrlCheck,
    ListenAddress,
    LogSettings,
    NetworkSettings,
    PoolSettings,
    Settings,
    StorageSettings,
    TlsSettings,
)
from dcmrecv.errors import ConfigurationError

_BY_NAME = {
    name: option for option in OPTIONS for name in (option.long, option.short) if name
}
_BY_LONG_NAME = {option.long: option for option in OPTIONS}

_LOG_LEVELS = ("off", "fatal", "error", "warn", "info", "debug", "trace", "all")
_LEVEL_FLAGS = ("--quiet", "--verbose", "--debug")

# A closing quote ends the token; one that is missing is assumed at the end, unless the
# opening one is the last character.
_TOKEN = re.compile(
    r"""([^ \t\r\n"']*) (?: "([^"]*)"? | '([^']*)'? ) | [^ \t\r\n"']+""", re.VERBOSE
)
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_U64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An option as it stands on the command line, with the values that follow it."""

    option: Option
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command line without unknown options and missing values.

    Attributes:
        exclusive: the option that is all there is to do ("--help"), or "".
        occurrences: from left to right.
        port: the only parameter, not yet checked; "" with `exclusive`.
        arguments: what was typed; command files read, short names made long, and
            secrets hidden.
    """

    exclusive: str
    occurrences: tuple[Occurrence, ...]
    port: str
    arguments: tuple[str, ...]

    def position(self, long: str) -> int:
        """Where the rightmost occurrence of an option stands; -1 if there is none."""
        return max(
            (
                position
                for position, occurrence in enumerate(self.occurrences)
                if occurrence.option.long == long
            ),
            default=-1,
        )

    def given(self, long: str) -> bool:
        """Whether an option occurs at all."""
        return self.position(long) >= 0

    def values(self, long: str) -> tuple[str, ...]:
        """The values of the rightmost occurrence of an option that is given."""
        return self.occurrences[self.position(long)].values

    def effective(self, field: str) -> Option | None:
        """The rightmost option that sets `field`."""
        for occurrence in reversed(self.occurrences):
            if occurrence.option.field == field:
                return occurrence.option
        return None

    def in_effect(self, long: str) -> bool:
        """Whether an option is given and no other one to its right replaces it."""
        field = _BY_LONG_NAME[long].field
        if not field:
            return self.given(long)
        effective = self.effective(field)
        return effective is not None and effective.long == long

    def arguments_text(self) -> str:
        """What `--arguments` shows; empty arguments are only counted, as observed."""
        quoted = "".join(f"'{argument}' " for argument in self.arguments if argument)
        return f"calling 'dcmrecv' with {len(self.arguments)} arguments: {quoted}"


def parse(argv: Sequence[str]) -> Invocation:
    """Read a command line.

    Args:
        argv: the arguments without the program's name.

    Returns:
        The invocation; its values and dependencies are not checked yet.

    Raises:
        ConfigurationError: a command file cannot be opened, an option is unknown or
            lacks a value, or there is not exactly one parameter.

    Source:
        spec sections 1.1 and 1.3; 3.1, steps 1 and 2.
    """
    words = _with_command_files_read(argv)
    occurrences: list[Occurrence] = []
    parameters: list[str] = []
    shown: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not _looks_like_an_option(word):
            parameters.append(word)
            shown.append(word)
            continue
        if (option := _BY_NAME.get(word)) is None:
            reason = LACKING.get(word, "")
            raise ConfigurationError(f"Unknown option {word}{reason}")
        values = tuple(words[position : position + option.values])
        if len(values) < option.values:
            raise ConfigurationError(f"Missing value for option {option.long}")
        position += option.values
        occurrences.append(Occurrence(option, values))
        shown.append(option.long)
        shown.extend("***" if option.secret else value for value in values)

    named = {occurrence.option.long for occurrence in occurrences}
    exclusive = next((long for long in EXCLUSIVE if long in named), "")
    if not words:
        exclusive = "--help"
    if not exclusive and not parameters:
        raise ConfigurationError("Missing parameter port")
    if not exclusive and len(parameters) > 1:
        raise ConfigurationError("Too many parameters")
    port = "" if exclusive else parameters[0]
    return Invocation(exclusive, tuple(occurrences), port, tuple(shown))


def log_settings(invocation: Invocation) -> LogSettings:
    """Check and return what the command line says about the log.

    Raises:
        ConfigurationError: options that exclude each other, or an unknown level.

    Source:
        spec section 3.1, step 3.
    """
    flagged = any(invocation.given(long) for long in _LEVEL_FLAGS)
    if invocation.given("--log-level"):
        _forbid(flagged, "--log-level", "--verbose, --debug or --quiet")
        if invocation.values("--log-level")[0].lower() not in _LOG_LEVELS:
            raise ConfigurationError("Invalid log level for --log-level option")
    if invocation.given("--log-config"):
        _forbid(flagged, "--log-config", "--verbose, --debug or --quiet")
        _forbid(invocation.given("--log-level"), "--log-config", "--log-level")
    fields = _fields(invocation, "log")
    if "level" in fields:
        fields["level"] = fields["level"].lower()
    return LogSettings(**fields)


def settings(invocation: Invocation, *, info_enabled: bool) -> Settings:
    """Check and return everything that the command line says.

    Args:
        invocation: one that is not exclusive.
        info_enabled: whether the configured log shows the level INFO.

    Raises:
        ConfigurationError: a value, dependency or combination that is not allowed.

    Source:
        spec section 3.1, steps 4 and 5: which of several mistakes is reported.
    """
    log = log_settings(invocation)
    if log.presentation_contexts and not info_enabled:
        raise ConfigurationError("--verbose-pc only allowed with verbose mode")
    network = _fields(invocation, "network")
    # `+B --ignore +ssd` is a conflict, `+B -B +ssd` is none: only -B takes +B back.
    _forbid(
        invocation.position("--bit-preserving") > invocation.position("--normal")
        and invocation.in_effect("--series-date-subdir"),
        "--bit-preserving",
        "--series-date-subdir",
    )
    network["listen"] = tuple(map(ListenAddress.parse, network.get("listen", ())))
    storage = _fields(invocation, "storage")
    pool = _fields(invocation, "pool")
    port = _port(invocation.port)
    _check_dependencies(invocation)
    return Settings(
        # DCMTK's empty title is the same as none.
        network=NetworkSettings(
            **network | {"port": port, "ae_title": network.get("ae_title") or None}
        ),
        tls=_tls_settings(invocation),
        storage=StorageSettings(**storage),
        pool=PoolSettings(**pool),
        log=log,
        access=AccessSettings(**_fields(invocation, "access")),
    )


def _with_command_files_read(argv: Sequence[str]) -> list[str]:
    """Replace every `@NAME` by the tokens of that file; spec section 1.7."""
    words: list[str] = []
    for word in argv:
        if len(word) >= 2 and word.startswith("@"):
            words.extend(_command_file(word[1:]))
        else:
            words.append(word)
    return words


def _command_file(name: str) -> list[str]:
    try:
        with open(name, "rb") as stream:
            text = os.fsdecode(stream.read())
    except IsADirectoryError:
        return []  # as the original
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Cannot open command file '{name}'") from error
    return [
        match[0] if match[1] is None else "".join(match.groups(""))
        for match in _TOKEN.finditer(text)
        if match[0] not in ('"', "'")
    ]


def _looks_like_an_option(word: str) -> bool:
    return len(word) >= 2 and word[0] in "-+" and not "0" <= word[1] <= "9"


def _fields(invocation: Invocation, part: str) -> dict[str, Any]:
    """Values of the options that set fields of one part, in the table's order.

    Raises:
        ConfigurationError: an integer is none, or out of its range.
    """
    fields: dict[str, Any] = {}
    for option in OPTIONS:
        owner, _, name = option.field.partition(".")
        if owner == part and invocation.in_effect(option.long):
            fields[name] = _value(invocation, option)
    return fields


def _value(invocation: Invocation, option: Option) -> object:
    if not option.values:
        return option.choice
    if option.repeatable:
        return tuple(
            occurrence.values[0]
            for occurrence in invocation.occurrences
            if occurrence.option is option
        )
    values = invocation.values(option.long)
    if option.bounds is not None:
        return _integer(option, values[0], *option.bounds)
    if option.reads is not None:
        try:
            return option.reads(values[0])
        except ValueError as error:
            raise _invalid_value(option, values[0]) from error
    if option.words is not None:
        return _word(option, values[0])
    return values[0] if option.values == 1 else values


def _word(option: Option, text: str) -> Enum:
    """The member that the value names."""
    assert option.words is not None
    members = {member.value: member for member in option.words}
    if text not in members:
        raise _invalid_value(option, f"not one of {', '.join(members)}: {text}")
    return members[text]


def _integer(option: Option, text: str, low: int, high: int) -> int:
    """The integer at the start of `text`; spec section 1.2."""
    match = _INTEGER.match(text)
    if match is None or match[1] == "-":
        raise _invalid_value(option, text)
    value = min(_magnitude(match[2]), _U64_MAX)
    if value < low:
        raise _invalid_value(option, f"underflow: {text}")
    if value > high:
        raise _invalid_value(option, f"overflow: {text}")
    return value if option.cut is None else min(value, option.cut)


def _magnitude(digits: str) -> int:
    """The number, or some number above 64 bits: its length is not bounded."""
    return int(digits.lstrip("0")[:21] or "0")


def _invalid_value(option: Option, what: str) -> ConfigurationError:
    shown = f" ({what})" if what else ""
    return ConfigurationError(f"Invalid value for option {option.long}{shown}")


def _port(text: str) -> int:
    """The parameter; a minus sign wraps around as in 64 unsigned bits."""
    match = _INTEGER.match(text)
    if match is None:
        raise ConfigurationError(f"Invalid parameter value {text}")
    port = _magnitude(match[2])
    if match[1] == "-" and port <= _U64_MAX:
        port = -port % 2**64
    if port < 1:
        raise ConfigurationError(f"Invalid parameter value {text} (underflow)")
    if port > 65_535:
        raise ConfigurationError(f"Invalid parameter value {text} (overflow)")
    return port


def _check_dependencies(invocation: Invocation) -> None:
    for long in DEPENDENCY_ORDER:
        if not invocation.given(long):
            continue
        option = _BY_LONG_NAME[long]
        for required in option.requires:
            if not invocation.in_effect(required):
                raise ConfigurationError(
                    f"{option.blamed or long} only allowed with {required}"
                )
        for excluded in option.excludes:
            _forbid(_conflicts(invocation, long, excluded), long, excluded)


def _conflicts(invocation: Invocation, long: str, excluded: str) -> bool:
    """Two options of one field conflict whenever both are given, others in effect."""
    if _BY_LONG_NAME[long].field == _BY_LONG_NAME[excluded].field:
        return invocation.given(excluded)
    return invocation.in_effect(excluded)


def _forbid(broken: bool, long: str, others: str) -> None:
    if broken:
        raise ConfigurationError(f"{long} not allowed with {others}")


def _tls_settings(invocation: Invocation) -> TlsSettings | None:
    if not invocation.in_effect("--enable-tls"):
        return None
    key_file, certificate_file = invocation.values("--enable-tls")
    fields = _fields(invocation, "tls")
    if fields.get("crl_files"):
        fields.setdefault("crl_check", CrlCheck.LEAF)
    return TlsSettings(key_file=key_file, certificate_file=certificate_file, **fields)
