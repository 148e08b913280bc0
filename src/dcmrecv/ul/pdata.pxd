"""PDataReader: P-DATA-TF framing and PDV reassembly, without I/O.

The bytes of a data set go to `landing`, those of a command set to `command`. Two paths
have one meaning: `consume()` copies from anywhere, `plan()` and `commit()` let the
kernel put the rest of a fragment where it belongs, and the fragments of the PDUs behind
it too, as long as they are as long as the last one.
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
    # Longest PDU read although it is longer than announced: its length is only counted
    # down, but a larger one more likely is no length at all.
    LONG_PDU_BYTES_MAX = 1048576
    # PDUs that one receive may scatter. Beyond 16 nothing was left to win.
    SCATTERED_MAX = 32
    # One read while the geometry is unknown: a small object whole, little of a large
    # one that has to be copied.
    LINEAR_BYTES = 65536
    # Entries that a plan may need: the rest of a fragment, then header and fragment.
    PLAN_ENTRIES_MAX = 2 * SCATTERED_MAX + 1
    # PDU and PDV header together, PS3.8 sections 9.3.5 and 9.3.5.1.
    HEADERS_BYTES = 12


cdef enum ReadOddity:           # illegal but harmless, in the order of `oddities`
    ODD_FRAGMENT = 0
    EMPTY_PDU = 1
    LONG_PDU = 2
    READ_ODDITIES = 3


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
    cdef bint strict                # oddities are faults
    # Where we are in the stream.
    cdef int phase
    cdef uint8_t header[10]         # a PDU or PDV header, or the body of an A-ABORT
    cdef size_t header_fill
    cdef size_t header_need
    cdef uint8_t pdu_type
    cdef uint32_t pdu_left          # bytes of the PDU behind the current PDV
    cdef uint32_t pdv_left          # bytes of the fragment still to come
    cdef bint first_in_pdu          # the next PDV is the first of its PDU
    cdef bint last                  # the current fragment is the last of its kind
    cdef bint in_data_set           # data fragments are due, not command fragments
    cdef uint32_t empty_run
    # The bet: fragments of so many bytes, each alone in its PDU; 0 while unknown.
    cdef uint32_t likely_fragment
    # The plan that commit() has to be told about.
    cdef size_t planned_rest        # bytes of the fragment under way
    cdef size_t planned_fragments   # PDUs scattered behind it
    cdef uint8_t* planned_staging
    # What has been read.
    cdef uint8_t context_id         # of the current message
    cdef uint8_t command[COMMAND_BYTES_MAX]
    cdef size_t command_fill
    cdef uint64_t oddities[READ_ODDITIES]   # how many of each kind were read

    cdef void reset(self, uint32_t max_pdu) noexcept nogil
    cdef void expect_data_set(self) noexcept nogil
    cdef bint inside_message(self) noexcept nogil
    cdef ReadEvent consume(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil
    cdef int plan(self, iovec* iov, uint8_t* staging, size_t room) noexcept nogil
    cdef size_t commit(self, size_t received, size_t* begin) noexcept nogil
    cdef bint _take_scattered(self, const uint8_t* header, size_t size) noexcept nogil
    cdef void _line_up(
        self, size_t number, size_t placed, const uint8_t* landed, size_t size
    ) noexcept nogil
    cdef ReadEvent _begin_pdu(self) noexcept nogil
    cdef ReadEvent _begin_pdv(self) noexcept nogil
    cdef ReadEvent _expect_pdv(self) noexcept nogil
    cdef ReadEvent _count_empty(self) noexcept nogil
    cdef ReadEvent _tolerate(
        self, ReadOddity kind, uint64_t length, uint64_t allowed
    ) noexcept nogil
    cdef ReadEvent _end_fragment(self) noexcept nogil
    cdef size_t _direct_room(self) noexcept nogil
    cdef bint _feed_linear(
        self, const uint8_t* data, size_t size, list events
    ) except -1
    cdef bytes _take_command(self)
    cdef bytes _take_landed(self)
    cdef str _fault_text(self)
