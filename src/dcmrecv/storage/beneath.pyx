"""From the path of a file below the output directory to a directory and a name.

Whoever can write into the output directory can plant a link there; none is followed out
of it. Never opens a file and never makes a directory.
"""

from libc cimport errno as errno_module
from libc.errno cimport EAGAIN, EINTR, ENAMETOOLONG, ENOSYS, EPERM, errno
from libc.string cimport memcpy, strchr, strrchr

cdef extern from "<fcntl.h>" nogil:
    const int O_CLOEXEC
    const int O_DIRECTORY
    const int O_NOFOLLOW
    const int O_PATH

cdef enum:
    TRIES_MAX = 32              # while somebody renames what is on the way


cdef int enter_directory(
    SysIo* io, int root_fd, bint* by_steps, const char* path, const char** name
) noexcept nogil:
    """The directory that a path leads to, and the last name of the path.

    Args:
        root_fd: the output directory, that of a path without "/".
        by_steps: the kernel has no openat2(2); found out here.
        path: below the output directory; outlives `name`.

    Returns:
        A descriptor for leave_directory(), or -1 and errno; EXDEV or ELOOP is a link
        that leads elsewhere.
    """
    cdef char directory[BENEATH_PATH_MAX]
    cdef const char* slash = strrchr(path, c'/')
    cdef size_t size
    cdef int fd = -1
    cdef int _
    name[0] = path
    if slash == NULL:
        return root_fd
    size = <size_t>(slash - path)
    name[0] = slash + 1
    if size >= BENEATH_PATH_MAX:
        errno_module.errno = ENAMETOOLONG
        return -1
    memcpy(directory, path, size)
    directory[size] = 0
    if not by_steps[0]:
        for _ in range(TRIES_MAX):
            fd = io.open_beneath(root_fd, directory, O_PATH | O_DIRECTORY | O_CLOEXEC)
            # EAGAIN: something on the way was renamed at the same moment.
            if fd >= 0 or (errno != EINTR and errno != EAGAIN):
                break
        if fd >= 0 or (errno != ENOSYS and errno != EPERM):
            return fd
        # An older kernel, or a sandbox that does not know the call.
        by_steps[0] = True
    return _enter_by_steps(io, root_fd, directory)


cdef int _enter_by_steps(SysIo* io, int root_fd, char* path) noexcept nogil:
    """One name after the other, none of which may be a link."""
    cdef int at = root_fd
    cdef int fd
    cdef char* end
    while True:
        end = strchr(path, c'/')
        if end != NULL:
            end[0] = 0
        while True:
            fd = io.openat(at, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)
            if fd >= 0 or errno != EINTR:
                break
        leave_directory(io, root_fd, at)
        if fd < 0 or end == NULL:
            return fd
        at = fd
        path = end + 1


cdef void leave_directory(SysIo* io, int root_fd, int dirfd) noexcept nogil:
    """Close what enter_directory() has opened; errno stays."""
    cdef int number = errno
    if dirfd >= 0 and dirfd != root_fd:
        io.close(dirfd)
    errno_module.errno = number
