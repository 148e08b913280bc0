"""Connections without a worker: unfinished A-ASSOCIATE-RQs, and those past the limit.

Owns one epoll for all of them, their time-outs and their bounds. Speaks no more DICOM
than the length of a PDU and a prepared A-ASSOCIATE-RJ; never negotiates.

A guest goes through up to three stages: READING (until its A-ASSOCIATE-RQ is whole,
under ARTIM), READY (waits for a worker), LEAVING (was rejected and may close first, as
PS3.8 section 9.1.4 wants it to, for half a second).
"""

import logging
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from dcmrecv.config.logs import NETWORK_LOGGER
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.server.handover import Guest
from dcmrecv.service import proxy, wording
from dcmrecv.service.access import refused_unread
from dcmrecv.service.association import PREPARED_REJECT
from dcmrecv.service.connection import shown_address
from dcmrecv.service.networks import Networks
from dcmrecv.service.requests import request_complete
from dcmrecv.service.tls import (
    BUSY_ALERT,
    RECORD_HEADER_BYTES,
    client_hello_complete,
    first_record_bytes,
)
from dcmrecv.service.wording import Peer

logger = logging.getLogger(NETWORK_LOGGER)

PDU_HEADER_BYTES: Final = 6

# One read from one guest per event, so that a fast one does not starve the others.
READ_BYTES: Final = 65_536

# Events taken from the epoll in one go, so that time-outs are looked after between.
EVENTS_PER_TURN: Final = 256

# A guest that was rejected may take so long to close; DECISIONS 2, row 8.
LINGER_NS: Final = 500_000_000

# A-ASSOCIATE-RJ: rejected-transient, service provider (presentation), temporary
# congestion; PS3.8 Table 9-21. PREPARED_REJECT with another reason.
SHUTDOWN_REJECT: Final = PREPARED_REJECT[:-1] + b"\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLimits:
    """Bounds; past each the oldest one concerned has to go.

    A guest costs about 3 KB here and as much in the kernel, and a descriptor.
    """

    reading: int = 4_096  # as many as the kernel's accept queue holds
    # Below `reading`, so that one host alone cannot turn out all the others; above what
    # a load balancer's or scanner's many idle connections come to.
    reading_per_host: int = 1_024
    # Sixty-four A-ASSOCIATE-RQs of the largest size; a usual one has a few KiB.
    bytes: int = 64 * 2**20
    ready: int = 1_024  # senders that would wait for a worker, --queue-associations
    leaving: int = 1_024

    @classmethod
    def for_descriptors(cls, available: int) -> "RoomLimits":
        """The usual limits, or smaller ones where `available` descriptors are few."""
        full = cls()
        share = available / (full.reading + full.ready + full.leaving)
        if share >= 1:
            return full
        return cls(
            reading=max(1, int(full.reading * share)),
            reading_per_host=max(1, int(full.reading_per_host * share)),
            ready=max(1, int(full.ready * share)),
            leaving=max(1, int(full.leaving * share)),
        )


class Stage(Enum):
    """What a guest waits for."""

    READING = "its A-ASSOCIATE-RQ"
    READY = "a worker"
    LEAVING = "its close"


class _Guest:
    """One connection; `wanted` is how long `received` must get to know more.

    One that speaks TLS has a record in the place of the A-ASSOCIATE-RQ.
    """

    __slots__ = (
        "begin",
        "connection",
        "host",
        "is_proxy",
        "received",
        "secure",
        "since_ns",
        "stage",
        "wanted",
    )

    def __init__(
        self,
        connection: socket.socket,
        host: str,
        received: bytes,
        *,
        secure: bool,
        is_proxy: bool,
    ) -> None:
        self.connection = connection
        self.host = host
        self.received = bytearray(received)
        self.secure = secure
        self.is_proxy = is_proxy
        # Where the PDU begins; behind a header whose length is not known yet.
        self.begin: int | None = None if is_proxy else 0
        self.wanted = proxy.FIXED_BYTES if is_proxy else self.header_bytes
        self.stage = Stage.READING
        self.since_ns = 0  # in its present stage; CLOCK_MONOTONIC

    def is_complete(self) -> bool:
        """Whether the first PDU is whole or known to be bad; moves `wanted` on.

        Looks at each of them three times at most, however the bytes trickle in.
        """
        while len(self.received) >= self.wanted:
            wanted = self._want_more()
            if wanted is None:
                return True
            self.wanted = wanted
        return False

    @property
    def header_bytes(self) -> int:
        """How much of the first PDU, or record, says how long it is."""
        return RECORD_HEADER_BYTES if self.secure else PDU_HEADER_BYTES

    def _want_more(self) -> int | None:
        """`wanted` bytes are here; how many it takes to know more, None for enough."""
        if self.begin is None:
            self.begin = proxy.header_size(bytes(self.received[: proxy.FIXED_BYTES]))
            return self.begin + self.header_bytes
        if self.wanted > self.begin + self.header_bytes:
            return None
        header = bytes(self.received[self.begin : self.wanted])
        if self.secure:
            if client_hello_complete(header):
                return None
            return self.begin + first_record_bytes(header)
        if request_complete(header):
            return None
        return self.wanted + int.from_bytes(header[2:], "big")


class WaitingRoom:
    """All guests of the supervisor.

    Who would be refused for his address in the end is not kept: he cannot take the
    room of those who are welcome. A worker, which he meets first, tells him why.
    """

    def __init__(
        self,
        *,
        artim_s: int,
        totals: WorkerSlot,
        limits: RoomLimits,
        welcome: Callable[[str], bool] = lambda host: True,
        proxies: Networks | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._artim_ns = artim_s * 1_000_000_000
        self._totals = totals
        self._limits = limits
        self._welcome = welcome
        self._proxies = proxies
        self._clock = clock
        self._epoll = select.epoll()
        self._bytes = 0
        self._hosts: Counter[str] = Counter()
        # By descriptor, in the order in which they entered the stage.
        self._guests: dict[Stage, dict[int, _Guest]] = {stage: {} for stage in Stage}

    def fileno(self) -> int:
        """Readable when serve_events() has something to do."""
        return self._epoll.fileno()

    def __len__(self) -> int:
        return sum(len(guests) for guests in self._guests.values())

    @property
    def ready(self) -> int:
        """How many guests wait for a worker."""
        return len(self._guests[Stage.READY])

    def admit(
        self, connection: socket.socket, received: bytes, secure: bool = False
    ) -> None:
        """Take a non-blocking connection with what was read from it so far."""
        try:
            host = shown_address(connection.getpeername()[0])
        except OSError:
            connection.close()
            return
        is_proxy = self._proxies is not None and host in self._proxies
        if not is_proxy and not self._welcome(host):
            logger.info("Closing connection (address is not accepted): %s", host)
            self._totals.increase("refused")
            connection.close()
            return
        guest = _Guest(connection, host, received, secure=secure, is_proxy=is_proxy)
        self._make_space_for(guest)
        self._epoll.register(connection, 0)
        self._bytes += len(guest.received)
        self._enter(guest, Stage.READING)
        if guest.is_complete():
            self._wait_for_worker(guest)
        self._bound_bytes()

    def serve_events(self) -> None:
        """Look after every guest that sent something or closed."""
        for descriptor, _ in self._epoll.poll(0, EVENTS_PER_TURN):
            guest = self._find(descriptor)
            if guest is None:
                continue
            if guest.stage is Stage.READING:
                # The header first, then the rest.
                if self._read(guest):
                    self._read(guest)
            elif guest.stage is Stage.READY:
                # Watched for the end of the connection only.
                self._close_lost(guest)
            else:
                self._discard(guest)

    def take_ready(self, *, newest: bool = False) -> Guest | None:
        """The guest that waits for a worker longest, or the newest; it leaves."""
        ready = self._guests[Stage.READY].values()
        for guest in reversed(ready) if newest else ready:
            self._forget(guest)
            return Guest(guest.connection, bytes(guest.received), guest.secure)
        return None

    def expire(self, patience_ns: int | None) -> None:
        """Carry out what is due.

        Args:
            patience_ns: who waits for a worker longer is rejected; None: nobody is.
        """
        now_ns = self._clock()
        for guest in self._due(Stage.READING, now_ns - self._artim_ns):
            self._close(guest)
            peer = Peer(guest.host)
            logger.error("%s", wording.request_failed(wording.READ_TIMEOUT, peer))
        if patience_ns is not None:
            for guest in self._due(Stage.READY, now_ns - patience_ns):
                self._refuse(guest, PREPARED_REJECT, "too many associations")
        for guest in self._due(Stage.LEAVING, now_ns - LINGER_NS):
            self._close(guest)

    def next_deadline_ns(self, patience_ns: int | None) -> int | None:
        """When expire() has something to do; CLOCK_MONOTONIC."""
        allowed_ns = {
            Stage.READING: self._artim_ns,
            Stage.READY: patience_ns,
            Stage.LEAVING: LINGER_NS,
        }
        deadlines = []
        for stage, guests in self._guests.items():
            time_ns = allowed_ns[stage]
            if guests and time_ns is not None:
                deadlines.append(next(iter(guests.values())).since_ns + time_ns)
        return min(deadlines, default=None)

    def make_space(self) -> bool:
        """Close the oldest guest, for want of descriptors. False: there is none."""
        for stage in (Stage.LEAVING, Stage.READING, Stage.READY):
            for guest in self._guests[stage].values():
                self._turn_out(guest)
                return True
        return False

    def drain(self) -> None:
        """The receiver ends: reject who asked for an association, close the rest."""
        for guest in list(self._guests[Stage.READING].values()):
            while self._read(guest):
                pass
        for guest in list(self._guests[Stage.READING].values()):
            self._close(guest)
        for guest in list(self._guests[Stage.READY].values()):
            self._refuse(guest, SHUTDOWN_REJECT, "receiver is shutting down")

    def close(self) -> None:
        """Close every connection and the epoll."""
        for guests in self._guests.values():
            for guest in list(guests.values()):
                self._close(guest)
        self._epoll.close()

    def forget_in_child(self) -> None:
        """In a forked process: close the copies, leaving the parent's guests alone.

        A copy left open would keep a connection alive that the parent closes.
        """
        self._epoll.close()
        for guests in self._guests.values():
            for guest in guests.values():
                guest.connection.close()
            guests.clear()

    def _find(self, descriptor: int) -> _Guest | None:
        for guests in self._guests.values():
            if descriptor in guests:
                return guests[descriptor]
        return None

    def _due(self, stage: Stage, since_ns: int) -> list[_Guest]:
        """Who has been in a stage since then, or longer."""
        due = []
        for guest in self._guests[stage].values():
            if guest.since_ns > since_ns:
                break
            due.append(guest)
        return due

    def _enter(self, guest: _Guest, stage: Stage) -> None:
        """Put a guest that has left its former stage, or the outside, into `stage`."""
        guest.stage = stage
        guest.since_ns = self._clock()
        self._guests[stage][guest.connection.fileno()] = guest
        # Of one that waits for a worker only the end of the connection matters.
        events = select.EPOLLRDHUP if stage is Stage.READY else select.EPOLLIN
        self._epoll.modify(guest.connection, events)
        if stage is Stage.READING:
            self._hosts[guest.host] += 1

    def _leave_stage(self, guest: _Guest) -> None:
        del self._guests[guest.stage][guest.connection.fileno()]
        if guest.stage is Stage.READING:
            self._hosts[guest.host] -= 1
            if not self._hosts[guest.host]:
                del self._hosts[guest.host]

    def _forget(self, guest: _Guest) -> None:
        self._leave_stage(guest)
        self._bytes -= len(guest.received)
        self._epoll.unregister(guest.connection)

    def _close(self, guest: _Guest) -> None:
        self._forget(guest)
        guest.connection.close()

    def _close_lost(self, guest: _Guest) -> None:
        """The peer closed first; the lines are those that a worker would log."""
        self._close(guest)
        if len(guest.received) >= PDU_HEADER_BYTES:
            peer = Peer(guest.host)
            logger.error("%s", wording.request_failed(wording.NETWORK_CLOSED, peer))
        else:
            # A health check, most often. No name is looked up: that could take time.
            logger.info("%s", wording.association_received(guest.host, "", ""))
            logger.info("%s", wording.NOTHING_RECEIVED)

    def _turn_out(self, guest: _Guest) -> None:
        self._close(guest)
        if guest.stage is not Stage.LEAVING:
            logger.warning(
                "Too many connections wait, closing the oldest one of %s", guest.host
            )

    def _make_space_for(self, newcomer: _Guest) -> None:
        reading = self._guests[Stage.READING]
        # A proxy comes for many hosts.
        full = self._hosts[newcomer.host] >= self._limits.reading_per_host
        if full and not newcomer.is_proxy:
            self._turn_out(
                next(guest for guest in reading.values() if guest.host == newcomer.host)
            )
        elif len(reading) >= self._limits.reading:
            self._turn_out(next(iter(reading.values())))

    def _bound_bytes(self) -> None:
        while self._bytes > self._limits.bytes:
            guests = (
                guest for stage in self._guests.values() for guest in stage.values()
            )
            self._turn_out(max(guests, key=lambda guest: len(guest.received)))

    def _read(self, guest: _Guest) -> bool:
        """Read once; whether something came and the request is not whole yet."""
        descriptor = guest.connection.fileno()
        missing = guest.wanted - len(guest.received)
        try:
            part = guest.connection.recv(min(missing, READ_BYTES))
        except BlockingIOError:
            return False
        except OSError:
            part = b""
        if not part:
            self._close_lost(guest)
            return False
        guest.received += part
        self._bytes += len(part)
        if guest.is_complete():
            self._wait_for_worker(guest)
        self._bound_bytes()
        return guest.stage is Stage.READING and self._find(descriptor) is guest

    def _wait_for_worker(self, guest: _Guest) -> None:
        if len(self._guests[Stage.READY]) >= self._limits.ready:
            self._refuse(guest, PREPARED_REJECT, "too many wait for an association")
            return
        self._leave_stage(guest)
        self._enter(guest, Stage.READY)

    def _refuse(self, guest: _Guest, reject: bytes, reason: str) -> None:
        logger.info("%s", refused_unread(guest.host, reason, reject))
        self._totals.increase("refused")
        try:
            # Who speaks TLS has not even begun: no A-ASSOCIATE-RJ can reach it.
            guest.connection.send(BUSY_ALERT if guest.secure else reject)
        except OSError:
            self._close(guest)
            return
        leaving = self._guests[Stage.LEAVING]
        if len(leaving) >= self._limits.leaving:
            self._turn_out(next(iter(leaving.values())))
        self._bytes -= len(guest.received)
        guest.received.clear()
        self._leave_stage(guest)
        self._enter(guest, Stage.LEAVING)

    def _discard(self, guest: _Guest) -> None:
        try:
            if guest.connection.recv(READ_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(guest)
