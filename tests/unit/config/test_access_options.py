"""The options about access, from the command line to the settings."""

import pytest

from dcmrecv.config import options
from dcmrecv.config.access_options import ACCESS_OPTIONS
from dcmrecv.config.option import Option
from dcmrecv.config.settings import AccessSettings
from dcmrecv.errors import ConfigurationError


def read(*words: str) -> AccessSettings:
    """The access settings that a command line asks for."""
    invocation = options.parse([*words, "104"])
    return options.settings(invocation, info_enabled=True).access


def test_without_options_everybody_is_welcome() -> None:
    assert read() == AccessSettings()


def test_every_option_reaches_its_setting() -> None:
    made = read(
        *("--accept-calling", "CT*", "--accept-calling", "MR?"),
        *("--accept-called", "ARCHIVE", "--user-file", "users"),
        *("--accept-host", "10.1.0.0/16", "--accept-host", "fd00::1"),
        *("--max-associations-per-host", "3", "--strict", "--min-rate", "500"),
        *("--proxy-protocol", "10.9.0.1", "--proxy-protocol", "fd00::/64"),
    )
    assert made == AccessSettings(
        calling=("CT*", "MR?"),
        called=("ARCHIVE",),
        hosts=("10.1.0.0/16", "fd00::1"),
        max_per_host=3,
        user_file="users",
        strict=True,
        min_rate=500,
        proxies=("10.9.0.1", "fd00::/64"),
    )


@pytest.mark.parametrize("text", ["", "ct1.example", "10.1.0.1/16", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text: str) -> None:
    """A network with host bits set may be a slip of the pen: too many would come in."""
    with pytest.raises(ConfigurationError, match="--accept-host: "):
        read("--accept-host", text)


def test_only_lists_are_repeatable() -> None:
    repeatable = {
        entry.long
        for entry in ACCESS_OPTIONS
        if isinstance(entry, Option) and entry.repeatable
    }
    assert repeatable == {
        "--accept-calling",
        "--accept-called",
        "--accept-host",
        "--proxy-protocol",
    }
