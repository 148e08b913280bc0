"""Disks that are full, small or read-only, for a receiver to fail on."""

import contextlib
import ctypes
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
COMMAND_DEADLINE_S = 20


def without_privileges() -> None:
    """For a child before it starts its program: root, too, obeys permission bits."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def with_file_size_limit(size: int) -> Callable[[], None]:
    """For a child before it starts its program: no file grows beyond `size` bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A directory in which little fits.

    Attributes:
        directory: on the small disk.
        size: an object of this many bytes does not fit, one of a quarter does.
        before_exec: what a receiver needs to run in the child, or None.
    """

    directory: Path
    size: int
    before_exec: Callable[[], None] | None


@contextlib.contextmanager
def small_disk(mount_point: Path, size: int = 1 << 20) -> Iterator[SmallDisk]:
    """A tmpfs of `size` bytes; where none can be mounted, no file can be larger."""
    mount_point.mkdir(exist_ok=True)
    mounted = os.geteuid() == 0 and _run(
        "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount_point)
    )
    try:
        limit = None if mounted else with_file_size_limit(size)
        yield SmallDisk(mount_point, size, limit)
    finally:
        if mounted and not _run("umount", "--lazy", str(mount_point)):
            raise OSError(f"cannot unmount {mount_point}")


def _run(*command: str) -> bool:
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=COMMAND_DEADLINE_S
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0
