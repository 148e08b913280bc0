"""Receiving and sending through TLS, on top of a plain transport.

Owns the way between a TLS engine and a RawTransport, which does all waiting and all
system calls. Takes the GIL back once for the whole records that one read from the
socket brought. Never shakes hands: that is over before the data plane begins.
"""

import ssl

from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
cimport cython
from libc.string cimport memcpy, memmove

from dcmrecv.native.fault cimport PEER_CLOSED, TLS_FAILED, clear_fault, set_fault
from dcmrecv.ul.records cimport PLAINTEXT_BYTES_MAX, first_record
from dcmrecv.ul.transport cimport TRANSPORT_DONE, TRANSPORT_FAULT


@cython.final
cdef class TlsTransport(Transport):
    """A connection whose handshake is complete.

    `secure()` with the TlsEngine, and `attach()`. Data lands in the first place that
    `fill()` is given: one place per record would cost a call of OpenSSL each.
    """

    def __cinit__(self):
        self.linear = True
        self.raw = RawTransport()
        self.received = AlignedBuffer(RECEIVE_BYTES)
        self._forget()

    def _forget(self):
        self.engine = self.ssl_object = self.incoming = self.outgoing = None
        self.failure = None
        self.received.fill = self.taken = self.record = 0
        self.ended = self.sealed = False
        self.unsent = b""
        self.unsent_at = NULL
        self.unsent_size = self.unsent_sent = 0

    def attach(self, int fd, timeout_s):
        """Begin with a new connection, see Transport."""
        Transport.attach(self, fd, timeout_s)
        self.raw.attach(fd, timeout_s)

    def secure(self, engine):
        """Use this TlsEngine, which has opened what it could; None gives it back."""
        cdef bytes rest
        if self.engine is not None and self.received.fill > self.taken:
            self.engine.feed(self.received.base[self.taken:self.received.fill])
        self._forget()
        if engine is None:
            return
        self.engine = engine
        self.ssl_object = engine.ssl_object
        self.incoming = engine.incoming
        self.outgoing = engine.outgoing
        self.ended = engine.has_ended
        rest = engine.take_incomplete()
        memcpy(self.received.base, <const char*>rest, <size_t>len(rest))
        self.received.fill = <size_t>len(rest)

    cdef void watch(self, const int* descriptors, int count) noexcept nogil:
        self.raw.watch(descriptors, count)

    cdef TransportResult fill(self, iovec* iov, int count) noexcept nogil:
        cdef TransportResult result
        while True:
            if self.record > 0 or self.failure is not None:
                if not self._exchange(
                    <uint8_t*>iov[0].iov_base, iov[0].iov_len, NULL, 0
                ):
                    return self._fail()
                if self.filled > 0:
                    return TRANSPORT_DONE
            if self.ended:
                set_fault(&self.fault, PEER_CLOSED, 0, 0)
                return TRANSPORT_FAULT
            result = self._flush()
            if result == TRANSPORT_DONE:
                result = self._receive_record()
            if result != TRANSPORT_DONE:
                return result

    cdef TransportResult _receive_record(self) noexcept nogil:
        """Receive until there is a whole record, all of them used before."""
        cdef TransportResult result
        cdef iovec room
        self.received.fill -= self.taken
        memmove(
            self.received.base, self.received.base + self.taken, self.received.fill
        )
        self.taken = 0
        self.raw.timeout_ns = self.timeout_ns
        while self.record == 0:
            room.iov_base = self.received.landing()
            room.iov_len = self.received.room()
            clear_fault(&self.raw.fault)
            result = self.raw.fill(&room, 1)
            if result != TRANSPORT_DONE:
                self.fault = self.raw.fault
                return result
            self.received.fill += self.raw.filled
            self.record = first_record(self.received.base, self.received.fill)
        return TRANSPORT_DONE

    cdef TransportResult send(
        self, const uint8_t* data, size_t size, size_t* sent
    ) noexcept nogil:
        cdef TransportResult result
        if not self.sealed:
            if not self._exchange(NULL, 0, data, size):
                return self._fail()
            self.sealed = True
        result = self._flush()
        if result == TRANSPORT_DONE:
            self.sealed = False
            sent[0] = size
        return result

    cdef TransportResult _flush(self) noexcept nogil:
        """Send what is for the peer."""
        cdef TransportResult result
        if self.unsent_sent == self.unsent_size:
            return TRANSPORT_DONE
        result = self.raw.send(self.unsent_at, self.unsent_size, &self.unsent_sent)
        if result == TRANSPORT_FAULT:
            self.fault = self.raw.fault
        return result

    cdef TransportResult _fail(self) noexcept nogil:
        set_fault(&self.fault, TLS_FAILED, 0, 0)
        return TRANSPORT_FAULT

    cdef bint _exchange(
        self, uint8_t* room, size_t size, const uint8_t* data, size_t data_size
    ) noexcept with gil:
        """The one way to Python: decrypt into `room`, or encrypt `data`.

        False: `failure` says why.
        """
        try:
            if data == NULL:
                self._decrypt(room, size)
            elif self.failure is not None:
                return False
            else:
                self.ssl_object.write(
                    PyMemoryView_FromMemory(
                        <char*>data, <Py_ssize_t>data_size, PyBUF_READ
                    )
                )
            self._collect_output()
        except Exception as error:
            self.failure = error
            return False
        return True

    cdef int _give_record(self) except -1:
        """Give OpenSSL the next record, one at a time: so it stays in the caches."""
        self.incoming.write(
            PyMemoryView_FromMemory(
                <char*>self.received.base + self.taken,
                <Py_ssize_t>self.record,
                PyBUF_READ,
            )
        )
        self.taken += self.record
        self.record = first_record(
            self.received.base + self.taken, self.received.fill - self.taken
        )
        return 0

    cdef int _decrypt(self, uint8_t* room, size_t size) except -1:
        """Read as many records as there are, `filled` bytes in all.

        A failure behind something that was read waits for the next call.
        """
        cdef size_t count
        self.filled = 0
        if self.failure is not None:
            raise self.failure
        read = self.ssl_object.read
        try:
            while self.record > 0 and size - self.filled >= PLAINTEXT_BYTES_MAX:
                self._give_record()
                try:
                    count = read(
                        size - self.filled,
                        PyMemoryView_FromMemory(
                            <char*>room + self.filled,
                            <Py_ssize_t>(size - self.filled),
                            PyBUF_WRITE,
                        ),
                    )
                except ssl.SSLWantReadError:
                    continue  # the record was none of data
                if count == 0:
                    self._end()
                self.filled += count
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self._end()
        except ssl.SSLError as error:
            if self.filled == 0:
                raise
            self.failure = error
        return 0

    cdef void _end(self) noexcept:
        """The peer has said that it sends no more."""
        self.ended = True
        self.record = 0

    cdef int _collect_output(self) except -1:
        """Add what OpenSSL has for the peer to `unsent`."""
        output = self.outgoing.read()
        if output:
            self.unsent = self.unsent[self.unsent_sent:] + output
            self.unsent_at = <const uint8_t*><const char*>self.unsent
            self.unsent_size = <size_t>len(self.unsent)
            self.unsent_sent = 0
        return 0
