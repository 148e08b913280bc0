# cython: language_level=3
"""A table of system calls that writes down what would survive a loss of power.

`install(path)` appends a line for each call that changes a file or makes one safe, in
the order in which they happened over all processes: a call that changes something when
it is done, a flush when it begins and when it is done, an answer before it goes out.
`tests/faults/survival.py` reads it.
"""

import os

from libc cimport errno
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from posix.stat cimport fstat, struct_stat
from posix.unistd cimport getpid, write

from dcmrecv.native.sysio cimport SysIo, install_system_io, libc_io, mode_t

cdef extern from "<sys/stat.h>" nogil:
    int fstatat(int dirfd, const char* path, struct_stat* result, int flags)

cdef extern from "<fcntl.h>" nogil:
    const int AT_FDCWD

cdef extern from "<unistd.h>" nogil:
    int usleep(unsigned int microseconds)

cdef enum:
    SYNCFS_LASTS_US = 100_000   # as on a slow disk: long enough for others to arrive

cdef SysIo table
cdef const SysIo* real = NULL
cdef int log_fd = -1


cdef void note(const char* what, unsigned long long number) noexcept nogil:
    cdef char line[64]
    cdef int size = snprintf(
        line, sizeof(line), b"%s %d %llu\n", what, <int>getpid(), number
    )
    write(log_fd, line, <size_t>size)


cdef void note_name(
    const char* what, int dirfd, const char* path
) noexcept nogil:
    """`what PID INODE DIRECTORY`: a directory has a new entry."""
    cdef char line[96]
    cdef struct_stat entry
    cdef int size
    if fstatat(dirfd, path, &entry, 0) != 0:
        return
    size = snprintf(
        line, sizeof(line), b"%s %d %llu %llu\n", what, <int>getpid(),
        <unsigned long long>entry.st_ino, inode_of(dirfd),
    )
    write(log_fd, line, <size_t>size)


cdef unsigned long long inode_of(int fd) noexcept nogil:
    cdef struct_stat status
    return status.st_ino if fstat(fd, &status) == 0 else 0


cdef ssize_t recorded_send(int fd, const void* data, size_t size) noexcept nogil:
    """`answer PID HEX`, the whole of it on one line."""
    cdef char line[2048]
    cdef const unsigned char* bytes_sent = <const unsigned char*>data
    cdef size_t at = <size_t>snprintf(line, 64, b"answer %d ", <int>getpid())
    cdef size_t i
    for i in range(min(size, <size_t>900)):
        at += <size_t>snprintf(line + at, 3, b"%02x", bytes_sent[i])
    line[at] = c'\n'
    write(log_fd, line, at + 1)
    return real.send(fd, data, size)


cdef ssize_t recorded_pwrite(
    int fd, const void* data, size_t size, int64_t at
) noexcept nogil:
    cdef ssize_t written = real.pwrite(fd, data, size, at)
    note(b"write", inode_of(fd))
    return written


cdef ssize_t recorded_pwrite_dontcache(
    int fd, const void* data, size_t size, int64_t at
) noexcept nogil:
    return recorded_pwrite(fd, data, size, at)


cdef int recorded_renameat(
    int old_dirfd, const char* old_path,
    int new_dirfd, const char* new_path, bint replace,
) noexcept nogil:
    cdef int result = real.renameat(
        old_dirfd, old_path, new_dirfd, new_path, replace
    )
    if result == 0:
        note_name(b"name", new_dirfd, new_path)
    return result


cdef int recorded_mkdirat(int dirfd, const char* path, mode_t mode) noexcept nogil:
    cdef int result = real.mkdirat(dirfd, path, mode)
    cdef int number = errno.errno
    # Also one that another process has just made and may not have noted yet; not the
    # output directory, which was there before.
    if dirfd != AT_FDCWD:
        note_name(b"made", dirfd, path)
    errno.errno = number
    return result


cdef int recorded_fdatasync(int fd) noexcept nogil:
    cdef int result
    note(b"data-begin", inode_of(fd))
    result = real.fdatasync(fd)
    note(b"data-end", inode_of(fd))
    return result


cdef int recorded_fsync(int fd) noexcept nogil:
    """Of a directory."""
    cdef int result
    note(b"names-begin", inode_of(fd))
    result = real.fsync(fd)
    note(b"names-end", inode_of(fd))
    return result


cdef int recorded_syncfs(int fd) noexcept nogil:
    cdef int result
    note(b"all-begin", 0)
    usleep(SYNCFS_LASTS_US)
    result = real.syncfs(fd)
    note(b"all-end", 0)
    return result


def install(str path):
    """Put the recording table in force, with its lines in the file at `path`."""
    global log_fd, real, table
    log_fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    real = libc_io()
    table = real[0]
    table.send = recorded_send
    table.pwrite = recorded_pwrite
    table.pwrite_dontcache = recorded_pwrite_dontcache
    table.renameat = recorded_renameat
    table.mkdirat = recorded_mkdirat
    table.fdatasync = recorded_fdatasync
    table.fsync = recorded_fsync
    table.syncfs = recorded_syncfs
    install_system_io(&table)
