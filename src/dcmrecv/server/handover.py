"""Connections between supervisor and workers, over one socket pair for all of them.

The workers share one end, the supervisor has the other: a connection that the
supervisor puts in waits there for whichever worker is idle first, and never behind the
association of one that got busy meanwhile. SOCK_SEQPACKET keeps messages apart.
"""

import array
import fcntl
import os
import select
import socket
import termios
from typing import Final, NamedTuple

# Kinds of messages: what was read is in the message, or in a memory file; in capital
# letters when the connection speaks TLS.
_INLINE: Final = b"i"
_IN_MEMORY: Final = b"m"

# What was read from a connection travels in the message up to this size, else in a
# memory file, so that a message always fits into a socket buffer (208 KiB) and neither
# side ever sends half of one. An A-ASSOCIATE-RQ has 0.2 to 10 KiB.
INLINE_LIMIT: Final = 16_384

_TWO_DESCRIPTORS: Final = socket.CMSG_SPACE(2 * array.array("i").itemsize)

# How long a worker waits for room in the socket pair. The supervisor empties it at
# once unless it is stopped.
SEND_TIMEOUT_MS: Final = 1_000


def open_channel() -> tuple[socket.socket, socket.socket]:
    """A socket pair: the supervisor's end and the workers' end, both non-blocking."""
    supervisor_end, worker_end = socket.socketpair(
        socket.AF_UNIX, socket.SOCK_SEQPACKET
    )
    supervisor_end.setblocking(False)
    worker_end.setblocking(False)
    return supervisor_end, worker_end


class Guest(NamedTuple):
    """A connection on its way, and what was read from it.

    `secure`: it speaks TLS, and `received` is the beginning of a handshake. `address`
    is the peer's, "" where nobody has asked for it yet.
    """

    connection: socket.socket
    received: bytes
    secure: bool = False
    address: str = ""


def hand_over(
    channel: socket.socket,
    connection: socket.socket,
    received: bytes,
    secure: bool = False,
) -> None:
    """Send a connection and the bytes that were read from it; the caller closes it.

    Raises:
        BlockingIOError: no room; nothing was sent.
        OSError: nobody at the other end, or no descriptors or memory left.
    """
    if len(received) <= INLINE_LIMIT:
        kind = _INLINE.upper() if secure else _INLINE
        socket.send_fds(channel, [kind, received], [connection.fileno()])
        return
    memory = os.memfd_create("dcmrecv-request", os.MFD_CLOEXEC)
    try:
        with os.fdopen(memory, "wb", closefd=False) as file:
            file.write(received)
        kind = _IN_MEMORY.upper() if secure else _IN_MEMORY
        socket.send_fds(channel, [kind], [connection.fileno(), memory])
    finally:
        os.close(memory)


def hand_over_patiently(
    channel: socket.socket,
    connection: socket.socket,
    received: bytes,
    secure: bool = False,
) -> None:
    """As hand_over(), but wait a little for room."""
    try:
        hand_over(channel, connection, received, secure)
    except BlockingIOError:
        room = select.poll()
        room.register(channel, select.POLLOUT)
        room.poll(SEND_TIMEOUT_MS)
        hand_over(channel, connection, received, secure)


def take_over(channel: socket.socket) -> Guest | None:
    """Receive a connection that the other end handed over.

    Returns:
        The non-blocking connection, which the caller owns, with the bytes read from
        it; None when nothing is there (another process may have been faster).

    Raises:
        OSError: no descriptors left; that connection is closed.
    """
    try:
        # Not socket.recv_fds(): CPython 3.11 drops its flags.
        message, ancillary, flags, _ = channel.recvmsg(
            1 + INLINE_LIMIT, _TWO_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
    except BlockingIOError:
        return None
    if not message:
        return None
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    try:
        if flags & socket.MSG_CTRUNC or not descriptors:
            raise OSError("a connection was lost for want of descriptors")
        received = message[1:]
        form = message[:1]
        if form.lower() == _IN_MEMORY:
            size = os.fstat(descriptors[1]).st_size
            received = os.pread(descriptors[1], size, 0)
        connection = socket.socket(fileno=descriptors[0])
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    for descriptor in descriptors[1:]:
        os.close(descriptor)
    connection.setblocking(False)
    return Guest(connection, received, form.isupper())


def is_empty(channel: socket.socket) -> bool:
    """Whether no message waits at this end."""
    waiting = array.array("i", [0])
    fcntl.ioctl(channel, termios.FIONREAD, waiting)
    return waiting[0] == 0
