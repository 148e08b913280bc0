"""Inflater: shows a scanner what is inside of a deflated data set."""

from libc.stdint cimport uint8_t, uint64_t

from dcmrecv.encoding.scanner cimport DatasetScanner, ScanResult
from dcmrecv.native.fault cimport Fault

cdef enum:
    INFLATED_BYTES_MAX = 262144     # at a time, however much a deflated byte expands


cdef class Inflater:
    cdef DatasetScanner scanner
    cdef object decompressor
    cdef uint64_t offset            # bytes of the deflated stream seen
    cdef Fault fault

    cdef ScanResult begin(self) noexcept nogil
    cdef ScanResult scan(self, const uint8_t* data, size_t size) noexcept nogil
    cdef ScanResult finish(self) noexcept nogil
    cdef ScanResult _inflate(self, bytes deflated)
