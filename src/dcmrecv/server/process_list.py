"""What the process list shows of this process.

Owns the arguments as the kernel hands them out, /proc/PID/cmdline. Never reads options:
which arguments are secret it is told.

Source:
    proc(5): arg_start and arg_end are fields 48 and 49 of /proc/PID/stat.
"""

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

_ARG_START: Final = 48
_ARG_END: Final = 49
# Behind the name of the program, which may contain blanks; the first of them is 3.
_FIRST_FIELD: Final = 3


def hide_values(names: Collection[str]) -> None:
    """Overwrite the argument that follows each of these names, for as long as we live.

    Where the kernel does not let us, it stays visible.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start = int(fields[_ARG_START - _FIRST_FIELD])
        end = int(fields[_ARG_END - _FIRST_FIELD])
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            arguments = memory.read(end - start).split(b"\0")
            at, secret = start, False
            for argument in arguments:
                if secret:
                    memory.seek(at)
                    memory.write(b"*" * len(argument))
                at += len(argument) + 1
                secret = argument.decode("utf-8", "replace") in names
