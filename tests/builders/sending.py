"""Sending more than a socket buffer holds while the test reads the other end."""

import socket
import threading


def send_in_background(connection: socket.socket, data: bytes) -> threading.Thread:
    """A thread, already started, that sends all of `data`; to be joined."""
    thread = threading.Thread(target=connection.sendall, args=(data,))
    thread.start()
    return thread
