"""StoreSink and its subclasses: what becomes of a data set."""

from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memcmp

from dcmrecv.encoding.notes cimport Notes
from dcmrecv.native.fault cimport Fault
from dcmrecv.native.wire cimport Span
from dcmrecv.storage.duplicate cimport Duplicate, OnDuplicate
from dcmrecv.storage.guard cimport DiskGuard
from dcmrecv.storage.image cimport ContextPlan, FileImage
from dcmrecv.storage.naming cimport FileNaming
from dcmrecv.storage.writer cimport FINAL_PATH_MAX, FileWriter

cdef enum:
    SUCCESS = 0x0000            # the members of dimse.status.Status, in C
    DUPLICATE_SOP_INSTANCE = 0x0111
    OUT_OF_RESOURCES = 0xA700
    CANNOT_UNDERSTAND = 0xC000

cdef enum:
    NAME_TRIES_MAX = 1000       # for a name that nothing bears yet


cdef inline bint same_text(Span left, Span right) noexcept nogil:
    return left.len == right.len and memcmp(left.ptr, right.ptr, left.len) == 0


cdef class StoreSink:
    cdef FileImage image        # its window is where the data set lands
    cdef FileWriter writer
    cdef FileNaming naming
    cdef DiskGuard guard
    cdef OnDuplicate on_duplicate
    cdef Notes notes            # what is worth a warning in it
    # The object under way.
    cdef const ContextPlan* plan
    cdef Span sop_class         # of the command; borrowed until the answer is sent
    cdef Span sop_instance
    cdef bint active            # between begin() and end() or abandon()
    cdef Fault fault            # why it fails; NO_FAULT so far so good
    # What the last object came to.
    cdef bint overwritten       # a file of that name existed and was replaced
    cdef Duplicate duplicate    # it existed and was not replaced
    cdef uint64_t data_set_size     # bytes
    cdef char path[FINAL_PATH_MAX]   # below the output directory, "" when none was made

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil
    cdef void window_full(self) noexcept nogil
    cdef uint16_t end(self) noexcept nogil
    cdef void abandon(self) noexcept nogil
    cdef bint has_room(self) noexcept nogil
    cdef uint16_t _status(self) noexcept nogil
    cdef bint _write_window(self, const char* directory) noexcept nogil
    cdef void _fail(self, const char* directory) noexcept nogil
    cdef bint _may_grow(self) noexcept nogil
    cdef bint _begin_file(self, const char* directory) noexcept nogil
    cdef bint _publish(self, const char* directory) noexcept nogil
    cdef bint _keep_older(
        self, const char* directory, Duplicate duplicate
    ) noexcept nogil
    cdef bint _name(self, const char* directory) noexcept nogil


cdef class BitPreservingSink(StoreSink):
    pass
