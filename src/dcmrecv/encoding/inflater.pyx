"""A deflated data set, inflated for a scanner: PS3.5 section A.5.

The codec is the standard library's, so this is the one place beside TLS that takes the
GIL back on the data plane: once per window of a deflated object, and never for others.
"""

import zlib

cimport cython

from dcmrecv.encoding.scanner cimport SCAN_FAULT, SCAN_OK
from dcmrecv.native.fault cimport DEFLATED_STREAM, clear_fault, set_fault


@cython.final
cdef class Inflater:
    """Feeds `scanner` the inflated bytes, INFLATED_BYTES_MAX at a time at most."""

    def __cinit__(self, DatasetScanner scanner not None):
        self.scanner = scanner
        self.decompressor = None
        self.offset = 0
        clear_fault(&self.fault)

    cdef ScanResult begin(self) noexcept nogil:
        self.offset = 0
        clear_fault(&self.fault)
        with gil:
            # Raw deflate, without a zlib header: RFC 1951.
            self.decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
        return SCAN_OK

    cdef ScanResult scan(self, const uint8_t* data, size_t size) noexcept nogil:
        """Inflate the next `size` bytes of the stream and scan what comes out."""
        cdef ScanResult result = SCAN_OK
        if self.fault.code != 0:
            return SCAN_FAULT
        with gil:
            result = self._inflate(data[:size])
        self.offset += size
        return result

    cdef ScanResult _inflate(self, bytes deflated):
        cdef bytes inflated
        cdef const uint8_t* base
        cdef ScanResult result
        cdef bint more = True
        while more and not self.decompressor.eof:
            try:
                inflated = self.decompressor.decompress(deflated, INFLATED_BYTES_MAX)
            except zlib.error:
                set_fault(&self.fault, DEFLATED_STREAM, self.offset, 0)
                return SCAN_FAULT
            base = inflated
            result = self.scanner.scan(base, <size_t>len(inflated))
            if result != SCAN_OK:
                self.fault = self.scanner.fault
                return result
            # A full piece may leave output behind in the codec without any input.
            deflated = self.decompressor.unconsumed_tail
            more = bool(deflated) or len(inflated) == INFLATED_BYTES_MAX
        return SCAN_OK

    cdef ScanResult finish(self) noexcept nogil:
        """The stream ends here: is it whole, and so what was inside of it?"""
        cdef bint whole
        if self.fault.code != 0:
            return SCAN_FAULT
        with gil:
            whole = self.decompressor.eof
            self.decompressor = None
        if not whole:
            set_fault(&self.fault, DEFLATED_STREAM, self.offset, 0)
            return SCAN_FAULT
        if self.scanner.finish() != SCAN_OK:
            self.fault = self.scanner.fault
            return SCAN_FAULT
        return SCAN_OK
