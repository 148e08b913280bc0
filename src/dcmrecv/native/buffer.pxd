"""AlignedBuffer: page-aligned owned memory with a fill mark."""

from libc.stdint cimport uint8_t


cdef class AlignedBuffer:
    # Owned memory, page-aligned, freed in __dealloc__; never resized.
    cdef uint8_t* base
    cdef size_t capacity        # bytes
    cdef size_t fill            # bytes valid from base
    cdef int exports            # Python views outstanding

    cdef inline size_t room(self) noexcept nogil:
        return self.capacity - self.fill

    cdef inline uint8_t* landing(self) noexcept nogil:
        return self.base + self.fill
