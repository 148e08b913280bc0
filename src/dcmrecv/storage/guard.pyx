"""May another object be stored? Asked before an association and before an object.

Asks the file system anew each time, so that space which is freed counts at once. Never
refuses anything: who asks does.
"""

cimport cython
from libc.string cimport memset

from dcmrecv.native.fault cimport DISK_RESERVE, OBJECT_TOO_LARGE, set_fault
from dcmrecv.native.sysio cimport statfs, system_io


@cython.final
cdef class DiskGuard:
    """Guards the file system of an output directory.

    Args:
        reserve: a settings.Reserve, None for none.
        object_bytes_max: of a data set, None for no limit.
    """

    def __cinit__(self, reserve, object_bytes_max):
        self.io = system_io()
        self.active = reserve is not None
        self.reserve_bytes = 0 if reserve is None else reserve.size_bytes
        self.reserve_share = 0 if reserve is None else reserve.percent / 100
        self.object_bytes_max = object_bytes_max or 0

    cdef bint has_room(self, int root_fd, Fault* fault) noexcept nogil:
        """Are as many bytes and inodes left as are reserved? False leaves a fault.

        A reserve of so many bytes holds for inodes in the same proportion. Where the
        file system does not tell, the attempt will.
        """
        cdef statfs place
        cdef double total
        cdef double share = self.reserve_share
        if not self.active:
            return True
        memset(&place, 0, sizeof(place))
        if self.io.fstatfs(root_fd, &place) != 0 or place.f_blocks == 0:
            return True
        total = <double>place.f_blocks * <double>place.f_bsize
        if self.reserve_bytes > 0:
            share = self.reserve_bytes / total
        if <double>place.f_bavail * <double>place.f_bsize < share * total:
            set_fault(fault, DISK_RESERVE, 0, 0)
            return False
        if place.f_files > 0 and <double>place.f_ffree < share * <double>place.f_files:
            set_fault(fault, DISK_RESERVE, 1, 0)
            return False
        return True

    cdef bint allows(self, unsigned long long size, Fault* fault) noexcept nogil:
        """May a data set have so many bytes? False leaves a fault."""
        if self.object_bytes_max == 0 or <double>size <= self.object_bytes_max:
            return True
        set_fault(
            fault, OBJECT_TOO_LARGE, <unsigned long long>self.object_bytes_max, 0
        )
        return False
