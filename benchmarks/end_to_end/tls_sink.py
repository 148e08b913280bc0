"""What Python's ssl costs at least: reads what tls_sender sends, and drops it.

    python tls_sink.py SIZE PDU --ignore +tls KEY CERTIFICATE +cf CA PORT

One call of SSLSocket for each record, one process for each connection, and nothing is
looked at: messages end after as many bytes as the sender's always have.
"""

import os
import signal
import socket
import ssl
import sys
from collections.abc import Sequence

from tls_sender import message

AC = b"\x02\0\0\0\0\0"
RELEASE_RP = b"\x06\0\0\0\0\x04\0\0\0\0"
SUCCESS = b"\0\0\0\x09\x02\0\0\0\0\0"  # Status (0000,0900)
RESPONSE = b"\x04\0\0\0\0\x10" + b"\0\0\0\x0c\x01\x03" + SUCCESS


def serve(peer: ssl.SSLSocket, size: int) -> None:
    """One association of messages of `size` bytes."""
    room = memoryview(bytearray(65_536))
    peer.recv_into(room)
    peer.sendall(AC)
    got = 0
    while count := peer.recv_into(room):
        got += count
        if got == size:
            peer.sendall(RESPONSE)
            got = 0
        elif got == len(RELEASE_RP) and count == got:
            peer.sendall(RELEASE_RP)


def main(argv: Sequence[str]) -> int:
    """Serve until somebody ends it."""
    size, pdu = map(int, argv[:2])
    key, certificate, authority, port = argv[4], argv[5], argv[7], int(argv[8])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cafile=authority)
    context.verify_mode = ssl.CERT_REQUIRED
    expected = len(message(1, size, pdu))
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                serve(context.wrap_socket(connection, server_side=True), expected)
            except OSError as error:
                print(error, file=sys.stderr)
            signal.pause()  # so that the processor time it took can be read
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
