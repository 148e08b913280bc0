"""Journal: the log lines of stored objects, written without Python."""

from libc.stdint cimport uint16_t

from dcmrecv.native.sysio cimport SysIo

cdef enum:
    # A pipe keeps so many bytes together that come in one write (PIPE_BUF, POSIX).
    JOURNAL_BYTES_MAX = 4096


cdef class Journal:
    cdef SysIo* io
    cdef int descriptor             # stays the caller's
    # Text without NUL before the Message ID, between it and the path, and behind that.
    cdef const char* before
    cdef const char* between
    cdef const char* behind
    cdef tuple owners               # of the three texts

    cdef bint note(self, uint16_t message_id, const char* path) noexcept nogil
