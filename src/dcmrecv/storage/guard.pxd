"""DiskGuard: what an output directory may not be filled beyond."""

from dcmrecv.native.fault cimport Fault
from dcmrecv.native.sysio cimport SysIo


cdef class DiskGuard:
    cdef SysIo* io
    cdef bint active
    cdef double reserve_bytes   # 0: `reserve_share` counts
    cdef double reserve_share   # of bytes and of inodes, 0 to 1
    cdef double object_bytes_max        # of a data set; 0: no limit

    cdef bint has_room(self, int root_fd, Fault* fault) noexcept nogil
    cdef bint allows(self, unsigned long long size, Fault* fault) noexcept nogil
