"""TlsTransport: a connection inside TLS as the data plane sees it."""

from libc.stdint cimport uint8_t

from dcmrecv.native.buffer cimport AlignedBuffer
from dcmrecv.native.sysio cimport iovec
from dcmrecv.ul.transport cimport RawTransport, Transport, TransportResult

cdef enum:
    # Read from the socket in one call, some three records. What is larger leaves the
    # processor's nearest caches on its way through OpenSSL.
    RECEIVE_BYTES = 65536


cdef class TlsTransport(Transport):
    cdef RawTransport raw           # the connection itself
    cdef AlignedBuffer received     # what it brought, until OpenSSL has taken it
    cdef object engine              # the TlsEngine
    cdef object ssl_object          # of the engine, as are the next two
    cdef object incoming
    cdef object outgoing
    cdef size_t taken               # bytes in front of it that OpenSSL has taken
    cdef size_t record              # bytes of the whole record behind them, or 0
    cdef bint ended                 # the peer sends no more
    cdef bytes unsent               # for the peer
    cdef const uint8_t* unsent_at   # lent by `unsent`
    cdef size_t unsent_size
    cdef size_t unsent_sent
    cdef bint sealed                # `unsent` has the data of the send under way

    cdef bint _exchange(
        self, uint8_t* room, size_t size, const uint8_t* data, size_t data_size
    ) noexcept with gil
    cdef TransportResult _receive_record(self) noexcept nogil
    cdef int _give_record(self) except -1
    cdef int _decrypt(self, uint8_t* room, size_t size) except -1
    cdef void _end(self) noexcept
    cdef int _collect_output(self) except -1
    cdef TransportResult _flush(self) noexcept nogil
    cdef TransportResult _fail(self) noexcept nogil
