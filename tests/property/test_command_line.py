"""Any words on the command line give settings or a message, never anything else."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcmrecv.config.option_table import OPTIONS
from dcmrecv.config.options import log_settings, parse, settings
from dcmrecv.errors import ConfigurationError

SPELLINGS = [name for o in OPTIONS for name in (o.long, o.short) if name]

values = st.one_of(
    st.integers(-2, 140_000).map(str),
    st.sampled_from(["info", "+5", "5x", "", "-", "+", "104", "9" * 5_000]),
    st.text(max_size=6),
)
lines = st.lists(
    st.one_of(st.sampled_from(SPELLINGS), values.filter(lambda v: v[:1] != "@"))
)
quotable = st.text(st.characters(exclude_characters="\"'\0", codec="utf-8"), max_size=8)


@given(lines, st.booleans())
def test_any_line_is_read_or_refused(argv: list[str], info_enabled: bool) -> None:
    """A mistake of the user is a ConfigurationError with the exit code 1."""
    with suppress(ConfigurationError):
        invocation = parse(argv)
        log_settings(invocation)
        if not invocation.exclusive:
            made = settings(invocation, info_enabled=info_enabled)
            assert 1 <= made.network.port <= 65_535


@given(st.lists(st.tuples(st.sampled_from("\"'"), quotable)))
def test_quoted_words_of_a_command_file_come_out_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, words: list[tuple[str, str]]
) -> None:
    """Whatever is in them, line ends and blanks included."""
    path = tmp_path_factory.getbasetemp() / "commands"
    path.write_bytes("".join(f"-fe {q}{word}{q}" for q, word in words).encode())
    occurrences = parse(["--help", f"@{path}"]).occurrences[1:]
    assert [o.values for o in occurrences] == [(word,) for _, word in words]
