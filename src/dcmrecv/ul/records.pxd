"""Where TLS records end, without a look at what is in them."""

from libc.stdint cimport uint8_t

cdef enum:
    RECORD_HEADER_BYTES = 5     # type, version, length; RFC 8446 section 5.1
    PLAINTEXT_BYTES_MAX = 16384     # of one record, RFC 8446 section 5.1
    # RFC 5246 section 6.2.3 allows 2048 bytes more than the plaintext has.
    RECORD_BYTES_MAX = RECORD_HEADER_BYTES + PLAINTEXT_BYTES_MAX + 2048


cdef size_t first_record(const uint8_t* data, size_t size) noexcept nogil
