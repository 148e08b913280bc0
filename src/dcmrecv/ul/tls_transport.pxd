"""TlsTransport: a connection inside TLS as the data plane sees it."""

from libc.stdint cimport uint8_t

from dcmrecv.native.buffer cimport AlignedBuffer
from dcmrecv.native.sysio cimport iovec
from dcmrecv.ul.transport cimport RawTransport, Transport, TransportResult

cdef enum:
    RECEIVE_BYTES = 262144      # read from the socket in one call, up to 15 records
    RECORD_BYTES = 16384        # the longest plaintext of a record


cdef class TlsTransport(Transport):
    cdef RawTransport raw           # the connection itself
    cdef AlignedBuffer received     # what it brought, until OpenSSL has taken it
    cdef object ssl_object
    cdef object incoming
    cdef object outgoing
    cdef bint dry                   # nothing to decrypt before something is received
    cdef bint ended                 # the peer sends no more
    cdef bytes unsent               # for the peer
    cdef const uint8_t* unsent_at   # lent by `unsent`
    cdef size_t unsent_size
    cdef size_t unsent_sent
    cdef bint sealed                # `unsent` has the data of the send under way
    cdef object failure             # the exception behind a TLS_FAILED

    cdef bint _exchange(
        self, uint8_t* room, size_t size, const uint8_t* data, size_t data_size
    ) noexcept with gil
    cdef int _decrypt(self, uint8_t* room, size_t size) except -1
    cdef int _collect_output(self) except -1
    cdef TransportResult _flush(self) noexcept nogil
    cdef TransportResult _fail(self) noexcept nogil
