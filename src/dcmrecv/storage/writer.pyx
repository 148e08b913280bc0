"""Files that appear under their final name only when they are whole.

A file is written under a hidden temporary name below the output directory, closed, and
renamed. Every return value is checked; EINTR and short counts end here. Never decides
what to do about a fault.
"""

import os

cimport cython
from libc.errno cimport (
    EEXIST,
    EINTR,
    EINVAL,
    EIO,
    ENAMETOOLONG,
    ENOENT,
    ENOSYS,
    errno,
)
from libc.stdio cimport snprintf
from libc.string cimport memcpy, strlen

from dcmrecv.native.fault cimport (
    CLOSE_FILE,
    CREATE_DIRECTORY,
    CREATE_FILE,
    PUBLISH_FILE,
    WRITE_FILE,
    set_os_fault,
)
from dcmrecv.native.sysio cimport mode_t, system_io

cdef extern from "<fcntl.h>" nogil:
    const int AT_FDCWD
    const int O_CLOEXEC
    const int O_CREAT
    const int O_DIRECTORY
    const int O_EXCL
    const int O_PATH
    const int O_RDWR

cdef enum:
    FILE_MODE = 0o666           # and ~umask, as observed (spec 7.7)
    DIRECTORY_MODE = 0o777
    CREATE_TRIES_MAX = 8        # a directory may vanish again while we make it


@cython.final
cdef class FileWriter:
    """Writes one file at a time below an output directory.

    `tag` makes the temporary names `.dcmrecv-TAG-N.part` unique to this process; the
    supervisor removes what a dead worker left behind by it.

    Raises:
        ValueError: `tag` is too long.
    """

    def __cinit__(self, str root not None, str tag not None):
        cdef bytes encoded = tag.encode("ascii")
        self.io = system_io()
        self.fd = -1
        self.root_fd = -1
        self.counter = 0
        self.links = False
        self.temporary[0] = 0
        if len(encoded) >= TAG_BYTES_MAX:
            raise ValueError(f"tag longer than {TAG_BYTES_MAX - 1} characters: {tag}")
        memcpy(self.tag, <const char*>encoded, <size_t>len(encoded) + 1)
        self.root = os.fsencode(root or ".")
        self.root_path = self.root
        # A directory missing by now is made for the first object, or refuses it.
        self.root_fd = self.io.openat(
            AT_FDCWD, self.root_path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0
        )

    def __dealloc__(self):
        self.discard()
        if self.root_fd >= 0:
            self.io.close(self.root_fd)

    cdef WriteResult open(self, const char* directory, Fault* fault) noexcept nogil:
        """Create a temporary file in `directory`, "" or a path that ends with "/"."""
        cdef int _
        for _ in range(CREATE_TRIES_MAX):
            self.fd = self._create(directory)
            if self.fd >= 0:
                return WRITE_DONE
            if errno == ENOENT or self.root_fd < 0:
                if self.make_directories(directory, fault) != WRITE_DONE:
                    self.temporary[0] = 0
                    return WRITE_FAULT
            elif errno != EINTR and errno != EEXIST:
                break
        set_os_fault(fault, CREATE_FILE, errno)
        self.temporary[0] = 0
        return WRITE_FAULT

    cdef int _create(self, const char* directory) noexcept nogil:
        self.counter += 1
        snprintf(
            self.temporary, TEMPORARY_PATH_MAX, b"%s.dcmrecv-%s-%llu.part",
            directory, self.tag, <unsigned long long>self.counter,
        )
        return self.io.openat(
            self.root_fd, self.temporary,
            O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, <mode_t>FILE_MODE,
        )

    cdef WriteResult make_directories(
        self, const char* directory, Fault* fault
    ) noexcept nogil:
        """Make the output directory, if it has vanished, and `directory` below it."""
        cdef char path[TEMPORARY_PATH_MAX]
        cdef size_t size = strlen(directory)
        cdef size_t i
        if self._make_root() != 0:
            set_os_fault(fault, CREATE_DIRECTORY, errno)
            return WRITE_FAULT
        if size >= TEMPORARY_PATH_MAX:
            set_os_fault(fault, CREATE_DIRECTORY, ENAMETOOLONG)
            return WRITE_FAULT
        memcpy(path, directory, size + 1)
        for i in range(size):
            if path[i] != c'/':
                continue
            path[i] = 0
            if self.io.mkdirat(self.root_fd, path, <mode_t>DIRECTORY_MODE) != 0:
                if errno != EEXIST:
                    set_os_fault(fault, CREATE_DIRECTORY, errno)
                    return WRITE_FAULT
            path[i] = c'/'
        return WRITE_DONE

    cdef int _make_root(self) noexcept nogil:
        """Make and open the output directory again; observed, spec 7.3. 0 or -1."""
        cdef const char* root = self.root_path
        cdef char path[FINAL_PATH_MAX]
        cdef size_t size = strlen(root)
        cdef size_t i
        cdef int fd
        if size >= FINAL_PATH_MAX:
            return -1
        memcpy(path, root, size + 1)
        for i in range(1, size + 1):
            if path[i] != c'/' and path[i] != 0:
                continue
            path[i] = 0
            if self.io.mkdirat(AT_FDCWD, path, <mode_t>DIRECTORY_MODE) != 0:
                if errno != EEXIST:
                    return -1
            if i < size:
                path[i] = c'/'
        while True:
            fd = self.io.openat(AT_FDCWD, root, O_PATH | O_DIRECTORY | O_CLOEXEC, 0)
            if fd >= 0:
                break
            if errno != EINTR:
                return -1
        if self.root_fd >= 0:
            self.io.close(self.root_fd)
        self.root_fd = fd
        return 0

    cdef WriteResult write(
        self, const uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil:
        """Write `size` bytes at file offset `at`."""
        cdef size_t done = 0
        cdef ssize_t written
        while done < size:
            written = self.io.pwrite(
                self.fd, data + done, size - done, <int64_t>(at + done)
            )
            if written > 0:
                done += <size_t>written
            elif written == 0 or errno != EINTR:
                set_os_fault(fault, WRITE_FILE, EIO if written == 0 else errno)
                return WRITE_FAULT
        return WRITE_DONE

    cdef WriteResult _read(
        self, uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil:
        cdef size_t done = 0
        cdef ssize_t received
        while done < size:
            received = self.io.pread(
                self.fd, data + done, size - done, <int64_t>(at + done)
            )
            if received > 0:
                done += <size_t>received
            elif received == 0 or errno != EINTR:
                set_os_fault(fault, WRITE_FILE, EIO if received == 0 else errno)
                return WRITE_FAULT
        return WRITE_DONE

    cdef WriteResult shift(
        self, uint64_t begin, uint64_t size, int64_t by,
        uint8_t* scratch, size_t room, Fault* fault,
    ) noexcept nogil:
        """Move `size` bytes of the file from `begin` to `begin + by`, cut what is left.

        For the rare object whose File Meta Information turns out longer or shorter
        after its first window was written.
        """
        cdef uint64_t done = 0
        cdef uint64_t at
        cdef size_t part
        while done < size:
            part = <size_t>min(<uint64_t>room, size - done)
            # Never overwrite what is still to be moved: up from the end, down from
            # the start.
            at = begin + done if by < 0 else begin + size - done - part
            if self._read(scratch, part, at, fault) != WRITE_DONE:
                return WRITE_FAULT
            if self.write(
                scratch, part, <uint64_t>(<int64_t>at + by), fault
            ) != WRITE_DONE:
                return WRITE_FAULT
            done += part
        while self.io.ftruncate(self.fd, <int64_t>(begin + size) + by) != 0:
            if errno != EINTR:
                set_os_fault(fault, WRITE_FILE, errno)
                return WRITE_FAULT
        return WRITE_DONE

    cdef WriteResult close(self, Fault* fault) noexcept nogil:
        """Close the file, still under its temporary name.

        The descriptor is gone whatever close(2) answers, EINTR included, on Linux; any
        failure may mean lost bytes and is one.
        """
        cdef int result = self.io.close(self.fd)
        self.fd = -1
        if result != 0:
            set_os_fault(fault, CLOSE_FILE, errno)
            return WRITE_FAULT
        return WRITE_DONE

    cdef WriteResult publish(
        self, const char* path, bint replace, Fault* fault
    ) noexcept nogil:
        """Give the closed file its final name, in one atomic step.

        WRITE_EXISTS when the name is taken and `replace` is not set; then nothing has
        changed and publish() can be called again.
        """
        if self.links and not replace:
            return self._link(path, fault)
        while self.io.renameat(self.root_fd, self.temporary, path, replace) != 0:
            if errno == EEXIST and not replace:
                return WRITE_EXISTS
            if (errno == EINVAL or errno == ENOSYS) and not replace:
                # NFS and some FUSE file systems have no RENAME_NOREPLACE.
                self.links = True
                return self._link(path, fault)
            if errno != EINTR:
                set_os_fault(fault, PUBLISH_FILE, errno)
                return WRITE_FAULT
        self.temporary[0] = 0
        return WRITE_DONE

    cdef WriteResult _link(self, const char* path, Fault* fault) noexcept nogil:
        """publish() in two calls: the final name appears whole, then the other goes."""
        while self.io.linkat(self.root_fd, self.temporary, path) != 0:
            if errno == EEXIST:
                return WRITE_EXISTS
            if errno != EINTR:
                set_os_fault(fault, PUBLISH_FILE, errno)
                return WRITE_FAULT
        self.io.unlinkat(self.root_fd, self.temporary)
        self.temporary[0] = 0
        return WRITE_DONE

    cdef void discard(self) noexcept nogil:
        """Forget the unfinished file. A temporary file that cannot be removed stays
        hidden under its tag, which the supervisor's sweep knows.
        """
        if self.fd >= 0:
            self.io.close(self.fd)
            self.fd = -1
        if self.temporary[0] != 0:
            self.io.unlinkat(self.root_fd, self.temporary)
            self.temporary[0] = 0
