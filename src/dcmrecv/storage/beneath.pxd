"""Directories that lie below the output directory, wherever links lead."""

from dcmrecv.native.sysio cimport SysIo

cdef enum:
    BENEATH_PATH_MAX = 192      # of a directory, with a NUL


cdef int enter_directory(
    SysIo* io, int root_fd, bint* by_steps, const char* path, const char** name
) noexcept nogil
cdef void leave_directory(SysIo* io, int root_fd, int dirfd) noexcept nogil
