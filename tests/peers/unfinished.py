"""An SCU in the middle of an object, for something to happen to it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.builders.resend import WHOLE
from tests.peers.promises import hidden_below
from tests.peers.scu import RawScu
from tests.peers.waiting import wait_until


@contextlib.contextmanager
def all_but_the_last_byte(port: int, out: Path) -> Iterator[RawScu]:
    """`resend.WHOLE` but for its last byte was sent; a temporary file is there."""
    before = hidden_below(out)
    with RawScu(port) as scu:
        scu.associate()
        scu.send(WHOLE[:-1])
        wait_until(lambda: hidden_below(out) - before, "a temporary file")
        yield scu
