"""IgnoreSink: the data set looked at and forgotten."""

from dcmrecv.encoding.inflater cimport Inflater
from dcmrecv.encoding.scanner cimport DatasetScanner
from dcmrecv.storage.sink cimport StoreSink


cdef class IgnoreSink(StoreSink):
    cdef DatasetScanner scanner
    cdef Inflater inflater
    cdef bint parsing           # is the data set looked at?
    cdef size_t carried         # bytes of the window that came with the one before

    cdef bint _take_window(self) noexcept nogil
    cdef bint _inflate_window(self) noexcept nogil
    cdef bint _finish(self) noexcept nogil
