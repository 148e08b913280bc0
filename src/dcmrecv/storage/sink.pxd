"""StoreSink and its subclasses: what becomes of a data set."""

from libc.stdint cimport uint16_t, uint64_t

from dcmrecv.encoding.inflater cimport Inflater
from dcmrecv.encoding.scanner cimport Capture, DatasetScanner, ScanResult
from dcmrecv.native.fault cimport Fault
from dcmrecv.native.wire cimport Span
from dcmrecv.storage.image cimport META_BYTES_MAX, ContextPlan, FileImage
from dcmrecv.storage.naming cimport DIRECTORY_BYTES_MAX, FileNaming
from dcmrecv.storage.writer cimport FINAL_PATH_MAX, FileWriter, WriteResult

cdef enum:
    SUCCESS = 0x0000            # the members of dimse.status.Status, in C
    OUT_OF_RESOURCES = 0xA700
    CANNOT_UNDERSTAND = 0xC000

cdef enum:
    NAME_TRIES_MAX = 1000       # for a name that nothing bears yet


cdef class StoreSink:
    cdef FileImage image        # its window is where the data set lands
    cdef FileWriter writer
    cdef FileNaming naming
    cdef DatasetScanner scanner
    cdef Inflater inflater
    # The object under way.
    cdef const ContextPlan* plan
    cdef Span sop_class         # of the command; borrowed until the answer is sent
    cdef Span sop_instance
    cdef bint active            # between begin() and end() or abandon()
    cdef Fault fault            # why it fails; NO_FAULT so far so good
    # What the last object came to.
    cdef bint overwritten       # a file of that name existed and was replaced
    cdef uint64_t data_set_size     # bytes
    cdef char path[FINAL_PATH_MAX]   # below the output directory, "" when none was made

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil
    cdef void window_full(self) noexcept nogil
    cdef uint16_t end(self) noexcept nogil
    cdef void abandon(self) noexcept nogil
    cdef uint16_t _status(self) noexcept nogil
    cdef void _begin_scan(self) noexcept nogil
    cdef ScanResult _scan_window(self) noexcept nogil
    cdef ScanResult _finish_scan(self) noexcept nogil
    cdef void _take_scan_fault(self) noexcept nogil
    cdef bint _write_window(self, const char* directory) noexcept nogil
    cdef void _fail(self, const char* directory) noexcept nogil
    cdef bint _publish(self, const char* directory) noexcept nogil
    cdef bint _name(self, const char* directory) noexcept nogil


cdef class BitPreservingSink(StoreSink):
    pass


cdef class NormalSink(StoreSink):
    cdef bint by_series_date
    # File Meta Information as the first window was written with it.
    cdef size_t meta_size
    cdef Span meta_class
    cdef Span meta_instance
    cdef char made_uid[64]      # for a data set without SOP Instance UID
    cdef char directory[DIRECTORY_BYTES_MAX]
    cdef bint directory_known
    cdef bint opened_elsewhere  # the temporary file lies above `directory`

    cdef bint _write_described(self) noexcept nogil
    cdef bint _finish(self) noexcept nogil
    cdef bint _correct_meta(self) noexcept nogil
    cdef Span _uid(self, Capture* found, Span assumed) noexcept nogil
    cdef void _choose_directory(self, bint final) noexcept nogil


cdef class IgnoreSink(StoreSink):
    pass
