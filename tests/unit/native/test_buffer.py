"""native.buffer: aligned memory and its views."""

import pytest

from dcmrecv.native.buffer import AlignedBuffer


def test_a_view_shows_the_filled_bytes_and_cannot_write() -> None:
    view = memoryview(AlignedBuffer(8_192))
    assert len(view) == 0
    assert view.readonly


def test_no_memory_is_an_error_not_a_crash() -> None:
    for size in (0, 1 << 62):
        with pytest.raises(MemoryError, match=str(size)):
            AlignedBuffer(size)


def test_a_view_keeps_the_memory_alive() -> None:
    view = memoryview(AlignedBuffer(4_096))
    assert bytes(view) == b""
