"""Listening sockets: IPv4, IPv6 or both.

Owns the socket options of listeners and of what is accepted from them (Linux hands them
down). Never accepts.
"""

import errno
import os
import socket
import struct
from typing import Final

from dcmrecv.config.settings import IpVersion, ListenAddress, NetworkSettings
from dcmrecv.errors import ListenError

# Connections that the kernel holds for us. It cuts the number to net.core.somaxconn,
# which is 4,096 since Linux 5.4.
BACKLOG: Final = 4_096

# A connection that says nothing is shown to us only after this time, so a port scan
# costs no worker. Not more than a second: ARTIM starts when we see the connection.
DEFER_ACCEPT_S: Final = 1

# A peer that vanished without a word (power, cable) is noticed after
# KEEPALIVE_IDLE_S + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL_S = 2 minutes; without -td
# nothing else would ever end its association.
KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4

# Below this only root may listen; the original looks at the user id, not at bind().
FIRST_UNPRIVILEGED_PORT: Final = 1_024

# How often another free port is tried when the one that IPv4 got is taken for IPv6.
PORT_ATTEMPTS: Final = 16

# struct tcp_info up to tcpi_unacked.
_TCP_INFO_UNACKED: Final = struct.Struct("24xI")

_NO_SUCH_FAMILY: Final = {
    errno.EAFNOSUPPORT,
    errno.EADDRNOTAVAIL,
    errno.EPROTONOSUPPORT,
}

_WILDCARDS: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}


def open_listeners(network: NetworkSettings) -> tuple[socket.socket, ...]:
    """Bind and listen on the one port that `network` names.

    Returns, Raises: see open_listeners_on().
    """
    place = ListenAddress(network.host, network.port)
    return open_listeners_on(place, network.ip_version)


def open_listeners_on(
    place: ListenAddress, ip_version: IpVersion
) -> tuple[socket.socket, ...]:
    """Bind and listen on one place, in the families of `ip_version`.

    Returns:
        Non-blocking listening sockets, at least one, all on the same port. The caller
        owns them. Port 0 gives a free port. What is accepted from them has TCP_NODELAY
        and keepalive on.

    Raises:
        ListenError: with the texts of spec section 3.2; nothing stays open.

    Source:
        spec sections 3.2 and 3.3.
    """
    port = place.port
    if 0 < port < FIRST_UNPRIVILEGED_PORT and os.geteuid() != 0:
        raise ListenError(
            f"cannot start SCP and listen on port {port}: Insufficient port privileges",
            details=(f"No privileges to open this network port ({port})",),
        )
    try:
        return _listen_on_all(_addresses(place.host, ip_version), port)
    except OSError as error:
        raise ListenError(
            f"cannot start SCP and listen on port {port}: "
            f"TCP Initialization Error: {error.strerror}"
        ) from error


def waiting_connections(listener: socket.socket) -> int:
    """How many connections the kernel holds for accept().

    Source:
        tcp(7), TCP_INFO; of a listener, tcpi_unacked is the length of the queue.
    """
    info = listener.getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_UNACKED.size
    )
    waiting: int = _TCP_INFO_UNACKED.unpack(info)[0]
    return waiting


def _addresses(
    host: str | None, ip_version: IpVersion
) -> tuple[tuple[socket.AddressFamily, str], ...]:
    families = {
        IpVersion.IPV4: (socket.AF_INET,),
        IpVersion.IPV6: (socket.AF_INET6,),
        # Two sockets, not one for both: so an IPv4 peer has an IPv4 address in the log.
        IpVersion.AUTO: (socket.AF_INET, socket.AF_INET6),
    }[ip_version]
    if host is None:
        return tuple((family, _WILDCARDS[family]) for family in families)
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    wanted = [
        (family, str(address[0])) for family, *_, address in found if family in families
    ]
    return tuple(dict.fromkeys(wanted))


def _listen_on_all(
    addresses: tuple[tuple[socket.AddressFamily, str], ...], port: int
) -> tuple[socket.socket, ...]:
    for _ in range(PORT_ATTEMPTS - 1):
        try:
            return _try_all(addresses, port)
        except OSError as error:
            if port != 0 or error.errno != errno.EADDRINUSE:
                raise
    return _try_all(addresses, port)


def _try_all(
    addresses: tuple[tuple[socket.AddressFamily, str], ...], port: int
) -> tuple[socket.socket, ...]:
    listeners: list[socket.socket] = []
    refused = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    try:
        for family, host in addresses:
            try:
                listener = _listen(family, host, port)
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    raise
                # A machine without IPv6, say: the other family is enough.
                refused = error
                continue
            listeners.append(listener)
            port = listener.getsockname()[1]
        if not listeners:
            raise refused
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return tuple(listeners)


def _listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Lets a restart bind while old connections are in TIME_WAIT; a second listener
        # on the port still fails.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_NODELAY, 1),
            (socket.TCP_DEFER_ACCEPT, DEFER_ACCEPT_S),
            (socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S),
            (socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S),
            (socket.TCP_KEEPCNT, KEEPALIVE_PROBES),
        ):
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
