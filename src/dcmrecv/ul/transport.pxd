"""Transport: a connected socket as the data plane sees it."""

from libc.stdint cimport uint8_t, uint64_t

from dcmrecv.native.fault cimport Fault
from dcmrecv.native.sysio cimport SysIo, iovec, pollfd

cdef enum:
    WATCHED_MAX = 4             # descriptors that may want the worker's attention
    FILLS_UNWATCHED_MAX = 64    # fills without a wait before they are looked at anyway
    # For a synchronous peer's next request; unless a signal comes, nothing else is
    # looked at meanwhile.
    PATIENCE_MS = 20
    PATIENT_FILL = 8            # counts as so many fills without a wait


cdef enum TransportResult:
    TRANSPORT_INTERNAL_FAULT = 0
    TRANSPORT_DONE = 1          # fill: `filled` bytes came; send: everything is out
    TRANSPORT_INTERRUPTED = 2   # a watched descriptor is readable; call again
    TRANSPORT_FAULT = 3         # see `fault`


cdef class Transport:
    cdef SysIo* io
    cdef int fd                 # borrowed; closed by its owner
    cdef pollfd watched[1 + WATCHED_MAX]    # [0] is the connection
    cdef int watched_count      # without the connection
    cdef uint64_t timeout_ns    # of every wait; 0 = for ever
    cdef bint answered          # an answer went out: the peer's turn
    cdef size_t filled
    cdef bint linear            # fills one place only, the larger the better
    cdef int fills_unwatched
    cdef Fault fault
    cdef object failure         # the exception behind a TLS_FAILED

    cdef TransportResult fill(self, iovec* iov, int count) noexcept nogil
    cdef TransportResult send(
        self, const uint8_t* data, size_t size, size_t* sent
    ) noexcept nogil
    cdef void watch(self, const int* descriptors, int count) noexcept nogil


cdef class RawTransport(Transport):
    cdef bint is_patient        # has a time-out of its own for reads that wait

    cdef TransportResult _wait(self, short events, int fault_code) noexcept nogil
    cdef bint _is_wanted(self) noexcept nogil
