# cython: language_level=3
"""A table of system calls that fail to order, in place of libc's.

`install(path)` maps a file of eight 64-bit words, which a test writes while the
receiver runs; `tests/faults/script.py` is the test's side of it. All processes that are
forked afterwards share the words, so counts run over all of them.
"""

import mmap

from cpython.buffer cimport PyBUF_WRITABLE, PyObject_GetBuffer
from libc cimport errno
from libc.stdint cimport int64_t, uint32_t, uint64_t

from dcmrecv.native.sysio cimport (
    SysIo,
    install_system_io,
    iovec,
    libc_io,
    mode_t,
    pollfd,
    statfs,
)

cdef struct Order:
    uint64_t kind       # which call the order is about, 0 for none
    uint64_t nth        # counted from 1
    uint64_t os_errno   # 0: the call does less than it was asked to
    uint64_t lasting    # 1: every later call too
    uint64_t seen       # calls of that kind so far
    uint64_t hits       # calls that were made to fail
    uint64_t space      # bytes that writes may still write, UNLIMITED for no limit
    uint64_t free       # per mille of all bytes, of all inodes << 32; 0: as it is

cdef uint64_t UNLIMITED = 0xFFFFFFFFFFFFFFFF

cdef enum Kind:
    RECVV = 1
    SEND = 2
    POLL = 3
    OPENAT = 4
    PREAD = 5
    PWRITE = 6
    FTRUNCATE = 7
    MKDIRAT = 8
    RENAMEAT = 9
    UNLINKAT = 10
    CLOSE = 11
    PWRITE_DONTCACHE = 12
    SET_DIRECT = 13
    LINKAT = 14
    FDATASYNC = 15
    FSYNC = 16
    SYNCFS = 17
    WRITE_BACK = 18
    OPEN_BENEATH = 19
    WRITE = 20
    START_WRITE_BACK = 21

cdef Order* order = NULL
cdef Py_buffer kept
cdef SysIo table
cdef const SysIo* real = NULL


cdef bint is_due(uint64_t kind) noexcept nogil:
    """Count a call; is it one of those that have to fail? Then errno is set."""
    if order.kind != kind:
        return False
    order.seen += 1
    if order.seen < order.nth or (order.seen > order.nth and not order.lasting):
        return False
    order.hits += 1
    errno.errno = <int>order.os_errno
    return True


ctypedef ssize_t (*Receiving)(int fd, iovec* iov, int count) noexcept nogil


cdef ssize_t receive(
    Receiving really, int fd, iovec* iov, int count
) noexcept nogil:
    cdef iovec first
    if not is_due(RECVV):
        return really(fd, iov, count)
    if order.os_errno != 0:
        return -1
    first = iov[0]
    first.iov_len = min(first.iov_len, 1)
    return really(fd, &first, 1)


cdef ssize_t faulty_recvv(int fd, iovec* iov, int count) noexcept nogil:
    return receive(real.recvv, fd, iov, count)


cdef ssize_t faulty_recvv_patiently(int fd, iovec* iov, int count) noexcept nogil:
    return receive(real.recvv_patiently, fd, iov, count)


cdef int faulty_set_patience(int fd, int patience_ms) noexcept nogil:
    """Where poll() is to fail every wait has to be one."""
    if order.kind == POLL:
        errno.errno = errno.ENOPROTOOPT
        return -1
    return real.set_patience(fd, patience_ms)


cdef ssize_t faulty_send(int fd, const void* data, size_t size) noexcept nogil:
    if not is_due(SEND):
        return real.send(fd, data, size)
    if order.os_errno != 0:
        return -1
    return real.send(fd, data, (size + 1) // 2)


cdef int faulty_poll(pollfd* fds, unsigned long count, int timeout_ms) noexcept nogil:
    if is_due(POLL):
        return -1
    return real.poll(fds, count, timeout_ms)


cdef int faulty_openat(
    int dirfd, const char* path, int flags, mode_t mode
) noexcept nogil:
    if is_due(OPENAT):
        return -1
    return real.openat(dirfd, path, flags, mode)


cdef ssize_t faulty_pread(int fd, void* data, size_t size, int64_t at) noexcept nogil:
    if not is_due(PREAD):
        return real.pread(fd, data, size, at)
    if order.os_errno != 0:
        return -1
    return real.pread(fd, data, (size + 1) // 2, at)


ctypedef ssize_t (*Writing)(int, const void*, size_t, int64_t) noexcept nogil


cdef ssize_t faulty_writing(
    Kind kind, Writing write, int fd, const void* data, size_t size, int64_t at
) noexcept nogil:
    cdef ssize_t written
    if is_due(kind):
        if order.os_errno != 0:
            return -1
        size = (size + 1) // 2
    if order.space < size:
        size = <size_t>order.space
        if size == 0:
            order.hits += 1
            errno.errno = errno.ENOSPC
            return -1
    written = write(fd, data, size, at)
    if written > 0 and order.space != UNLIMITED:
        order.space -= <uint64_t>written
    return written


cdef ssize_t faulty_pwrite(
    int fd, const void* data, size_t size, int64_t at
) noexcept nogil:
    return faulty_writing(PWRITE, real.pwrite, fd, data, size, at)


cdef ssize_t faulty_write(int fd, const void* data, size_t size) noexcept nogil:
    if not is_due(WRITE):
        return real.write(fd, data, size)
    if order.os_errno != 0:
        return -1
    return real.write(fd, data, (size + 1) // 2)


cdef ssize_t faulty_pwrite_dontcache(
    int fd, const void* data, size_t size, int64_t at
) noexcept nogil:
    """On every file system as if it took such writes."""
    return faulty_writing(PWRITE_DONTCACHE, real.pwrite, fd, data, size, at)


cdef int faulty_set_direct(int fd, bint direct) noexcept nogil:
    """On every file system as if it had O_DIRECT."""
    return -1 if is_due(SET_DIRECT) else 0


cdef int faulty_ftruncate(int fd, int64_t size) noexcept nogil:
    if is_due(FTRUNCATE):
        return -1
    return real.ftruncate(fd, size)


cdef int faulty_mkdirat(int dirfd, const char* path, mode_t mode) noexcept nogil:
    if is_due(MKDIRAT):
        return -1
    return real.mkdirat(dirfd, path, mode)


cdef int faulty_open_beneath(int dirfd, const char* path, int flags) noexcept nogil:
    if is_due(OPEN_BENEATH):
        return -1
    return real.open_beneath(dirfd, path, flags)


cdef int faulty_renameat(
    int old_dirfd, const char* old_path,
    int new_dirfd, const char* new_path, bint replace,
) noexcept nogil:
    if is_due(RENAMEAT):
        return -1
    return real.renameat(old_dirfd, old_path, new_dirfd, new_path, replace)


cdef int faulty_linkat(
    int old_dirfd, const char* old_path, int new_dirfd, const char* new_path
) noexcept nogil:
    if is_due(LINKAT):
        return -1
    return real.linkat(old_dirfd, old_path, new_dirfd, new_path)


cdef int faulty_fdatasync(int fd) noexcept nogil:
    return -1 if is_due(FDATASYNC) else real.fdatasync(fd)


cdef int faulty_fsync(int fd) noexcept nogil:
    return -1 if is_due(FSYNC) else real.fsync(fd)


cdef int faulty_syncfs(int fd) noexcept nogil:
    return -1 if is_due(SYNCFS) else real.syncfs(fd)


cdef int faulty_start_write_back(int fd) noexcept nogil:
    return -1 if is_due(START_WRITE_BACK) else real.start_write_back(fd)


cdef int faulty_write_back(int fd) noexcept nogil:
    return -1 if is_due(WRITE_BACK) else real.write_back(fd)


cdef int faulty_fstatfs(int fd, statfs* result) noexcept nogil:
    """With as much free as the order says, in a file system of a million of each."""
    cdef int answer = real.fstatfs(fd, result)
    if order.free != 0:
        result.f_blocks = result.f_files = 1_000_000
        result.f_bavail = <uint64_t>1_000 * (<uint32_t>order.free)
        result.f_ffree = 1_000 * (order.free >> 32)
    return answer


cdef int faulty_unlinkat(int dirfd, const char* path) noexcept nogil:
    if is_due(UNLINKAT):
        return -1
    return real.unlinkat(dirfd, path)


cdef int faulty_close(int fd) noexcept nogil:
    """Linux frees the descriptor even when close() reports a failure."""
    cdef int result = real.close(fd)
    if is_due(CLOSE):
        return -1
    return result


def install(str path):
    """Put the faulty table in force, taking orders from the file at `path`."""
    global order, real, table
    with open(path, "r+b") as file:
        mapping = mmap.mmap(file.fileno(), sizeof(Order))
    PyObject_GetBuffer(mapping, &kept, PyBUF_WRITABLE)
    order = <Order*>kept.buf
    real = libc_io()
    table = real[0]
    table.recvv = faulty_recvv
    table.recvv_patiently = faulty_recvv_patiently
    table.set_patience = faulty_set_patience
    table.send = faulty_send
    table.poll = faulty_poll
    table.openat = faulty_openat
    table.pread = faulty_pread
    table.pwrite = faulty_pwrite
    table.write = faulty_write
    table.pwrite_dontcache = faulty_pwrite_dontcache
    table.set_direct = faulty_set_direct
    table.ftruncate = faulty_ftruncate
    table.mkdirat = faulty_mkdirat
    table.renameat = faulty_renameat
    table.fdatasync = faulty_fdatasync
    table.fsync = faulty_fsync
    table.syncfs = faulty_syncfs
    table.start_write_back = faulty_start_write_back
    table.write_back = faulty_write_back
    table.fstatfs = faulty_fstatfs
    table.open_beneath = faulty_open_beneath
    table.linkat = faulty_linkat
    table.unlinkat = faulty_unlinkat
    table.close = faulty_close
    install_system_io(&table)
