"""Flusher: what of an object is on disk before it is acknowledged."""

from dcmrecv.native.flush_group cimport FlushGroup
from dcmrecv.native.sysio cimport SysIo

cdef enum:
    FLUSHED_PATH_MAX = 192      # of a directory below the output directory


cdef enum Durability:
    DURABLE_CLOSE = 0
    DURABLE_DATA = 1
    DURABLE_FULL = 2
    DURABLE_GROUP = 3           # only where one flush is known to reach everything


cdef class Flusher:
    cdef SysIo* io
    cdef Durability wanted
    cdef Durability durability  # what is done for it on this file system
    cdef FlushGroup group
    cdef int root_fd            # of the output directory; the writer's
    cdef int sync_fd            # the same for reading; -1: not needed yet
    cdef bint steps             # the kernel has no openat2(2)
    cdef char settled[FLUSHED_PATH_MAX]     # a directory whose parents are on disk
    cdef bint has_settled

    # All of them: 0, or the errno of what failed.
    cdef void attach(self, int root_fd) noexcept nogil
    cdef int send_off(self, int fd) noexcept nogil
    cdef int flush_new(self, int fd) noexcept nogil
    cdef void withdraw(self) noexcept nogil
    cdef int flush_data(self, int fd) noexcept nogil
    cdef int settle(self, const char* directory) noexcept nogil
    cdef int _flush_together(self) noexcept nogil
    cdef int _flush_path(self, const char* directory) noexcept nogil
    cdef int _flush_directory(self, const char* directory) noexcept nogil
    cdef int _open_directory(self, const char* directory) noexcept nogil
