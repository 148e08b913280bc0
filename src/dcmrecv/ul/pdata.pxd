"""PDataReader: P-DATA-TF framing and PDV reassembly, without I/O.

The bytes of a data set go to `landing`, those of a command set to `command`. Two paths
have one meaning: `consume()` copies from anywhere, `plan()` and `commit()` let the
kernel put the rest of a fragment where it belongs.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dcmrecv.native.buffer cimport AlignedBuffer
from dcmrecv.native.fault cimport Fault
from dcmrecv.native.sysio cimport iovec

cdef enum:
    # Longest command set read. The longest C-STORE-RQ has about 500 bytes, PS3.7 9.3.1.
    COMMAND_BYTES_MAX = 16384
    # PDUs and PDVs without a byte of payload in a row: harmless, but not for ever.
    EMPTY_RUN_MAX = 65536


cdef enum ReadEvent:
    READ_INTERNAL_FAULT = 0
    READ_MORE = 1               # all bytes are used, more are needed
    READ_COMMAND = 2            # `command` holds a whole command set
    READ_WINDOW_FULL = 3        # `landing` has no room for the next byte
    READ_DATA_SET = 4           # the last byte of the data set has landed
    READ_RELEASE = 5            # A-RELEASE-RQ
    READ_FAULT = 6              # see `fault`


cdef class PDataReader:
    cdef AlignedBuffer landing      # where data set bytes go; shared with the image
    cdef Fault fault
    # Limits of this association.
    cdef uint32_t max_pdu           # bytes, as announced
    cdef bint accepted[256]         # by presentation context id
    # Where we are in the stream.
    cdef int phase
    cdef uint8_t header[10]         # a PDU or PDV header, or the body of an A-ABORT
    cdef size_t header_fill
    cdef size_t header_need
    cdef uint8_t pdu_type
    cdef uint32_t pdu_left          # bytes of the PDU behind the current PDV
    cdef uint32_t pdv_left          # bytes of the fragment still to come
    cdef bint last                  # the current fragment is the last of its kind
    cdef bint in_data_set           # data fragments are due, not command fragments
    cdef uint32_t empty_run
    # What has been read.
    cdef uint8_t context_id         # of the current message
    cdef uint8_t command[COMMAND_BYTES_MAX]
    cdef size_t command_fill
    cdef uint64_t tolerated         # illegal but harmless PDUs and fragments

    cdef void reset(self, uint32_t max_pdu) noexcept nogil
    cdef void expect_data_set(self) noexcept nogil
    cdef bint inside_message(self) noexcept nogil
    cdef ReadEvent consume(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil
    cdef int plan(self, iovec* iov, uint8_t* staging, size_t room) noexcept nogil
    cdef size_t commit(self, size_t received) noexcept nogil
    cdef ReadEvent _begin_pdu(self) noexcept nogil
    cdef ReadEvent _begin_pdv(self) noexcept nogil
    cdef ReadEvent _expect_pdv(self) noexcept nogil
    cdef ReadEvent _count_empty(self) noexcept nogil
    cdef ReadEvent _end_fragment(self) noexcept nogil
    cdef size_t _direct_room(self) noexcept nogil
    cdef bytes _take_command(self)
    cdef bytes _take_landed(self)
    cdef str _fault_text(self)
