"""What becomes of a data set: stored as received, stored in normal mode, or ignored.

A sink is told where an object begins and ends and when the window is full, never of a
PDU. It answers an object with a status, and Success only for a file that is whole under
its final name. After a fault it lets the rest of the data set land and forgets it,
since the protocol has no early stop.
"""

cimport cython
from libc.errno cimport ENAMETOOLONG
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp, memcpy, strlen

from dcmrecv.config.settings import StorageMode, SubdirectoryMode
from dcmrecv.storage.filemeta import NO_SOP_CLASS_UID

from dcmrecv.encoding.scanner cimport SCAN_OK
from dcmrecv.native.fault cimport (
    EMPTY_DATA_SET,
    CREATE_FILE,
    NAME_EXHAUSTED,
    NO_FAULT,
    PIXEL_REPRESENTATION,
    clear_fault,
    set_fault,
    set_os_fault,
)
from dcmrecv.native.wire cimport Span
from dcmrecv.storage.image cimport lay_file_meta
from dcmrecv.storage.naming cimport compose_directory, make_uid, prefix_of_class
from dcmrecv.storage.writer cimport (
    WRITE_DONE,
    WRITE_EXISTS,
    WriteResult,
)

cdef bytes _NO_SOP_CLASS = NO_SOP_CLASS_UID.encode("ascii")
cdef Span _no_sop_class
_no_sop_class.ptr = <const uint8_t*><const char*>_NO_SOP_CLASS
_no_sop_class.len = <size_t>len(_NO_SOP_CLASS)


cdef inline bint _same(Span left, Span right) noexcept nogil:
    return left.len == right.len and memcmp(left.ptr, right.ptr, left.len) == 0


cdef class StoreSink:
    """The base of the three storage modes; owns the parts that they share.

    The Spans and the ContextPlan given to `begin()` are borrowed until the answer to
    the object has been sent.
    """

    def __cinit__(self, storage, str tag not None):
        self.image = FileImage()
        self.writer = FileWriter(storage.output_directory, tag)
        self.naming = FileNaming(storage.filename_mode, storage.filename_extension)
        self.scanner = DatasetScanner()
        self.inflater = Inflater(self.scanner)
        self.plan = NULL
        self.active = False
        self.overwritten = False
        self.data_set_size = 0
        self.path[0] = 0
        clear_fault(&self.fault)

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil:
        """An object begins; afterwards its data set may land in the image's window."""
        self.plan = plan
        self.sop_class = sop_class
        self.sop_instance = sop_instance
        self.active = True
        self.overwritten = False
        self.data_set_size = 0
        self.path[0] = 0
        clear_fault(&self.fault)

    cdef void window_full(self) noexcept nogil:
        """The window has no room: make some."""
        self.image.next_window()

    cdef uint16_t end(self) noexcept nogil:
        """The data set has landed whole: the object's status. Never called twice."""
        self.active = False
        return self._status()

    cdef void abandon(self) noexcept nogil:
        """The association ends before the data set does."""
        if self.active:
            self.active = False
            self.writer.discard()

    cdef uint16_t _status(self) noexcept nogil:
        """Which status a fault stands for; PS3.4 Table B.2-1."""
        if self.fault.code == NO_FAULT:
            return SUCCESS
        if self.fault.os_errno != 0 or self.fault.code == NAME_EXHAUSTED:
            return OUT_OF_RESOURCES
        if self.fault.code == PIXEL_REPRESENTATION:
            # As the original refuses what it cannot write (observed, spec 6.2).
            return OUT_OF_RESOURCES
        return CANNOT_UNDERSTAND

    cdef void _begin_scan(self) noexcept nogil:
        self.scanner.reset(
            self.plan.explicit_vr, self.plan.big_endian, self.plan.encapsulated
        )
        if self.plan.deflated:
            self.inflater.begin()

    cdef ScanResult _scan_window(self) noexcept nogil:
        """Scan the data set bytes of the window; a fault becomes the object's."""
        cdef const uint8_t* data = self.image.window.base + self.image.meta_size
        cdef size_t size = self.image.window.fill - self.image.meta_size
        cdef ScanResult result
        if self.plan.deflated:
            result = self.inflater.scan(data, size)
        else:
            result = self.scanner.scan(data, size)
        if result != SCAN_OK:
            self._take_scan_fault()
        return result

    cdef ScanResult _finish_scan(self) noexcept nogil:
        cdef ScanResult result
        if self.plan.deflated:
            result = self.inflater.finish()
        else:
            result = self.scanner.finish()
        if result != SCAN_OK:
            self._take_scan_fault()
        return result

    cdef void _take_scan_fault(self) noexcept nogil:
        if self.fault.code == NO_FAULT:
            self.fault = (
                self.inflater.fault if self.plan.deflated else self.scanner.fault
            )

    cdef bint _name(self, const char* directory) noexcept nogil:
        """Put the next name behind `directory` into `path`."""
        cdef size_t size = strlen(directory)
        cdef Span prefix = self.plan.prefix
        if self.sop_class.len > 0 and not _same(
            self.sop_class, self.plan.abstract_syntax
        ):
            prefix = prefix_of_class(self.sop_class)
        self.naming.compose(prefix, self.sop_instance)
        if size + self.naming.name_size >= FINAL_PATH_MAX:
            set_os_fault(&self.fault, CREATE_FILE, ENAMETOOLONG)
            return False
        memcpy(self.path, directory, size)
        memcpy(self.path + size, self.naming.name, self.naming.name_size + 1)
        return True

    cdef bint _write_window(self, const char* directory) noexcept nogil:
        """Write the window; the file begins in `directory`. False leaves a fault."""
        if self.fault.code != NO_FAULT:
            return False
        if self.writer.fd < 0:
            if self.writer.open(directory, &self.fault) != WRITE_DONE:
                return False
        if self.writer.write(
            self.image.window.base, self.image.window.fill, self.image.file_offset,
            &self.fault,
        ) != WRITE_DONE:
            self.writer.discard()
            return False
        return True

    cdef void _fail(self, const char* directory) noexcept nogil:
        """The object is not stored; `path` says where it would have been."""
        self.writer.discard()
        if self.path[0] == 0:
            self._name(directory)

    cdef bint _publish(self, const char* directory) noexcept nogil:
        """Close the file and give it its name; False leaves a fault.

        A name that may repeat replaces the file that bears it; any other is made anew
        until one is free.
        """
        cdef int _
        cdef WriteResult result
        if self.writer.close(&self.fault) != WRITE_DONE:
            return False
        for _ in range(NAME_TRIES_MAX):
            if not self._name(directory):
                return False
            result = self.writer.publish(self.path, False, &self.fault)
            if result == WRITE_DONE:
                return True
            if result != WRITE_EXISTS:
                return False
            if self.naming.may_repeat():
                self.overwritten = True
                return (
                    self.writer.publish(self.path, True, &self.fault) == WRITE_DONE
                )
        set_fault(&self.fault, NAME_EXHAUSTED, NAME_TRIES_MAX, 0)
        return False


@cython.final
cdef class BitPreservingSink(StoreSink):
    """`+B`: the data set's bytes exactly as received."""

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil:
        StoreSink.begin(self, plan, sop_class, sop_instance)
        self.image.begin(plan, sop_class, sop_instance)

    cdef void window_full(self) noexcept nogil:
        self._write_window(b"")
        self.image.next_window()

    cdef uint16_t end(self) noexcept nogil:
        self.active = False
        self.data_set_size = self.image.data_set_size()
        if not (self._write_window(b"") and self._publish(b"")):
            self._fail(b"")
        return self._status()


@cython.final
cdef class NormalSink(StoreSink):
    """Normal mode: the data set is checked, and the file described from what it says.

    The File Meta Information is laid out with the UIDs of the command, which nearly
    always are those of the data set; where they differ it is written anew.
    """

    def __init__(self, storage, str tag not None):
        self.by_series_date = (
            storage.subdirectory_mode is SubdirectoryMode.SERIES_DATE
        )

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil:
        StoreSink.begin(self, plan, sop_class, sop_instance)
        self.image.begin(plan, sop_class, sop_instance)
        self.meta_size = self.image.meta_size
        self.meta_class = sop_class
        self.meta_instance = sop_instance
        self.made_uid[0] = 0
        self.directory[0] = 0
        self.directory_known = not self.by_series_date
        self.opened_elsewhere = False
        self._begin_scan()

    cdef void window_full(self) noexcept nogil:
        if self.fault.code == NO_FAULT and self._scan_window() == SCAN_OK:
            self._write_described()
        elif self.fault.code != NO_FAULT:
            self.writer.discard()
        self.image.next_window()

    cdef uint16_t end(self) noexcept nogil:
        self.active = False
        self.data_set_size = self.image.data_set_size()
        if not self._finish():
            self._choose_directory(True)
            self._fail(self.directory)
        return self._status()

    cdef bint _finish(self) noexcept nogil:
        if self.fault.code != NO_FAULT:
            return False
        if self.data_set_size == 0:
            set_fault(&self.fault, EMPTY_DATA_SET, 0, 0)
            return False
        if self._scan_window() != SCAN_OK or self._finish_scan() != SCAN_OK:
            return False
        if self.scanner.misplaced_fragments:
            set_fault(&self.fault, PIXEL_REPRESENTATION, 0, 0)
            return False
        self._choose_directory(True)
        if not (self._write_described() and self._correct_meta()):
            return False
        if self.opened_elsewhere and self.writer.make_directories(
            self.directory, &self.fault
        ) != WRITE_DONE:
            return False
        return self._publish(self.directory)

    cdef bint _write_described(self) noexcept nogil:
        """Write the window, into the directory that the data set names if it is known.

        Without one the file begins in the output directory.
        """
        self._choose_directory(False)
        if self.writer.fd < 0:
            self.opened_elsewhere = not self.directory_known
        return self._write_window(self.directory)

    cdef void _choose_directory(self, bint final) noexcept nogil:
        """Take the directory from the Series Date, as soon as that is known."""
        if self.directory_known:
            return
        if final or (
            self.scanner.series_date.present
            and self.scanner.capturing != &self.scanner.series_date
        ):
            compose_directory(self.directory, &self.scanner.series_date)
            self.directory_known = True

    cdef Span _uid(self, Capture* found, Span assumed) noexcept nogil:
        """The value that a data set has for a UID, without padding."""
        cdef Span uid
        if not found.present:
            return assumed
        uid.ptr = found.value
        uid.len = found.len
        while uid.len > 0 and uid.ptr[uid.len - 1] == 0:
            uid.len -= 1
        return uid

    cdef bint _correct_meta(self) noexcept nogil:
        """Describe the file by the UIDs of the data set, observed (spec 7.2)."""
        cdef uint8_t meta[META_BYTES_MAX]
        cdef size_t size
        cdef Span made
        cdef Span sop_class = self._uid(&self.scanner.sop_class, _no_sop_class)
        cdef Span sop_instance
        made.ptr = <const uint8_t*>self.made_uid
        made.len = 0
        if not self.scanner.sop_instance.present:
            made.len = make_uid(self.made_uid)
        sop_instance = self._uid(&self.scanner.sop_instance, made)
        if _same(sop_class, self.meta_class) and _same(
            sop_instance, self.meta_instance
        ):
            return True
        size = lay_file_meta(meta, self.plan, sop_class, sop_instance)
        if size != self.meta_size:
            # The window is on disk, so its memory is free for the move.
            if self.writer.shift(
                self.meta_size, self.data_set_size,
                <int64_t>size - <int64_t>self.meta_size,
                self.image.window.base, self.image.window.capacity, &self.fault,
            ) != WRITE_DONE:
                return False
        return self.writer.write(meta, size, 0, &self.fault) == WRITE_DONE


@cython.final
cdef class IgnoreSink(StoreSink):
    """`--ignore`: the data set is checked and forgotten."""

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil:
        StoreSink.begin(self, plan, sop_class, sop_instance)
        self.image.begin_bare()
        self._begin_scan()

    cdef void window_full(self) noexcept nogil:
        if self.fault.code == NO_FAULT:
            self._scan_window()
        self.image.next_window()

    cdef uint16_t end(self) noexcept nogil:
        self.active = False
        self.data_set_size = self.image.data_set_size()
        if self.data_set_size > 0 and self.fault.code == NO_FAULT:
            if self._scan_window() == SCAN_OK:
                self._finish_scan()
        return self._status()


_SINKS = {
    StorageMode.NORMAL: NormalSink,
    StorageMode.BIT_PRESERVING: BitPreservingSink,
    StorageMode.IGNORE: IgnoreSink,
}


def make_sink(storage, str tag not None):
    """The sink for a StorageSettings; `tag` makes temporary names unique.
    """
    return _SINKS[storage.mode](storage, tag)
