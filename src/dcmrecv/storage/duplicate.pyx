"""An object whose file is there already: what is done, and are both the same?

Compares files that somebody else opened. Never opens, writes or removes one, and takes
a file that cannot be read for a different one.
"""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp

from dcmrecv.config.settings import OnDuplicate as Mode

from dcmrecv.native.sysio cimport system_io
from dcmrecv.native.wire cimport load_u16_le, load_u32_le

cdef enum:
    PART_BYTES = 32768          # compared at a time; on the stack, twice
    HEAD_BYTES = 2048           # a File Meta Information of ours fits
    PREAMBLE_BYTES = 132        # with "DICM"
    GROUP_LENGTH_AT = 140
    GROUP_BEGINS_AT = 144       # the group length counts from here
    SOURCE_AE_TITLE = 0x0016    # element of group 0002

_MODES = {
    Mode.OVERWRITE: OVERWRITE_OLDER,
    Mode.KEEP: KEEP_OLDER,
    Mode.VERIFY: VERIFY_BOTH,
    Mode.VERSION: KEEP_BOTH,
    Mode.REJECT: REJECT_NEWER,
}


cdef OnDuplicate on_duplicate_of(mode):
    """The C name of a member of settings.OnDuplicate."""
    return _MODES[mode]


cdef ssize_t _read(
    SysIo* io, int fd, uint8_t* data, size_t size, uint64_t at
) noexcept nogil:
    """As much of `size` bytes as there is; -1 when it cannot be read."""
    cdef size_t done = 0
    cdef ssize_t received
    while done < size:
        received = io.pread(fd, data + done, size - done, <int64_t>(at + done))
        if received == 0:
            break
        if received > 0:
            done += <size_t>received
        elif errno != EINTR:
            return -1
    return <ssize_t>done


cdef bint reads_as(
    SysIo* io, int fd, const uint8_t* data, size_t size, uint64_t at
) noexcept nogil:
    """Does the file have these bytes at offset `at`?"""
    cdef uint8_t part[PART_BYTES]
    cdef size_t done = 0
    cdef size_t count
    while done < size:
        count = min(size - done, <size_t>PART_BYTES)
        if _read(io, fd, part, count, at + done) != <ssize_t>count:
            return False
        if memcmp(part, data + done, count) != 0:
            return False
        done += count
    return True


cdef bint ends_at(SysIo* io, int fd, uint64_t at) noexcept nogil:
    """Does the file have `at` bytes and no more?"""
    cdef uint8_t byte
    return _read(io, fd, &byte, 1, at) == 0


cdef size_t _data_set_at(const uint8_t* head, size_t size) noexcept nogil:
    """Where the data set begins; 0 when this is no file of ours."""
    cdef uint64_t at
    if size < GROUP_BEGINS_AT or memcmp(head + PREAMBLE_BYTES - 4, b"DICM", 4) != 0:
        return 0
    at = GROUP_BEGINS_AT + <uint64_t>load_u32_le(head + GROUP_LENGTH_AT)
    return <size_t>at if at <= size else 0


cdef size_t _source_at(const uint8_t* head, size_t data_set_at) noexcept nogil:
    """Where the element with the sender's title begins, the last one if there is any.

    Whoever sent an object, it is the same.
    """
    cdef size_t at = GROUP_BEGINS_AT
    cdef size_t size
    while data_set_at - at >= 8:
        if load_u16_le(head + at + 2) == SOURCE_AE_TITLE:
            return at
        if head[at + 4] == c'O':        # OB: 32 bits of length
            if data_set_at - at < 12:
                break
            size = 12 + <size_t>load_u32_le(head + at + 8)
        else:
            size = 8 + <size_t>load_u16_le(head + at + 6)
        if size > data_set_at - at:
            break
        at += size
    return data_set_at


cdef bint hold_same_object(SysIo* io, int left, int right) noexcept nogil:
    """Do two DICOM files hold the same data set, described in the same way?

    Everything but the source AE title (0002,0016) of the File Meta Information counts.
    """
    cdef uint8_t one[PART_BYTES]
    cdef uint8_t other[PART_BYTES]
    cdef ssize_t one_size = _read(io, left, one, HEAD_BYTES, 0)
    cdef ssize_t other_size = _read(io, right, other, HEAD_BYTES, 0)
    cdef uint64_t one_at = 0
    cdef uint64_t other_at = 0
    cdef size_t described
    if one_size < 0 or other_size < 0:
        return False
    one_at = _data_set_at(one, <size_t>one_size)
    other_at = _data_set_at(other, <size_t>other_size)
    if one_at == 0 or other_at == 0:
        return False
    described = _source_at(one, <size_t>one_at)
    if described != _source_at(other, <size_t>other_at) or memcmp(
        one + GROUP_BEGINS_AT, other + GROUP_BEGINS_AT, described - GROUP_BEGINS_AT
    ) != 0:
        return False
    while True:
        one_size = _read(io, left, one, PART_BYTES, one_at)
        other_size = _read(io, right, other, PART_BYTES, other_at)
        if one_size < 0 or one_size != other_size:
            return False
        if one_size == 0:
            return True
        if memcmp(one, other, <size_t>one_size) != 0:
            return False
        one_at += <uint64_t>one_size
        other_at += <uint64_t>other_size


def same_object(int left, int right):
    """hold_same_object(), of two open files; for tests."""
    return hold_same_object(system_io(), left, right)
