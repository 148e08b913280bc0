"""service.proxy: for whom a proxy speaks, and who may say so."""

import pytest

from dcmrecv.errors import ProtocolViolation
from dcmrecv.service.proxy import (
    FIXED_BYTES,
    VARIABLE_BYTES_MAX,
    Proxies,
    behind_header,
    header_size,
)
from tests.builders import proxy

BALANCER = "10.9.0.1"
PROXIES = Proxies([BALANCER, "fd00::/64"])
TLV = b"\x04\x00\x03abc"


def test_without_networks_there_are_no_proxies() -> None:
    assert Proxies.of(()) is None
    proxies = Proxies.of((BALANCER,))
    assert proxies is not None
    assert BALANCER in proxies and "10.9.0.2" not in proxies


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (proxy.proxied("192.0.2.7"), "192.0.2.7"),
        (proxy.proxied("192.0.2.7", further=TLV), "192.0.2.7"),
        (proxy.proxied("2001:db8::7"), "2001:db8::7"),
        (proxy.proxied("::ffff:192.0.2.7"), "192.0.2.7"),
        (proxy.local(), BALANCER),
        (proxy.header(proxy.LOCAL, proxy.TCP4, bytes(12)), BALANCER),
        (proxy.header(proxy.PROXY, 0, b""), BALANCER),
        (proxy.header(proxy.PROXY, proxy.UNIX, bytes(216)), BALANCER),
    ],
)
def test_a_header_names_the_peer(header: bytes, source: str) -> None:
    """The PROXY protocol, section 2.2; UNKNOWN and LOCAL leave the address."""
    for rest in (b"", b"\x01request"):
        assert PROXIES.unwrap(BALANCER, header + rest) == (source, rest)
        assert behind_header(header + rest) == rest


@pytest.mark.parametrize(
    "received",
    [
        b"\x01\0\0\0\0\4abcd",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4 104\r\n",
        proxy.proxied("192.0.2.7")[:-1],
        proxy.proxied("192.0.2.7")[:15],
        proxy.header(0x11, proxy.TCP4, bytes(12)),
        proxy.header(0x22, proxy.TCP4, bytes(12)),
        proxy.header(proxy.PROXY, proxy.TCP4, bytes(11)),
        proxy.header(proxy.PROXY, proxy.TCP6, bytes(35)),
        proxy.header(proxy.PROXY, proxy.TCP4, bytes(VARIABLE_BYTES_MAX + 1)),
    ],
)
def test_a_proxy_without_a_whole_header_is_a_violation(received: bytes) -> None:
    """Nobody shall pass for the proxy because a header went wrong."""
    with pytest.raises(ProtocolViolation, match=r"proxy (sent|did not send)"):
        PROXIES.unwrap(BALANCER, received)


def test_a_header_of_somebody_else_is_not_believed() -> None:
    received = proxy.proxied("192.0.2.7") + b"\x01"
    assert PROXIES.unwrap("10.9.0.2", received) == ("10.9.0.2", received)


def test_a_proxy_that_says_nothing_is_no_violation() -> None:
    """A health check by a bare connection."""
    assert PROXIES.unwrap(BALANCER, b"") == (BALANCER, b"")


def test_a_cut_header_is_waited_for() -> None:
    header = proxy.proxied("192.0.2.7", further=TLV)
    for size in range(len(header)):
        assert behind_header(header[:size]) is None
    assert header_size(header[:FIXED_BYTES]) == len(header)
    for other in (b"\x01" + bytes(20), proxy.header(0x30, 0x11, b"")):
        assert header_size(other) == 0
        assert behind_header(other) == other
