"""Waiting for a condition with a deadline, instead of sleeping for a guess."""

import time
from collections.abc import Callable

POLL_S = 0.01


def wait_until(
    condition: Callable[[], object], what: str, deadline_s: float = 15.0
) -> None:
    """Return as soon as `condition()` is true.

    Raises:
        TimeoutError: it was not within the deadline; `what` says what was waited for.
    """
    until = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        time.sleep(POLL_S)
