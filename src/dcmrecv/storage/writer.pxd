"""FileWriter: a file that has no final name before it is whole."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from dcmrecv.native.fault cimport Fault
from dcmrecv.native.sysio cimport SysIo

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
    cdef bint links             # the file system cannot rename without replacing

    cdef WriteResult open(self, const char* directory, Fault* fault) noexcept nogil
    cdef WriteResult write(
        self, const uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil
    cdef WriteResult shift(
        self, uint64_t begin, uint64_t size, int64_t by,
        uint8_t* scratch, size_t room, Fault* fault,
    ) noexcept nogil
    cdef WriteResult close(self, Fault* fault) noexcept nogil
    cdef WriteResult publish(
        self, const char* path, bint replace, Fault* fault
    ) noexcept nogil
    cdef WriteResult _link(self, const char* path, Fault* fault) noexcept nogil
    cdef WriteResult make_directories(
        self, const char* directory, Fault* fault
    ) noexcept nogil
    cdef void discard(self) noexcept nogil
    cdef int _create(self, const char* directory) noexcept nogil
    cdef WriteResult _read(
        self, uint8_t* data, size_t size, uint64_t at, Fault* fault
    ) noexcept nogil
    cdef int _make_root(self) noexcept nogil
