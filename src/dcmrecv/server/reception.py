"""Connections that are not with a worker: from and to the workers, and past the limit.

Owns the listeners, the supervisor's end of the channel and the waiting room. Accepts
only what no worker can; never forks, never negotiates.
"""

import errno
import logging
import select
import socket
import time
from collections.abc import Sequence
from typing import Final

from dcmrecv.config.logs import APPLICATION_LOGGER
from dcmrecv.server.handover import hand_over, is_empty, open_channel, take_over
from dcmrecv.server.listener import BACKLOG, waiting_connections
from dcmrecv.server.scoreboard import WorkerState, WorkerStatus
from dcmrecv.server.waiting_room import WaitingRoom

logger = logging.getLogger(APPLICATION_LOGGER)

# While connections wait for a worker, look at the pool at least so often: a worker may
# have got idle between our look and our asking it to ring.
CAREFUL_NS: Final = 1_000_000_000

# Connections taken in one go, so that rejecting does not stop the supervisor from
# looking after workers.
ACCEPTS_PER_TURN: Final = 64

# After accept() failed for want of descriptors that no guest could give back.
ACCEPT_PAUSE_NS: Final = 1_000_000_000

# Past the limit of associations a whole request waits so long before it is rejected: a
# worker that is just closing its last connection then still gets it, and a sender that
# reconnects at once after a rejection is slowed down.
PATIENCE_NS: Final = 250_000_000

# And so long while the pool is below its limit, but workers die: until one lives.
RECOVERY_NS: Final = 30_000_000_000

_OUT_OF_DESCRIPTORS: Final = {errno.EMFILE, errno.ENFILE}


class Reception:
    """The supervisor's side of all connections.

    Attributes:
        worker_channel: the workers' end of the channel, for them to inherit.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        room: WaitingRoom,
        *,
        queueing: bool,
        secure: frozenset[int] = frozenset(),
    ) -> None:
        """Take over `listeners` and `room`.

        Args:
            listeners: non-blocking; shared with the workers.
            room: an empty one.
            queueing: past the limit connections wait, else they are rejected.
            secure: descriptors of the listeners that speak TLS.
        """
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._room = room
        self._queueing = queueing
        self._secure = secure
        self._channel, self.worker_channel = open_channel()
        self._epoll = select.epoll()
        self._epoll.register(self._channel, select.EPOLLIN)
        self._epoll.register(room.fileno(), select.EPOLLIN)
        self._watching = False
        self._accept_after_ns = 0
        self._full_since_ns: int | None = None
        self._in_handshake = 0  # workers

    def fileno(self) -> int:
        """Readable when serve_events() has something to do."""
        return self._epoll.fileno()

    def __len__(self) -> int:
        return len(self._room)

    @property
    def waiting(self) -> int:
        """How many connections would take a worker now, if there was one."""
        in_kernel = sum(
            waiting_connections(listener) for listener in self._listeners.values()
        )
        return self._room.ready + in_kernel

    @property
    def is_waiting(self) -> bool:
        """Whether the next worker that gets idle has to ring."""
        return self._room.ready > 0 or (
            # Given to a worker in a handshake, which may get busy instead.
            self._in_handshake > 0 and not is_empty(self.worker_channel)
        )

    @property
    def is_crowded(self) -> bool:
        """Whether connections wait for workers that are in handshakes, not idle."""
        return (
            self.is_waiting
            and self._full_since_ns is not None
            and (self._in_handshake > 0)
        )

    def serve_events(self) -> None:
        """Look after everything that came."""
        for descriptor, _ in self._epoll.poll(0):
            if descriptor == self._channel.fileno():
                self._take_from_worker()
            elif descriptor in self._listeners:
                self._accept(self._listeners[descriptor])
            else:
                self._room.serve_events()

    def expire(self) -> None:
        """Carry out what is due."""
        self._room.expire(self._patience_ns())

    def next_deadline_ns(self) -> int | None:
        """When to call expire() and balance() again; CLOCK_MONOTONIC."""
        now_ns = time.monotonic_ns()
        moments = [self._room.next_deadline_ns(self._patience_ns())]
        if now_ns < self._accept_after_ns:
            moments.append(self._accept_after_ns)
        if self.is_waiting:
            moments.append(now_ns + CAREFUL_NS)
            if self._full_since_ns is not None and self._is_patient():
                moments.append(self._full_since_ns + PATIENCE_NS)
        return min((moment for moment in moments if moment is not None), default=None)

    def balance(self, statuses: Sequence[WorkerStatus], max_workers: int) -> None:
        """Give waiting connections to idle workers; accept what none of them can.

        Args:
            statuses: every worker.
            max_workers: how many there may be.
        """
        states = [status.state for status in statuses]
        idle = states.count(WorkerState.IDLE)
        booting = WorkerState.BOOTING in states
        at_limit = len(states) >= max_workers
        if not (at_limit and not idle and not booting):
            self._full_since_ns = None
        elif self._full_since_ns is None:
            self._full_since_ns = time.monotonic_ns()
        # A worker in a handshake takes a guest, too, unless the handshake is about to
        # end: peers that stall there must not keep others waiting.
        self._in_handshake = states.count(WorkerState.HANDSHAKE)
        full = self._full_since_ns is not None
        if full and not self._queueing and not self._in_handshake:
            self._take_back()
        elif self._room.ready and is_empty(self.worker_channel):
            # With a queue one is always there for the worker that gets idle next, lest
            # it takes a newer connection from the listener.
            # The newest first when handshakes stall: the others wait behind those who
            # do nothing, and may be of the same kind.
            crowded = self.is_crowded
            self._give(
                max(idle, int(self._queueing), int(crowded)),
                newest=crowded and not self._queueing,
            )
        paused = time.monotonic_ns() < self._accept_after_ns
        # At the limit always: EPOLLEXCLUSIVE wakes us only when no worker waits, as the
        # last in the row. A worker that is still starting would come after us.
        self._watch((at_limit or not idle) and not booting and not paused)

    def recover(self) -> None:
        """A worker was killed: take what it, and nobody else, may have been woken for.

        EPOLLEXCLUSIVE wakes one worker for a connection, and one that dies before it
        looks passes nothing on. Whoever is idle gets it with the next balance().
        """
        self._take_back()
        for listener in self._listeners.values():
            self._accept(listener)

    def close_doors(self) -> None:
        """No further associations: listeners closed, requests rejected, others closed.

        The listeners of the workers are shut down with ours, at this moment.
        """
        self._watch(False)
        self._take_back()
        for listener in self._listeners.values():
            self._accept(listener, BACKLOG)
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._listeners = {}
        self._room.drain()

    def close(self) -> None:
        """Close every descriptor."""
        self._room.close()
        self._epoll.close()
        self._channel.close()
        self.worker_channel.close()
        for listener in self._listeners.values():
            listener.close()

    def forget_in_child(self) -> None:
        """In a forked process: close what only the supervisor uses."""
        self._room.forget_in_child()
        self._epoll.close()
        self._channel.close()

    def _is_patient(self) -> bool:
        """Whether the pool was not full all the time for as long as patience lasts.

        For a moment it is while workers look at connections that they hand over.
        """
        full_since_ns = self._full_since_ns
        return (
            full_since_ns is None or time.monotonic_ns() < full_since_ns + PATIENCE_NS
        )

    def _patience_ns(self) -> int | None:
        """How long a whole request waits for a worker before it is rejected."""
        if self._queueing:
            return None
        if self._in_handshake or self._is_patient():
            return RECOVERY_NS
        return PATIENCE_NS

    def _give(self, count: int, *, newest: bool) -> None:
        for _ in range(count):
            guest = self._room.take_ready(newest=newest)
            if guest is None:
                return
            with guest.connection:
                try:
                    hand_over(
                        self._channel, guest.connection, guest.received, guest.secure
                    )
                except OSError as error:
                    logger.error("Cannot give a connection to a worker: %s", error)

    def _take_back(self) -> None:
        """What was given while the idle workers got busy with something else."""
        while not is_empty(self.worker_channel):
            guest = take_over(self.worker_channel)
            if guest is None:
                return
            self._room.admit(guest.connection, guest.received, guest.secure)

    def _take_from_worker(self) -> None:
        try:
            guest = take_over(self._channel)
        except OSError as error:
            logger.error("Cannot keep a waiting connection: %s", error)
            self._room.make_space()
            return
        if guest is not None:
            self._room.admit(guest.connection, guest.received, guest.secure)
            if not self._listeners:
                self._room.drain()

    def _watch(self, wanted: bool) -> None:
        if wanted == self._watching:
            return
        self._watching = wanted
        for descriptor in self._listeners:
            if wanted:
                events = select.EPOLLIN | select.EPOLLEXCLUSIVE
                self._epoll.register(descriptor, events)
            else:
                self._epoll.unregister(descriptor)

    def _accept(self, listener: socket.socket, most: int = ACCEPTS_PER_TURN) -> None:
        for _ in range(most):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._find_descriptor(listener, error)
                return
            connection.setblocking(False)
            self._room.admit(connection, b"", listener.fileno() in self._secure)

    def _find_descriptor(self, listener: socket.socket, error: OSError) -> None:
        # Linux looks for a descriptor first and for a connection afterwards.
        if waiting_connections(listener) and not self._room.make_space():
            logger.error("Cannot accept a connection: %s", error.strerror)
            self._accept_after_ns = time.monotonic_ns() + ACCEPT_PAUSE_NS
