"""Host names of peers for log lines, without ever waiting long for a name server.

Owns the reverse look-up and its cache. Never decides anything by a name.
"""

import socket
import threading
from collections.abc import Callable

LOOK_UP_WAIT_S = 1.0

_CACHED_MAX = 1_024
_UNDER_WAY_MAX = 4  # look-ups that a name server has not answered yet


def _reverse(address: str) -> str:
    return socket.gethostbyaddr(address)[0]


class HostNames:
    """The names of the hosts that one process talks to.

    A name server that does not answer costs one wait per address: a look-up runs in a
    thread of its own, which cannot be ended but is not waited for, and of which there
    are only a few.

    Args:
        reverse: from an address to a host name; OSError when there is none.
        wait_s: how long a look-up may hold its caller, in seconds.
    """

    def __init__(
        self,
        reverse: Callable[[str], str] = _reverse,
        wait_s: float = LOOK_UP_WAIT_S,
    ) -> None:
        self._reverse = reverse
        self._wait_s = wait_s
        self._names: dict[str, str] = {}
        self._under_way: list[threading.Thread] = []

    def shown(self, address: str) -> str:
        """What a log line calls a host: its name up to the first dot, or the address.

        Args:
            address: numeric, IPv4 or IPv6.
        """
        name = self._names.get(address)
        if name is not None:
            return name
        self._under_way = [thread for thread in self._under_way if thread.is_alive()]
        if len(self._under_way) >= _UNDER_WAY_MAX:
            return address
        found: list[str] = []
        thread = threading.Thread(
            target=self._look_up, args=(address, found), daemon=True
        )
        thread.start()
        thread.join(self._wait_s)
        if thread.is_alive():
            self._under_way.append(thread)
        name = found[0] if found else address
        if len(self._names) >= _CACHED_MAX:
            del self._names[next(iter(self._names))]
        self._names[address] = name
        return name

    def _look_up(self, address: str, found: list[str]) -> None:
        try:
            name = self._reverse(address).partition(".")[0]
        except (OSError, UnicodeError):
            return
        if name:
            found.append(name)
