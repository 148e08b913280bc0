"""Spans: what a normalizer has ready to be written, as ranges of bytes."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dcmrecv.encoding.order cimport Piece
from dcmrecv.native.wire cimport Span

cdef enum:
    # In front of the replaced bytes: room for whoever writes something before them.
    ARENA_HEADROOM = 4096
    # As much as is written at a time when nearly everything changes, as in structured
    # reports; stays in L2 with the window that is read.
    ARENA_BYTES = 262144
    # Kept runs up to this are copied to the replaced bytes around them: a call of
    # pwrite(2) costs more than the copy.
    COPIED_RUN_MAX = 16384
    # The most that one event of a data set can add.
    EVENT_BYTES_MAX = 16448
    SPANS_MAX = 256
    PATCHES_MAX = 4096          # group lengths known after they were written, at a time


cdef struct Patch:
    uint64_t at                 # offset in the output
    uint8_t value[4]


cdef class Spans:
    cdef const uint16_t* traits
    # The encoding that is written.
    cdef bint explicit_vr
    cdef bint big_endian
    # What is ready to be written: kept bytes of the caller's and replaced ones.
    cdef Span list[SPANS_MAX]
    cdef int count
    cdef uint64_t begin             # offset of the first in the output
    cdef uint64_t size              # of the output so far, ready or not
    cdef uint8_t* arena             # owned; ARENA_HEADROOM bytes in front stay free
    cdef size_t arena_fill
    cdef Patch patches[PATCHES_MAX]
    cdef int patch_count            # of bytes already written
    cdef const uint8_t* run         # kept bytes not yet in a span
    cdef size_t run_size

    cdef void reset(self, bint explicit_vr, bint big_endian) noexcept nogil
    cdef void written(self) noexcept nogil
    cdef void put(self, const uint8_t* data, size_t size) noexcept nogil
    cdef void put_header(
        self, uint32_t tag, uint16_t vr, uint32_t length
    ) noexcept nogil
    cdef void put_item(self, uint32_t tag, uint32_t length) noexcept nogil
    cdef void end_run(self, bint last) noexcept nogil
    cdef bint patch(self, uint64_t at, uint32_t value) noexcept nogil
    cdef bint permute(
        self, const Piece* pieces, int count, uint64_t begin
    ) noexcept nogil
    cdef void _to_arena(self, const uint8_t* data, size_t size) noexcept nogil
    cdef int collect(self, bytearray output) except -1

    cdef inline void keep(self, const uint8_t* data, size_t size) noexcept nogil:
        """These bytes stay as they are."""
        if self.run_size > 0 and self.run + self.run_size != data:
            self.end_run(False)
        if self.run_size == 0:
            self.run = data
        self.run_size += size
        self.size += size

    cdef inline bint full(self) noexcept nogil:
        """Is there no room for another event?"""
        return (
            self.arena_fill > ARENA_BYTES - EVENT_BYTES_MAX
            or self.count > SPANS_MAX - 4
            or self.patch_count > PATCHES_MAX // 2
        )
