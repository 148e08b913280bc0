"""DatasetScanner: a resumable walk over the bytes of a data set."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dcmrecv.native.fault cimport Fault

cdef enum:
    # Deepest nesting read: a sequence and its item are two levels. The original has no
    # bound but its stack; 1,024 sequences are far beyond any SOP class of the standard.
    LEVELS_MAX = 2048
    CAPTURE_BYTES_MAX = 256     # of each wanted value; a UID has 64, a date 8


cdef enum ScanResult:
    SCAN_INTERNAL_FAULT = 0
    SCAN_OK = 1
    SCAN_FAULT = 2              # see the fault; the rest is not looked at


cdef enum LevelKind:
    LEVEL_SEQUENCE = 1          # holds items
    LEVEL_ITEM = 2              # holds elements
    LEVEL_FRAGMENTS = 3         # encapsulated pixel data: holds items of raw bytes


cdef struct Level:
    LevelKind kind
    uint64_t end                # offset behind it; UNDEFINED_END when delimited
    bint implicit               # elements inside are Implicit VR Little Endian


cdef struct Capture:
    bint present
    uint16_t vr                 # 0 in Implicit VR
    size_t len
    uint8_t value[CAPTURE_BYTES_MAX]


cdef class DatasetScanner:
    cdef bint explicit_vr
    cdef bint big_endian
    cdef bint encapsulated
    # Where we are.
    cdef uint64_t offset            # bytes of the data set seen
    cdef Level levels[LEVELS_MAX]
    cdef int depth
    cdef uint8_t header[12]
    cdef size_t header_fill
    cdef size_t header_need         # 8, or 12 once a long header is known
    cdef uint64_t header_offset     # where the header began
    cdef uint64_t value_left        # bytes of the current value still to come
    cdef uint32_t tag               # of the current element
    cdef Capture* capturing         # NULL: the value is only skipped
    # What was found at the top level.
    cdef Capture sop_class
    cdef Capture sop_instance
    cdef Capture series_date
    cdef bint misplaced_fragments   # encapsulated pixel data in a native syntax
    cdef Fault fault

    cdef void reset(
        self, bint explicit_vr, bint big_endian, bint encapsulated
    ) noexcept nogil
    cdef ScanResult scan(self, const uint8_t* data, size_t size) noexcept nogil
    cdef ScanResult finish(self) noexcept nogil
    cdef bint _rest_is_padding(self) noexcept nogil
    cdef ScanResult _element(self) noexcept nogil
    cdef ScanResult _value(
        self, uint32_t tag, uint16_t vr, uint32_t length
    ) noexcept nogil
    cdef ScanResult _undefined(self, uint32_t tag, uint16_t vr) noexcept nogil
    cdef ScanResult _inside_sequence(
        self, uint32_t tag, uint32_t length
    ) noexcept nogil
    cdef ScanResult _push(
        self, LevelKind kind, uint64_t end, bint implicit
    ) noexcept nogil
    cdef void _pop_ended(self) noexcept nogil
    cdef ScanResult _fail(self, int code, uint64_t b) noexcept nogil
    cdef bint _reads_implicit(self) noexcept nogil
    cdef bint _reads_big_endian(self) noexcept nogil
    cdef void _capture(self, uint32_t tag, uint16_t vr) noexcept nogil
