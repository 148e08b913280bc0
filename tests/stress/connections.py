"""Connections that say nothing, one after the other: does the supervisor grow?

    python -m tests.stress.connections [CONNECTIONS [tls]]

Prints memory and descriptors of the supervisor before and after, how long it took, and
how soon the next sender was served. With `tls` they go to a port that speaks TLS.
"""

import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.builders.certificates import Authority
from tests.builders.command import SUCCESS
from tests.builders.data_set import object_of
from tests.peers.program import Program, free_port, storage_program
from tests.peers.scu import store_alone
from tests.peers.waiting import wait_until

WARM_UP = 10_000
DEADLINE_S = 600.0


def _open_and_close(port: int, times: int) -> None:
    for _ in range(times):
        socket.create_connection(("127.0.0.1", port), DEADLINE_S).close()


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise LookupError(f"no VmRSS of {pid}")


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _next_sender(port: int) -> float:
    begin_s = time.monotonic()
    response = store_alone(port, object_of("1.2.3"), "1.2.3")
    assert response.status == SUCCESS
    return time.monotonic() - begin_s


def _state(program: Program) -> tuple[int, int]:
    """Memory in KB and descriptors of the supervisor."""
    return _resident_kb(program.process.pid), _descriptors(program.process.pid)


def main(arguments: Sequence[str]) -> int:
    """Returns 0, whatever the figures are."""
    connections = int(arguments[0]) if arguments else 1_000_000
    secure = arguments[1:] == ["tls"]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        options: list[str] = []
        if secure:
            identity = Authority().issue("receiver")
            options = ["+tls", *identity.write(directory), "-ic"]
        plain = free_port()
        options += ["--listen", f"127.0.0.1:{plain}"]
        with storage_program(directory, *options) as program:
            _open_and_close(program.port, WARM_UP)
            _next_sender(plain)
            before_kb, descriptors = _state(program)
            begin_s = time.monotonic()
            _open_and_close(program.port, connections)
            taken_s = time.monotonic() - begin_s
            served_s = _next_sender(plain)
            wait_until(
                lambda: _descriptors(program.process.pid) <= descriptors,
                "the descriptors",
            )
            after_kb, _ = _state(program)
    print(f"{connections} connections in {taken_s:.0f} s")
    print(f"supervisor: {before_kb} KB before, {after_kb} KB after")
    print(f"descriptors: {descriptors} before and after")
    print(f"next sender served in {1000 * served_s:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
