"""Which flushes an object needs before it may be acknowledged, and in which order.

First the bytes, then the name: after a loss of power no name leads to less than a whole
object. Never writes, closes or renames a file: the writer calls before and after.
"""

cimport cython
from libc.errno cimport EINTR, ENAMETOOLONG, errno
from libc.string cimport memcpy, strcmp, strlen

from dcmrecv.config.settings import Durability as Wanted

from dcmrecv.native.flush_group cimport FlushGroup
from dcmrecv.native.sysio cimport statfs, system_io
from dcmrecv.storage.beneath cimport enter_directory, leave_directory

cdef extern from "<fcntl.h>" nogil:
    const int O_CLOEXEC
    const int O_DIRECTORY
    const int O_RDONLY

# f_type of statfs(2).
cdef extern from *:
    """
    enum {
        DCMRECV_EXT = 0xEF53, DCMRECV_XFS = 0x58465342, DCMRECV_TMPFS = 0x01021994,
        DCMRECV_OVERLAY = 0x794C7630
    };
    #define DCMRECV_BTRFS 0x9123683EL
    #define DCMRECV_F2FS 0xF2F52010L
    """
    const long EXT "DCMRECV_EXT"
    const long XFS "DCMRECV_XFS"
    const long TMPFS "DCMRECV_TMPFS"
    const long OVERLAY "DCMRECV_OVERLAY"
    const long BTRFS "DCMRECV_BTRFS"
    const long F2FS "DCMRECV_F2FS"

_DURABILITIES = {
    Wanted.CLOSE: DURABLE_CLOSE,
    Wanted.DATA: DURABLE_DATA,
    Wanted.FULL: DURABLE_FULL,
    Wanted.GROUP: DURABLE_GROUP,
}


cdef bint _flushes_whole(long kind) noexcept nogil:
    """Is one syncfs(2) known to flush every byte and name of this file system?"""
    return (
        kind == EXT or kind == XFS or kind == BTRFS or kind == F2FS
        or kind == OVERLAY or kind == TMPFS
    )


@cython.final
cdef class Flusher:
    """Carries out a settings.Durability in one output directory.

    `group`: full, but one flush serves all processes whose object is finished by then.
    FUSE never tells its file system of a syncfs(2), others may not; there it is full.
    """

    def __cinit__(self, durability):
        self.io = system_io()
        self.wanted = _DURABILITIES[durability]
        self.durability = self.wanted
        self.group = FlushGroup()
        self.root_fd = -1
        self.sync_fd = -1
        self.has_settled = False
        self.steps = False

    def __dealloc__(self):
        if self.sync_fd >= 0:
            self.io.close(self.sync_fd)

    cdef void attach(self, int root_fd) noexcept nogil:
        """The output directory has been opened, or opened again."""
        cdef statfs place
        if self.sync_fd >= 0:
            self.io.close(self.sync_fd)
        self.root_fd = root_fd
        self.sync_fd = -1
        self.has_settled = False
        self.durability = self.wanted
        if self.wanted == DURABLE_GROUP and (
            self.io.fstatfs(root_fd, &place) != 0 or not _flushes_whole(place.f_type)
        ):
            self.durability = DURABLE_FULL
        if self.durability == DURABLE_GROUP:
            # Before anything is written: syncfs(2) tells an error that somebody has
            # been told already only to descriptors that were open by then.
            self.sync_fd = self._open_directory(b"")

    cdef int send_off(self, int fd) noexcept nogil:
        """Another piece of a file has been written, and more may come.

        What has to be on disk in the end is on its way before that: objects of 64 MiB
        came 1.6 times as fast (eight senders with group, one with group or full).
        """
        if self.durability == DURABLE_CLOSE:
            return 0
        while self.io.start_write_back(fd) != 0:
            if errno != EINTR:
                return errno
        return 0

    cdef int flush_new(self, int fd) noexcept nogil:
        """A file is complete and gets its name next.

        With group its bytes are only sent off and awaited; settle() makes them safe,
        or withdraw() says that it will not be called.
        """
        if self.durability != DURABLE_GROUP:
            return self.flush_data(fd)
        self.group.announce()
        while self.io.write_back(fd) != 0:
            if errno != EINTR:
                return errno
        return 0

    cdef void withdraw(self) noexcept nogil:
        """A complete file is not to be settled; nothing happens to any other."""
        self.group.withdraw()

    cdef int flush_data(self, int fd) noexcept nogil:
        """Flush a file's bytes, where that is wanted of each file by itself."""
        if self.durability != DURABLE_DATA and self.durability != DURABLE_FULL:
            return 0
        while self.io.fdatasync(fd) != 0:
            if errno != EINTR:
                return errno
        return 0

    cdef int settle(self, const char* directory) noexcept nogil:
        """A file has its name in `directory`; the object may be acknowledged next."""
        if self.durability == DURABLE_GROUP:
            return self._flush_together()
        if self.durability == DURABLE_FULL:
            return self._flush_path(directory)
        return 0

    cdef int _flush_together(self) noexcept nogil:
        if self.sync_fd < 0:
            self.sync_fd = self._open_directory(b"")
            if self.sync_fd < 0:
                return errno
        return self.group.flush(self.io, self.sync_fd)

    cdef int _flush_path(self, const char* directory) noexcept nogil:
        """Flush a directory, and those above it unless that was done before."""
        cdef char path[FLUSHED_PATH_MAX]
        cdef size_t size = strlen(directory)
        cdef int number
        if size >= FLUSHED_PATH_MAX:
            return ENAMETOOLONG
        memcpy(path, directory, size + 1)
        number = self._flush_directory(path)
        if number != 0 or (
            self.has_settled and strcmp(self.settled, directory) == 0
        ):
            return number
        while size > 0:
            size -= 1
            while size > 0 and path[size - 1] != c'/':
                size -= 1
            path[size] = 0
            number = self._flush_directory(path)
            if number != 0:
                return number
        memcpy(self.settled, directory, strlen(directory) + 1)
        self.has_settled = True
        return 0

    cdef int _flush_directory(self, const char* directory) noexcept nogil:
        cdef int number = 0
        cdef int fd = self._open_directory(directory)
        if fd < 0:
            return errno
        while self.io.fsync(fd) != 0:
            if errno != EINTR:
                number = errno
                break
        self.io.close(fd)
        return number

    cdef int _open_directory(self, const char* directory) noexcept nogil:
        """For reading; "" or a path that ends with "/". -1 and errno: it cannot be."""
        cdef const char* name = NULL
        cdef int fd
        cdef int dirfd = enter_directory(
            self.io, self.root_fd, &self.steps, directory, &name
        )
        if dirfd < 0:
            return -1
        while True:
            fd = self.io.openat(dirfd, b".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
            if fd >= 0 or errno != EINTR:
                break
        leave_directory(self.io, self.root_fd, dirfd)
        return fd
