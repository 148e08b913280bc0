"""TlsSocketTransport: a connection that OpenSSL reads and writes itself."""

from libc.stdint cimport uint8_t

from dcmrecv.native.sysio cimport iovec
from dcmrecv.ul.transport cimport RawTransport, Transport, TransportResult


cdef class TlsSocketTransport(Transport):
    cdef RawTransport raw           # waits for the connection
    cdef object connection          # ssl.SSLSocket
    cdef bint ended                 # the peer sends no more

    cdef TransportResult _wait(self, short events, int fault_code) noexcept nogil
    cdef bint _receive(self, uint8_t* room, size_t size) noexcept with gil
    cdef bint _send(
        self, const uint8_t* data, size_t size, size_t* sent
    ) noexcept with gil
    cdef TransportResult _fail(self) noexcept nogil
