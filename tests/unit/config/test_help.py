"""What the exclusive options print. tests/parity compares it with the original."""

import re
import ssl

import pytest

import dcmrecv
from dcmrecv.config.help import HEADER, TEXTS, error_text, help_text
from dcmrecv.config.option import Option
from dcmrecv.config.option_table import EXCLUSIVE, OPTIONS

HEADER_SHAPE = re.compile(r"\$[a-z]+: dcmrecv v\S+ \d{4}-\d{2}-\d{2} \$")
FIRST_LINES = [HEADER, "", "dcmrecv: Simple DICOM storage SCP (receiver)"]


def test_header_names_our_version_in_the_original_shape() -> None:
    """Scripts cut the version out of it."""
    assert HEADER_SHAPE.fullmatch(HEADER)
    assert HEADER.split()[2] == f"v{dcmrecv.__version__}"


def test_every_exclusive_option_has_a_text_that_begins_with_the_header() -> None:
    """Spec 1.5."""
    assert set(TEXTS) == set(EXCLUSIVE) - {"--add-user"}
    for text in TEXTS.values():
        assert text().split("\n")[:3] == FIRST_LINES
        assert text().endswith("\n")


def test_error_stands_below_the_header() -> None:
    """Spec 1.3."""
    expected = [*FIRST_LINES, "error: Unknown option -z", ""]
    assert error_text("Unknown option -z").split("\n") == expected


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.long)
def test_help_shows_names_and_text_of_every_option(option: Option) -> None:
    """Spec 1.5: the texts begin at column 33, the first one beside short names."""
    first, *others = option.text.split("\n")
    lines = help_text().split("\n")
    found = [n for n, line in enumerate(lines) if option.long in line.split()[:2]]
    assert len(found) == 1
    at = found[0]
    if lines[at].endswith(option.long):
        names, texts = lines[at], option.text.split("\n")
        assert len(names) >= 33
    else:
        names, texts = lines[at][:33], others
        assert lines[at][33:] == first
    assert names.split() == [name for name in (option.short, option.long) if name]
    below = lines[at + 1 : at + 1 + len(texts)]
    assert below == [" " * 33 + line for line in texts]


def test_help_shows_each_title_once() -> None:
    """Spec 1.5: groups follow each other without an empty line."""
    lines = help_text().split("\n")
    titles = [line for line in lines if re.match(r"\S.*:$", line)]
    assert titles == [
        "parameters:",
        "general options:",
        "network options:",
        "transport layer security (TLS) options:",
        "output options:",
        "extended options:",
    ]
    assert lines[lines.index("general options:") :].count("") == 2


def test_version_names_the_library_that_would_do_tls() -> None:
    """Spec 1.5."""
    lines = TEXTS["--version"]().split("\n")
    assert lines[4].startswith("Host type: ")
    assert lines[8] == "External libraries used:"
    assert f"- {ssl.OPENSSL_VERSION}" in lines


def test_ciphersuites_are_listed_one_a_line() -> None:
    """Spec 10.3: 40 names."""
    text = TEXTS["--list-ciphers"]()
    names = text.partition("Supported TLS ciphersuites are:\n")[2].splitlines()
    assert len(set(names)) == 40
    assert all(re.fullmatch(r"  TLS_[A-Z0-9_]+", name) for name in names)


def test_profiles_are_listed_one_a_line() -> None:
    """Spec 11: five of 3.6.7, two of later versions."""
    title = "Supported TLS Secure Transport Connection Profiles are:\n"
    names = TEXTS["--list-profiles"]().partition(title)[2].splitlines()
    assert len(set(names)) == 7
    assert "  Non-downgrading BCP 195 TLS Profile" in names
