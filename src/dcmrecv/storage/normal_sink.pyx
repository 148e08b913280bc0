"""Normal mode: the data set written as the original writes it, as it streams in.

What stays as it is goes from the window to its place in the file, however large it is;
only what is encoded anew is copied. Two kinds of objects are written twice, the second
time behind the first in the same temporary file: those whose elements are out of order
over more than a window, and deflated ones.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memmove

from dcmrecv.config.settings import SubdirectoryMode
from dcmrecv.encoding.dictionary import default_table
from dcmrecv.storage.filemeta import NO_SOP_CLASS_UID

from dcmrecv.encoding.inflater cimport (
    INFLATE_MORE,
    INFLATE_PIECE,
    InflateResult,
)
from dcmrecv.encoding.normalizer cimport (
    NORMALIZE_END,
    NORMALIZE_FULL,
    NORMALIZE_MORE,
    NormalizeResult,
)
from dcmrecv.encoding.spans cimport ARENA_HEADROOM
from dcmrecv.encoding.vr cimport VR_UI
from dcmrecv.native.fault cimport (
    EMPTY_DATA_SET,
    NO_FAULT,
    PIXEL_REPRESENTATION,
    UNKNOWN_FAULT,
    set_fault,
)
from dcmrecv.storage.image cimport lay_file_meta
from dcmrecv.storage.naming cimport compose_directory, make_uid
from dcmrecv.storage.sink cimport same_text
from dcmrecv.storage.writer cimport WRITE_DONE, WriteResult

cdef bytes _NO_SOP_CLASS = NO_SOP_CLASS_UID.encode("ascii")
cdef Span _no_sop_class
_no_sop_class.ptr = <const uint8_t*><const char*>_NO_SOP_CLASS
_no_sop_class.len = <size_t>len(_NO_SOP_CLASS)


@cython.final
cdef class NormalSink(StoreSink):
    """The window holds, behind its headroom, only bytes of the data set as received.

    The File Meta Information is laid out when the first bytes are written, from what is
    known of the data set by then; where that turns out wrong it is written anew.
    """

    def __init__(self, storage, str tag not None):
        self.scanner = DatasetScanner(default_table(), self.notes)
        self.finder = DatasetScanner(default_table())
        self.normalizer = Normalizer(self.scanner)
        self.spans = self.normalizer.spans
        self.inflater = Inflater()
        self.deflater = Deflater()
        self.by_series_date = (
            storage.subdirectory_mode is SubdirectoryMode.SERIES_DATE
        )

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil:
        StoreSink.begin(self, plan, sop_class, sop_instance)
        self.image.begin_bare()
        # The file begins at a page, if its meta is as long as the command lets expect.
        self._begin_window(
            lay_file_meta(self.meta, plan, sop_class, sop_instance)
        )
        self.carried = 0
        self.writable = self.image.window.base
        self.written_size = 0
        self.meta_size = 0
        self.made_uid[0] = 0
        self.looked_again = False
        self.directory[0] = 0
        self.directory_known = not self.by_series_date
        self.opened_elsewhere = False
        self.normalizer.begin(plan.explicit_vr, plan.big_endian, plan.encapsulated)
        if plan.deflated:
            self.inflater.begin()

    cdef void window_full(self) noexcept nogil:
        if self.fault.code != NO_FAULT or not self._take_window(False):
            self.writer.discard()
            self.carried = 0
        self.image.window.fill = self.window_begin + self.carried

    cdef uint16_t end(self) noexcept nogil:
        self.active = False
        if not self._finish():
            set_fault(&self.fault, UNKNOWN_FAULT, 0, 0)     # if nothing has said why
            self._choose_directory(True)
            self._fail(self.directory)
        return self._status()

    cdef bint _take_window(self, bint last) noexcept nogil:
        """Normalize what has landed; False leaves a fault.

        Of the last window some may still be to be written.
        """
        cdef uint8_t* data = self.image.window.base + self.window_begin
        cdef size_t size = self.image.window.fill - self.window_begin
        cdef size_t used = size
        self.data_set_size += size - self.carried
        if not self.guard.allows(self.data_set_size, &self.fault):
            return False
        self.writable = self.image.window.base
        if self.plan.deflated:
            if not self._inflate_window(data, size):
                return False
        elif not self._normalize(data, size, &used, last):
            return False
        self.carried = size - used
        if not last:
            self._begin_window(self.meta_size + self.spans.size)
            memmove(
                self.image.window.base + self.window_begin, data + used, self.carried
            )
        return True

    cdef void _begin_window(self, uint64_t at) noexcept nogil:
        """What lands next belongs to file offset `at`; aligned alike, for O_DIRECT."""
        self.window_begin = WINDOW_HEADROOM + <size_t>(at % PAGE_BYTES)
        self.image.window.fill = self.window_begin

    cdef bint _inflate_window(
        self, const uint8_t* data, size_t size
    ) noexcept nogil:
        cdef InflateResult result
        cdef size_t used = 0
        self.inflater.feed(data, size)
        while True:
            result = self.inflater.next()
            if result == INFLATE_MORE:
                return True
            if result != INFLATE_PIECE:
                self.fault = self.inflater.fault
                return False
            if not self._normalize(
                self.inflater.buffer, self.inflater.fill, &used, False
            ):
                return False
            self.inflater.use(used)

    cdef bint _normalize(
        self, const uint8_t* data, size_t size, size_t* used, bint last
    ) noexcept nogil:
        cdef NormalizeResult result = NORMALIZE_FULL
        cdef size_t step = 0
        used[0] = 0
        while result == NORMALIZE_FULL:
            result = self.normalizer.normalize(
                data + used[0], size - used[0], &step
            )
            used[0] += step
            if result == NORMALIZE_FULL or (result == NORMALIZE_MORE and not last):
                if not self._write_spans():
                    return False
        if result != NORMALIZE_MORE:
            self.fault = self.scanner.fault
            return False
        return True

    cdef bint _finish(self) noexcept nogil:
        if self.fault.code != NO_FAULT:
            return False
        if not (self._take_window(True) and self._finish_data_set()):
            return False
        if self.spans.size == 0:
            # Also when what was received holds nothing; observed.
            set_fault(&self.fault, EMPTY_DATA_SET, 0, 0)
            return False
        if self.scanner.misplaced_fragments:
            set_fault(&self.fault, PIXEL_REPRESENTATION, 0, 0)
            return False
        self._choose_directory(True)
        if not self._write_spans():
            return False
        self.written_size = self.spans.size
        if self.normalizer.reordered and self.scanner.uids_in_items:
            if not self._find_uids():
                return False
        if self.plan.deflated or self.normalizer.reordering.group_count > 0:
            if not self._rewrite():
                return False
        if not self._correct_meta():
            return False
        if self.opened_elsewhere and self.writer.make_directories(
            self.directory, &self.fault
        ) != WRITE_DONE:
            return False
        return self._publish(self.directory)

    cdef bint _finish_data_set(self) noexcept nogil:
        """Everything has landed: is the data set whole, and what is left to write?"""
        cdef NormalizeResult result = NORMALIZE_FULL
        cdef const uint8_t* rest = (
            self.image.window.base + self.image.window.fill - self.carried
        )
        cdef size_t size = self.carried
        if self.plan.deflated:
            if not self.inflater.ended():
                self.fault = self.inflater.fault
                return False
            rest = self.inflater.buffer
            size = self.inflater.fill
        while True:
            result = self.normalizer.finish(rest, size)
            if result == NORMALIZE_END:
                return True
            if result != NORMALIZE_FULL:
                self.fault = self.scanner.fault
                return False
            if not self._write_spans():
                return False

    cdef bint _find_uids(self) noexcept nogil:
        """Look for the UIDs again, where the order has become another.

        The original takes those that stand first in the end, be it in an item. All is
        written, so the window is free.
        """
        cdef uint8_t* scratch = self.image.window.base
        cdef size_t fill = 0
        cdef size_t used = 0
        cdef size_t part
        cdef uint64_t first = 0
        cdef uint64_t last = 0
        self.finder.reset(
            self.plan.explicit_vr, self.plan.big_endian, self.plan.encapsulated
        )
        self.normalizer.reordering.begin_walk(0, self.written_size)
        while self.normalizer.reordering.next_range(&first, &last):
            while first < last:
                part = <size_t>min(
                    last - first, <uint64_t>(self.image.window.capacity - fill)
                )
                if self.writer.read(
                    scratch + fill, part, self.meta_size + first, &self.fault
                ) != WRITE_DONE:
                    return False
                first += part
                fill += part
                if not self.finder.skim(scratch, fill, &used):
                    self.fault = self.finder.fault
                    return False
                fill -= used
                memmove(scratch, scratch + used, fill)
        self.looked_again = True
        return True

    cdef bint _rewrite(self) noexcept nogil:
        """Write the data set again: in its order, or deflated.

        Behind itself, then it is moved to where it began. The window is free by now.
        """
        cdef uint64_t end = self.meta_size + self.written_size
        cdef uint64_t at = end
        cdef uint64_t first = 0
        cdef uint64_t last = 0
        cdef size_t part
        cdef uint8_t* scratch = self.image.window.base
        if self.plan.deflated:
            self.deflater.begin()
        self.normalizer.reordering.begin_walk(0, self.written_size)
        while self.normalizer.reordering.next_range(&first, &last):
            while first < last:
                part = <size_t>min(last - first, <uint64_t>self.image.window.capacity)
                if self.writer.read(
                    scratch, part, self.meta_size + first, &self.fault
                ) != WRITE_DONE:
                    return False
                first += part
                if self.plan.deflated:
                    self.deflater.take(scratch, part)
                    if not self._append(self.deflater.data, self.deflater.size, &at):
                        return False
                elif not self._append(scratch, part, &at):
                    return False
        if self.plan.deflated:
            self.deflater.end()
            if not self._append(self.deflater.data, self.deflater.size, &at):
                return False
        self.written_size = at - end
        return self.writer.shift(
            end, self.written_size, -<int64_t>(end - self.meta_size),
            scratch, self.image.window.capacity, &self.fault,
        ) == WRITE_DONE

    cdef bint _append(
        self, const uint8_t* data, size_t size, uint64_t* at
    ) noexcept nogil:
        if not self._may_grow():
            return False
        if self.writer.write(data, size, at[0], &self.fault) != WRITE_DONE:
            return False
        at[0] += size
        return True

    cdef bint _write_spans(self) noexcept nogil:
        """Write what the normalizer has ready; False leaves a fault.

        Replaced bytes are copied right in front of the kept ones that follow them, over
        what they replace, where there is room: then one write takes both.
        """
        cdef uint64_t at = self.meta_size + self.spans.begin
        cdef const uint8_t* data = NULL
        cdef size_t size = 0
        cdef Span* span
        cdef int i
        if self.fault.code != NO_FAULT:
            return False
        if self.plan.deflated and not self.guard.allows(self.spans.size, &self.fault):
            return False
        if self.meta_size == 0:
            if not self._begin_described():
                return False
            at = 0
            data = self.meta
            size = self.meta_size
        elif not self._may_grow():
            return False
        for i in range(self.spans.count):
            span = &self.spans.list[i]
            if 0 < size <= MERGED_MAX and self._room_before(span.ptr) >= size:
                memcpy(<uint8_t*>span.ptr - size, data, size)
                data = span.ptr - size
                size += span.len
            else:
                if self._write(data, size, at) != WRITE_DONE:
                    return False
                at += size
                data = span.ptr
                size = span.len
            if self._lies_in_window(span.ptr):
                self.writable = <uint8_t*>span.ptr + span.len
        if self._write(data, size, at) != WRITE_DONE:
            return False
        return self._write_patches()

    cdef bint _lies_in_window(self, const uint8_t* place) noexcept nogil:
        return (
            self.image.window.base <= place
            < self.image.window.base + self.image.window.capacity
        )

    cdef size_t _room_before(self, const uint8_t* place) noexcept nogil:
        """Bytes in front of a span that nobody needs any more."""
        if self._lies_in_window(place) and self.writable <= place:
            return <size_t>(place - self.writable)
        if place == self.spans.arena + ARENA_HEADROOM:
            return ARENA_HEADROOM
        return 0

    cdef WriteResult _write(
        self, const uint8_t* data, size_t size, uint64_t at
    ) noexcept nogil:
        if size == 0:
            return WRITE_DONE
        return self.writer.write_window(data, size, at, &self.fault)

    cdef bint _write_patches(self) noexcept nogil:
        """Group lengths that became known after they had been written."""
        cdef int i
        for i in range(self.spans.patch_count):
            if self.writer.write(
                self.spans.patches[i].value, 4,
                self.meta_size + self.spans.patches[i].at, &self.fault,
            ) != WRITE_DONE:
                return False
        self.spans.written()
        return True

    cdef bint _begin_described(self) noexcept nogil:
        """Create the file and lay out how it begins; False leaves a fault.

        In the directory that the data set names if that is known, else in the output
        directory. The UIDs are those of the data set, or while they are not known those
        of the command, which nearly always are the same.
        """
        self._choose_directory(False)
        self.opened_elsewhere = not self.directory_known
        self.meta_class = self.sop_class
        self.meta_instance = self.sop_instance
        if self.scanner.capturing != &self.scanner.sop_class:
            self.meta_class = self._uid(&self.scanner.sop_class, self.sop_class)
        if self.scanner.capturing != &self.scanner.sop_instance:
            self.meta_instance = self._uid(
                &self.scanner.sop_instance, self.sop_instance
            )
        if not self._begin_file(self.directory):
            return False
        self.meta_size = lay_file_meta(
            self.meta, self.plan, self.meta_class, self.meta_instance
        )
        return True

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
        """The value that a data set has for a UID, as the original was seen to take it.

        Up to its first NUL; what is no UI counts as absent, and "=" begins the name of
        a UID and not its number, so nothing is left of it.
        """
        cdef Span uid
        if not found.present or (found.vr != 0 and found.vr != VR_UI):
            return assumed
        uid.ptr = found.value
        uid.len = 0
        if found.len > 0 and found.value[0] == c'=':
            return uid
        while uid.len < found.len and uid.ptr[uid.len] != 0:
            uid.len += 1
        return uid

    cdef bint _correct_meta(self) noexcept nogil:
        """Describe the file by the UIDs of the data set, observed (spec 7.2)."""
        cdef size_t size
        cdef Span made
        cdef Span sop_class
        cdef Span sop_instance
        cdef Capture* found_class = &self.scanner.sop_class
        cdef Capture* found_instance = &self.scanner.sop_instance
        if self.looked_again:
            found_class = &self.finder.sop_class
            found_instance = &self.finder.sop_instance
        made.ptr = <const uint8_t*>self.made_uid
        made.len = 0
        if self._uid(found_instance, made).ptr == made.ptr:
            made.len = make_uid(self.made_uid)
        sop_class = self._uid(found_class, _no_sop_class)
        sop_instance = self._uid(found_instance, made)
        if same_text(sop_class, self.meta_class) and same_text(
            sop_instance, self.meta_instance
        ):
            return True
        size = lay_file_meta(self.meta, self.plan, sop_class, sop_instance)
        if size != self.meta_size:
            # All is written, so the window's memory is free for the move.
            if self.writer.shift(
                self.meta_size, self.written_size,
                <int64_t>size - <int64_t>self.meta_size,
                self.image.window.base, self.image.window.capacity, &self.fault,
            ) != WRITE_DONE:
                return False
        return self.writer.write(self.meta, size, 0, &self.fault) == WRITE_DONE
