"""encoding.spans: kept and replaced bytes come out in their order."""

from dcmrecv.encoding.spans import Spans


def test_a_kept_run_is_the_callers_bytes() -> None:
    assert Spans().example([(True, b"a" * 100_000)]) == (1, b"a" * 100_000)


def test_short_runs_are_joined_with_what_is_put_between_them() -> None:
    parts = [(True, b"ab"), (False, b"cd"), (True, b"ef"), (False, b"gh")]
    assert Spans().example(parts) == (1, b"abcdefgh")


def test_long_runs_are_spans_of_their_own() -> None:
    long = b"x" * 20_000
    parts = [(False, b"ab"), (True, long), (False, b"cd"), (True, long)]
    assert Spans().example(parts) == (4, b"ab" + long + b"cd" + long)


def test_what_was_put_can_be_patched_before_and_after_it_is_written() -> None:
    parts = [(True, b"ab"), (False, b"\0\0\0\0"), (True, b"cd")]
    expected = b"ab\x04\x03\x02\x01cd"
    assert Spans().example(parts, patch=(2, 0x01020304)) == (1, expected)
    assert Spans().example(parts, patch=(2, 0x01020304), late=True) == (1, expected)
