"""Page-aligned memory that the data plane owns. Never knows a file or a socket."""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo
from libc.stdlib cimport free

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void** memory, size_t alignment, size_t size)

cdef enum:
    PAGE_BYTES = 4096


@cython.final
@cython.no_gc
cdef class AlignedBuffer:
    """`capacity` bytes, aligned to 4,096.

    Exports its first `fill` bytes as a read-only Python buffer; the memory lives until
    the last view is gone, its content changes under a view as the owner writes.

    Raises:
        MemoryError: no memory.
    """

    def __cinit__(self, size_t capacity):
        self.base = NULL
        self.capacity = 0
        self.fill = 0
        self.exports = 0
        cdef void* memory = NULL
        if capacity == 0 or posix_memalign(&memory, PAGE_BYTES, capacity) != 0:
            raise MemoryError(f"cannot allocate {capacity} bytes")
        self.base = <uint8_t*>memory
        self.capacity = capacity

    def __dealloc__(self):
        free(self.base)

    def __getbuffer__(self, Py_buffer* view, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("an AlignedBuffer is read-only for Python")
        PyBuffer_FillInfo(view, self, self.base, <Py_ssize_t>self.fill, 1, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.exports -= 1
