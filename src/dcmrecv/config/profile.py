"""Association negotiation profiles from a file in DCMTK's format.

Owns the grammar, what its entries mean and the texts that refuse a file; the files that
the package ships lie in data/. Never negotiates.

A file has three levels: supersections `[[NAME]]`, sections `[NAME]` and `KEY = VALUE`.
Everything is kept as bytes until it is a UID or a text, because blanks and letters are
those of ASCII in the original, whatever the file is encoded in.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import TypeVar

from dcmrecv.config.logs import NETWORK_LOGGER
from dcmrecv.config.settings import AssociationProfile, ProfileContext, Role
from dcmrecv.config.uids import uid_of
from dcmrecv.errors import ConfigurationError, ExitCode

# File names that mean a shipped file unless the current directory has one of that name.
SHIPPED_FILES = {
    "default": "storescp.cfg",
    "default.cfg": "storescp.cfg",
    "storescp.cfg": "storescp.cfg",
}

_COMMENT = re.compile(rb"^#[^\n]*\n?", re.MULTILINE)
_ENTRY = re.compile(
    rb"""
    [ \t\n]*+
    (?: (?P<brackets> \[ (?: [ \t\n]* \[ )* ) (?P<heading> [^\]]* )
      | (?P<key> [^=]+ | (?= =) )
        =?
        (?P<value> [^\n]* (?: \n (?! [^ \t\n] ) [^\n]* )* )
    )
    """,
    re.VERBOSE,
)
_NOT_IN_NAMES = re.compile(rb"[^A-Z0-9_-]")
_UID = re.compile(rb"[0-9.]+")
_HEX_PAIRS = re.compile(rb"(?:[0-9A-Fa-f]{2})*")

# DCMTK counts the backslash as well: 1024 bytes are one too many in spite of the text.
_EXTENDED_NEGOTIATION_DIGITS_MAX = 2047

_ROLES = {role.value.encode(): role for role in Role}

_INVALID_PROFILE = "Invalid or non-existing SCP Association Profile"

Item = TypeVar("Item")

logger = logging.getLogger(NETWORK_LOGGER)


@dataclass(frozen=True, slots=True)
class Section:
    """One `[NAME]` with its keys; of a repeated key the first value is kept."""

    name: bytes
    entries: dict[bytes, bytes]


def load_profile(file: str, profile: str) -> AssociationProfile:
    """Read one profile from an association configuration file.

    Args:
        file: path of the file, or the bare name of a shipped one (`SHIPPED_FILES`).
        profile: name of the profile; case and blanks do not count.

    Returns:
        The profile, with UIDs in the place of all symbolic names.

    Raises:
        ConfigurationError: the file cannot be read or has an error anywhere, also in
            profiles that are not wanted, or it has no such profile. Message and details
            are the lines that DCMTK logs at the levels FATAL and ERROR.

    Source:
        PS3.8 section 7.1.1.13 for what is negotiated; the format is that of DCMTK's
        asconfig, as its dcmrecv 3.6.7 reads it.
    """
    if not file:
        raise _refusal("Invalid filename")
    path = _locate(file)
    logger.debug("Loading association configuration file: %s", path)
    try:
        profiles = parse_profiles(_read(path))
    except ConfigurationError as error:
        detail = f"Unable to parse association configuration file: {path}: {error}"
        raise _refusal(str(error), detail) from error
    if not profile:
        raise _refusal("Illegal parameter")
    found = profiles.get(_reference(os.fsencode(profile)))
    if found is None:
        detail = (
            f'No association profile named "{profile}" in association configuration, '
            "did you forget to add presentation contexts?"
        )
        raise _refusal(_INVALID_PROFILE, detail)
    abstract_syntaxes = {context.abstract_syntax for context in found.contexts}
    if len(abstract_syntaxes) < len(found.contexts):
        detail = (
            f'The association profile named "{profile}" is not a valid SCP association '
            "profile"
        )
        raise _refusal(_INVALID_PROFILE, detail)
    return found


def read_sections(content: bytes) -> dict[bytes, list[Section]]:
    """Split a configuration file into its three levels.

    Args:
        content: the whole file.

    Returns:
        The sections of every supersection in the order of the file. Of supersections
        with one name the first counts; sections with one name are kept apart. Names
        and keys are upper case, without what is no letter, digit, `-` or `_`.

    Source:
        DCMTK's dcmrecv 3.6.7, observed: nothing is malformed at this level.
    """
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = _COMMENT.sub(b"", lines).replace(b"\0", b" ")
    supersections: dict[bytes, list[Section]] = {}
    sections: list[Section] | None = None
    entries: dict[bytes, bytes] | None = None
    at = 0
    while match := _ENTRY.match(text, at):
        at = match.end()
        if match["brackets"] is None:
            if entries is not None:
                entries.setdefault(_name(match["key"]), _value(match["value"]))
            continue
        level = match["brackets"].count(b"[")
        name = _name(match["heading"])
        for _ in range(level):
            at = text.find(b"]", at) + 1 or len(text)
        if level > 1:
            sections = []
            entries = None
            supersections.setdefault(name, sections)
        elif sections is not None:
            entries = {}
            sections.append(Section(name, entries))
    return supersections


def parse_profiles(content: bytes) -> dict[bytes, AssociationProfile]:
    """Read every profile of a configuration file.

    Args:
        content: the whole file.

    Returns:
        The profiles by name. A profile may still name an abstract syntax twice, which
        makes it unfit for an acceptor.

    Raises:
        ConfigurationError: the first error, as DCMTK words it.

    Source:
        DCMTK's dcmrecv 3.6.7, observed.
    """
    # Differs: a list of presentation contexts may have more than 128 entries, as in
    # later versions of DCMTK. The limit is that of a request (PS3.8 section 9.3.2.2).
    supersections = read_sections(content)
    transfer_syntaxes = _transfer_syntax_lists(
        _required(supersections, b"TRANSFERSYNTAXES")
    )
    contexts = _context_lists(
        _required(supersections, b"PRESENTATIONCONTEXTS"), transfer_syntaxes
    )
    roles = _role_lists(supersections.get(b"SCPSCUROLESELECTION", ()))
    negotiations = _negotiation_lists(supersections.get(b"EXTENDEDNEGOTIATION", ()))
    profiles: dict[bytes, AssociationProfile] = {}
    for section in _required(supersections, b"PROFILES"):
        value = section.entries.get(b"PRESENTATIONCONTEXTS")
        if value is None:
            raise ConfigurationError(
                f"no PRESENTATIONCONTEXTS  entry in section {_text(section.name)} "
                "in config file"
            )
        key = _reference(value)
        if key not in contexts:
            raise ConfigurationError(
                f"presentation context key undefined: {_text(key)}"
            )
        profile = AssociationProfile(
            contexts=tuple(contexts[key]),
            roles=_referred(
                section, b"SCPSCUROLESELECTION", roles, "role selection", contexts, key
            ),
            extended_negotiation=_referred(
                section,
                b"EXTENDEDNEGOTIATION",
                negotiations,
                "extended negotiation",
                contexts,
                key,
            ),
        )
        if section.name in profiles:
            raise ConfigurationError(f"two profiles defined for key: {_text(key)}")
        profiles[section.name] = profile
    return profiles


def _refusal(text: str, *details: str) -> ConfigurationError:
    return ConfigurationError(
        f"cannot load association configuration: {text}",
        ExitCode.ASSOCIATION_CONFIGURATION,
        details,
    )


def _locate(file: str) -> str:
    # A dangling link was put there by the operator, so it is not passed over.
    if file in SHIPPED_FILES and not os.path.lexists(file):
        return os.path.join(os.path.dirname(__file__), "data", SHIPPED_FILES[file])
    return file


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except IsADirectoryError:
        return b""  # the original opens a directory and finds nothing in it
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"unable to open configuration file: {path}"
        ) from error


def _name(raw: bytes) -> bytes:
    return _NOT_IN_NAMES.sub(b"", raw.upper())


def _value(raw: bytes) -> bytes:
    """Join a value with its continuation lines; trailing blanks are data."""
    lines = (line.lstrip(b" \t") for line in raw.split(b"\n"))
    return b"\n".join(line for line in lines if line)


def _reference(raw: bytes) -> bytes:
    """What a reference to a section is compared as; unlike `_name` it keeps dots."""
    return b"".join(raw.split()).upper()


def _text(raw: bytes) -> str:
    return os.fsdecode(raw)


def _required(
    supersections: Mapping[bytes, list[Section]], name: bytes
) -> list[Section]:
    if name not in supersections:
        raise ConfigurationError(
            f"cannot find section [[{_text(name)}]] in config file"
        )
    return supersections[name]


def _numbered(
    sections: Sequence[Section], prefix: bytes
) -> Iterator[tuple[bytes, str, bytes]]:
    """Section name, key and value of PREFIX1, PREFIX2, ... up to the first gap."""
    for section in sections:
        for number in count(1):
            key = prefix + str(number).encode()
            value = section.entries.get(key)
            if value is None:
                break
            yield section.name, _text(key), value


def _split(key: str, value: bytes) -> tuple[bytes, bytes]:
    left, backslash, right = value.partition(b"\\")
    if not backslash:
        raise ConfigurationError(
            f"syntax error: missing '\\' in entry {key} in config file"
        )
    return left, right


def _uid(value: bytes, kind: str) -> str:
    uid = value
    if not value[:1].isdigit():
        known = uid_of(_text(value.removeprefix(b"=")))
        uid = known.encode() if known is not None else value
    if not _UID.fullmatch(uid):
        raise ConfigurationError(f"not a valid {kind} syntax UID: {_text(value)}")
    return uid.decode("ascii")


def _transfer_syntax_lists(sections: Sequence[Section]) -> dict[bytes, tuple[str, ...]]:
    lists: dict[bytes, tuple[str, ...]] = {}
    for name, _, value in _numbered(sections, b"TRANSFERSYNTAX"):
        lists[name] = (*lists.get(name, ()), _uid(value, "transfer"))
    return lists


def _context_lists(
    sections: Sequence[Section], transfer_syntaxes: Mapping[bytes, tuple[str, ...]]
) -> dict[bytes, list[ProfileContext]]:
    lists: dict[bytes, list[ProfileContext]] = {}
    for name, key, value in _numbered(sections, b"PRESENTATIONCONTEXT"):
        abstract_syntax, right = _split(key, value)
        reference = _reference(right)
        if reference not in transfer_syntaxes:
            raise ConfigurationError(
                f"transfer syntax key undefined: {_text(reference)}"
            )
        if not name or not abstract_syntax or not reference:
            raise ConfigurationError("Illegal call, perhaps wrong parameters")
        context = ProfileContext(
            _uid(abstract_syntax, "abstract"), transfer_syntaxes[reference]
        )
        lists.setdefault(name, []).append(context)
    return lists


def _role_lists(sections: Sequence[Section]) -> dict[bytes, dict[str, Role]]:
    lists: dict[bytes, dict[str, Role]] = {}
    for name, key, value in _numbered(sections, b"ROLE"):
        abstract_syntax, right = _split(key, value)
        role = _ROLES.get(right.upper())
        if role is None:
            raise ConfigurationError(
                f"syntax error: unknown role key in entry {key} in config file"
            )
        uid = _uid(abstract_syntax, "abstract")
        _add(lists.setdefault(name, {}), uid, role, "role selection", abstract_syntax)
    return lists


def _negotiation_lists(sections: Sequence[Section]) -> dict[bytes, dict[str, bytes]]:
    lists: dict[bytes, dict[str, bytes]] = {}
    for name, key, value in _numbered(sections, b"EXTENDEDNEGOTIATION"):
        abstract_syntax, digits = _split(key, value)
        if len(digits) > _EXTENDED_NEGOTIATION_DIGITS_MAX:
            raise ConfigurationError(
                "extended negotiation data too long, cannot handle > 1024 bytes "
                f"in entry {key} in config file"
            )
        if not _HEX_PAIRS.fullmatch(digits):
            raise ConfigurationError(
                f"parse error in extended negotiation data in entry {key} "
                "in config file"
            )
        if not digits:
            raise ConfigurationError("Illegal call, perhaps wrong parameters")
        uid = _uid(abstract_syntax, "abstract")
        data = bytes.fromhex(digits.decode("ascii"))
        what = "extended negotiation"
        _add(lists.setdefault(name, {}), uid, data, what, abstract_syntax)
    return lists


def _add(items: dict[str, Item], uid: str, item: Item, what: str, typed: bytes) -> None:
    if uid in items:
        raise ConfigurationError(
            f"{what} defined twice for abstract syntax UID: {_text(typed)}"
        )
    items[uid] = item


def _referred(
    profile: Section,
    entry: bytes,
    lists: Mapping[bytes, dict[str, Item]],
    what: str,
    contexts: Mapping[bytes, list[ProfileContext]],
    context_key: bytes,
) -> Mapping[str, Item]:
    """The optional list of a profile that `entry` names, for some of its contexts."""
    value = profile.entries.get(entry)
    if value is None:
        return MappingProxyType({})
    key = _reference(value)
    if key not in lists:
        raise ConfigurationError(f"{what} key undefined: {_text(key)}")
    known = {context.abstract_syntax for context in contexts[context_key]}
    for uid in lists[key]:
        if uid not in known:
            # DCMTK says "role selection" of both kinds of list.
            raise ConfigurationError(
                "abstract syntax defined in role selection list "
                f"'{_text(key)}' but not in presentation context list "
                f"'{_text(context_key)}': {uid}"
            )
    return MappingProxyType(lists[key])
