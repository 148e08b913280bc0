"""For whom a load balancer speaks: the header of the PROXY protocol, version 2.

Owns the form of the header and who may send one. Never reads a socket.

From an address of `--proxy-protocol` the header is mandatory, since a connection
without one would pass for one of the proxy itself. From everybody else it is no header
but bytes that begin no association.

Source:
    HAProxy, "The PROXY protocol, versions 1 & 2", section 2.2.
"""

import ipaddress
import struct
from collections.abc import Sequence
from typing import Final, Self

from dcmrecv.errors import ProtocolViolation
from dcmrecv.service.networks import Networks

FIXED_BYTES: Final = 16  # signature, version and command, family, length

# The text wants a receiver to take 65,535; addresses have 216 at most, and what proxies
# add for TLS some hundred.
VARIABLE_BYTES_MAX: Final = 4_096

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_VERSION: Final = 0x20
_LOCAL: Final = 0
_PROXY: Final = 1

# Family and protocol of the connection to the proxy: bytes of an address.
_TCP: Final = {0x11: 4, 0x21: 16}


def header_size(received: bytes) -> int:
    """How long the header is that begins with these bytes; 0 when it is none of ours.

    Args:
        received: at least FIXED_BYTES.
    """
    if received[:12] != _SIGNATURE or received[12] & 0xF0 != _VERSION:
        return 0
    (size,) = struct.unpack_from(">H", received, 14)
    return FIXED_BYTES + size if size <= VARIABLE_BYTES_MAX else 0


def behind_header(received: bytes) -> bytes | None:
    """What follows the header; everything when there is none, None while it is cut."""
    if len(received) < FIXED_BYTES:
        return None
    size = header_size(received)
    return received[size:] if len(received) >= size else None


class Proxies:
    """Those who speak for others."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = Networks(networks)

    @classmethod
    def of(cls, networks: Sequence[str]) -> Self | None:
        """None when there are none."""
        return cls(networks) if networks else None

    def __contains__(self, address: str) -> bool:
        """Is this a proxy's address?"""
        return address in self._networks

    def unwrap(self, address: str, received: bytes) -> tuple[str, bytes]:
        """Who the peer of a connection is, and what he sent.

        Args:
            address: of the other end of the connection.
            received: from it.

        Returns:
            The address for which the proxy speaks, and what follows the header. Both
            as they are when the connection is not of a proxy, when the proxy speaks
            for itself, as in a health check, and when nothing was received.

        Raises:
            ProtocolViolation: a proxy sent something else than a whole header.
        """
        if not received or address not in self:
            return address, received
        size = header_size(received) if len(received) >= FIXED_BYTES else 0
        if not FIXED_BYTES <= size <= len(received):
            raise ProtocolViolation("proxy did not send a header of version 2")
        rest = received[size:]
        command = received[12] & 0x0F
        if command == _LOCAL:
            return address, rest
        if command != _PROXY:
            raise ProtocolViolation(f"proxy sent a header of command {command}")
        width = _TCP.get(received[13])
        if width is None:  # the proxy does not know, or the sender was no TCP peer
            return address, rest
        if size < FIXED_BYTES + 2 * width + 4:
            raise ProtocolViolation("proxy sent a header without room for addresses")
        raw = received[FIXED_BYTES : FIXED_BYTES + width]
        source = ipaddress.ip_address(raw)
        if isinstance(source, ipaddress.IPv6Address) and source.ipv4_mapped:
            source = source.ipv4_mapped
        return str(source), rest
