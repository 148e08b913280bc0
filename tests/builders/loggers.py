"""The loggers below `dcmtk` as a test found them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dcmrecv.config.logs import configure
from dcmrecv.config.settings import LogSettings


def own_loggers() -> list[logging.Logger]:
    """`dcmtk` and everything below it that exists."""
    names = list(logging.root.manager.loggerDict)
    return [logging.getLogger(n) for n in names if f"{n}.".startswith("dcmtk.")]


@contextmanager
def loggers_kept() -> Iterator[None]:
    """Leave the loggers as they were found; other tests look at them too."""
    before = [(x, x.level, x.propagate, x.handlers[:]) for x in own_loggers()]
    yield
    configure(LogSettings())  # closes what the test opened
    for logger in own_loggers():
        logger.handlers[:] = []
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    for logger, level, propagate, handlers in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
