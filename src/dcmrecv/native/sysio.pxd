"""SysIo: the table of system calls that the data plane goes through."""

from libc.stdint cimport int64_t, uint64_t

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    const short POLLIN
    const short POLLOUT
    const short POLLERR
    const short POLLHUP

cdef extern from "<sys/types.h>" nogil:
    ctypedef unsigned int mode_t


cdef extern from "<sys/vfs.h>" nogil:
    struct statfs:
        long f_type
        long f_bsize            # bytes
        unsigned long f_blocks
        unsigned long f_bavail  # blocks for everybody
        unsigned long f_files   # 0: the file system does not count
        unsigned long f_ffree


cdef struct SysIo:
    # Each entry has the contract of the call whose name it bears: -1 and errno on
    # failure. All are non-blocking or on regular files, except `poll`, `write`
    # and `recvv_patiently`.
    ssize_t (*recvv)(int fd, iovec* iov, int count) noexcept nogil
    # The same, but waits as long as the socket's own time-out says; see set_patience.
    ssize_t (*recvv_patiently)(int fd, iovec* iov, int count) noexcept nogil
    # How long recvv_patiently waits, on a socket in blocking mode; SO_RCVTIMEO.
    int (*set_patience)(int fd, int patience_ms) noexcept nogil
    ssize_t (*send)(int fd, const void* data, size_t size) noexcept nogil
    int (*poll)(pollfd* fds, unsigned long count, int timeout_ms) noexcept nogil
    int (*openat)(int dirfd, const char* path, int flags, mode_t mode) noexcept nogil
    # openat() of what lies below `dirfd`, wherever links lead; openat2(2), Linux 5.6.
    int (*open_beneath)(int dirfd, const char* path, int flags) noexcept nogil
    ssize_t (*pread)(int fd, void* data, size_t size, int64_t at) noexcept nogil
    ssize_t (*pwrite)(int fd, const void* data, size_t size, int64_t at) noexcept nogil
    ssize_t (*write)(int fd, const void* data, size_t size) noexcept nogil
    # pwrite that does not keep the pages in the cache (RWF_DONTCACHE, Linux 6.14).
    ssize_t (*pwrite_dontcache)(
        int fd, const void* data, size_t size, int64_t at
    ) noexcept nogil
    # Switches O_DIRECT of an open file; fcntl(2), F_SETFL.
    int (*set_direct)(int fd, bint direct) noexcept nogil
    int (*fdatasync)(int fd) noexcept nogil
    int (*fsync)(int fd) noexcept nogil
    int (*syncfs)(int fd) noexcept nogil
    # Starts the writing of all pages, or starts and awaits it; sync_file_range(2).
    int (*start_write_back)(int fd) noexcept nogil
    int (*write_back)(int fd) noexcept nogil
    int (*fstatfs)(int fd, statfs* result) noexcept nogil
    int (*ftruncate)(int fd, int64_t size) noexcept nogil
    int (*mkdirat)(int dirfd, const char* path, mode_t mode) noexcept nogil
    # Fails with EEXIST when `new_path` exists and `replace` is 0.
    int (*renameat)(
        int old_dirfd, const char* old_path,
        int new_dirfd, const char* new_path, bint replace,
    ) noexcept nogil
    int (*linkat)(
        int old_dirfd, const char* old_path, int new_dirfd, const char* new_path
    ) noexcept nogil
    int (*unlinkat)(int dirfd, const char* path) noexcept nogil
    int (*close)(int fd) noexcept nogil
    uint64_t (*monotonic_ns)() noexcept nogil


# The table in force in this process. Tests put their own in its place before the
# workers are forked; the product never does.
cdef SysIo* system_io() noexcept nogil
cdef void install_system_io(SysIo* table) noexcept nogil
cdef const SysIo* libc_io() noexcept nogil
