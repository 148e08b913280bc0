"""The ways in which TLS is received, as far as this machine has them."""

import select
import socket
import ssl
from typing import Final

from dcmrecv.service import kernel_tls
from dcmrecv.service.kernel_tls import SocketTlsEngine, TlsSocket
from dcmrecv.service.tls import TlsEngine

DEADLINE_S = 15.0

# By OpenSSL on the connection's own socket, or by the kernel, which has it from there.
ON_SOCKET: Final = ("socket", *(("kernel",) if kernel_tls.is_available() else ()))
WAYS: Final = ("buffers", *ON_SOCKET)

# What `--kernel-tls` makes a difference for here.
KERNEL_TLS: Final = ("off", *(("auto",) if kernel_tls.is_available() else ()))


def prepare(context: ssl.SSLContext, way: str) -> None:
    """Make an acceptor's context go one of WAYS."""
    if way == "kernel":
        kernel_tls.ask_for(context)
    elif way == "socket":
        context.sslsocket_class = TlsSocket


def shaken_hands(
    context: ssl.SSLContext, connection: socket.socket
) -> tuple[TlsEngine, socket.socket]:
    """The engine and the connection after a handshake in the way of the context."""
    connection.setblocking(False)
    if kernel_tls.is_asked_for(context):
        on_socket = SocketTlsEngine(context, connection)
        while not on_socket.shake_hands():
            await_data(on_socket.connection)
        on_socket.hand_to_kernel()
        return on_socket, on_socket.connection
    engine = TlsEngine(context)
    while not engine.shake_hands():
        connection.send(engine.take_output())
        await_data(connection)
        engine.feed(connection.recv(65_536))
    connection.send(engine.take_output())
    return engine, connection


def await_data(connection: socket.socket) -> None:
    """Until there is something to read, or the end."""
    assert select.select([connection], [], [], DEADLINE_S)[0]
