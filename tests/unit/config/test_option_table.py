"""The table of options agrees with itself and with the settings."""

import dataclasses
import re
from typing import Any

import pytest

from dcmrecv.config.option import Heading, Option
from dcmrecv.config.option_table import (
    DEPENDENCY_ORDER,
    EXCLUSIVE,
    OPTIONS,
    TABLE,
)
from dcmrecv.config.settings import (
    AccessSettings,
    LogSettings,
    NetworkSettings,
    PoolSettings,
    StorageSettings,
    TlsSettings,
)
from dcmrecv.errors import ConfigurationError

PARTS: dict[str, Any] = {
    "access": AccessSettings(),
    "log": LogSettings(),
    "network": NetworkSettings(port=104),
    "pool": PoolSettings(),
    "storage": StorageSettings(),
    "tls": TlsSettings(key_file="key", certificate_file="certificate"),
}
BY_LONG_NAME = {option.long: option for option in OPTIONS}
SETTING = [o for o in OPTIONS if o.field and not o.field.startswith("transport.")]
WORDS = [option for option in OPTIONS if option.words]
INTEGERS = [option for option in OPTIONS if option.bounds]


def group_of(long: str) -> str:
    """The title under which an option stands."""
    title = ""
    for entry in TABLE:
        if isinstance(entry, Heading):
            title = entry.title
        elif entry.long == long:
            return title
    raise KeyError(long)


def part_with(option: Option, value: object) -> object:
    """The settings with the option's field set to a value."""
    part, _, name = option.field.partition(".")
    return dataclasses.replace(PARTS[part], **{name: value})


def test_no_spelling_belongs_to_two_options() -> None:
    """Short and long names share one space."""
    names = [name for option in OPTIONS for name in (option.long, option.short) if name]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.long)
def test_every_spelling_reads_as_an_option(option: Option) -> None:
    """Spec 1.1: at least two characters, a sign first, then no digit."""
    assert re.fullmatch(r"--[a-z][a-z0-9-]+", option.long)
    assert re.fullmatch(r"|[-+][A-Za-z][a-z0-9]*", option.short)


@pytest.mark.parametrize("option", SETTING, ids=lambda option: option.long)
def test_every_field_exists(option: Option) -> None:
    """A misspelt field would be found by nobody else before a user."""
    part, _, name = option.field.partition(".")
    assert name in {field.name for field in dataclasses.fields(PARTS[part])}


@pytest.mark.parametrize("option", SETTING, ids=lambda option: option.long)
def test_what_the_help_text_calls_the_default_is_the_default(option: Option) -> None:
    """A flag marked "(default)" sets what is set anyway; "(default: N)" is N."""
    part, _, name = option.field.partition(".")
    default = getattr(PARTS[part], name)
    if option.text.endswith("(default)"):
        assert option.choice == default
    if stated := re.search(r"default: (\d+)\)", option.text):
        assert int(stated[1]) == default


@pytest.mark.parametrize("option", WORDS, ids=lambda option: option.long)
def test_the_help_text_names_every_word_and_the_default(option: Option) -> None:
    """A word is the value of an enum's member."""
    assert option.words is not None
    part, _, name = option.field.partition(".")
    default = getattr(PARTS[part], name)
    assert f"default: {default.value})" in option.text
    assert ", ".join(member.value for member in option.words) in option.text


@pytest.mark.parametrize("option", INTEGERS, ids=lambda option: option.long)
def test_the_settings_accept_the_bounds_of_an_integer_and_nothing_beyond(
    option: Option,
) -> None:
    """The command line refuses first, with the original's words."""
    assert option.bounds is not None
    low, high = option.bounds
    if option.cut is not None:
        high = option.cut
    part_with(option, low)
    part_with(option, high)
    for beyond in (low - 1, high + 1):
        with pytest.raises(ConfigurationError):
            part_with(option, beyond)


def test_exactly_the_options_with_dependencies_are_checked_for_them() -> None:
    """A new dependency needs its place in the order."""
    dependent = {o.long for o in OPTIONS if o.requires or o.excludes}
    assert sorted(DEPENDENCY_ORDER) == sorted(dependent)


def test_every_name_that_is_referred_to_exists() -> None:
    """In dependencies and in the list of exclusive options."""
    named = {name for o in OPTIONS for name in (*o.requires, *o.excludes)}
    assert named | set(EXCLUSIVE) <= BY_LONG_NAME.keys()


def test_every_tls_setting_needs_tls() -> None:
    """Spec 1.4: nothing about TLS is accepted and ignored."""
    for option in OPTIONS:
        if option.field.startswith("tls."):
            assert option.requires[0] == "--enable-tls"


def test_our_own_options_have_long_names_only() -> None:
    """DECISIONS 1: no later option of DCMTK can clash with them."""
    ours = [o for o in OPTIONS if group_of(o.long) == "extended options"]
    assert [option.long for option in ours] == [
        "--promiscuous",
        "--prefer-uncompressed",
        "--no-parse",
        "--listen",
        "--reload",
        "--require-cert-name",
        "--kernel-tls",
        "--max-associations",
        "--queue-associations",
        "--spare-workers",
        "--drain-timeout",
        "--write-mode",
        "--durability",
        "--on-duplicate",
        "--reserve",
        "--max-object-size",
        "--accept-calling",
        "--accept-called",
        "--accept-host",
        "--max-associations-per-host",
        "--proxy-protocol",
        "--user-file",
        "--strict",
        "--min-rate",
        "--check-config",
        "--add-user",
    ]
    assert {option.short for option in ours} == {""}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.long)
def test_only_options_with_values_have_what_values_need(option: Option) -> None:
    """Bounds, words, repetition and secrecy mean nothing for a flag."""
    assert 0 <= option.values <= 2
    if option.values != 1:
        assert (option.bounds, option.words, option.reads) == (None, None, None)
        assert not option.repeatable
    if option.values == 0:
        assert not option.secret
