"""What a normalizer writes: kept bytes by reference, replaced ones in an arena.

Short kept runs are copied to the replaced bytes around them, so that where nearly all
changes one span is written, and where nothing changes the caller's bytes are it.
Knows how a header is encoded, but no rule. Never writes a file.
"""

cimport cython
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from dcmrecv.encoding.element cimport (
    HEADER_BYTES_MAX,
    store_tag,
    store_u16,
    store_u32,
)
from dcmrecv.encoding.vr cimport LONG_HEADER, vr_traits


@cython.final
@cython.no_gc
cdef class Spans:
    """Owns 0.3 MiB. The caller asks full() before each event, and then writes."""

    def __cinit__(self):
        self.traits = vr_traits()
        self.arena = <uint8_t*>malloc(ARENA_BYTES)
        if self.arena == NULL:
            raise MemoryError("no room for the output of a normalizer")
        self.reset(True, False)

    def __dealloc__(self):
        free(self.arena)

    cdef void reset(self, bint explicit_vr, bint big_endian) noexcept nogil:
        """The next data set; offsets in the output count from its first byte."""
        self.explicit_vr = explicit_vr
        self.big_endian = big_endian
        self.size = 0
        self.run_size = 0
        self.written()

    cdef void written(self) noexcept nogil:
        """The spans and patches are where they belong: use their room again."""
        self.count = 0
        self.begin = self.size
        self.arena_fill = ARENA_HEADROOM
        self.patch_count = 0

    cdef void put(self, const uint8_t* data, size_t size) noexcept nogil:
        """These bytes come in the place of others."""
        self.end_run(False)
        self._to_arena(data, size)
        self.size += size

    cdef void put_header(
        self, uint32_t tag, uint16_t vr, uint32_t length
    ) noexcept nogil:
        """The header of an element in the transfer syntax of the data set."""
        cdef uint8_t header[HEADER_BYTES_MAX]
        cdef bint big_endian = self.big_endian
        store_tag(header, tag, big_endian)
        if not self.explicit_vr:
            store_u32(header + 4, length, big_endian)
            self.put(header, 8)
            return
        header[4] = <uint8_t>(vr >> 8)
        header[5] = <uint8_t>(vr & 0xFF)
        if self.traits[vr] & LONG_HEADER:
            header[6] = 0
            header[7] = 0
            store_u32(header + 8, length, big_endian)
            self.put(header, 12)
        else:
            store_u16(header + 6, <uint16_t>length, big_endian)
            self.put(header, 8)

    cdef void put_item(self, uint32_t tag, uint32_t length) noexcept nogil:
        """The header of an item, or a delimiter."""
        cdef uint8_t header[8]
        store_tag(header, tag, self.big_endian)
        store_u32(header + 4, length, self.big_endian)
        self.put(header, 8)

    cdef void end_run(self, bint last) noexcept nogil:
        """The kept run ends: a span of its own, or with the replaced bytes."""
        cdef size_t size = self.run_size
        if size == 0:
            return
        self.run_size = 0
        if size <= COPIED_RUN_MAX and not (last and self.count == 0):
            self._to_arena(self.run, size)
            return
        self.list[self.count].ptr = self.run
        self.list[self.count].len = size
        self.count += 1

    cdef void _to_arena(self, const uint8_t* data, size_t size) noexcept nogil:
        cdef uint8_t* end = self.arena + self.arena_fill
        cdef Span* last
        memcpy(end, data, size)
        self.arena_fill += size
        if self.count > 0:
            last = &self.list[self.count - 1]
            if last.ptr + last.len == end:
                last.len += size
                return
        self.list[self.count].ptr = end
        self.list[self.count].len = size
        self.count += 1

    cdef bint patch(self, uint64_t at, uint32_t value) noexcept nogil:
        """Set four bytes that were put at offset `at`; False when there is no room."""
        cdef uint64_t begin = self.begin
        cdef int i
        if at >= begin:
            for i in range(self.count):
                if at < begin + self.list[i].len:
                    # What was put lies in the arena, which is ours.
                    store_u32(
                        <uint8_t*>self.list[i].ptr + (at - begin), value,
                        self.big_endian,
                    )
                    return True
                begin += self.list[i].len
            return False
        if self.patch_count == PATCHES_MAX:
            return False
        store_u32(self.patches[self.patch_count].value, value, self.big_endian)
        self.patches[self.patch_count].at = at
        self.patch_count += 1
        return True

    cdef bint permute(
        self, const Piece* pieces, int count, uint64_t begin
    ) noexcept nogil:
        """Put an item's elements in order in memory; False if they do not lie there."""
        cdef Span* last
        cdef size_t size = <size_t>(self.size - begin)
        cdef size_t at = 0
        cdef size_t part
        cdef uint8_t* old
        cdef uint8_t* ordered
        cdef int i
        if self.count == 0:
            return False
        last = &self.list[self.count - 1]
        if last.ptr + last.len != self.arena + self.arena_fill:
            return False
        if self.size - begin > last.len:
            return False
        ordered = <uint8_t*>malloc(size)
        if ordered == NULL:
            return False
        old = self.arena + self.arena_fill - size
        for i in range(count):
            part = <size_t>(pieces[i].end - pieces[i].begin)
            memcpy(ordered + at, old + (pieces[i].begin - begin), part)
            at += part
        memcpy(old, ordered, at)
        free(ordered)
        self.arena_fill -= size - at
        last.len -= size - at
        self.size -= size - at
        return True

    cdef int collect(self, bytearray output) except -1:
        """Append the spans to `output` and apply the patches; for tests."""
        cdef int i
        for i in range(self.count):
            output += self.list[i].ptr[:self.list[i].len]
        for i in range(self.patch_count):
            at = self.patches[i].at
            output[at:at + 4] = self.patches[i].value[:4]
        self.written()
        return 0

    def example(self, parts, patch=None, bint late=False):
        """Keep and put `parts`, (kept?, bytes) each, and patch; for tests.

        Returns:
            The number of spans, and what they say once patched.
        """
        cdef bytearray output = bytearray()
        cdef bytes text
        cdef int count
        self.reset(True, False)
        for kept, text in parts:
            if kept:
                self.keep(text, <size_t>len(text))
            else:
                self.put(text, <size_t>len(text))
        self.end_run(True)
        count = self.count
        if late:
            self.collect(output)
        if patch is not None:
            self.patch(patch[0], patch[1])
        self.collect(output)
        return count, bytes(output)
