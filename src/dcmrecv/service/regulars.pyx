"""Associations without a word: of peers whose A-ASSOCIATE-RQ is known by heart.

Owns the way from accept(2) to close(2) of an association about which there is nothing
to ask and nothing to say, since the same request was accepted before. Never negotiates
and never logs; where one takes another turn, `association` goes on with it.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, errno

from dcmrecv.service.receiver import Outcome

from dcmrecv.native.accepting cimport accept
from dcmrecv.native.slot cimport SLOT_ASSOCIATIONS, SLOT_STATE

cdef extern from "<sys/socket.h>" nogil:
    const int MSG_DONTWAIT
    ssize_t recv(int fd, void* data, size_t size, int flags)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)

_RELEASE_RQ = Outcome.RELEASE_RQ


@cython.final
cdef class Visit:
    """A connection that was accepted, and how far it was served.

    Attributes:
        descriptor: the caller's from now on; -1 when everything is over.
        address: the peer's, numeric.
        received: what has come so far, b"" at the peer's close; None when it is silent.
        asked: the AskedAssociation that has begun; None when none has.
        outcome: what ended its receive loop, an Outcome or an Exception; None when it
            has been released, too, and the peer has sent `instead_of_close`.
    """


@cython.final
cdef class Regulars:
    """Accepts the connections of one worker.

    Args:
        receiver: the data plane.
        requests: the AssociationRequests with those that came before.
        slot: where this worker counts.
        network: NetworkSettings.
        access: AccessSettings.
        release_rp: an A-RELEASE-RP, encoded.
    """

    def __init__(
        self, receiver, requests, WorkerSlot slot not None, network, access,
        bytes release_rp not None,
    ):
        self.receiver = receiver
        self.requests = requests
        self.slot = slot
        self.max_pdu = network.max_pdu
        self.dimse_timeout_s = network.dimse_timeout_s
        self.strict = access.strict
        self.min_rate = access.min_rate or 0
        self.release_rp = release_rp

    def visit(self, int listener, *, uint64_t busy, descriptors, on_busy):
        """Accept a connection, and serve it as far as nobody else is needed.

        Args:
            listener: not one with TLS.
            busy: the state to put into the slot once there is a connection.
            descriptors: as for StoreReceiver.watch().
            on_busy: called before anything that may take long.

        Returns:
            A Visit.

        Raises:
            BlockingIOError: nobody is there.
            OSError: see accept(2).
        """
        cdef Visit visit = Visit()
        visit.descriptor, visit.address = accept(listener)
        # Before the next system call: two workers that get busy at the same moment must
        # see each other.
        self.slot.put(SLOT_STATE, busy)
        visit.received = self._receive(visit.descriptor)
        if visit.received:
            asked = self.requests.recall(visit.received)
            if asked is not None and asked.is_routine and self.receiver.has_room:
                on_busy()
                visit.asked = asked
                try:
                    self._serve(visit, descriptors)
                except Exception as error:
                    visit.outcome = error
        return visit

    cdef _receive(self, int fd):
        cdef ssize_t size = recv(fd, self.buffer, READ_BYTES, MSG_DONTWAIT)
        if size < 0:
            return None if errno == EAGAIN else b""
        return PyBytes_FromStringAndSize(<char*>self.buffer, size)

    cdef int _serve(self, Visit visit, descriptors) except -1:
        """PS3.8 Table 9-10: AE-6, AE-7, then messages, then AR-2, AR-4, AR-5."""
        receiver = self.receiver
        receiver.begin(
            visit.asked.plan,
            fd=visit.descriptor,
            max_pdu=self.max_pdu,
            peer_max_pdu=visit.asked.request.user.max_length,
            dimse_timeout_s=self.dimse_timeout_s,
            received=b"",
            report=False,
            strict=self.strict,
            min_rate=self.min_rate,
        )
        receiver.watch(descriptors)
        receiver.greet(visit.asked.answer)
        self.slot.add(SLOT_ASSOCIATIONS, 1)
        visit.outcome = receiver.run()
        if (
            visit.outcome is _RELEASE_RQ
            and not receiver.in_data_set
            and not any(receiver.oddities)
        ):
            visit.outcome = None
            visit.instead_of_close = receiver.release(self.release_rp)
            receiver.end()
            if visit.instead_of_close is None:
                close(visit.descriptor)
                visit.descriptor = -1
        return 0
