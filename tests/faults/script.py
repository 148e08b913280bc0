"""Orders to the faulty table of system calls, and its compilation.

A `FaultScript` is a file of eight 64-bit words that the test writes and that the
receiver's processes have mapped; `faultio.pyx` carries the orders out.
"""

import errno
import mmap
import struct
import subprocess
import sys
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import dcmrecv

WORDS = struct.Struct("=8Q")
UNLIMITED = 2**64 - 1
COMPILE_DEADLINE_S = 120


class Call(IntEnum):
    """The system calls that can be made to fail; numbers as in `faultio.pyx`."""

    RECVV = 1
    SEND = 2
    POLL = 3
    OPENAT = 4
    PREAD = 5
    PWRITE = 6
    FTRUNCATE = 7
    MKDIRAT = 8
    RENAMEAT = 9
    UNLINKAT = 10
    CLOSE = 11
    PWRITE_DONTCACHE = 12
    SET_DIRECT = 13
    LINKAT = 14
    FDATASYNC = 15
    FSYNC = 16
    SYNCFS = 17
    WRITE_BACK = 18
    OPEN_BENEATH = 19
    WRITE = 20
    START_WRITE_BACK = 21


SHORT = 0  # instead of an errno: the call does less than it was asked to


class FaultScript:
    """The words in a file; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(WORDS.pack(0, 0, 0, 0, 0, 0, UNLIMITED, 0))
        with path.open("r+b") as file:
            self._words = mmap.mmap(file.fileno(), WORDS.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._words.close()

    def fail(
        self,
        call: Call,
        nth: int,
        os_errno: int,
        *,
        lasting: bool = False,
        space: int = UNLIMITED,
    ) -> None:
        """From now on the n-th call of a kind fails, with `lasting` all later ones.

        With `space` files can take that many bytes in all besides.
        """
        self._put(call, nth, os_errno, lasting, space)

    def limit_space(self, size: int) -> None:
        """From now on files can take `size` bytes in all, then ENOSPC."""
        self._put(0, 0, errno.ENOSPC, False, size)

    def say_free(self, *, space: int, inodes: int) -> None:
        """From now on so many per mille of the file system are free."""
        self._put(0, 0, 0, False, UNLIMITED, space | inodes << 32)

    def clear(self) -> None:
        """From now on nothing fails."""
        self._put(0, 0, 0, False, UNLIMITED)

    def _put(
        self,
        call: int,
        nth: int,
        os_errno: int,
        lasting: bool,
        space: int,
        free: int = 0,
    ) -> None:
        self._words[:] = WORDS.pack(call, nth, os_errno, lasting, 0, 0, space, free)

    @property
    def hits(self) -> int:
        """How many calls have been made to fail since the last order."""
        return int(WORDS.unpack(self._words[:])[5])


# `setup.py` of the one extension; its arguments are the source, the package's folder
# and where to build.
SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup

name, source, package, target = sys.argv[1:]
extensions = cythonize(
    [Extension(name, [source])],
    include_path=[package],
    build_dir=target + "/c",
    quiet=True,
)
options = ["-q", "build_ext", "--build-lib", target, "--build-temp", target + "/o"]
setup(script_args=options, ext_modules=extensions)
"""


def compile_table(name: str, directory: Path) -> None:
    """Build a table of this folder into `directory`, with the package's declarations.

    Args:
        name: "faultio" or "recordio".
        directory: where to.

    Raises:
        RuntimeError: it does not compile.
    """
    source = Path(__file__).with_name(f"{name}.pyx")
    package = Path(dcmrecv.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SETUP, name, str(source), str(package), str(directory)],
        capture_output=True,
        timeout=COMPILE_DEADLINE_S,
        check=False,
        cwd=directory,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
