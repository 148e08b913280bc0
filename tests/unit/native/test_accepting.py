"""native.accepting: one connection, and where it comes from."""

import errno
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from dcmrecv.native.accepting import accept


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    host: str = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:
        yield listening


def test_who_connects_is_accepted_with_the_address(listener: socket.socket) -> None:
    host, port, *_ = listener.getsockname()
    with socket.create_connection((host, port), 5) as peer:
        descriptor, address = accept(listener.fileno())
        with socket.socket(fileno=descriptor) as accepted:
            assert address == host == accepted.getpeername()[0]
            assert accepted.getpeername()[1] == peer.getsockname()[1]
            assert os.get_blocking(descriptor)
            assert not os.get_inheritable(descriptor)


def test_an_ipv4_peer_on_a_dual_socket_has_a_mapped_address() -> None:
    with (
        socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True
        ) as listening,
        socket.create_connection(("127.0.0.1", listening.getsockname()[1]), 5),
    ):
        descriptor, address = accept(listening.fileno())
        os.close(descriptor)
    assert address == "::ffff:127.0.0.1"


def test_a_peer_without_an_address_has_none() -> None:
    with (
        socket.socket(socket.AF_UNIX) as listening,
        socket.socket(socket.AF_UNIX) as peer,
    ):
        listening.bind("")  # a name of the kernel's
        listening.listen()
        peer.connect(listening.getsockname())
        descriptor, address = accept(listening.fileno())
        os.close(descriptor)
    assert address == ""


def test_nobody_there_is_said_at_once(listener: socket.socket) -> None:
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        accept(listener.fileno())


def test_a_failure_is_the_callers_business() -> None:
    with socket.socket() as unbound, pytest.raises(OSError) as caught:
        accept(unbound.fileno())
    assert caught.value.errno == errno.EINVAL


def test_a_signal_does_not_end_the_wait(listener: socket.socket) -> None:
    host, port, *_ = listener.getsockname()
    came = threading.Event()
    peers: list[socket.socket] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.set()

    def interrupt_and_connect() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        came.wait(5)
        peers.append(socket.create_connection((host, port), 5))

    before = signal.signal(signal.SIGUSR1, note)
    thread = threading.Thread(target=interrupt_and_connect)
    try:
        thread.start()
        descriptor, _ = accept(listener.fileno())
        os.close(descriptor)
    finally:
        thread.join(10)
        signal.signal(signal.SIGUSR1, before)
        for peer in peers:
            peer.close()
    assert came.is_set()


def test_a_signal_that_raises_is_not_lost(listener: socket.socket) -> None:
    def give_up(number: int, frame: FrameType | None) -> None:
        raise InterruptedError("enough")

    before = signal.signal(signal.SIGALRM, give_up)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError, match="enough"):
            accept(listener.fileno())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
