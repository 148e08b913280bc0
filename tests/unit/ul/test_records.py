"""Where TLS records end."""

import pytest

from dcmrecv.ul.records import whole_records_bytes


def record(length: int, kind: int = 23) -> bytes:
    return bytes((kind, 3, 3)) + length.to_bytes(2, "big") + bytes(length)


@pytest.mark.parametrize("behind", [0, 1, 5, 29])
def test_only_whole_records_count(behind: int) -> None:
    whole = record(16_640) + record(0) + record(7, kind=22)
    last = record(25)
    assert whole_records_bytes(whole + last[:behind]) == len(whole)
    assert whole_records_bytes(whole + last) == len(whole + last)


def test_nothing_is_no_record() -> None:
    assert whole_records_bytes(b"") == 0


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\x00\x00\x00\x44\x00\x01",  # A-ASSOCIATE-RQ
        b"\x80\x2e\x01\x03\x01\x00\x15",  # ClientHello of SSL 2
        b"\x16\x02\x00\x00\x04",  # version 2
        b"\x17\x03\x03\xff\xff",  # too long
    ],
)
def test_what_is_no_record_is_not_held_back(said: bytes) -> None:
    """OpenSSL says what is wrong with it, at once."""
    assert whole_records_bytes(said) == len(said)
    assert whole_records_bytes(record(5) + said) == 10 + len(said)
