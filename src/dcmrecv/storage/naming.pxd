"""FileNaming: names and directories of stored files."""

from libc.stdint cimport uint8_t

from dcmrecv.encoding.scanner cimport Capture
from dcmrecv.native.wire cimport Span

cdef enum:
    NAMED_DEFAULT = 0           # PREFIX.SOPINSTANCE
    NAMED_UNIQUE = 1            # PREFIX.X.UID
    NAMED_SHORT_UNIQUE = 2      # PREFIX_0123456789abcdef
    NAMED_SYSTEM_TIME = 3       # YYYYMMDDHHMMSS.FFFFFF.PREFIX

cdef enum:
    UID_TEXT_MAX = 45           # "2.25." and 39 digits, with a NUL
    DIRECTORY_BYTES_MAX = 32    # "data/YYYY/MM/DD/" or "undef/YYYYMMDD/", with a NUL


cdef size_t make_uid(char* out) noexcept nogil


cdef class FileNaming:
    cdef int mode
    cdef bytes extension        # owns what the next two say
    cdef const char* extension_text
    cdef size_t extension_size
    cdef int version            # above 1: a further object of the same default name
    cdef char* name             # owned; NUL-terminated, what compose() made
    cdef size_t name_size

    cdef void compose(self, Span prefix, Span sop_instance) noexcept nogil
    cdef bint may_repeat(self) noexcept nogil


cdef void compose_directory(char* out, Capture* series_date) noexcept nogil
cdef Span prefix_of_class(Span sop_class) noexcept nogil
