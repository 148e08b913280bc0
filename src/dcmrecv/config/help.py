"""The texts that `--help`, `--version`, `--list-ciphers` and `--list-profiles` print,
and the shape of an error message.

Owns layout only: what the options are stands in `option_table`. Never prints.

Source:
    spec sections 1.3, 1.5, 10.3 and 11, compared byte by byte with dcmrecv 3.6.7.
"""

import os
import ssl
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType

from dcmrecv import __version__
from dcmrecv.config.ciphersuites import CIPHERSUITES
from dcmrecv.config.option import Option
from dcmrecv.config.option_table import TABLE

RELEASE_DATE = "2026-11-22"

# As in the original's, a script finds the version between "v" and the next blank.
HEADER = f"$dcmrecv: dcmrecv v{__version__} {RELEASE_DATE} $"
APPLICATION = "dcmrecv: Simple DICOM storage SCP (receiver)"

_TEXT_COLUMN = 33


def error_text(message: str) -> str:
    """A mistake on the command line, as it goes to stderr; spec section 1.3."""
    return f"{HEADER}\n\n{APPLICATION}\nerror: {message}\n"


def help_text() -> str:
    """The whole of `--help`; spec section 1.5."""
    lines = [
        HEADER,
        "",
        APPLICATION,
        "usage: dcmrecv [options] port",
        "",
        "parameters:",
        f"{'  port':<{_TEXT_COLUMN}}tcp/ip port number to listen on",
        "",
    ]
    title, indent, width = "", 2, 6
    for entry in TABLE:
        if isinstance(entry, Option):
            lines += _option_lines(entry, indent, width)
            continue
        if entry.title != title:
            title = entry.title
            lines.append(f"{title}:")
        indent, width = (4, 4) if entry.subtitle else (2, 6)
        if entry.subtitle:
            lines.append(f"  {entry.subtitle}:")
    return "\n".join([*lines, "", ""])


def version_text() -> str:
    """The whole of `--version`; spec section 1.5."""
    return (
        f"{_build_text()}\n"
        "External libraries used:\n"
        f"- Python {sys.version.split()[0]}\n"
        f"- {ssl.OPENSSL_VERSION}\n"
    )


def list_ciphers_text() -> str:
    """The whole of `--list-ciphers`; spec sections 1.5 and 10.3."""
    names = "".join(f"  {name}\n" for name in CIPHERSUITES)
    return f"{_build_text()}\nSupported TLS ciphersuites are:\n{names}"


def list_profiles_text() -> str:
    """The whole of `--list-profiles`; spec section 11."""
    names = "".join(
        f"  {option.text.partition(chr(10))[0].removesuffix(' (default)')}\n"
        for option in TABLE
        if isinstance(option, Option) and option.field == "tls.profile"
    )
    return (
        f"{HEADER}\n\n{APPLICATION}\n\n{ssl.OPENSSL_VERSION}\n\n"
        f"Supported TLS Secure Transport Connection Profiles are:\n{names}"
    )


# What each exclusive option prints.
TEXTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "--help": help_text,
        "--version": version_text,
        "--list-ciphers": list_ciphers_text,
        "--list-profiles": list_profiles_text,
    }
)


def _option_lines(option: Option, indent: int, width: int) -> list[str]:
    """The first line of the text stands beside the names if they leave room for it."""
    first, *others = option.text.split("\n")
    names = f"{' ' * indent}{option.short:<{width}}  {option.long}"
    lines = [f"{'':<{_TEXT_COLUMN}}{line}" for line in (first, *others)]
    if len(names) >= _TEXT_COLUMN:
        return [names, *lines]
    return [names + lines[0][len(names) :], *lines[1:]]


def _build_text() -> str:
    system = os.uname()
    return (
        f"{HEADER}\n\n{APPLICATION}\n\n"
        f"Host type: {system.sysname}-{system.machine}\n"
        f"Character encoding: {sys.getfilesystemencoding()}\n"
        f"Build options: {sys.implementation.cache_tag}\n"
    )
