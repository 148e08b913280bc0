"""Headers of the PROXY protocol, version 2, as load balancers send them."""

import ipaddress
import struct

SIGNATURE = bytes.fromhex("0d0a0d0a 00 0d0a 51554954 0a")
LOCAL, PROXY = 0x20, 0x21  # version 2 and the command
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31


def header(
    command: int, family: int, variable: bytes, length: int | None = None
) -> bytes:
    """Any header; `length` falsifies the length of its variable part."""
    size = len(variable) if length is None else length
    return SIGNATURE + struct.pack(">BBH", command, family, size) + variable


def proxied(source: str, *, further: bytes = b"") -> bytes:
    """The header for a connection of `source`; `further` are TLVs behind it."""
    address = ipaddress.ip_address(source)
    family = TCP4 if address.version == 4 else TCP6
    ports = struct.pack(">HH", 40_000, 104)
    own = ipaddress.ip_address("10.0.0.1" if family == TCP4 else "fd00::1")
    return header(PROXY, family, address.packed + own.packed + ports + further)


def local() -> bytes:
    """The header of a health check: the proxy speaks for itself."""
    return header(LOCAL, 0, b"")
