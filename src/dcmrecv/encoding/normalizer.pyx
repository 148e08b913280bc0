"""What normal mode writes: the data set, encoded again by the rules of the original.

Sequences and items get undefined lengths, group lengths are counted anew, odd values
padded, elements sorted and repeated ones dropped, unknown sequences read and written as
what they are; every other byte stays (spec 8). The output is a list of spans: ranges of
the caller's bytes, and replaced bytes of our own. Never writes a file.
"""

cimport cython
from libc.stdlib cimport free, malloc, qsort

from dcmrecv.encoding.element cimport (
    TAG_ITEM,
    TAG_ITEM_DELIMITATION,
    TAG_SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH_VALUE,
)
from dcmrecv.encoding.notes cimport (
    NOTE_GROUP_LENGTH_VR,
    NOTE_ORDER,
    NOTE_TWICE,
    NOTES_MAX,
    NoteKind,
)
from dcmrecv.encoding.order cimport Piece, Reordering
from dcmrecv.encoding.scanner cimport (
    SCAN_ELEMENT,
    SCAN_END,
    SCAN_END_ITEM,
    SCAN_END_SEQUENCE,
    SCAN_FRAGMENT,
    SCAN_FRAGMENTS,
    SCAN_ITEM,
    SCAN_MORE,
    SCAN_SEQUENCE,
    SCAN_VALUE,
    Level,
)
from dcmrecv.encoding.spans cimport COPIED_RUN_MAX, Spans
from dcmrecv.encoding.vr cimport (
    LONG_HEADER,
    PADS_WITH_BLANK,
    PADS_WITH_NUL,
    UNIT_SHIFT,
    VR_OB,
    VR_SQ,
    VR_UI,
    VR_UL,
    VR_UN,
    vr_traits,
    written_vr,
)
from dcmrecv.native.fault cimport (
    ELEMENT_COUNT,
    GROUP_LENGTH,
    fault_message,
    set_element_fault,
)

cdef int _by_tag(const void* left, const void* right) noexcept nogil:
    cdef const Piece* a = <const Piece*>left
    cdef const Piece* b = <const Piece*>right
    if a.tag != b.tag:
        return -1 if a.tag < b.tag else 1
    return -1 if a.begin < b.begin else 1


@cython.final
@cython.no_gc
cdef class Normalizer:
    """Normalizes one data set after the other; owns 0.3 MiB, and more address space."""

    def __cinit__(self, DatasetScanner scanner not None):
        self.scanner = scanner
        self.reordering = Reordering()
        self.spans = Spans()
        self.traits = vr_traits()
        self.entries = <Entry*>malloc(OPEN_ENTRIES_MAX * sizeof(Entry))
        if self.entries == NULL:
            raise MemoryError("no room for a normalizer")
        self.begin(True, False, False)

    def __dealloc__(self):
        free(self.entries)

    cdef void begin(
        self, bint explicit_vr, bint big_endian, bint encapsulated
    ) noexcept nogil:
        """The next data set; offsets in the output count from its first byte."""
        self.scanner.reset(explicit_vr, big_endian, encapsulated)
        self.reordering.clear()
        self.spans.reset(explicit_vr, big_endian)
        self.dropping = False
        self.pad = -1
        self.unit = 1
        self.entry_count = 0
        self.reordered = False
        self.uncounted = 0
        self.corrected = 0
        self._open_frame(0)

    cdef NormalizeResult normalize(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil:
        """Take the next bytes; `used` says how many. Then write the spans.

        The spans refer to `data`. What is not used belongs in front of the next bytes.
        """
        cdef size_t at = 0
        cdef size_t step = 0
        cdef size_t shown
        cdef ScanEvent event
        while True:
            if self.spans.full():
                self.spans.end_run(False)
                used[0] = at
                return NORMALIZE_FULL
            shown = size - at
            if self.unit > 1:
                shown = min(shown, <size_t>COPIED_RUN_MAX)
            event = self.scanner.next(data + at, shown, &step)
            if event == SCAN_VALUE:
                self._value()
            elif event == SCAN_MORE:
                self.spans.end_run(True)
                used[0] = at
                return NORMALIZE_MORE
            elif not self._emit(event, data + at):
                used[0] = at
                return NORMALIZE_FAULT
            at += step
            if event == SCAN_ELEMENT and self._stays():
                step = self.scanner.pass_value(size - at)
                self.spans.keep(data + at, step)
                at += step

    cdef NormalizeResult finish(
        self, const uint8_t* rest, size_t size
    ) noexcept nogil:
        """The data set ends here; `rest` is what normalize() could not use.

        Called again after NORMALIZE_FULL, up to NORMALIZE_END.
        """
        cdef ScanEvent event
        while True:
            if self.spans.full():
                self.spans.end_run(False)
                return NORMALIZE_FULL
            event = self.scanner.finish(rest, size)
            if event == SCAN_END:
                break
            if not self._emit(event, NULL):
                return NORMALIZE_FAULT
        if not self._close_frame(0):
            return NORMALIZE_FAULT
        while self.corrected > 0:
            # Found out when it is written, as with the original.
            self.corrected -= 1
            self.scanner.notes.add(NOTE_GROUP_LENGTH_VR, 0, 0, 0)
        self.spans.end_run(True)
        return NORMALIZE_END

    cdef bint _emit(
        self, ScanEvent event, const uint8_t* header
    ) noexcept nogil:
        """Write what an event stands for; False leaves a fault with the scanner."""
        cdef int depth = self.scanner.depth
        if event == SCAN_ELEMENT:
            return self._element(header)
        if event == SCAN_SEQUENCE or event == SCAN_FRAGMENTS:
            if not self._enter(depth - 1, self.scanner.tag, self.scanner.misplaced):
                return False
            self.frames[depth].late = self.late
            if event == SCAN_SEQUENCE:
                self._sequence(header, VR_SQ)
            else:
                self._sequence(header, VR_OB)
            return True
        if event == SCAN_ITEM:
            self._item(header)
            self._open_frame(depth)
            return True
        if event == SCAN_FRAGMENT:
            self._fragment(header)
            return True
        if event == SCAN_END_ITEM:
            if not self._close_frame(depth + 1):
                return False
            self._end(header, TAG_ITEM_DELIMITATION)
            return True
        if event == SCAN_END_SEQUENCE:
            if self.frames[depth + 1].late:
                self._note_disorder(depth, self.scanner.levels[depth + 1].last_tag)
            self._end(header, TAG_SEQUENCE_DELIMITATION)
            return True
        return False

    cdef bint _element(self, const uint8_t* header) noexcept nogil:
        """The header of an element that holds a value."""
        cdef Level* level = &self.scanner.levels[self.scanner.depth]
        cdef bint converting = level.implicit and self.scanner.explicit_vr
        cdef uint32_t tag = self.scanner.tag
        cdef uint32_t length = self.scanner.length
        cdef uint16_t traits = self.traits[self.scanner.vr]
        cdef uint16_t vr = written_vr(self.scanner.vr)
        if not self._enter(self.scanner.depth, tag, 0):
            return False
        if self.late:
            self._note_disorder(self.scanner.depth, tag)
        if (tag & 0xFFFF) == 0:
            self._group_length()
            return True
        self.pad = -1
        if length & 1 and traits & (PADS_WITH_BLANK | PADS_WITH_NUL):
            self.pad = c' ' if traits & PADS_WITH_BLANK else 0
            # The original counts texts as padded, bytes as they came.
            self.pad_uncounted = self.pad == 0 and vr != VR_UI
            length += 1
        if self.scanner.explicit_vr and length > 0xFFFF:
            if not self.traits[vr] & LONG_HEADER:
                vr = VR_UN      # whose header has room for the length
        self.unit = 1
        if converting and self.scanner.big_endian and vr != VR_UN:
            self.unit = traits >> UNIT_SHIFT
            self.swapped_fill = 0
        if not converting and length == self.scanner.length and (
            not self.scanner.explicit_vr
            or (
                header[4] == vr >> 8 and header[5] == (vr & 0xFF)
                and (
                    self.scanner.header_size == 8
                    or (header[6] == 0 and header[7] == 0)
                )
            )
        ):
            self.spans.keep(header, self.scanner.header_size)
        else:
            self.spans.put_header(tag, vr, length)
        if self.scanner.value_left == 0:
            self._end_value()
        return True

    cdef void _group_length(self) noexcept nogil:
        """(gggg,0000): written with a value that is known when its group has ended.

        Always UL with one value, as the original makes of any other.
        """
        cdef Frame* frame = &self.frames[self.scanner.depth]
        cdef uint32_t nothing = 0
        self.corrected += self.scanner.vr != VR_UL
        self.spans.put_header(self.scanner.tag, VR_UL, 4)
        frame.length_at = self.spans.size
        self.spans.put(<const uint8_t*>&nothing, 4)
        frame.group = self.scanner.tag >> 16
        frame.group_begin = self.spans.size
        frame.group_uncounted = self.uncounted
        self.dropping = self.scanner.value_left > 0

    cdef inline bint _stays(self) noexcept nogil:
        """Is the value that follows written as it is?"""
        return self.unit == 1 and self.pad < 0 and not self.dropping

    cdef void _value(self) noexcept nogil:
        """A piece of a value."""
        if not self.dropping:
            if self.unit > 1:
                self._swap(self.scanner.value, self.scanner.value_size)
            else:
                self.spans.keep(self.scanner.value, self.scanner.value_size)
        if self.scanner.value_left == 0:
            self._end_value()

    cdef void _end_value(self) noexcept nogil:
        cdef uint8_t pad
        self.dropping = False
        if self.unit > 1:
            self.spans.put(self.swapped, self.swapped_fill)
            self.unit = 1
        if self.pad >= 0:
            pad = <uint8_t>self.pad
            self.spans.put(&pad, 1)
            self.uncounted += self.pad_uncounted
            self.pad = -1

    cdef void _swap(self, const uint8_t* data, size_t size) noexcept nogil:
        """Put bytes with each unit turned round; a part of a unit waits for its rest.

        At most COPIED_RUN_MAX bytes.
        """
        cdef size_t i
        cdef int j
        cdef uint8_t byte
        for i in range(size):
            self.swapped[self.swapped_fill] = data[i]
            self.swapped_fill += 1
            if self.swapped_fill < self.unit:
                continue
            for j in range(self.unit // 2):
                byte = self.swapped[j]
                self.swapped[j] = self.swapped[self.unit - 1 - j]
                self.swapped[self.unit - 1 - j] = byte
            self.spans.put(self.swapped, self.unit)
            self.swapped_fill = 0

    cdef void _sequence(self, const uint8_t* header, uint16_t vr) noexcept nogil:
        """The header of a sequence or of encapsulated pixel data."""
        cdef Level* parent = &self.scanner.levels[self.scanner.depth - 1]
        if self.scanner.length == UNDEFINED_LENGTH_VALUE and (
            not self.scanner.explicit_vr
            or (
                not parent.implicit
                and header[4] == vr >> 8 and header[5] == (vr & 0xFF)
                and header[6] == 0 and header[7] == 0
            )
        ):
            self.spans.keep(header, self.scanner.header_size)
        else:
            self.spans.put_header(self.scanner.tag, vr, UNDEFINED_LENGTH_VALUE)

    cdef void _item(self, const uint8_t* header) noexcept nogil:
        cdef bint turned = (
            self.scanner.big_endian and self.scanner.levels[self.scanner.depth].implicit
        )
        if self.scanner.length == UNDEFINED_LENGTH_VALUE and not turned:
            self.spans.keep(header, 8)
            return
        self.spans.put_item(TAG_ITEM, UNDEFINED_LENGTH_VALUE)

    cdef void _end(
        self, const uint8_t* header, uint32_t tag
    ) noexcept nogil:
        """The delimiter of what has just ended, whether it had one or not."""
        cdef bint turned = (
            self.scanner.big_endian
            and self.scanner.levels[self.scanner.depth + 1].implicit
        )
        if self.scanner.header_size == 8 and self.scanner.length == 0 and not turned:
            self.spans.keep(header, 8)
            return
        self.spans.put_item(tag, 0)

    cdef void _fragment(self, const uint8_t* header) noexcept nogil:
        """The header of a fragment; an odd one is padded, PS3.5 section A.4."""
        self.unit = 1
        if self.scanner.length & 1 == 0:
            self.spans.keep(header, 8)
            return
        self.spans.put_item(TAG_ITEM, self.scanner.length + 1)
        self.pad = 0
        self.pad_uncounted = True

    cdef bint _enter(
        self, int depth, uint32_t tag, uint32_t misplaced
    ) noexcept nogil:
        """An element begins in the item at `depth`; is it pixel data misplaced?"""
        cdef Frame* frame = &self.frames[depth]
        cdef Entry* entry = &self.entries[self.entry_count]
        if self.entry_count == OPEN_ENTRIES_MAX:
            set_element_fault(
                &self.scanner.fault, ELEMENT_COUNT, tag, self.scanner.header_offset,
                OPEN_ENTRIES_MAX,
            )
            return False
        self.late = tag <= frame.last_tag and self.entry_count > frame.first_entry
        if self.late:
            frame.disordered = True
        else:
            frame.last_tag = tag
        if frame.length_at != 0 and (tag >> 16) != frame.group:
            if not self._close_group(frame):
                return False
        entry.begin = self.spans.size
        entry.tag = tag
        entry.uncounted = <uint32_t>self.uncounted
        entry.misplaced = self.scanner.misplaced_fragments - misplaced
        entry.corrected = self.corrected
        self.entry_count += 1
        return True

    cdef void _note_disorder(self, int depth, uint32_t tag) noexcept nogil:
        """The last element of an item came too late, or again.

        A sequence is found out at its end. Too many are only counted.
        """
        cdef int kind = NOTE_ORDER
        cdef int i
        if self.scanner.notes.count < NOTES_MAX:
            for i in range(self.frames[depth].first_entry, self.entry_count - 1):
                if self.entries[i].tag == tag:
                    kind = NOTE_TWICE
                    break
        self.scanner.notes.add_before_group(<NoteKind>kind, tag)

    cdef void _open_frame(self, int depth) noexcept nogil:
        cdef Frame* frame = &self.frames[depth]
        frame.first_entry = self.entry_count
        frame.last_tag = 0
        frame.disordered = False
        frame.length_at = 0

    cdef bint _close_frame(self, int depth) noexcept nogil:
        """An item, or the data set, ends. False leaves a fault."""
        cdef Frame* frame = &self.frames[depth]
        if frame.length_at != 0 and not self._close_group(frame):
            return False
        if frame.disordered and not self._reorder(frame):
            return False
        self.entry_count = frame.first_entry
        return True

    cdef bint _close_group(self, Frame* frame) noexcept nogil:
        """Elements of another group follow: now the group's length is known."""
        cdef uint64_t counted = self.spans.size - frame.group_begin
        counted -= self.uncounted - frame.group_uncounted
        if not self._set_length(frame.length_at, counted):
            return False
        frame.length_at = 0
        return True

    cdef bint _reorder(self, Frame* frame) noexcept nogil:
        """Put the elements of an item in ascending order, of repeated ones the first.

        In memory if the item lies there whole; else the caller does, in the file.
        """
        cdef int count = self.entry_count - frame.first_entry
        cdef Piece* pieces = <Piece*>malloc(count * sizeof(Piece))
        cdef uint64_t dropped = 0
        cdef uint64_t dropped_counted = 0
        cdef int kept = 0
        cdef int i
        cdef bint done = False
        self.reordered = True
        if pieces != NULL:
            self.spans.end_run(False)
            self._take_pieces(frame, pieces)
            qsort(pieces, count, sizeof(Piece), _by_tag)
            for i in range(count):
                if kept > 0 and pieces[kept - 1].tag == pieces[i].tag:
                    dropped += pieces[i].end - pieces[i].begin
                    dropped_counted += pieces[i].counted
                    self.scanner.misplaced_fragments -= pieces[i].misplaced
                    self.corrected -= pieces[i].corrected
                    continue
                pieces[kept] = pieces[i]
                kept += 1
            done = self._count_groups(pieces, kept)
            if done and self.spans.permute(
                pieces, kept, self.entries[frame.first_entry].begin
            ):
                self.uncounted -= dropped - dropped_counted
            elif done:
                done = self.reordering.add(
                    pieces, kept, self.entries[frame.first_entry].begin, self.spans.size
                )
                self.uncounted += dropped_counted
            free(pieces)
        if not done:
            set_element_fault(
                &self.scanner.fault, ELEMENT_COUNT, frame.last_tag,
                self.scanner.header_offset, <uint64_t>count,
            )
        return done

    cdef void _take_pieces(self, const Frame* frame, Piece* pieces) noexcept nogil:
        """Where each element of an item lies, as they came."""
        cdef int count = self.entry_count - frame.first_entry
        cdef const Entry* entry = &self.entries[frame.first_entry]
        cdef uint32_t uncounted
        cdef uint32_t misplaced
        cdef uint32_t corrected
        cdef int i
        for i in range(count):
            pieces[i].tag = entry[i].tag
            pieces[i].begin = entry[i].begin
            if i == count - 1:
                pieces[i].end = self.spans.size
                uncounted = <uint32_t>self.uncounted
                misplaced = self.scanner.misplaced_fragments
                corrected = self.corrected
            else:
                pieces[i].end = entry[i + 1].begin
                uncounted = entry[i + 1].uncounted
                misplaced = entry[i + 1].misplaced
                corrected = entry[i + 1].corrected
            pieces[i].misplaced = misplaced - entry[i].misplaced
            pieces[i].corrected = corrected - entry[i].corrected
            pieces[i].counted = (
                pieces[i].end - pieces[i].begin
                - <uint32_t>(uncounted - entry[i].uncounted)
            )

    cdef bint _count_groups(self, const Piece* pieces, int count) noexcept nogil:
        """Set the group lengths of an item whose elements are in order now."""
        cdef uint64_t counted
        cdef int i = 0
        cdef int j
        while i < count:
            j = i + 1
            counted = 0
            while j < count and (pieces[j].tag >> 16) == (pieces[i].tag >> 16):
                counted += pieces[j].counted
                j += 1
            # A sequence of that tag, which is longer, is no group length.
            if (pieces[i].tag & 0xFFFF) == 0 and (
                pieces[i].end - pieces[i].begin == GROUP_LENGTH_BYTES
            ):
                if not self._set_length(pieces[i].begin + 8, counted):
                    return False
            i = j
        return True

    cdef bint _set_length(self, uint64_t at, uint64_t value) noexcept nogil:
        """Set a group length that was written as nothing at `at`."""
        if value > <uint64_t>UNDEFINED_LENGTH_VALUE:
            # Differs: the original takes the group length out.
            set_element_fault(
                &self.scanner.fault, GROUP_LENGTH, self.scanner.tag,
                self.scanner.header_offset, value,
            )
            return False
        if not self.spans.patch(at, <uint32_t>value):
            set_element_fault(
                &self.scanner.fault, ELEMENT_COUNT, self.scanner.tag,
                self.scanner.header_offset, 0,
            )
            return False
        return True

    def rewrite(
        self, chunks, bint explicit_vr=True, bint big_endian=False,
        bint encapsulated=False,
    ):
        """Normalize a data set that comes in `chunks` of bytes; for tests.

        Returns:
            The data set as it is written, or the text of why it cannot be.
        """
        cdef bytes rest = b""
        cdef size_t used = 0
        cdef NormalizeResult result = NORMALIZE_MORE
        cdef uint64_t begin = 0
        cdef uint64_t end = 0
        cdef bytearray output = bytearray()
        self.begin(explicit_vr, big_endian, encapsulated)
        for chunk in chunks:
            rest += chunk
            result = NORMALIZE_FULL
            while result == NORMALIZE_FULL:
                result = self.normalize(rest, <size_t>len(rest), &used)
                self.spans.collect(output)
                rest = rest[used:]
            if result != NORMALIZE_MORE:
                return fault_message(&self.scanner.fault)
        result = NORMALIZE_FULL
        while result == NORMALIZE_FULL:
            result = self.finish(rest, <size_t>len(rest))
            self.spans.collect(output)
        if result != NORMALIZE_END:
            return fault_message(&self.scanner.fault)
        if self.scanner.misplaced_fragments > 0:
            return "misplaced fragments"
        if self.reordering.group_count == 0:
            return bytes(output)
        ordered = bytearray()
        self.reordering.begin_walk(0, self.spans.size)
        while self.reordering.next_range(&begin, &end):
            ordered += output[begin:end]
        return bytes(ordered)
