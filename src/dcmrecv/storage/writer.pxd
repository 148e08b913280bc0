"""FileWriter: a file that has no final name before it is whole."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from dcmrecv.native.fault cimport Fault
from dcmrecv.native.sysio cimport SysIo, mode_t
from dcmrecv.storage.flusher cimport Flusher
from dcmrecv.storage.write_policy cimport WritePolicy, WriteWay

cdef enum:
    # "data/YYYY/MM/DD/.dcmrecv-TAG-N.part"
    TEMPORARY_PATH_MAX = 192
    TAG_BYTES_MAX = 96
    FINAL_PATH_MAX = 4096       # longer names are refused by every file system


cdef enum WriteResult:
    WRITE_INTERNAL_FAULT = 0
    WRITE_DONE = 1
    WRITE_EXISTS = 2            # publish: the final name is taken and must not be
    WRITE_FAULT = 3             # see the fault


cdef class FileWriter:
    cdef SysIo* io
    cdef bytes root             # path of the output directory as the operator gave it
    cdef const char* root_path  # the same, owned by `root`
    cdef int root_fd
    cdef char tag[TAG_BYTES_MAX]
    cdef uint64_t counter       # of temporary names
    cdef int fd                 # -1: no file is open
    cdef char temporary[TEMPORARY_PATH_MAX]     # "" when there is none on disk
    cdef char left_over[TEMPORARY_PATH_MAX]     # one that could not be removed, or ""
    cdef bint steps             # the kernel has no openat2(2)
    cdef bint links             # the file system cannot rename without replacing
    cdef Flusher flusher
    cdef WritePolicy policy
    cdef bint direct            # the open file has O_DIRECT
    # An older file, open instead of a new one as long as both are the same.
    cdef bint following
    cdef uint64_t followed      # bytes that are the same so far
    cdef char begun_in[TEMPORARY_PATH_MAX]      # directory of the older file

    cdef WriteResult open(self, const char* directory, Fault* fault) noexcept nogil
    cdef bint follow(self, const char* directory, const char* path) noexcept nogil
    cdef bint followed_whole(self, const char* directory) noexcept nogil
    cdef WriteResult leave(self, Fault* fault) noexcept nogil
    cdef bint same_as(self, const char* path) noexcept nogil
    cdef WriteResult keep(self, const char* path, Fault* fault) noexcept nogil
    cdef WriteResult write(
        self, const uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil
    cdef WriteResult write_window(
        self, const uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil
    cdef WriteResult read(
        self, uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil
    cdef WriteResult shift(
        self, uint64_t begin, uint64_t size, int64_t by,
        uint8_t* scratch, size_t room, Fault* fault,
    ) noexcept nogil
    cdef WriteResult finish(self, Fault* fault) noexcept nogil
    cdef WriteResult close(self, Fault* fault) noexcept nogil
    cdef WriteResult settle(
        self, const char* directory, Fault* fault
    ) noexcept nogil
    cdef int _open_root(self) noexcept nogil
    cdef WriteResult publish(
        self, const char* path, bint replace, Fault* fault
    ) noexcept nogil
    cdef WriteResult _link(self, const char* path, Fault* fault) noexcept nogil
    cdef WriteResult make_directories(
        self, const char* directory, Fault* fault
    ) noexcept nogil
    cdef void discard(self) noexcept nogil
    cdef int _create(self, const char* directory) noexcept nogil
    cdef int _open_in(self, const char* path, int flags, mode_t mode) noexcept nogil
    cdef void _remove_temporary(self) noexcept nogil
    cdef bint _remove(self, const char* path) noexcept nogil
    cdef int _give_name(
        self, const char* path, bint replace, bint link
    ) noexcept nogil
    cdef int _open_file(self, const char* path) noexcept nogil
    cdef WriteResult _copy(
        self, int older, uint64_t size, Fault* fault
    ) noexcept nogil
    cdef ssize_t _write_some(
        self, WriteWay way, const uint8_t* data, size_t size, uint64_t at
    ) noexcept nogil
    cdef ssize_t _write_plain(
        self, const uint8_t* data, size_t size, uint64_t at
    ) noexcept nogil
    cdef bint _set_direct(self, bint direct) noexcept nogil
    cdef WriteResult _read(
        self, int fd, uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil
    cdef int _make_root(self) noexcept nogil
