"""The receiver as a child process of a Python program; the other end of api.Receiver.

Owns what the two say to each other. Arguments are two descriptors, of the scoreboard's
memory file and of the pipe for the report; standard input brings the settings, and its
end of file says that the parent is gone.
"""

import os
import pickle
import signal
import struct
import sys
from collections.abc import Sequence
from typing import Final

from dcmrecv.config.logs import configure
from dcmrecv.config.settings import Settings
from dcmrecv.errors import DcmrecvError
from dcmrecv.server.scoreboard import Scoreboard
from dcmrecv.server.startup import examine
from dcmrecv.server.supervisor import Supervisor

# What Python is told to do to become this child; the argument after it is a directory
# in which the package is found.
BOOT: Final = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from dcmrecv.server.child import main; sys.exit(main(sys.argv[1:]))"
)

REPORT_HEADER: Final = struct.Struct("=I")  # length of the pickle that follows


def main(argv: Sequence[str]) -> int:
    """Be the receiver until the end; returns the exit code."""
    board_descriptor, report_descriptor = map(int, argv)
    # A thread of the parent may have had any mask.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    settings: Settings = pickle.load(sys.stdin.buffer)
    try:
        configure(settings.log)
        parent = _move_standard_input()
        supervisor = Supervisor(
            settings,
            examine(settings),
            board=Scoreboard(settings.pool.max_associations, board_descriptor),
            parent=parent,
            on_ready=lambda port: _report(report_descriptor, port),
        )
    except DcmrecvError as error:
        _report(report_descriptor, error)
        return 1
    return supervisor.run()


def _report(descriptor: int, result: int | DcmrecvError) -> None:
    """Send the port, or why there is none."""
    message = pickle.dumps(result)
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(REPORT_HEADER.pack(len(message)) + message)


def _move_standard_input() -> int:
    """Leave 0 to /dev/null: workers close the pipe, and 0 is no number for a socket."""
    moved = os.dup(sys.stdin.fileno())
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    return moved
