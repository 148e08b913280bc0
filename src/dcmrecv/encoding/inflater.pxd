"""Inflater and Deflater: the two directions of a deflated data set."""

from libc.stdint cimport uint8_t, uint64_t

from dcmrecv.native.fault cimport Fault

cdef enum:
    INFLATED_BYTES_MAX = 262144     # at a time, however much a deflated byte expands
    # A deflated byte can stand for a thousand. What the original could hold in memory
    # at all is far below this; nothing of medicine deflates to more than it.
    INFLATED_TOTAL_MAX = 0x100000000


cdef enum InflateResult:
    INFLATE_INTERNAL_FAULT = 0
    INFLATE_PIECE = 1           # `buffer` holds more bytes than before
    INFLATE_MORE = 2            # all that was fed is inflated
    INFLATE_FAULT = 3


cdef class Inflater:
    cdef object decompressor
    cdef bytes deflated             # fed and not yet inflated
    cdef bint full                  # the codec may hold output back
    cdef uint8_t* buffer            # owned; the inflated bytes not yet used
    cdef size_t fill
    cdef uint64_t offset            # of what was fed last in the deflated stream
    cdef size_t fed                 # bytes of that
    cdef uint64_t total             # bytes inflated
    cdef Fault fault

    cdef void begin(self) noexcept nogil
    cdef void feed(self, const uint8_t* data, size_t size) noexcept nogil
    cdef InflateResult next(self) noexcept nogil
    cdef void use(self, size_t used) noexcept nogil
    cdef bint ended(self) noexcept nogil
    cdef InflateResult _inflate(self)


cdef class Deflater:
    cdef object compressor
    cdef bytes output               # of the last call
    cdef const uint8_t* data        # the same
    cdef size_t size

    cdef void begin(self) noexcept nogil
    cdef void take(self, const uint8_t* data, size_t size) noexcept nogil
    cdef void end(self) noexcept nogil
    cdef int _keep(self, bytes output) except -1
