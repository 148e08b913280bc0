"""NormalSink: the data set as the original would write it."""

from libc.stdint cimport uint8_t, uint64_t

from dcmrecv.encoding.inflater cimport Deflater, Inflater
from dcmrecv.encoding.normalizer cimport Normalizer
from dcmrecv.encoding.scanner cimport Capture, DatasetScanner
from dcmrecv.encoding.spans cimport Spans
from dcmrecv.native.wire cimport Span
from dcmrecv.storage.image cimport META_BYTES_MAX, ContextPlan
from dcmrecv.storage.naming cimport DIRECTORY_BYTES_MAX
from dcmrecv.storage.sink cimport StoreSink
from dcmrecv.storage.writer cimport WriteResult

cdef enum:
    # In front of what lands in a window: room for the File Meta Information and for as
    # much as the elements before a large value grow, so that one write takes it all.
    WINDOW_HEADROOM = 16384
    MERGED_MAX = 65536          # bytes copied to save a write
    PAGE_BYTES = 4096


cdef class NormalSink(StoreSink):
    cdef DatasetScanner scanner
    cdef DatasetScanner finder  # of UIDs in what has been put in order
    cdef Normalizer normalizer
    cdef Spans spans            # the normalizer's
    cdef Inflater inflater
    cdef Deflater deflater
    cdef bint by_series_date
    cdef size_t window_begin    # bytes of the window in front of what has landed
    cdef size_t carried         # bytes of the window that came with the one before
    cdef uint8_t* writable      # the window's memory from here on is free
    cdef uint64_t written_size  # bytes of the data set as it is in the file
    # File Meta Information as the file begins with it; 0: nothing is written yet.
    cdef size_t meta_size
    cdef Span meta_class
    cdef Span meta_instance
    cdef uint8_t meta[META_BYTES_MAX]
    cdef bint looked_again      # the finder knows the UIDs, the scanner does not
    cdef char made_uid[64]      # for a data set without SOP Instance UID
    cdef char directory[DIRECTORY_BYTES_MAX]
    cdef bint directory_known
    cdef bint opened_elsewhere  # the temporary file lies above `directory`

    cdef bint _take_window(self, bint last) noexcept nogil
    cdef void _begin_window(self, uint64_t at) noexcept nogil
    cdef bint _inflate_window(
        self, const uint8_t* data, size_t size
    ) noexcept nogil
    cdef bint _normalize(
        self, const uint8_t* data, size_t size, size_t* used, bint last
    ) noexcept nogil
    cdef bint _finish(self) noexcept nogil
    cdef bint _finish_data_set(self) noexcept nogil
    cdef bint _find_uids(self) noexcept nogil
    cdef bint _rewrite(self) noexcept nogil
    cdef bint _append(
        self, const uint8_t* data, size_t size, uint64_t* at
    ) noexcept nogil
    cdef bint _write_spans(self) noexcept nogil
    cdef bint _lies_in_window(self, const uint8_t* place) noexcept nogil
    cdef size_t _room_before(self, const uint8_t* place) noexcept nogil
    cdef WriteResult _write(
        self, const uint8_t* data, size_t size, uint64_t at
    ) noexcept nogil
    cdef bint _begin_described(self) noexcept nogil
    cdef bint _write_patches(self) noexcept nogil
    cdef bint _correct_meta(self) noexcept nogil
    cdef Span _uid(self, Capture* found, Span assumed) noexcept nogil
    cdef void _choose_directory(self, bint final) noexcept nogil
