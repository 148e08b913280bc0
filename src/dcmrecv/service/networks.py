"""Sets of IP networks. Never resolves a name."""

import ipaddress
from collections.abc import Iterable

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Networks:
    """Addresses and networks, IPv4 and IPv6.

    Args:
        networks: as ipaddress.ip_network() takes them.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: tuple[_Network, ...] = tuple(
            map(ipaddress.ip_network, networks)
        )

    def __contains__(self, address: str) -> bool:
        """Does an address, IPv4 in the IPv4 way, lie in one of them?"""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:  # of a connection that is closed already
            return False
        return any(parsed in network for network in self._networks)
