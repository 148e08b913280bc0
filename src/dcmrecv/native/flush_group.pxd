"""FlushGroup: processes that share the flushes of one file system."""

from libc.stdint cimport uint64_t

from dcmrecv.native.sysio cimport SysIo

cdef enum:
    GROUP_ARRIVED = 0           # how many times somebody wanted a flush
    GROUP_FLUSHED = 1           # up to which of those everything is on disk
    GROUP_WORDS = 16            # a row of its own: nobody else's cache line


cdef class FlushGroup:
    cdef object memory          # keeps the mapping alive
    cdef uint64_t alone[GROUP_WORDS]    # where there is no mapping
    cdef uint64_t* words
    cdef int lock_fd            # -1: nobody to wait for
    cdef bint announced         # others wait for this process to want a flush

    cdef void announce(self) noexcept nogil
    cdef void withdraw(self) noexcept nogil
    cdef int flush(self, SysIo* io, int fd) noexcept nogil
    cdef int _lead(self, SysIo* io, int fd) noexcept nogil
    cdef void _wait_for_announced(self, SysIo* io) noexcept nogil
