"""Files that appear under their final name only when they are whole.

A file is written under a hidden temporary name below the output directory, closed, and
renamed. Every return value is checked; EINTR and short counts end here, and so does a
way of writing that the file system does not take. Never decides what to do about a
fault, nor which way of writing is best: write_policy does.
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
    EOPNOTSUPP,
    errno,
)
from libc.stdio cimport snprintf
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, strcmp, strlen

from dcmrecv.config.settings import Durability

from dcmrecv.native.fault cimport (
    CLOSE_FILE,
    CREATE_DIRECTORY,
    CREATE_FILE,
    FLUSH_FILE,
    PUBLISH_FILE,
    WRITE_FILE,
    set_os_fault,
)
from dcmrecv.native.sysio cimport mode_t, system_io
from dcmrecv.storage.beneath cimport enter_directory, leave_directory
from dcmrecv.storage.duplicate cimport ends_at, hold_same_object, reads_as
from dcmrecv.storage.flusher cimport Flusher
from dcmrecv.storage.write_policy cimport (
    SMALL_BYTES,
    WAY_BUFFERED,
    WAY_DIRECT,
    WAY_DONTCACHE,
    WritePolicy,
    WriteWay,
)

cdef extern from "<fcntl.h>" nogil:
    const int AT_FDCWD
    const int O_CLOEXEC
    const int O_CREAT
    const int O_DIRECTORY
    const int O_EXCL
    const int O_NOFOLLOW
    const int O_NONBLOCK
    const int O_PATH
    const int O_RDONLY
    const int O_RDWR

cdef enum:
    FILE_MODE = 0o666           # and ~umask, as observed (spec 7.7)
    DIRECTORY_MODE = 0o777
    DIRECT_ALIGNMENT = 4096     # of memory, offset and size with O_DIRECT
    COPY_BYTES = 32768          # at a time, on the stack
    CREATE_TRIES_MAX = 8        # a directory may vanish again while we make it


cdef inline bint _is_aligned(
    const uint8_t* data, size_t size, uint64_t at
) noexcept nogil:
    return (<uint64_t><uintptr_t>data | at) % DIRECT_ALIGNMENT == 0 and (
        size >= DIRECT_ALIGNMENT
    )


cdef inline bint _is_refusal(int number) noexcept nogil:
    """Does an errno say that the file system does not write in this way?"""
    return number == EOPNOTSUPP or number == EINVAL or number == ENOSYS


cdef inline WriteResult _after_flush(int number, Fault* fault) noexcept nogil:
    """What 0, or the errno of a flush, comes to."""
    if number == 0:
        return WRITE_DONE
    set_os_fault(fault, FLUSH_FILE, number)
    return WRITE_FAULT


@cython.final
cdef class FileWriter:
    """Writes one file at a time below the output directory of a StorageSettings.

    `tag` makes the temporary names `.dcmrecv-TAG-N.part` unique to this process; the
    supervisor removes what a dead worker left behind by it.

    Raises:
        ValueError: `tag` is too long.
    """

    def __cinit__(self, storage, str tag not None):
        cdef bytes encoded = tag.encode("ascii")
        self.io = system_io()
        self.fd = -1
        self.root_fd = -1
        self.counter = 0
        self.steps = False
        self.links = False
        self.flusher = Flusher(storage.durability)
        self.policy = WritePolicy(
            storage.write_mode, storage.durability is not Durability.CLOSE
        )
        self.direct = False
        self.following = False
        self.followed = 0
        self.temporary[0] = 0
        self.left_over[0] = 0
        if len(encoded) >= TAG_BYTES_MAX:
            raise ValueError(f"tag longer than {TAG_BYTES_MAX - 1} characters: {tag}")
        memcpy(self.tag, <const char*>encoded, <size_t>len(encoded) + 1)
        self.root = os.fsencode(storage.output_directory or ".")
        self.root_path = self.root
        # A directory missing by now is made for the first object, or refuses it.
        self._open_root()

    def __dealloc__(self):
        self.discard()
        if self.root_fd >= 0:
            self.io.close(self.root_fd)

    cdef int _open_root(self) noexcept nogil:
        """Open the output directory, anew if it was open; 0, or -1 and errno."""
        cdef int fd
        while True:
            fd = self.io.openat(
                AT_FDCWD, self.root_path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0
            )
            if fd >= 0:
                break
            if errno != EINTR:
                return -1
        if self.root_fd >= 0:
            self.io.close(self.root_fd)
        self.root_fd = fd
        self.flusher.attach(fd)
        return 0

    cdef WriteResult open(self, const char* directory, Fault* fault) noexcept nogil:
        """Create a temporary file in `directory`, "" or a path that ends with "/"."""
        cdef int _
        if self.left_over[0] != 0 and self._remove(self.left_over):
            self.left_over[0] = 0
        for _ in range(CREATE_TRIES_MAX):
            self.fd = self._create(directory)
            if self.fd >= 0:
                self.direct = False
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
        return self._open_in(
            self.temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, <mode_t>FILE_MODE
        )

    cdef int _open_in(self, const char* path, int flags, mode_t mode) noexcept nogil:
        """openat() of a file in the output directory or in one really below it."""
        cdef const char* name = NULL
        cdef int dirfd = enter_directory(
            self.io, self.root_fd, &self.steps, path, &name
        )
        cdef int fd
        if dirfd < 0:
            return -1
        fd = self.io.openat(dirfd, name, flags, mode)
        leave_directory(self.io, self.root_fd, dirfd)
        return fd

    cdef int _open_file(self, const char* path) noexcept nogil:
        """Open what may be an object's file for reading; -1 and errno."""
        cdef int fd
        while True:
            fd = self._open_in(
                path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0
            )
            if fd >= 0 or errno != EINTR:
                return fd

    cdef bint follow(self, const char* directory, const char* path) noexcept nogil:
        """Compare what comes with the file at `path` in `directory`, if there is one.

        False: there is none, so open() a new one.
        """
        cdef size_t size = strlen(directory)
        if size >= TEMPORARY_PATH_MAX or self.root_fd < 0:
            return False
        self.fd = self._open_file(path)
        if self.fd < 0:
            return False
        memcpy(self.begun_in, directory, size + 1)
        self.following = True
        self.direct = False
        self.followed = 0
        return True

    cdef bint followed_whole(self, const char* directory) noexcept nogil:
        """Is all that came the whole of the older file, and that in `directory`?"""
        return strcmp(directory, self.begun_in) == 0 and ends_at(
            self.io, self.fd, self.followed
        )

    cdef WriteResult leave(self, Fault* fault) noexcept nogil:
        """Stop following: what was the same so far begins a new file."""
        cdef int older = self.fd
        cdef WriteResult result
        self.fd = -1
        self.following = False
        result = self.open(self.begun_in, fault)
        if result == WRITE_DONE:
            self.policy.choose(0, SMALL_BYTES + 1, self.io.monotonic_ns())
            result = self._copy(older, self.followed, fault)
        self.io.close(older)
        return result

    cdef WriteResult _copy(
        self, int older, uint64_t size, Fault* fault
    ) noexcept nogil:
        cdef uint8_t part[COPY_BYTES]
        cdef uint64_t at = 0
        cdef size_t count
        while at < size:
            count = <size_t>min(size - at, <uint64_t>COPY_BYTES)
            if self._read(older, part, count, at, fault) != WRITE_DONE:
                return WRITE_FAULT
            if self.write(part, count, at, fault) != WRITE_DONE:
                return WRITE_FAULT
            at += count
        return WRITE_DONE

    cdef bint same_as(self, const char* path) noexcept nogil:
        """Does the file at `path` hold the same object as the closed one?"""
        cdef int older = self._open_file(path)
        cdef int newer = -1
        cdef bint same = False
        if older >= 0:
            newer = self._open_file(self.temporary)
        if newer >= 0:
            same = hold_same_object(self.io, older, newer)
            self.io.close(newer)
        if older >= 0:
            self.io.close(older)
        return same

    cdef WriteResult keep(self, const char* path, Fault* fault) noexcept nogil:
        """The object is in the file at `path`: make sure that there is something."""
        cdef uint8_t byte
        cdef WriteResult result = WRITE_FAULT
        cdef int fd = self._open_file(path)
        if fd < 0:
            set_os_fault(fault, PUBLISH_FILE, errno)
            return WRITE_FAULT
        result = self._read(fd, &byte, 1, 0, fault)
        if result == WRITE_DONE:
            # Whoever stored it may not have waited for the disk yet.
            result = _after_flush(self.flusher.flush_data(fd), fault)
        self.io.close(fd)
        if result == WRITE_DONE:
            self.discard()
        return result

    cdef WriteResult make_directories(
        self, const char* directory, Fault* fault
    ) noexcept nogil:
        """Make the output directory, if it has vanished, and `directory` below it."""
        cdef char path[TEMPORARY_PATH_MAX]
        cdef const char* name = NULL
        cdef size_t size = strlen(directory)
        cdef size_t i
        cdef int dirfd
        cdef int made
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
            dirfd = enter_directory(self.io, self.root_fd, &self.steps, path, &name)
            made = -1
            if dirfd >= 0:
                made = self.io.mkdirat(dirfd, name, <mode_t>DIRECTORY_MODE)
                leave_directory(self.io, self.root_fd, dirfd)
            if made != 0 and errno != EEXIST:
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
        return self._open_root()

    cdef WriteResult write(
        self, const uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil:
        """Write `size` bytes at file offset `at`, through the page cache."""
        cdef size_t done = 0
        cdef ssize_t written
        if self.following and self.leave(fault) != WRITE_DONE:
            return WRITE_FAULT
        while done < size:
            written = self._write_plain(data + done, size - done, at + done)
            if written > 0:
                done += <size_t>written
            elif written == 0 or errno != EINTR:
                set_os_fault(fault, WRITE_FILE, EIO if written == 0 else errno)
                return WRITE_FAULT
        return WRITE_DONE

    cdef WriteResult write_window(
        self, const uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil:
        """write() in the way that is the best for a file that comes window by window.

        What begins a file has `at` 0; each piece goes on where the last one ended.
        While an older file is followed they are only compared.
        """
        cdef WriteWay way
        cdef size_t done = 0
        cdef ssize_t written
        if self.following:
            if at == self.followed and reads_as(self.io, self.fd, data, size, at):
                self.followed += size
                return WRITE_DONE
            if self.leave(fault) != WRITE_DONE:
                return WRITE_FAULT
        way = self.policy.choose(at, size, self.io.monotonic_ns())
        while done < size:
            written = self._write_some(way, data + done, size - done, at + done)
            if written > 0:
                done += <size_t>written
            elif written < 0 and errno == EINTR:
                continue
            elif written < 0 and way != WAY_BUFFERED and _is_refusal(errno):
                self.policy.refuse(way)
                way = WAY_BUFFERED
            else:
                set_os_fault(fault, WRITE_FILE, EIO if written == 0 else errno)
                return WRITE_FAULT
        if at == 0 or size <= SMALL_BYTES:
            return WRITE_DONE       # it may be all; a few pages would be sent off twice
        return _after_flush(self.flusher.send_off(self.fd), fault)

    cdef ssize_t _write_some(
        self, WriteWay way, const uint8_t* data, size_t size, uint64_t at
    ) noexcept nogil:
        """One system call's worth; -1 and errno, as pwrite(2)."""
        cdef uint64_t before
        cdef ssize_t written
        if way == WAY_DONTCACHE:
            return self.io.pwrite_dontcache(self.fd, data, size, <int64_t>at)
        # What is left of the last window goes through the cache: to pad it and cut the
        # padding off would make ext4 read it back.
        if way == WAY_DIRECT and _is_aligned(data, size, at):
            if not self._set_direct(True):
                return -1
            size -= size % DIRECT_ALIGNMENT
            return self.io.pwrite(self.fd, data, size, <int64_t>at)
        if not self.policy.measures(way, size):
            return self._write_plain(data, size, at)
        before = self.io.monotonic_ns()
        written = self._write_plain(data, size, at)
        if written > 0:
            self.policy.measured(<size_t>written, self.io.monotonic_ns() - before)
        return written

    cdef ssize_t _write_plain(
        self, const uint8_t* data, size_t size, uint64_t at
    ) noexcept nogil:
        if not self._set_direct(False):
            return -1
        return self.io.pwrite(self.fd, data, size, <int64_t>at)

    cdef bint _set_direct(self, bint direct) noexcept nogil:
        """Switch O_DIRECT if it is not as wanted; False and errno when that fails."""
        if direct == self.direct:
            return True
        if self.io.set_direct(self.fd, direct) != 0:
            return False
        self.direct = direct
        return True

    cdef WriteResult read(
        self, uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil:
        """Read back what has been written."""
        if not self._set_direct(False):
            set_os_fault(fault, WRITE_FILE, errno)
            return WRITE_FAULT
        return self._read(self.fd, data, size, at, fault)

    cdef WriteResult _read(
        self, int fd, uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil:
        cdef size_t done = 0
        cdef ssize_t received
        while done < size:
            received = self.io.pread(
                fd, data + done, size - done, <int64_t>(at + done)
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
        if self.following and self.leave(fault) != WRITE_DONE:
            return WRITE_FAULT
        if not self._set_direct(False):
            set_os_fault(fault, WRITE_FILE, errno)
            return WRITE_FAULT
        while done < size:
            part = <size_t>min(<uint64_t>room, size - done)
            # Never overwrite what is still to be moved: up from the end, down from
            # the start.
            at = begin + done if by < 0 else begin + size - done - part
            if self._read(self.fd, scratch, part, at, fault) != WRITE_DONE:
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

    cdef WriteResult finish(self, Fault* fault) noexcept nogil:
        """The file is complete: close it, its bytes as safe as they have to be."""
        if _after_flush(self.flusher.flush_new(self.fd), fault) != WRITE_DONE:
            return WRITE_FAULT
        return self.close(fault)

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
        while self._give_name(path, replace, False) != 0:
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

    cdef int _give_name(
        self, const char* path, bint replace, bint link
    ) noexcept nogil:
        """Rename the temporary file, or link it to a further name; -1 and errno."""
        cdef const char* old_name = NULL
        cdef const char* new_name = NULL
        cdef int old_dirfd = enter_directory(
            self.io, self.root_fd, &self.steps, self.temporary, &old_name
        )
        cdef int new_dirfd = -1
        cdef int result = -1
        if old_dirfd >= 0:
            new_dirfd = enter_directory(
                self.io, self.root_fd, &self.steps, path, &new_name
            )
        if new_dirfd >= 0 and link:
            result = self.io.linkat(old_dirfd, old_name, new_dirfd, new_name)
        elif new_dirfd >= 0:
            result = self.io.renameat(
                old_dirfd, old_name, new_dirfd, new_name, replace
            )
        leave_directory(self.io, self.root_fd, new_dirfd)
        leave_directory(self.io, self.root_fd, old_dirfd)
        return result

    cdef void _remove_temporary(self) noexcept nogil:
        """Remove the temporary file, or have it tried again before the next one."""
        if not self._remove(self.temporary):
            memcpy(self.left_over, self.temporary, TEMPORARY_PATH_MAX)
        self.temporary[0] = 0

    cdef bint _remove(self, const char* path) noexcept nogil:
        """Is a temporary file gone now?"""
        cdef const char* name = NULL
        cdef int dirfd = enter_directory(
            self.io, self.root_fd, &self.steps, path, &name
        )
        cdef bint gone = dirfd >= 0 and self.io.unlinkat(dirfd, name) == 0
        gone = gone or errno == ENOENT
        leave_directory(self.io, self.root_fd, dirfd)
        return gone

    cdef WriteResult _link(self, const char* path, Fault* fault) noexcept nogil:
        """publish() in two calls: the final name appears whole, then the other goes."""
        while self._give_name(path, False, True) != 0:
            if errno == EEXIST:
                return WRITE_EXISTS
            if errno != EINTR:
                set_os_fault(fault, PUBLISH_FILE, errno)
                return WRITE_FAULT
        self._remove_temporary()
        return WRITE_DONE

    cdef WriteResult settle(
        self, const char* directory, Fault* fault
    ) noexcept nogil:
        """The file has its name in `directory`: make that as safe as it has to be."""
        return _after_flush(self.flusher.settle(directory), fault)

    cdef void discard(self) noexcept nogil:
        """Forget the open or unfinished file.

        A temporary file that cannot be removed, not before the next object either,
        stays hidden under its tag, which the supervisor's sweep knows.
        """
        if self.fd >= 0:
            self.io.close(self.fd)
            self.fd = -1
        self.following = False
        if self.temporary[0] != 0:
            self._remove_temporary()
