"""What becomes of a data set; here the base of it all, and storing as received.

A sink is told where an object begins and ends and when the window is full, never of a
PDU. It answers an object with a status, and Success only for a file that is whole under
its final name. After a fault it lets the rest of the data set land and forgets it,
since the protocol has no early stop.
"""

cimport cython
from libc.errno cimport ENAMETOOLONG
from libc.string cimport memcpy, strlen

from dcmrecv.config.settings import StorageMode

from dcmrecv.encoding.notes cimport Notes
from dcmrecv.native.fault cimport (
    Fault,
    CREATE_FILE,
    DISK_RESERVE,
    DUPLICATE_OBJECT,
    NAME_EXHAUSTED,
    NO_FAULT,
    OBJECT_TOO_LARGE,
    PIXEL_REPRESENTATION,
    clear_fault,
    set_fault,
    set_os_fault,
)
from dcmrecv.native.wire cimport Span
from dcmrecv.storage.duplicate cimport (
    BOTH_DIFFER,
    BOTH_KEPT,
    KEEP_OLDER,
    NO_DUPLICATE,
    OLDER_IS_SAME,
    OLDER_KEPT,
    OVERWRITE_OLDER,
    REJECT_NEWER,
    VERIFY_BOTH,
    on_duplicate_of,
)
from dcmrecv.storage.guard cimport DiskGuard
from dcmrecv.storage.naming cimport prefix_of_class
from dcmrecv.storage.writer cimport (
    WRITE_DONE,
    WRITE_EXISTS,
    WriteResult,
)


cdef class StoreSink:
    """The base of the three storage modes; owns the parts that they share.

    The Spans and the ContextPlan given to `begin()` are borrowed until the answer to
    the object has been sent.
    """

    def __cinit__(self, storage, str tag not None):
        self.image = FileImage()
        self.writer = FileWriter(storage, tag)
        self.naming = FileNaming(storage.filename_mode, storage.filename_extension)
        stores = storage.mode is not StorageMode.IGNORE
        self.guard = DiskGuard(
            storage.reserve if stores else None, storage.max_object_size
        )
        self.notes = Notes()
        self.plan = NULL
        self.active = False
        self.on_duplicate = on_duplicate_of(storage.on_duplicate)
        self.overwritten = False
        self.duplicate = NO_DUPLICATE
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
        self.naming.version = 1
        self.overwritten = False
        self.duplicate = NO_DUPLICATE
        self.data_set_size = 0
        self.path[0] = 0
        self.notes.clear()
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

    cdef bint has_room(self) noexcept nogil:
        """May an association begin, as far as the disk is concerned?"""
        cdef Fault fault
        clear_fault(&fault)
        return self.guard.has_room(self.writer.root_fd, &fault)

    cdef uint16_t _status(self) noexcept nogil:
        """Which status a fault stands for; PS3.4 Table B.2-1."""
        if self.fault.code == NO_FAULT:
            return SUCCESS
        if self.fault.code == DUPLICATE_OBJECT:
            return DUPLICATE_SOP_INSTANCE
        if self.fault.os_errno != 0 or self.fault.code == NAME_EXHAUSTED:
            return OUT_OF_RESOURCES
        if self.fault.code == DISK_RESERVE or self.fault.code == OBJECT_TOO_LARGE:
            return OUT_OF_RESOURCES
        if self.fault.code == PIXEL_REPRESENTATION:
            # As the original refuses what it cannot write (observed, spec 6.2).
            return OUT_OF_RESOURCES
        return CANNOT_UNDERSTAND

    cdef bint _name(self, const char* directory) noexcept nogil:
        """Put the next name behind `directory` into `path`."""
        cdef size_t size = strlen(directory)
        cdef Span prefix = self.plan.prefix
        if self.sop_class.len > 0 and not same_text(
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
        if not self.guard.allows(self.image.data_set_size(), &self.fault):
            self.writer.discard()
            return False
        if self.writer.fd < 0:
            if not self._begin_file(directory):
                return False
        elif not self._may_grow():
            self.writer.discard()
            return False
        if self.writer.write_window(
            self.image.window.base, self.image.window.fill, self.image.file_offset,
            &self.fault,
        ) != WRITE_DONE:
            self.writer.discard()
            return False
        return True

    cdef bint _may_grow(self) noexcept nogil:
        """Is there room for more of the file that has begun? False leaves a fault.

        Nobody knows how long an object is before it ends.
        """
        return self.guard.has_room(self.writer.root_fd, &self.fault)

    cdef bint _begin_file(self, const char* directory) noexcept nogil:
        if not self.guard.has_room(self.writer.root_fd, &self.fault):
            return False
        if self.on_duplicate == VERIFY_BOTH and self.naming.may_repeat():
            if not self._name(directory):
                return False
            if self.writer.follow(directory, self.path):
                return True
        return self.writer.open(directory, &self.fault) == WRITE_DONE

    cdef void _fail(self, const char* directory) noexcept nogil:
        """The object is not stored; `path` says where it would have been."""
        self.writer.discard()
        self.writer.flusher.withdraw()
        if self.path[0] == 0:
            self._name(directory)

    cdef bint _publish(self, const char* directory) noexcept nogil:
        """Close the file and give it its name; False leaves a fault.

        A name that may repeat is treated as the operator wishes; any other is made anew
        until one is free.
        """
        cdef int version
        cdef WriteResult result
        if self.writer.following:
            if self.writer.followed_whole(directory):
                return self._keep_older(directory, OLDER_IS_SAME)
            if self.writer.leave(&self.fault) != WRITE_DONE:
                return False
        if self.writer.finish(&self.fault) != WRITE_DONE:
            return False
        for version in range(1, NAME_TRIES_MAX + 1):
            self.naming.version = version
            if not self._name(directory):
                return False
            result = self.writer.publish(self.path, False, &self.fault)
            if result == WRITE_DONE:
                if version > 1 and self.naming.may_repeat():
                    self.duplicate = (
                        BOTH_DIFFER if self.on_duplicate == VERIFY_BOTH else BOTH_KEPT
                    )
                return self.writer.settle(directory, &self.fault) == WRITE_DONE
            if result != WRITE_EXISTS:
                return False
            if not self.naming.may_repeat():
                continue
            if self.on_duplicate == OVERWRITE_OLDER:
                self.overwritten = True
                return (
                    self.writer.publish(self.path, True, &self.fault) == WRITE_DONE
                    and self.writer.settle(directory, &self.fault) == WRITE_DONE
                )
            if self.on_duplicate == REJECT_NEWER:
                set_fault(&self.fault, DUPLICATE_OBJECT, 0, 0)
                return False
            if self.on_duplicate == KEEP_OLDER:
                return self._keep_older(directory, OLDER_KEPT)
            if self.on_duplicate == VERIFY_BOTH and self.writer.same_as(self.path):
                return self._keep_older(directory, OLDER_IS_SAME)
        set_fault(&self.fault, NAME_EXHAUSTED, NAME_TRIES_MAX, 0)
        return False

    cdef bint _keep_older(
        self, const char* directory, Duplicate duplicate
    ) noexcept nogil:
        """The older file at `path` stands for the object; False leaves a fault."""
        self.duplicate = duplicate
        return (
            self.writer.keep(self.path, &self.fault) == WRITE_DONE
            and self.writer.settle(directory, &self.fault) == WRITE_DONE
        )


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
