"""Logger configurations of any content, and what their appenders and layouts do.

A bad configuration is reported or refused; it never raises anything else, never at the
time of logging, and never makes a line of unbounded length.
"""

import logging
import time

from hypothesis import given
from hypothesis import strategies as st

from dcmrecv.config.logappenders import (
    SCHEDULES,
    Reporter,
    cut_at_line_ends,
    period_at,
)
from dcmrecv.config.logfile import expand_variables, parse_properties
from dcmrecv.config.loglines import PatternLayout, TimeFormat, encode
from dcmrecv.errors import ConfigurationError

PATTERNS = st.text("%-.059{}cdDmnpPqQrxXyzHMS \n", max_size=40) | st.text(max_size=40)
MOMENTS = st.floats(0, 4e9)  # until 2096
KEYS = st.text("ab$", min_size=1, max_size=3)
VALUES = st.lists(st.sampled_from(["a", "b", "$", "{", "}", "${a}", "${b}", "${ab}"]))


def record(message: str, created: float) -> logging.LogRecord:
    """A record as a logger would have made it."""
    made = logging.LogRecord("dcmtk.dcmnet", 20, "x.py", 1, message, (), None)
    made.created = created
    return made


def silent() -> Reporter:
    """What is reported is not looked at."""
    reporter = Reporter()
    reporter.quiet = True
    return reporter


@given(st.binary())
def test_any_file_can_be_read(content: bytes) -> None:
    """Keys and values have no space around them and no line end within."""
    properties = parse_properties(content.decode("utf-8", "surrogateescape"))
    for key, value in properties.items():
        assert "=" not in key
        assert "\n" not in key + value
        assert value == value.strip(" \t\n\v\f\r")


@given(st.dictionaries(KEYS, VALUES.map("".join), max_size=4))
def test_variables_come_to_an_end(settings: dict[str, str]) -> None:
    """Expanded once, there is nothing left to expand; or it is refused."""
    properties = parse_properties("".join(f"{k} = {v}\n" for k, v in settings.items()))
    try:
        expanded = expand_variables(properties, {}, silent())
    except ConfigurationError:
        return
    assert expand_variables(expanded, {}, silent()) == expanded


@given(PATTERNS, st.text(max_size=30), MOMENTS)
def test_any_pattern_gives_a_line(pattern: str, message: str, created: float) -> None:
    """Mistakes are reported when it is read, and nothing is raised, then or later."""
    complaints: list[str] = []
    layout = PatternLayout(pattern, complaints.append)
    reported = complaints[:]
    made = record(message, created)
    data = encode(layout.format(made))
    assert encode(layout.format(made)) == data
    assert len(data) < 1_000_000
    assert complaints == reported


@given(
    st.text(st.characters(exclude_characters="%"), max_size=30), st.text(max_size=30)
)
def test_what_is_no_item_stands_for_itself(pattern: str, message: str) -> None:
    """A pattern without a percent sign is the line."""
    made = record(message.replace("\n", ""), 0.0)
    assert PatternLayout(pattern, print).format(made) == pattern
    assert PatternLayout(f"{pattern}%m", print).format(made) == pattern + made.msg


@given(MOMENTS, MOMENTS)
def test_fractions_belong_to_their_second(first: float, second: float) -> None:
    """Whatever was formatted before, and however near to the next second."""
    form = TimeFormat("%s.%Q", utc=True)
    for moment in (first, second):
        seconds, milliseconds, microseconds = form.text(moment).split(".")
        shown = int(seconds) + int(milliseconds + microseconds) / 1e6
        assert abs(shown - moment) < 2e-6
        assert int(seconds) == int(moment)


@given(st.sampled_from(sorted(SCHEDULES)), MOMENTS)
def test_periods_follow_each_other(schedule: str, when: float) -> None:
    """A moment lies in its period, and the next one begins where it ends."""
    period = period_at(schedule, when)
    assert when < period.end <= when + 32 * 24 * 3_600
    last = period_at(schedule, period.end - 1.0)
    assert last == period
    assert period_at(schedule, period.end) != period
    assert period.suffix.startswith(time.strftime("%Y", time.localtime(when))[:2])


@given(st.binary(max_size=60), st.integers(1, 20))
def test_cutting_loses_nothing(data: bytes, limit: int) -> None:
    """Pieces are of whole lines, and only a single line is too long."""
    pieces = list(cut_at_line_ends(data, limit))
    assert b"".join(pieces) == data
    assert all(pieces)
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])
    for piece in pieces:
        assert len(piece) <= limit or piece.count(b"\n", 0, -1) == 0
