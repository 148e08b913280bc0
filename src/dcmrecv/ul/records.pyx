"""Where TLS records end, without a look at what is in them.

OpenSSL is given whole records only: it then never has to be told by an exception that
there is nothing more to read.
"""

cdef enum:
    MAJOR_VERSION = 3
    TYPE_MIN = 20   # change_cipher_spec
    TYPE_MAX = 24   # heartbeat


cdef size_t first_record(const uint8_t* data, size_t size) noexcept nogil:
    """How long the first record is with its header; 0: it is not whole yet.

    What cannot be a record is OpenSSL's to judge: it is one, with all behind it.
    """
    cdef size_t length
    if size < RECORD_HEADER_BYTES:
        return 0
    length = RECORD_HEADER_BYTES + ((<size_t>data[3] << 8) | data[4])
    if (
        data[0] < TYPE_MIN
        or data[0] > TYPE_MAX
        or data[1] != MAJOR_VERSION
        or length > RECORD_BYTES_MAX
    ):
        return size
    return length if length <= size else 0


def whole_records_bytes(bytes data not None):
    """How many bytes of `data` are whole records; see first_record()."""
    cdef const uint8_t* records = <const uint8_t*><const char*>data
    cdef size_t size = <size_t>len(data)
    cdef size_t at = 0
    cdef size_t length = first_record(records, size)
    while length > 0:
        at += length
        length = first_record(records + at, size - at)
    return at
