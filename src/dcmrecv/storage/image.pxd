"""FileImage: a DICOM file in memory, window by window."""

from libc.stdint cimport uint8_t, uint64_t

from dcmrecv.native.buffer cimport AlignedBuffer
from dcmrecv.native.wire cimport Span

cdef enum:
    # One write for an object up to 1 MiB; more leaves the L2 cache (LIMITS.md).
    WINDOW_BYTES = 1048576
    # Preamble, File Meta Information with two UIDs of CAPTURE_BYTES_MAX, and reserve.
    META_BYTES_MAX = 2048
    META_TEMPLATE_MAX = 1024    # of that, all but the two UIDs


cdef struct ContextPlan:
    # One accepted presentation context. The Spans are owned by the receiver.
    uint8_t id
    bint explicit_vr
    bint big_endian
    bint encapsulated
    bint deflated
    Span abstract_syntax
    Span prefix                 # of the abstract syntax, "CT"; empty when unknown
    Span meta_head              # file meta before the two UIDs
    Span meta_tail              # file meta behind them


cdef size_t lay_file_meta(
    uint8_t* out, const ContextPlan* plan, Span sop_class, Span sop_instance
) noexcept nogil


cdef class FileImage:
    # File offset 0 is buffer offset 0 in the first window.
    cdef AlignedBuffer window
    cdef size_t meta_size       # bytes of the window that are not data set
    cdef uint64_t file_offset   # where in the file the window's first byte goes
    cdef uint64_t landed        # bytes of the data set in earlier windows

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil
    cdef void begin_bare(self) noexcept nogil
    cdef void next_window(self) noexcept nogil
    cdef uint64_t data_set_size(self) noexcept nogil
