"""The libc table of system calls, and the place where another one can be put.

Never retries and never decides: EINTR and short counts belong to the callers.
"""

from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    const int MSG_DONTWAIT
    const int MSG_NOSIGNAL
    ssize_t c_recvmsg "recvmsg"(int fd, msghdr* message, int flags)
    ssize_t c_send "send"(int fd, const void* data, size_t size, int flags)

cdef extern from "<poll.h>" nogil:
    int c_poll "poll"(pollfd* fds, unsigned long count, int timeout_ms)

cdef extern from "<fcntl.h>" nogil:
    int c_openat "openat"(int dirfd, const char* path, int flags, ...)

cdef extern from "<sys/stat.h>" nogil:
    int c_mkdirat "mkdirat"(int dirfd, const char* path, mode_t mode)

cdef extern from "<sys/vfs.h>" nogil:
    int c_fstatfs "fstatfs"(int fd, statfs* result)

cdef extern from "<unistd.h>" nogil:
    int c_fdatasync "fdatasync"(int fd)
    int c_fsync "fsync"(int fd)
    ssize_t c_pread "pread"(int fd, void* data, size_t size, int64_t at)
    ssize_t c_pwrite "pwrite"(int fd, const void* data, size_t size, int64_t at)
    ssize_t c_write "write"(int fd, const void* data, size_t size)
    int c_ftruncate "ftruncate"(int fd, int64_t size)
    int c_linkat "linkat"(
        int old_dirfd, const char* old_path,
        int new_dirfd, const char* new_path, int flags
    )
    int c_unlinkat "unlinkat"(int dirfd, const char* path, int flags)
    int c_close "close"(int fd)

cdef extern from *:
    """
    #include <fcntl.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <unistd.h>
    #include <sys/socket.h>
    #include <sys/syscall.h>
    #include <sys/time.h>
    #include <sys/uio.h>
    #ifndef RWF_DONTCACHE
    #define RWF_DONTCACHE 0x80
    #endif
    #ifndef RENAME_NOREPLACE
    #define RENAME_NOREPLACE 1
    #endif
    /* renameat2 by number: musl and older glibc have no wrapper. */
    static int dcmrecv_renameat(
        int old_dirfd, const char *old_path,
        int new_dirfd, const char *new_path, int replace)
    {
        return (int)syscall(SYS_renameat2, old_dirfd, old_path, new_dirfd, new_path,
                            replace ? 0u : (unsigned)RENAME_NOREPLACE);
    }

    static int dcmrecv_open_beneath(int dirfd, const char *path, int flags)
    {
        /* struct open_how and RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH of
           linux/openat2.h, which older headers do not have. */
        struct { uint64_t flags, mode, resolve; } how = {(uint64_t)flags, 0, 0x0a};
    #ifdef SYS_openat2
        return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    #else
        return (int)syscall(437, dirfd, path, &how, sizeof how);
    #endif
    }

    static ssize_t dcmrecv_pwrite_dontcache(
        int fd, const void *data, size_t size, int64_t at)
    {
        struct iovec part = {(void *)data, size};
        uint64_t high = (uint64_t)at >> (4 * sizeof(long)) >> (4 * sizeof(long));
        return syscall(SYS_pwritev2, fd, &part, 1L, (unsigned long)at,
                       (unsigned long)high, RWF_DONTCACHE);
    }

    static int dcmrecv_set_patience(int fd, int patience_ms)
    {
        struct timeval patience = {patience_ms / 1000, patience_ms % 1000 * 1000};
        return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }

    static int dcmrecv_syncfs(int fd)
    {
        return (int)syscall(SYS_syncfs, fd);
    }

    static int dcmrecv_start_write_back(int fd)
    {
        return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    }

    static int dcmrecv_write_back(int fd)
    {
        return sync_file_range(
            fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE
                          | SYNC_FILE_RANGE_WAIT_AFTER);
    }

    /* O_DIRECT is the only flag that our files have and that F_SETFL changes. */
    static int dcmrecv_set_direct(int fd, int direct)
    {
        return fcntl(fd, F_SETFL, direct ? O_DIRECT : 0);
    }
    """
    int c_open_beneath "dcmrecv_open_beneath"(
        int dirfd, const char* path, int flags
    ) nogil
    ssize_t c_pwrite_dontcache "dcmrecv_pwrite_dontcache"(
        int fd, const void* data, size_t size, int64_t at
    ) nogil
    int c_set_patience "dcmrecv_set_patience"(int fd, int patience_ms) nogil
    int c_syncfs "dcmrecv_syncfs"(int fd) nogil
    int c_start_write_back "dcmrecv_start_write_back"(int fd) nogil
    int c_write_back "dcmrecv_write_back"(int fd) nogil
    int c_set_direct "dcmrecv_set_direct"(int fd, int direct) nogil
    int c_renameat "dcmrecv_renameat"(
        int old_dirfd, const char* old_path,
        int new_dirfd, const char* new_path, int replace
    ) nogil


cdef ssize_t _receive(int fd, iovec* iov, int count, int flags) noexcept nogil:
    cdef msghdr message
    memset(&message, 0, sizeof(message))
    message.msg_iov = iov
    message.msg_iovlen = <size_t>count
    return c_recvmsg(fd, &message, flags)


cdef ssize_t _recvv(int fd, iovec* iov, int count) noexcept nogil:
    return _receive(fd, iov, count, MSG_DONTWAIT)


cdef ssize_t _recvv_patiently(int fd, iovec* iov, int count) noexcept nogil:
    return _receive(fd, iov, count, 0)


cdef int _set_patience(int fd, int patience_ms) noexcept nogil:
    return c_set_patience(fd, patience_ms)


cdef ssize_t _send(int fd, const void* data, size_t size) noexcept nogil:
    return c_send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)


cdef int _poll(pollfd* fds, unsigned long count, int timeout_ms) noexcept nogil:
    return c_poll(fds, count, timeout_ms)


cdef int _openat(int dirfd, const char* path, int flags, mode_t mode) noexcept nogil:
    return c_openat(dirfd, path, flags, mode)


cdef int _open_beneath(int dirfd, const char* path, int flags) noexcept nogil:
    return c_open_beneath(dirfd, path, flags)


cdef ssize_t _pread(int fd, void* data, size_t size, int64_t at) noexcept nogil:
    return c_pread(fd, data, size, at)


cdef ssize_t _pwrite(int fd, const void* data, size_t size, int64_t at) noexcept nogil:
    return c_pwrite(fd, data, size, at)


cdef ssize_t _write(int fd, const void* data, size_t size) noexcept nogil:
    return c_write(fd, data, size)


cdef ssize_t _pwrite_dontcache(
    int fd, const void* data, size_t size, int64_t at
) noexcept nogil:
    return c_pwrite_dontcache(fd, data, size, at)


cdef int _set_direct(int fd, bint direct) noexcept nogil:
    return c_set_direct(fd, direct)


cdef int _fdatasync(int fd) noexcept nogil:
    return c_fdatasync(fd)


cdef int _fsync(int fd) noexcept nogil:
    return c_fsync(fd)


cdef int _syncfs(int fd) noexcept nogil:
    return c_syncfs(fd)


cdef int _start_write_back(int fd) noexcept nogil:
    return c_start_write_back(fd)


cdef int _write_back(int fd) noexcept nogil:
    return c_write_back(fd)


cdef int _fstatfs(int fd, statfs* result) noexcept nogil:
    return c_fstatfs(fd, result)


cdef int _ftruncate(int fd, int64_t size) noexcept nogil:
    return c_ftruncate(fd, size)


cdef int _mkdirat(int dirfd, const char* path, mode_t mode) noexcept nogil:
    return c_mkdirat(dirfd, path, mode)


cdef int _renameat(
    int old_dirfd, const char* old_path,
    int new_dirfd, const char* new_path, bint replace,
) noexcept nogil:
    return c_renameat(old_dirfd, old_path, new_dirfd, new_path, replace)


cdef int _linkat(
    int old_dirfd, const char* old_path, int new_dirfd, const char* new_path
) noexcept nogil:
    return c_linkat(old_dirfd, old_path, new_dirfd, new_path, 0)


cdef int _unlinkat(int dirfd, const char* path) noexcept nogil:
    return c_unlinkat(dirfd, path, 0)


cdef int _close(int fd) noexcept nogil:
    return c_close(fd)


cdef uint64_t _monotonic_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1_000_000_000 + <uint64_t>now.tv_nsec


cdef SysIo _libc
_libc.recvv = _recvv
_libc.recvv_patiently = _recvv_patiently
_libc.set_patience = _set_patience
_libc.send = _send
_libc.poll = _poll
_libc.openat = _openat
_libc.open_beneath = _open_beneath
_libc.pread = _pread
_libc.pwrite = _pwrite
_libc.write = _write
_libc.pwrite_dontcache = _pwrite_dontcache
_libc.set_direct = _set_direct
_libc.fdatasync = _fdatasync
_libc.fsync = _fsync
_libc.syncfs = _syncfs
_libc.start_write_back = _start_write_back
_libc.write_back = _write_back
_libc.fstatfs = _fstatfs
_libc.ftruncate = _ftruncate
_libc.mkdirat = _mkdirat
_libc.renameat = _renameat
_libc.linkat = _linkat
_libc.unlinkat = _unlinkat
_libc.close = _close
_libc.monotonic_ns = _monotonic_ns

cdef SysIo* _active = &_libc


cdef SysIo* system_io() noexcept nogil:
    return _active


cdef void install_system_io(SysIo* table) noexcept nogil:
    global _active
    _active = table


cdef const SysIo* libc_io() noexcept nogil:
    return &_libc
