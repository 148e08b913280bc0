"""Receiving and sending through an ssl.SSLSocket.

For connections whose handshake was on the socket itself, and whose keys the kernel did
not take. Takes the GIL back once for the records that are there. Never shakes hands.
"""

import ssl

from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
cimport cython

from dcmrecv.native.fault cimport (
    DIMSE_TIMEOUT,
    PEER_CLOSED,
    SEND_TIMEOUT,
    TLS_FAILED,
    clear_fault,
    set_fault,
)
from dcmrecv.native.sysio cimport POLLIN, POLLOUT
from dcmrecv.ul.records cimport PLAINTEXT_BYTES_MAX
from dcmrecv.ul.transport cimport TRANSPORT_DONE, TRANSPORT_FAULT

cdef extern from "<sys/ioctl.h>" nogil:
    const unsigned long FIONREAD
    int ioctl(int fd, unsigned long request, int* result)


@cython.final
cdef class TlsSocketTransport(Transport):
    """A connection whose handshake is complete.

    `secure()` with the non-blocking SSLSocket, and `attach()`. Data lands in the first
    place that `fill()` is given.
    """

    def __cinit__(self):
        self.linear = True
        self.raw = RawTransport()
        self.connection = None
        self.ended = False

    def attach(self, int fd, timeout_s):
        """Begin with a new connection, see Transport."""
        Transport.attach(self, fd, timeout_s)
        self.raw.attach(fd, timeout_s)

    def secure(self, connection):
        """Use this SSLSocket; None gives it back."""
        self.connection = connection
        self.failure = None
        self.ended = False

    cdef void watch(self, const int* descriptors, int count) noexcept nogil:
        self.raw.watch(descriptors, count)

    cdef TransportResult fill(self, iovec* iov, int count) noexcept nogil:
        cdef TransportResult result
        self.filled = 0
        while True:
            if self.failure is not None:
                return self._fail()
            if self.ended:
                set_fault(&self.fault, PEER_CLOSED, 0, 0)
                return TRANSPORT_FAULT
            # Each read has left nothing with OpenSSL, so all there is wakes us.
            result = self._wait(POLLIN, DIMSE_TIMEOUT)
            if result != TRANSPORT_DONE:
                return result
            self.raw.answered = False
            if not self._receive(<uint8_t*>iov[0].iov_base, iov[0].iov_len):
                return self._fail()
            if self.filled > 0:
                return TRANSPORT_DONE

    cdef TransportResult send(
        self, const uint8_t* data, size_t size, size_t* sent
    ) noexcept nogil:
        cdef TransportResult result
        while True:
            if self.failure is not None or not self._send(data, size, sent):
                return self._fail()
            if sent[0] == size:
                self.raw.answered = True
                return TRANSPORT_DONE
            result = self._wait(POLLOUT, SEND_TIMEOUT)
            if result != TRANSPORT_DONE:
                return result

    cdef TransportResult _wait(self, short events, int fault_code) noexcept nogil:
        cdef TransportResult result
        self.raw.timeout_ns = self.timeout_ns
        clear_fault(&self.raw.fault)
        result = self.raw._wait(events, fault_code)
        if result == TRANSPORT_FAULT:
            self.fault = self.raw.fault
        return result

    cdef TransportResult _fail(self) noexcept nogil:
        set_fault(&self.fault, TLS_FAILED, 0, 0)
        return TRANSPORT_FAULT

    cdef bint _receive(self, uint8_t* room, size_t size) noexcept with gil:
        """Read as many records as there are, `filled` bytes in all.

        False: `failure` says why. One behind something that was read waits, as does
        the end of the connection: OpenSSL would send no answer behind it.
        """
        cdef size_t count
        cdef int waiting = 1
        try:
            while waiting > 0 and size - self.filled >= PLAINTEXT_BYTES_MAX:
                count = self.connection.read(
                    size - self.filled,
                    PyMemoryView_FromMemory(
                        <char*>room + self.filled,
                        <Py_ssize_t>(size - self.filled),
                        PyBUF_WRITE,
                    ),
                )
                if count == 0:
                    self.ended = True
                    break
                self.filled += count
                if ioctl(self.fd, FIONREAD, &waiting) != 0:
                    break
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self.ended = True
        except Exception as error:
            self.failure = error
        return self.failure is None or self.filled > 0

    cdef bint _send(
        self, const uint8_t* data, size_t size, size_t* sent
    ) noexcept with gil:
        """Send the rest of `data`, as far as there is room. False: see `failure`."""
        try:
            sent[0] += <size_t>self.connection.write(
                PyMemoryView_FromMemory(
                    <char*>data + sent[0], <Py_ssize_t>(size - sent[0]), PyBUF_READ
                )
            )
        except ssl.SSLWantWriteError:
            pass
        except Exception as error:
            self.failure = error
        return self.failure is None
