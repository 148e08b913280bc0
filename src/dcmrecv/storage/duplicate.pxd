"""Two files of one name: what is done, and whether they hold the same object."""

from dcmrecv.native.sysio cimport SysIo


cdef enum OnDuplicate:
    OVERWRITE_OLDER = 0
    KEEP_OLDER = 1
    VERIFY_BOTH = 2
    KEEP_BOTH = 3
    REJECT_NEWER = 4


cdef enum Duplicate:
    NO_DUPLICATE = 0
    OLDER_KEPT = 1              # the object that came was dropped
    OLDER_IS_SAME = 2           # nothing was written
    BOTH_KEPT = 3               # the newer one under another name
    BOTH_DIFFER = 4             # the same, after both were compared


cdef OnDuplicate on_duplicate_of(mode)
cdef bint hold_same_object(SysIo* io, int left, int right) noexcept nogil
cdef bint reads_as(
    SysIo* io, int fd, const unsigned char* data, size_t size, unsigned long long at
) noexcept nogil
cdef bint ends_at(SysIo* io, int fd, unsigned long long at) noexcept nogil
