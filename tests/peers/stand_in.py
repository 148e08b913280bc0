"""A receiver with the real processes and, in each worker, a service that obeys.

Run as a program it takes the options of `main()` and a port. An association is any PDU
of type 01H, answered with `hello PID TAG`; then each line from the peer is a command:

    bye      close the connection
    file     make a temporary file as the storage would, answer `done`
    crash    raise an exception, as a bug would
"""

import argparse
import contextlib
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dcmrecv.config.logs import configure
from dcmrecv.config.settings import (
    VERIFICATION_PROFILE,
    AccessSettings,
    AssociationProfile,
    LogSettings,
    NetworkSettings,
    PoolSettings,
    Settings,
    StorageMode,
    StorageSettings,
)
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.server.startup import Examined
from dcmrecv.server.supervisor import Supervisor
from dcmrecv.service.association import Interrupts
from dcmrecv.service.receiver import StoreReceiver
from dcmrecv.service.regulars import Regulars, Visit
from dcmrecv.service.requests import AssociationRequests, request_complete
from dcmrecv.service.tls import TlsEngine
from dcmrecv.ul.negotiation import NegotiationPolicy

COMMAND = (sys.executable, str(Path(__file__).resolve()))
REQUEST = b"\x01\x00" + (4).to_bytes(4, "big") + b"ASSO"
DEADLINE_S = 15.0


def door(slot: WorkerSlot) -> Regulars:
    """Where everybody is a stranger: accepts and reads, and serves nobody."""
    policy = NegotiationPolicy(profile=VERIFICATION_PROFILE, max_pdu=16_384)
    return Regulars(
        StoreReceiver(StorageSettings(mode=StorageMode.IGNORE), slot, "tag"),
        AssociationRequests(policy, StorageMode.IGNORE),
        slot,
        NetworkSettings(port=0),
        AccessSettings(),
        b"",
    )


class StandInService:
    """Obeys the peer's commands."""

    def __init__(
        self,
        settings: Settings,
        profile: AssociationProfile,
        slot: WorkerSlot,
        temporary_tag: str,
    ) -> None:
        self._directory = Path(settings.storage.output_directory)
        if not self._directory.is_dir():
            raise NotADirectoryError(str(self._directory))
        self._slot = slot
        self.regulars = door(slot)
        self._tag = temporary_tag
        self._temporary: Path | None = None

    def serve(
        self,
        connection: socket.socket,
        received: bytes,
        interrupts: Interrupts,
        engine: TlsEngine | None = None,
        address: str = "",
    ) -> None:
        """Serve one connection."""
        with connection:
            connection.setblocking(True)
            if not request_complete(received):
                logging.error("no request, only %r", received)
                return
            self._slot.increase("associations")
            with contextlib.suppress(ConnectionError):
                connection.sendall(f"hello {os.getpid()} {self._tag}\n".encode())
                for command in self._commands(connection, interrupts):
                    if command == "bye":
                        break
                    connection.sendall(f"{self._obey(command)}\n".encode())

    def resume(
        self, connection: socket.socket, visit: Visit, interrupts: Interrupts
    ) -> None:
        """Nobody is a regular here."""
        raise NotImplementedError

    def _commands(
        self, connection: socket.socket, interrupts: Interrupts
    ) -> Iterator[str]:
        lines = connection.makefile("r")
        while True:
            poll = select.poll()
            poll.register(connection, select.POLLIN)
            for descriptor in interrupts.descriptors():
                poll.register(descriptor, select.POLLIN)
            ready = {descriptor for descriptor, _ in poll.poll()}
            if ready & set(interrupts.descriptors()) and interrupts.must_abort():
                self._abort(connection)
                return
            if connection.fileno() in ready:
                line = lines.readline()
                if not line:
                    return
                yield line.strip()

    def _abort(self, connection: socket.socket) -> None:
        self._slot.increase("aborted")
        if self._temporary is not None:
            self._temporary.unlink()
        connection.sendall(b"abort\n")

    def _obey(self, command: str) -> str:
        if command == "crash":
            self._slot.increase("aborted")
            raise RuntimeError("told to crash")
        if command == "file":
            self._temporary = self._directory / f".dcmrecv-{self._tag}-1.part"
            self._temporary.touch()
            self._slot.increase("objects")
        return "done"


class StandInScu:
    """The peer of a StandInService; says `request` at once."""

    def __init__(self, port: int, request: bytes = REQUEST) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer: str | None = None
        with contextlib.suppress(ConnectionError):
            self.connection.sendall(request)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @property
    def answer(self) -> str:
        """The first line that the receiver says.

        "hello PID TAG", "rejected RESULT SOURCE REASON", or "" when it just closes.
        """
        if self._answer is None:
            first = self._read(1)
            if first == b"\x03":
                rest = self._read(9)
                self._answer = f"rejected {rest[6]} {rest[7]} {rest[8]}"
            else:
                self._answer = (first + self._read_line()).decode().strip()
        return self._answer

    @property
    def worker(self) -> int:
        """The process id of the worker that serves this association."""
        word, pid, _ = self.answer.split()
        assert word == "hello"
        return int(pid)

    def obey(self, command: str) -> str:
        """Send a command and return the line that comes back, "" for none."""
        assert self.answer.startswith("hello")
        self.connection.sendall(f"{command}\n".encode())
        return self.next_line()

    def next_line(self) -> str:
        """Wait for a line; "" when the receiver closes."""
        return self._read_line().decode().strip()

    def _read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            piece = self._read(1)
            if not piece:
                break
            line += piece
        return line

    def _read(self, size: int) -> bytes:
        data = b""
        with contextlib.suppress(ConnectionError):
            while len(data) < size:
                piece = self.connection.recv(size - len(data))
                if not piece:
                    break
                data += piece
        return data


def main(argv: Sequence[str]) -> int:
    """Run a stand-in receiver until a signal ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--max", type=int, default=4)
    parser.add_argument("--spare", type=int, default=2)
    parser.add_argument("--queue", action="store_true")
    parser.add_argument("--drain", type=int, default=10)
    parser.add_argument("--acse", type=int, default=30)
    parser.add_argument("--keep-idle", type=float, default=30.0)
    parser.add_argument("--directory", default=".")
    parser.add_argument("port", type=int)
    options = parser.parse_args(argv)
    # What the shell that runs the tests may have set for its background jobs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    settings = Settings(
        network=NetworkSettings(
            port=options.port, host="127.0.0.1", acse_timeout_s=options.acse
        ),
        storage=StorageSettings(output_directory=options.directory),
        pool=PoolSettings(
            max_associations=options.max,
            spare_workers=options.spare,
            queue_associations=options.queue,
            drain_timeout_s=options.drain,
        ),
        log=LogSettings(level="info"),
    )
    configure(settings.log)
    examined = Examined(VERIFICATION_PROFILE, users=None)
    supervisor = Supervisor(settings, examined, service_factory=StandInService)
    supervisor._policy = replace(
        supervisor._policy, keep_idle_ns=int(options.keep_idle * 1e9)
    )
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
