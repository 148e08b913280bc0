"""Reading and writing a connected socket, with a bound on every wait.

The only module of the data plane that touches a connected socket. Owns EINTR, short
counts and time-outs of it. Never knows what the bytes mean.
"""

cimport cython
from libc.errno cimport EAGAIN, EINTR, errno
from libc.limits cimport INT_MAX

from dcmrecv.native.fault cimport (
    DIMSE_TIMEOUT,
    PEER_CLOSED,
    SEND_TIMEOUT,
    SOCKET_READ,
    SOCKET_WRITE,
    FaultCode,
    clear_fault,
    set_fault,
    set_os_fault,
)
from dcmrecv.native.sysio cimport POLLIN, POLLOUT, system_io

cdef extern from "<netinet/in.h>" nogil:
    const int IPPROTO_TCP
cdef extern from "<netinet/tcp.h>" nogil:
    const int TCP_QUICKACK
cdef extern from "<sys/socket.h>" nogil:
    int setsockopt(int fd, int level, int name, const void* value, unsigned int size)

cdef enum:
    # A peer that takes none of our answers for so long is gone, whatever -td says;
    # the fixed send time-out of the original (spec 6.6).
    SEND_TIMEOUT_S = 60

cdef uint64_t NS_PER_MS = 1_000_000
cdef uint64_t NS_PER_S = 1_000_000_000


cdef class Transport:
    """The point of variation between a plain socket and a secured one.

    `attach()` lends it a descriptor that it never closes.
    """

    def __cinit__(self):
        self.io = system_io()
        self.linear = False
        self.fd = -1
        self.watched_count = 0
        self.timeout_ns = 0
        self.answered = False
        self.filled = 0
        self.fills_unwatched = 0
        clear_fault(&self.fault)

    def attach(self, int fd, timeout_s):
        """Begin with a connection on which an A-ASSOCIATE-AC has just been sent.

        `timeout_s` bounds every wait; None does not.
        """
        self.fd = fd
        self.watched[0].fd = fd
        self.watched_count = 0
        self.timeout_ns = 0 if timeout_s is None else <uint64_t>timeout_s * NS_PER_S
        self.answered = True
        self.filled = 0
        self.fills_unwatched = 0
        clear_fault(&self.fault)

    cdef void watch(self, const int* descriptors, int count) noexcept nogil:
        """From now on a wait ends too when one of these becomes readable."""
        cdef int i
        self.watched_count = min(count, <int>WATCHED_MAX)
        for i in range(self.watched_count):
            self.watched[1 + i].fd = descriptors[i]
            self.watched[1 + i].events = POLLIN

    cdef TransportResult fill(self, iovec* iov, int count) noexcept nogil:
        """Receive at least one byte into `iov`; `filled` says how many."""
        return TRANSPORT_INTERNAL_FAULT

    cdef TransportResult send(
        self, const uint8_t* data, size_t size, size_t* sent
    ) noexcept nogil:
        """Send the rest of `data` from `sent` on, which is kept up to date."""
        return TRANSPORT_INTERNAL_FAULT


@cython.final
cdef class RawTransport(Transport):
    """Plain TCP."""

    def attach(self, int fd, timeout_s):
        """Begin with a new connection, see Transport."""
        Transport.attach(self, fd, timeout_s)
        self.is_patient = self.io.set_patience(fd, PATIENCE_MS) == 0

    cdef TransportResult fill(self, iovec* iov, int count) noexcept nogil:
        cdef ssize_t received
        cdef TransportResult result
        self.fills_unwatched += 1
        if self.fills_unwatched > FILLS_UNWATCHED_MAX and self._is_wanted():
            return TRANSPORT_INTERRUPTED
        while True:
            if self.answered and self.is_patient:
                # A synchronous peer cannot have sent anything yet, but soon will: so
                # one call waits and reads, where the socket lets it wait.
                self.fills_unwatched += PATIENT_FILL
                received = self.io.recvv_patiently(self.fd, iov, count)
            else:
                received = self.io.recvv(self.fd, iov, count)
            if received > 0:
                self.answered = False
                self.filled = <size_t>received
                return TRANSPORT_DONE
            if received == 0:
                set_fault(&self.fault, PEER_CLOSED, 0, 0)
                return TRANSPORT_FAULT
            # A signal may have come with something to look at.
            if errno != EAGAIN and errno != EINTR:
                set_os_fault(&self.fault, SOCKET_READ, errno)
                return TRANSPORT_FAULT
            result = self._wait(POLLIN, DIMSE_TIMEOUT)
            if result != TRANSPORT_DONE:
                return result
            self.answered = False

    cdef TransportResult send(
        self, const uint8_t* data, size_t size, size_t* sent
    ) noexcept nogil:
        cdef ssize_t written
        cdef TransportResult result
        while sent[0] < size:
            written = self.io.send(self.fd, data + sent[0], size - sent[0])
            if written >= 0:
                sent[0] += <size_t>written
                continue
            if errno == EINTR:
                continue
            if errno != EAGAIN:
                set_os_fault(&self.fault, SOCKET_WRITE, errno)
                return TRANSPORT_FAULT
            result = self._wait(POLLOUT, SEND_TIMEOUT)
            if result != TRANSPORT_DONE:
                return result
        self.answered = True
        return TRANSPORT_DONE

    cdef bint _is_wanted(self) noexcept nogil:
        """Is a watched descriptor readable? Asked when a fast sender leaves no wait."""
        self.fills_unwatched = 0
        if self.watched_count == 0:
            return False
        return self.io.poll(
            self.watched + 1, <unsigned long>self.watched_count, 0
        ) > 0

    cdef TransportResult _wait(self, short events, int fault_code) noexcept nogil:
        """Wait for the connection, a watched descriptor or the time-out."""
        cdef uint64_t timeout = self.timeout_ns
        cdef uint64_t now
        cdef uint64_t deadline = 0
        cdef uint64_t left_ms
        cdef int timeout_ms = -1
        cdef int ready
        cdef int on = 1
        cdef int i
        if events == POLLOUT and timeout == 0:
            timeout = SEND_TIMEOUT_S * NS_PER_S
        if timeout != 0:
            deadline = self.io.monotonic_ns() + timeout
        if events == POLLIN and not self.answered:
            # A sender with Nagle's algorithm holds the rest of a message back until we
            # acknowledge what came; the kernel would do that only 40 ms later. The
            # option does not last, so it is set again before each wait, except behind
            # an answer, which carries the acknowledgement itself.
            setsockopt(self.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on))
        self.watched[0].events = events
        self.fills_unwatched = 0
        while True:
            if timeout != 0:
                now = self.io.monotonic_ns()
                left_ms = (
                    0 if now >= deadline
                    else (deadline - now + NS_PER_MS - 1) // NS_PER_MS
                )
                timeout_ms = <int>min(left_ms, <uint64_t>INT_MAX)
            ready = self.io.poll(
                self.watched, <unsigned long>(1 + self.watched_count), timeout_ms
            )
            if ready < 0:
                if errno == EINTR:
                    continue
                set_os_fault(&self.fault, SOCKET_READ, errno)
                return TRANSPORT_FAULT
            for i in range(self.watched_count):
                if self.watched[1 + i].revents != 0:
                    return TRANSPORT_INTERRUPTED
            if self.watched[0].revents != 0:
                return TRANSPORT_DONE
            if timeout != 0 and self.io.monotonic_ns() >= deadline:
                set_fault(&self.fault, <FaultCode>fault_code, 0, 0)
                return TRANSPORT_FAULT
