"""Deflated data sets, read and written again: PS3.5 section A.5.

The codec is the standard library's, so this is the one place beside TLS that takes the
GIL back on the data plane: once per piece of a deflated object, and never for others.
"""

import zlib

cimport cython
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from dcmrecv.native.fault cimport (
    DEFLATED_STREAM,
    INFLATED_SIZE,
    clear_fault,
    set_fault,
)

cdef enum:
    LEFT_MAX = 16               # bytes that a reader may leave, less than a header


@cython.final
cdef class Inflater:
    """Inflates a stream into a buffer of its own, INFLATED_BYTES_MAX at a time at most.
    """

    def __cinit__(self):
        self.buffer = <uint8_t*>malloc(INFLATED_BYTES_MAX + LEFT_MAX)
        if self.buffer == NULL:
            raise MemoryError("no room to inflate")
        self.decompressor = None
        self.deflated = b""
        self.fill = 0
        clear_fault(&self.fault)

    def __dealloc__(self):
        free(self.buffer)

    cdef void begin(self) noexcept nogil:
        self.fill = 0
        self.full = False
        self.offset = 0
        self.fed = 0
        self.total = 0
        clear_fault(&self.fault)
        with gil:
            # Raw deflate, without a zlib header: RFC 1951.
            self.decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
            self.deflated = b""

    cdef void feed(self, const uint8_t* data, size_t size) noexcept nogil:
        """The next bytes of the stream; then call next() until INFLATE_MORE."""
        self.offset += self.fed
        self.fed = size
        with gil:
            self.deflated = data[:size]

    cdef InflateResult next(self) noexcept nogil:
        """Put more inflated bytes behind those in `buffer` that are not used."""
        cdef InflateResult result
        if self.fault.code != 0:
            return INFLATE_FAULT
        with gil:
            result = self._inflate()
        return result

    cdef InflateResult _inflate(self):
        cdef bytes inflated
        if self.decompressor.eof or not (self.deflated or self.full):
            # The original ignores what follows the end, too.
            return INFLATE_MORE
        try:
            inflated = self.decompressor.decompress(self.deflated, INFLATED_BYTES_MAX)
        except zlib.error:
            set_fault(&self.fault, DEFLATED_STREAM, self.offset, 0)
            return INFLATE_FAULT
        # A full piece may leave output behind in the codec without any input.
        self.full = len(inflated) == INFLATED_BYTES_MAX
        self.deflated = self.decompressor.unconsumed_tail
        self.total += <uint64_t>len(inflated)
        if self.total > <uint64_t>INFLATED_TOTAL_MAX:
            set_fault(&self.fault, INFLATED_SIZE, <uint64_t>INFLATED_TOTAL_MAX, 0)
            return INFLATE_FAULT
        memcpy(
            self.buffer + self.fill, <const char*>inflated, <size_t>len(inflated)
        )
        self.fill += <size_t>len(inflated)
        return INFLATE_PIECE

    cdef void use(self, size_t used) noexcept nogil:
        """The first `used` bytes of the buffer are done with; LEFT_MAX may be left."""
        self.fill -= used
        memmove(self.buffer, self.buffer + used, self.fill)

    cdef bint ended(self) noexcept nogil:
        """Was the stream whole? False leaves a fault."""
        cdef bint whole
        with gil:
            whole = self.decompressor.eof
            self.decompressor = None
        if not whole:
            set_fault(&self.fault, DEFLATED_STREAM, self.offset + self.fed, 0)
        return whole

    def inflate(self, chunks):
        """Inflate a stream that comes in `chunks` of bytes; for tests.

        Returns:
            The pieces, or None when the stream is broken or not whole.
        """
        cdef bytes chunk
        cdef InflateResult result = INFLATE_MORE
        pieces = []
        self.begin()
        for chunk in chunks:
            self.feed(chunk, <size_t>len(chunk))
            result = self.next()
            while result == INFLATE_PIECE:
                pieces.append(self.buffer[:self.fill])
                self.use(self.fill)
                result = self.next()
        return pieces if result == INFLATE_MORE and self.ended() else None


@cython.final
cdef class Deflater:
    """Deflates as the original does: raw, at zlib's default level."""

    def __cinit__(self):
        self.compressor = None
        self.output = b""
        self.data = NULL
        self.size = 0

    cdef void begin(self) noexcept nogil:
        with gil:
            self.compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)

    cdef void take(self, const uint8_t* data, size_t size) noexcept nogil:
        """Deflate some bytes; `data` and `size` say what has come out."""
        with gil:
            self._keep(self.compressor.compress(data[:size]))

    cdef void end(self) noexcept nogil:
        """That was all: `data` and `size` are the rest of the stream."""
        with gil:
            self._keep(self.compressor.flush())
            self.compressor = None

    cdef int _keep(self, bytes output) except -1:
        self.output = output
        self.data = <const uint8_t*><const char*>output
        self.size = <size_t>len(output)
        return 0

    def deflate(self, chunks):
        """Deflate `chunks` of bytes to one stream; for tests."""
        cdef bytes chunk
        stream = b""
        self.begin()
        for chunk in chunks:
            self.take(chunk, <size_t>len(chunk))
            stream += self.data[:self.size]
        self.end()
        return stream + self.data[:self.size]
