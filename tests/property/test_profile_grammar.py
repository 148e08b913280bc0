"""The grammar of association configuration files, for any layout and any bytes."""

import string
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from dcmrecv.config.profile import Section, parse_profiles, read_sections
from dcmrecv.errors import ConfigurationError
from tests.builders.configuration import CONFIGURATION

NAME_LETTERS = string.ascii_letters + string.digits + "-_"
DROPPED = " \t.,:;#/()+'\"\\|\x00\x7f\v\f"

names = st.text(NAME_LETTERS, min_size=1, max_size=8).map(str.upper)
blanks = st.text(" \t", max_size=3)
fillers = st.sampled_from(["", "\n", "# [[x]] = y\n", "#\n\n", "\n#\\\n"])
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])

# What means something to the grammar, and a little that means nothing.
TOKENS = [b"\n", b"\r", b" ", b"\t", b"\0", b"#", b"[", b"]", b"=", b"\\", b"a", b"Z"]
TOKENS += [b"\n[", b"[[", b"]]\n", b"\n#", b"\n ", b"\xff", b"\v", b"1"]
junk = st.lists(st.sampled_from(TOKENS), max_size=30).map(b"".join)

value_lines = st.text(
    st.characters(codec="latin-1", exclude_characters="\r\n\0"), min_size=1, max_size=12
).filter(lambda line: line[0] not in " \t")
values = st.lists(value_lines, min_size=1, max_size=3)
entries = st.dictionaries(names, values, max_size=3)
files = st.dictionaries(
    names, st.lists(st.tuples(names, entries), max_size=2), max_size=3
)

File = dict[str, list[tuple[str, dict[str, list[str]]]]]


@st.composite
def spelled(draw: st.DrawFn, name: str) -> str:
    """A name in any case, with characters in between that do not count."""
    at = draw(st.integers(1, len(name)))
    cased = draw(st.sampled_from([name, name.lower(), name.capitalize()]))
    return cased[:at] + draw(st.text(DROPPED, max_size=3)) + cased[at:]


@st.composite
def laid_out(draw: st.DrawFn, file: File) -> bytes:
    """The text of a file, with blanks, comments and line ends wherever they may be."""
    text = draw(fillers)
    for supersection, sections in file.items():
        text += f"[{draw(blanks)}[{draw(spelled(supersection))}]{draw(blanks)}]"
        text += f"{draw(blanks)}\n{draw(fillers)}"
        for section, its_entries in sections:
            text += f"[{draw(spelled(section))}]\n{draw(fillers)}"
            for key, lines in its_entries.items():
                start = draw(st.sampled_from(["", "\n ", "\n \n\t"])) + draw(blanks)
                joint = f"\n{draw(fillers)} {draw(blanks)}"
                text += f"{draw(spelled(key))}={start}{joint.join(lines)}\n"
                text += draw(fillers)
    return text.encode("latin-1").replace(b"\n", draw(line_ends))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The good configuration with a few pieces replaced."""
    content = CONFIGURATION
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        gone = draw(st.sampled_from([0, 0, 1, 4, 30]))
        content = content[:at] + draw(junk) + content[at + gone :]
    return content


@given(st.data(), files)
def test_any_layout_gives_the_same_sections(data: st.DataObject, file: File) -> None:
    """What stands in a file does not depend on how it is written."""
    assert read_sections(data.draw(laid_out(file))) == {
        supersection.encode(): [
            Section(
                section.encode(),
                {
                    key.encode(): "\n".join(lines).encode("latin-1")
                    for key, lines in its_entries.items()
                },
            )
            for section, its_entries in sections
        ]
        for supersection, sections in file.items()
    }


@given(junk | damaged(), line_ends)
def test_line_ends_do_not_matter(content: bytes, line_end: bytes) -> None:
    """LF, CR and CR LF are one thing, also inside headings and comments."""
    lines = content.replace(b"\r", b"\n")
    assert read_sections(lines.replace(b"\n", line_end)) == read_sections(lines)


@given(junk | damaged(), st.data())
def test_comment_line_changes_nothing(content: bytes, data: st.DataObject) -> None:
    """It may stand between any two lines, even within a key or a heading."""
    lines = content.replace(b"\r", b"\n").split(b"\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    commented = b"\n".join(
        [*lines[:at], b"# [[x]] = " + data.draw(junk_line), *lines[at:]]
    )
    assert read_sections(commented) == read_sections(b"\n".join(lines))


junk_line = junk.map(lambda content: content.translate(None, b"\r\n"))


@given(junk)
def test_line_end_at_the_end_changes_nothing(content: bytes) -> None:
    """A last line without a line end is a whole line."""
    assert read_sections(content + b"\n") == read_sections(content)


@given(st.permutations(range(1, 13)))
def test_numbers_give_the_order_of_preference(numbers: list[int]) -> None:
    """Not the place in the file; a list of twelve has numbers of two digits."""
    entries = [b"TransferSyntax%d = 1.2.%d\n" % (n, n) for n in numbers]
    content = CONFIGURATION.replace(b"[Plain]\n", b"[Plain]\n" + b"".join(entries))
    content = content.replace(b"= LittleEndian", b"= 1.2 LittleEndian")
    context = parse_profiles(content)[b"ECHOONLY"].contexts[0]
    assert context.transfer_syntaxes == tuple(f"1.2.{n}" for n in range(1, 13))


@given(junk | damaged() | st.binary())
def test_any_file_is_read_or_refused(content: bytes) -> None:
    """No other exception comes out of a file, whatever is in it."""
    with suppress(ConfigurationError):
        profiles = parse_profiles(content)
        assert all(profile.contexts for profile in profiles.values())
