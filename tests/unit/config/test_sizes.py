"""config.sizes: what an operator may write for a size or a share."""

import pytest

from dcmrecv.config.settings import Reserve
from dcmrecv.config.sizes import SIZE_MAX, parse_reserve, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("4096", 4_096),
        ("2K", 2_048),
        ("3M", 3 << 20),
        ("10G", 10 << 30),
        ("1T", 1 << 40),
        (str(SIZE_MAX), SIZE_MAX),
    ],
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_reserve(text) == Reserve(size_bytes=size)


@pytest.mark.parametrize("text", ["5%", "0.5%", "99.9%"])
def test_shares_are_percent(text: str) -> None:
    assert parse_reserve(text) == Reserve(percent=float(text[:-1]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0K",
        "-1",
        "1.5G",
        "1k",
        "1GB",
        " 1",
        "1 ",
        "x",
        "9" * 19,
        "9" * 18 + "T",
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "0%", "100%", "-5%", "5 %", "%", "1000%", "5%%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_reserve(text)
