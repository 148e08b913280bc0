"""Signals as bytes in a pipe."""

import os
import select
import signal
from collections.abc import Iterator

import pytest

from dcmrecv.server.signals import SignalPipe, is_ignored

NOTED = (signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture
def signals() -> Iterator[SignalPipe]:
    before = {number: signal.getsignal(number) for number in NOTED}
    wakeup = signal.set_wakeup_fd(-1)
    pipe = SignalPipe(NOTED)
    yield pipe
    signal.set_wakeup_fd(wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)
    pipe.close()


def test_signals_are_read_in_order(signals: SignalPipe) -> None:
    for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), number)
    assert signals.read() == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2]
    assert signals.read() == []


def test_a_signal_ends_a_wait(signals: SignalPipe) -> None:
    poll = select.poll()
    poll.register(signals.fileno(), select.POLLIN)
    assert poll.poll(0) == []
    os.kill(os.getpid(), signal.SIGUSR1)
    assert poll.poll(15_000) == [(signals.fileno(), select.POLLIN)]
    signals.read()
    assert poll.poll(0) == []


def test_a_flood_of_signals_does_not_block(signals: SignalPipe) -> None:
    for _ in range(70_000):  # the pipe holds 65,536
        signal.raise_signal(signal.SIGUSR1)
    assert set(signals.read()) == {signal.SIGUSR1}


def test_ignored_signals_are_known(signals: SignalPipe) -> None:
    """`nohup` and the background jobs of a shell script start us so."""
    assert not is_ignored(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert is_ignored(signal.SIGUSR1)


def test_what_signals_did_before_can_be_had_again() -> None:
    """A start that fails leaves the process as it was."""
    before = signal.getsignal(signal.SIGUSR1)
    wakeup = signal.set_wakeup_fd(-1)
    try:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        pipe = SignalPipe(NOTED)
        assert not is_ignored(signal.SIGUSR1)
        pipe.undo()
        assert is_ignored(signal.SIGUSR1)
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.set_wakeup_fd(wakeup)
