"""Listening sockets."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dcmrecv.config.settings import IpVersion, NetworkSettings
from dcmrecv.errors import ExitCode, ListenError
from dcmrecv.server.listener import (
    _try_all,
    open_listeners,
    waiting_connections,
)
from tests.peers.waiting import wait_until

NOBODY = 65_534


def listen(
    *,
    port: int = 0,
    host: str | None = "127.0.0.1",
    ip_version: IpVersion = IpVersion.IPV4,
) -> tuple[socket.socket, ...]:
    return open_listeners(NetworkSettings(port=port, host=host, ip_version=ip_version))


def port_of(listeners: tuple[socket.socket, ...]) -> int:
    port: int = listeners[0].getsockname()[1]
    return port


@contextmanager
def closing(listeners: tuple[socket.socket, ...]) -> Iterator[int]:
    """The port of listeners that are closed in the end."""
    try:
        yield port_of(listeners)
    finally:
        for listener in listeners:
            listener.close()


def test_port_0_gives_a_free_port() -> None:
    with closing(listen()) as one, closing(listen()) as other:
        assert one != other
        assert min(one, other) > 0


def test_accepted_connections_have_nodelay_and_keepalive() -> None:
    """Set once on the listener, so that they cost no system call per association."""
    listeners = listen()
    with closing(listeners) as port, socket.create_connection(("127.0.0.1", port)) as c:
        c.send(b"x")
        wait_until(lambda: waiting_connections(listeners[0]), "the connection")
        accepted, _ = listeners[0].accept()
        with accepted:
            tcp = socket.IPPROTO_TCP
            assert accepted.getsockopt(tcp, socket.TCP_NODELAY) == 1
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle_s = accepted.getsockopt(tcp, socket.TCP_KEEPIDLE)
            probes = accepted.getsockopt(tcp, socket.TCP_KEEPCNT)
            interval_s = accepted.getsockopt(tcp, socket.TCP_KEEPINTVL)
            assert idle_s + probes * interval_s == 120


def test_a_connection_that_says_nothing_is_not_shown_at_first() -> None:
    listeners = listen()
    with closing(listeners) as port, socket.create_connection(("127.0.0.1", port)) as c:
        with pytest.raises(BlockingIOError):
            listeners[0].accept()
        assert waiting_connections(listeners[0]) == 0
        c.send(b"x")
        wait_until(lambda: waiting_connections(listeners[0]) == 1, "the connection")


def test_more_connections_wait_than_the_original_holds() -> None:
    """The original has a backlog of 50; the 51st hangs. Spec section 3.3."""
    listeners = listen()
    connections = []
    with closing(listeners) as port:
        for _ in range(100):
            connections.append(socket.create_connection(("127.0.0.1", port), 5))
            connections[-1].send(b"x")
        wait_until(lambda: waiting_connections(listeners[0]) == 100, "100 connections")
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("second_host", [None, "127.0.0.1"])
def test_a_second_receiver_on_the_port_is_refused(second_host: str | None) -> None:
    """Also when the first one listens on 127.0.0.1 only. Spec sections 3.2 and 3.3."""
    with closing(listen()) as port:
        with pytest.raises(ListenError) as caught:
            listen(port=port, host=second_host)
        assert str(caught.value) == (
            f"cannot start SCP and listen on port {port}: "
            "TCP Initialization Error: Address already in use"
        )
        assert caught.value.details == ()
        assert caught.value.exit_code == ExitCode.LISTEN


def test_a_restart_can_listen_while_old_connections_linger() -> None:
    listeners = listen()
    with closing(listeners) as port, socket.create_connection(("127.0.0.1", port)) as c:
        c.send(b"x")
        wait_until(lambda: waiting_connections(listeners[0]), "the connection")
        listeners[0].accept()[0].close()  # first to close: TIME_WAIT is ours
    with closing(listen(port=port)) as again:
        assert again == port


def test_a_privileged_port_is_for_root_only() -> None:
    """The user id is looked at, not what bind() says. Spec section 3.2."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        with pytest.raises(ListenError) as caught:
            listen(port=104)
    finally:
        os.seteuid(before)
    assert str(caught.value) == (
        "cannot start SCP and listen on port 104: Insufficient port privileges"
    )
    assert caught.value.details == ("No privileges to open this network port (104)",)


def test_auto_listens_on_both_protocols_with_one_port() -> None:
    listeners = listen(host=None, ip_version=IpVersion.AUTO)
    with closing(listeners) as port:
        families = [listener.family for listener in listeners]
        assert families == [socket.AF_INET, socket.AF_INET6]
        assert {listener.getsockname()[1] for listener in listeners} == {port}


def test_an_ipv4_peer_has_an_ipv4_address_with_auto() -> None:
    listeners = listen(host=None, ip_version=IpVersion.AUTO)
    with closing(listeners) as port, socket.create_connection(("127.0.0.1", port)) as c:
        c.send(b"x")
        wait_until(lambda: waiting_connections(listeners[0]), "the connection")
        accepted, address = listeners[0].accept()
        accepted.close()
        assert address[0] == "127.0.0.1"


def test_ipv6_alone_takes_no_ipv4() -> None:
    with closing(listen(host=None, ip_version=IpVersion.IPV6)) as port:
        with socket.create_connection(("::1", port), 5):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)


def test_auto_does_without_the_protocol_that_the_machine_lacks() -> None:
    """An address that is not ours stands for IPv6 on a machine without it."""
    addresses = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "2001:db8::1"))
    listeners = _try_all(addresses, 0)
    with closing(listeners):
        assert [listener.family for listener in listeners] == [socket.AF_INET]


def test_without_any_address_it_is_an_error() -> None:
    with pytest.raises(ListenError, match="Cannot assign requested address"):
        listen(host="::1")  # no IPv4 address
    with pytest.raises(ListenError, match="Cannot assign requested address"):
        listen(host="192.0.2.1")


def test_an_unknown_host_is_an_error() -> None:
    with pytest.raises(ListenError, match="cannot start SCP and listen on port 0: "):
        listen(host="no such host")
