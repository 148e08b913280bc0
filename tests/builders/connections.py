"""Pairs of connected TCP sockets, for what looks at connections without a receiver."""

import socket
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

DEADLINE_S = 15.0


@dataclass(slots=True)
class Connections:
    """Makes pairs; a context manager that closes all that it made."""

    _open: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for connection in self._open:
            connection.close()

    def close_later(self, *connections: socket.socket) -> None:
        """Close others as well, which have taken over the descriptors of a pair."""
        self._open += connections

    def pair(self, host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
        """The peer's end, with a deadline, and our accepted, non-blocking end.

        Args:
            host: the peer's address; any of 127.0.0.0/8.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.create_connection(
                listener.getsockname(), DEADLINE_S, source_address=(host, 0)
            )
            accepted, _ = listener.accept()
        accepted.setblocking(False)
        self.close_later(peer, accepted)
        return peer, accepted


def says(peer: socket.socket) -> bytes:
    """Everything that the other end sends until it closes."""
    said = b""
    try:
        while piece := peer.recv(65_536):
            said += piece
    except ConnectionResetError:
        pass
    return said
