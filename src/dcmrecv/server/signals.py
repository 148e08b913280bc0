"""Signals as bytes in a pipe: a handler notes, the main loop reads.

Never decides what a signal means.
"""

import os
import signal
from collections.abc import Iterable
from types import FrameType


class SignalPipe:
    """The wake-up descriptor of this process and the signals that are noted in it.

    CPython's C handler writes the number of each signal into the pipe, so a wait on
    the descriptor ends even inside code that does not hold the GIL, and nothing is
    lost between a look and the next wait.
    """

    def __init__(self, noted: Iterable[signal.Signals]) -> None:
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # 64 KiB of unread signals: the first ones have said what there is to say.
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._before = {
            number: signal.signal(number, _leave_it_to_the_pipe) for number in noted
        }

    def fileno(self) -> int:
        """Readable when a signal was noted."""
        return self._read_end

    def read(self) -> list[int]:
        """The signals since the last call, in order."""
        try:
            return list(os.read(self._read_end, 65_536))
        except BlockingIOError:
            return []

    def undo(self) -> None:
        """Let signals do again what they did before, and close."""
        for number, action in self._before.items():
            signal.signal(number, action)
        signal.set_wakeup_fd(-1)
        self.close()

    def close(self) -> None:
        """Close both ends; a process that set up its own pipe no longer writes here."""
        os.close(self._read_end)
        os.close(self._write_end)


def _leave_it_to_the_pipe(number: int, frame: FrameType | None) -> None:
    pass


def is_ignored(number: signal.Signals) -> bool:
    """Whether who started us wants a signal ignored, as nohup and `sh -c 'x &'` do."""
    return signal.getsignal(number) is signal.SIG_IGN
