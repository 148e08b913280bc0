"""Normalizer: a data set as the original writes it again, piece by piece."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dcmrecv.encoding.order cimport Piece, Reordering
from dcmrecv.encoding.scanner cimport LEVELS_MAX, DatasetScanner, ScanEvent
from dcmrecv.encoding.spans cimport Spans

cdef enum:
    # Elements of all open items together; a data set of the standard has some hundreds.
    # 2 MiB.
    OPEN_ENTRIES_MAX = 131072
    GROUP_LENGTH_BYTES = 12     # of the whole element, with either kind of VR


cdef enum NormalizeResult:
    NORMALIZE_INTERNAL_FAULT = 0
    NORMALIZE_MORE = 1          # all is used but the beginning of a header
    NORMALIZE_FULL = 2          # write the spans, then call again with the rest
    NORMALIZE_END = 3           # finish(): that was all
    NORMALIZE_FAULT = 4         # see the scanner's fault


cdef struct Entry:
    uint64_t begin              # offset in the output
    uint32_t tag
    uint32_t uncounted          # state of Normalizer.uncounted, modulo 2**32
    uint32_t misplaced          # state of the scanner's misplaced_fragments
    uint32_t corrected          # state of Normalizer.corrected


cdef struct Frame:
    # Of an open sequence or encapsulated pixel data:
    bint late                   # an element of its tag or a higher one came before
    # Of an open item, or the data set:
    int first_entry
    uint32_t last_tag           # the highest so far
    bint disordered             # some element came too late, or twice
    # Its last group length, as long as elements of that group come.
    uint32_t group
    uint64_t length_at          # offset of its value in the output; 0: there is none
    uint64_t group_begin        # offset behind it
    uint64_t group_uncounted    # state of Normalizer.uncounted there


cdef class Normalizer:
    cdef DatasetScanner scanner
    cdef Reordering reordering
    cdef const uint16_t* traits
    cdef Spans spans                # the output
    # The value under way.
    cdef bint dropping
    cdef int pad                    # -1: none
    cdef bint pad_uncounted
    cdef uint16_t unit              # above 1: bytes change their order
    cdef uint8_t swapped[8]
    cdef size_t swapped_fill
    # The open items, by the scanner's depth.
    cdef Frame frames[LEVELS_MAX + 1]
    cdef Entry* entries             # owned
    cdef int entry_count
    cdef bint late                  # the element just entered, as of Frame.late
    cdef bint reordered             # elements have changed places, or are dropped
    cdef uint64_t uncounted         # bytes written that no group length counts
    cdef uint32_t corrected         # group lengths of another VR than UL

    cdef void begin(
        self, bint explicit_vr, bint big_endian, bint encapsulated
    ) noexcept nogil
    cdef NormalizeResult normalize(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil
    cdef NormalizeResult finish(
        self, const uint8_t* rest, size_t size
    ) noexcept nogil
    cdef bint _emit(
        self, ScanEvent event, const uint8_t* header
    ) noexcept nogil
    cdef void _group_length(self) noexcept nogil
    cdef bint _element(self, const uint8_t* header) noexcept nogil
    cdef bint _stays(self) noexcept nogil
    cdef void _value(self) noexcept nogil
    cdef void _end_value(self) noexcept nogil
    cdef void _swap(self, const uint8_t* data, size_t size) noexcept nogil
    cdef void _sequence(self, const uint8_t* header, uint16_t vr) noexcept nogil
    cdef void _item(self, const uint8_t* header) noexcept nogil
    cdef void _end(
        self, const uint8_t* header, uint32_t tag
    ) noexcept nogil
    cdef void _fragment(self, const uint8_t* header) noexcept nogil
    cdef bint _enter(
        self, int depth, uint32_t tag, uint32_t misplaced
    ) noexcept nogil
    cdef void _note_disorder(self, int depth, uint32_t tag) noexcept nogil
    cdef void _open_frame(self, int depth) noexcept nogil
    cdef bint _close_frame(self, int depth) noexcept nogil
    cdef bint _close_group(self, Frame* frame) noexcept nogil
    cdef bint _reorder(self, Frame* frame) noexcept nogil
    cdef void _take_pieces(self, const Frame* frame, Piece* pieces) noexcept nogil
    cdef bint _count_groups(self, const Piece* pieces, int count) noexcept nogil
    cdef bint _set_length(self, uint64_t at, uint64_t value) noexcept nogil
