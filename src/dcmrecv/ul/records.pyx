"""Where TLS records end, without a look at what is in them.

OpenSSL is given whole records only: it then never has to be told by an exception that
there is nothing more to read.
"""

cdef enum:
    MAJOR_VERSION = 3
    TYPE_MIN = 20   # change_cipher_spec
    TYPE_MAX = 24   # heartbeat


cdef size_t whole_records(
    const uint8_t* data, size_t size, int* count
) noexcept nogil:
    """How many bytes of `data` are whole records, and how many records that is.

    What cannot be a record is OpenSSL's to judge: it counts as one, up to the end.
    """
    cdef size_t at = 0
    cdef size_t length
    cdef const uint8_t* header
    count[0] = 0
    while size - at >= RECORD_HEADER_BYTES:
        header = data + at
        length = RECORD_HEADER_BYTES + ((<size_t>header[3] << 8) | header[4])
        if (
            header[0] < TYPE_MIN
            or header[0] > TYPE_MAX
            or header[1] != MAJOR_VERSION
            or length > RECORD_BYTES_MAX
        ):
            length = size - at
        elif length > size - at:
            break
        at += length
        count[0] += 1
    return at


def whole_records_bytes(bytes data not None):
    """How many bytes of `data` are whole records; see whole_records()."""
    cdef int count
    return whole_records(
        <const uint8_t*><const char*>data, <size_t>len(data), &count
    )
