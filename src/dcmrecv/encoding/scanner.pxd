"""DatasetScanner: a resumable walk over the bytes of a data set."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from dcmrecv.encoding.notes cimport Notes
from dcmrecv.encoding.vr_table cimport VrTable
from dcmrecv.native.fault cimport Fault

cdef enum:
    # Deepest nesting read: a sequence and its item are two levels. The original has no
    # bound but its stack; 1,024 sequences are far beyond any SOP class of the standard.
    LEVELS_MAX = 2048
    CAPTURE_BYTES_MAX = 256     # of each wanted value; a UID has 64, a date 8
    # Private creators of all open items together that are remembered. A real object
    # has a few dozen; the elements of any further creator count as unknown.
    OPEN_CREATORS_MAX = 4096

cdef enum:
    # What an item has said so far of a number that later elements depend on, if not
    # the number itself. Only the first of repeated elements says something.
    NOT_SAID = -1
    SAID_NOTHING = -2           # the element is there, without a value


cdef enum ScanEvent:
    SCAN_INTERNAL_FAULT = 0
    SCAN_MORE = 1               # the rest is too short for a header
    SCAN_ELEMENT = 2            # header of an element that holds a value
    SCAN_VALUE = 3              # a piece of that value, never empty
    SCAN_SEQUENCE = 4           # header of a sequence
    SCAN_ITEM = 5               # header of an item of elements
    SCAN_END_ITEM = 6           # its delimiter, or nothing when its length has run out
    SCAN_END_SEQUENCE = 7       # the same, of a sequence or of fragments
    SCAN_FRAGMENTS = 8          # header of encapsulated pixel data
    SCAN_FRAGMENT = 9           # header of one of its items
    SCAN_END = 10               # finish(): the data set is whole
    SCAN_FAULT = 11             # see the fault; the rest is not looked at


cdef enum LevelKind:
    LEVEL_SEQUENCE = 1          # holds items
    LEVEL_ITEM = 2              # holds elements; also the data set itself
    LEVEL_FRAGMENTS = 3         # encapsulated pixel data: holds items of raw bytes


cdef struct Level:
    LevelKind kind
    bint implicit               # what it holds is Implicit VR Little Endian
    uint32_t length             # UNDEFINED_LENGTH_VALUE: up to a delimiter
    uint64_t begin              # offset of what it holds
    # Of an item: what its elements say about later ones.
    int creators                # first of its private creators
    uint32_t last_tag           # the highest so far
    int32_t pixel_representation    # the value, NOT_SAID or SAID_NOTHING
    int32_t waveform_bits           # the same


cdef struct Capture:
    bint present
    uint16_t vr                 # 0 in Implicit VR
    size_t len
    uint8_t value[CAPTURE_BYTES_MAX]


cdef struct Creator:
    uint32_t block              # group and block number: (gggg << 16) | bb
    uint16_t number             # in the table of VRs


cdef class DatasetScanner:
    cdef VrTable table
    cdef const uint16_t* traits
    cdef Notes notes
    cdef bint explicit_vr
    cdef bint big_endian
    cdef bint encapsulated
    # Where we are.
    cdef uint64_t offset            # bytes of the data set read
    cdef Level levels[LEVELS_MAX + 1]
    cdef int depth                  # levels[0] is the data set
    cdef uint64_t value_left        # bytes of the current value still to come
    # The event just returned.
    cdef uint32_t tag
    cdef uint16_t vr                # as read, or the dictionary's; VR_UNKNOWN
    cdef uint32_t length            # of the value
    cdef size_t header_size         # bytes; 0: an end without a delimiter
    cdef uint64_t header_offset     # where the header began
    cdef bint misplaced             # SCAN_FRAGMENTS: they must not be here
    cdef const uint8_t* value       # SCAN_VALUE: borrowed from the caller
    cdef size_t value_size
    # What was found.
    cdef Capture* capturing         # NULL: the value is not kept
    cdef Capture sop_class
    cdef Capture sop_instance
    cdef bint uids_in_items         # such elements stand in items, perhaps besides
    cdef Capture series_date
    cdef Capture other              # scratch for values that later ones depend on
    cdef Creator creators[OPEN_CREATORS_MAX]
    cdef int creator_count
    cdef uint32_t misplaced_fragments   # encapsulated pixel data in a native syntax
    cdef bint pixel_data            # some, at the top level
    cdef bint defined_pixel_data    # native pixel data in an encapsulated syntax
    cdef uint64_t defined_offset
    cdef Fault fault

    cdef void reset(
        self, bint explicit_vr, bint big_endian, bint encapsulated
    ) noexcept nogil
    cdef ScanEvent next(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil
    cdef inline size_t pass_value(self, size_t shown) noexcept nogil:
        """Go over the value behind a header if it is shown whole and nobody wants it.

        Returns its size, and 0 if next() has to give it piece by piece.
        """
        cdef uint64_t size = self.value_left
        if size > shown or self.capturing != NULL:
            return 0
        self.offset += size
        self.value_left = 0
        return <size_t>size

    cdef ScanEvent finish(self, const uint8_t* rest, size_t size) noexcept nogil
    cdef bint skim(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil
    cdef bint skim_end(self, const uint8_t* rest, size_t size) noexcept nogil
    cdef ScanEvent _value_piece(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil
    cdef ScanEvent _element(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil
    cdef void _note_group(self, uint32_t tag) noexcept nogil
    cdef void _not_standard(self, uint16_t traits) noexcept nogil
    cdef ScanEvent _delimiter(self) noexcept nogil
    cdef ScanEvent _part_of_sequence(
        self, const uint8_t* data, size_t* used
    ) noexcept nogil
    cdef ScanEvent _classify(self) noexcept nogil
    cdef bint _fits_item(self) noexcept nogil
    cdef uint16_t _vr_by_dictionary(self) noexcept nogil
    cdef uint16_t _resolved(self, uint16_t vr) noexcept nogil
    cdef ScanEvent _push(
        self, LevelKind kind, uint32_t length, bint implicit
    ) noexcept nogil
    cdef ScanEvent _pop(self) noexcept nogil
    cdef void _capture(self) noexcept nogil
    cdef void _captured(self) noexcept nogil
    cdef ScanEvent _fail(self, int code, uint64_t b) noexcept nogil
