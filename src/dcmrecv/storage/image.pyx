"""A DICOM file as it grows in memory: preamble, File Meta Information, data set.

Never opens a file; a sink writes the windows.
"""

cimport cython
from libc.string cimport memcpy

from dcmrecv.native.wire cimport store_u16_le, store_u32_le

cdef enum:
    GROUP_LENGTH_AT = 140       # behind the preamble, "DICM" and its own header
    GROUP_BEGINS_AT = 144       # the group length counts from here


cdef size_t _put_uid(uint8_t* out, uint8_t element, Span uid) noexcept nogil:
    cdef size_t even = uid.len + (uid.len & 1)
    store_u16_le(out, 2)
    store_u16_le(out + 2, element)
    out[4] = c'U'
    out[5] = c'I'
    store_u16_le(out + 6, <unsigned short>even)
    memcpy(out + 8, uid.ptr, uid.len)
    if even > uid.len:
        out[8 + uid.len] = 0
    return 8 + even


cdef size_t lay_file_meta(
    uint8_t* out, const ContextPlan* plan, Span sop_class, Span sop_instance
) noexcept nogil:
    """Write preamble and File Meta Information; PS3.10 section 7.1.

    `out` has room for META_BYTES_MAX. Returns the number of bytes.
    """
    cdef size_t at = plan.meta_head.len
    memcpy(out, plan.meta_head.ptr, at)
    at += _put_uid(out + at, 0x02, sop_class)
    at += _put_uid(out + at, 0x03, sop_instance)
    memcpy(out + at, plan.meta_tail.ptr, plan.meta_tail.len)
    at += plan.meta_tail.len
    store_u32_le(out + GROUP_LENGTH_AT, <unsigned int>(at - GROUP_BEGINS_AT))
    return at


@cython.final
cdef class FileImage:
    """One window of memory, used again for each window of each object."""

    def __cinit__(self):
        self.window = AlignedBuffer(WINDOW_BYTES)
        self.begin_bare()

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil:
        """A new object: lay out the File Meta Information, the data set lands next."""
        self.begin_bare()
        self.meta_size = lay_file_meta(
            self.window.base, plan, sop_class, sop_instance
        )
        self.window.fill = self.meta_size

    cdef void begin_bare(self) noexcept nogil:
        """A new object of which only the data set is looked at."""
        self.window.fill = 0
        self.meta_size = 0
        self.file_offset = 0
        self.landed = 0

    cdef void next_window(self) noexcept nogil:
        """The window's bytes are where they belong; use its memory again."""
        self.landed += self.window.fill - self.meta_size
        self.file_offset += self.window.fill
        self.meta_size = 0
        self.window.fill = 0

    cdef uint64_t data_set_size(self) noexcept nogil:
        """Bytes of the data set so far."""
        return self.landed + self.window.fill - self.meta_size
