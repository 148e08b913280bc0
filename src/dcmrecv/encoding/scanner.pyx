"""A resumable walk over a data set: what is where, as the original reads it.

A pull parser: each call gives the next event and says how many bytes it took. Headers
must lie whole in what the caller shows, so the caller shows again what was not used.
Keeps no more than the wanted values. Never writes and never changes a byte.
PS3.5 section 7 and Annex A.4; where the standard is silent or a data set breaks it, the
rules are those that dcmrecv 3.6.7 was seen to follow (spec 8).
"""

cimport cython
from libc.string cimport memcpy

from dcmrecv.encoding.element cimport (
    TAG_ITEM,
    TAG_ITEM_DELIMITATION,
    TAG_PIXEL_DATA,
    TAG_PIXEL_REPRESENTATION,
    TAG_SEQUENCE_DELIMITATION,
    TAG_SERIES_DATE,
    TAG_SOP_CLASS_UID,
    TAG_SOP_INSTANCE_UID,
    TAG_VOI_LUT_SEQUENCE,
    TAG_WAVEFORM_BITS_ALLOCATED,
    UNDEFINED_LENGTH_VALUE,
    is_delimiter,
    load_tag,
    load_u16,
    load_u32,
)
from dcmrecv.encoding.notes cimport (
    NOTE_GROUP,
    NOTE_ITEM_OVERRUN,
    NOTE_NOT_STANDARD,
    NOTE_ODD_ITEM,
    NOTE_ODD_LENGTH,
    NOTE_OX,
    NOTE_UNIT,
    NOTE_UNKNOWN_SEQUENCE,
)
from dcmrecv.encoding.vr cimport (
    LONG_HEADER,
    PADS_WITH_BLANK,
    STANDARD,
    UNIT_SHIFT,
    VR_BYTES_OR_WORDS,
    VR_DELIMITER,
    VR_FRAGMENT,
    VR_LUT,
    VR_NONE,
    VR_OB,
    VR_OFFSET,
    VR_OW,
    VR_OX,
    VR_PIXELS,
    VR_SHORT,
    VR_SQ,
    VR_SS,
    VR_UI,
    VR_UN,
    VR_UNKNOWN,
    VR_UNKNOWN_SHORT,
    vr_traits,
)
from dcmrecv.native.fault cimport (
    DATA_SET_TRUNCATED,
    DEFINED_PIXEL_DATA,
    ELEMENT_LENGTH,
    IMPOSSIBLE_VR,
    NESTING_DEPTH,
    NOT_AN_ITEM,
    UNDEFINED_LENGTH,
    UNEXPECTED_DELIMITER,
    FaultCode,
    clear_fault,
    fault_message,
    set_element_fault,
)


@cython.final
@cython.no_gc
cdef class DatasetScanner:
    """One scanner serves many data sets; `reset()` begins the next."""

    def __cinit__(self, VrTable table not None, Notes notes=None):
        self.table = table
        self.traits = vr_traits()
        self.notes = notes if notes is not None else Notes()
        self.reset(True, False, False)

    cdef void reset(
        self, bint explicit_vr, bint big_endian, bint encapsulated
    ) noexcept nogil:
        self.explicit_vr = explicit_vr
        self.big_endian = big_endian
        self.encapsulated = encapsulated
        self.offset = 0
        self.depth = -1
        self.value_left = 0
        self.capturing = NULL
        self.sop_class.present = False
        self.sop_instance.present = False
        self.series_date.present = False
        self.uids_in_items = False
        self.creator_count = 0
        self.misplaced_fragments = 0
        self.pixel_data = False
        self.defined_pixel_data = False
        self.header_offset = 0
        self.tag = 0
        self.notes.clear()
        clear_fault(&self.fault)
        self._push(LEVEL_ITEM, UNDEFINED_LENGTH_VALUE, not explicit_vr)

    cdef ScanEvent next(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil:
        """The next event in `data`; `used` says how many bytes it took."""
        cdef Level* level = &self.levels[self.depth]
        used[0] = 0
        if self.value_left > 0:
            return self._value_piece(data, size, used)
        if (
            level.length != UNDEFINED_LENGTH_VALUE
            and self.offset - level.begin >= level.length
        ):
            self.header_size = 0
            return self._pop()
        if size < 8:
            return SCAN_MORE
        if level.kind != LEVEL_ITEM:
            return self._part_of_sequence(data, used)
        return self._element(data, size, used)

    cdef ScanEvent _value_piece(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil:
        cdef size_t room
        if size == 0:
            return SCAN_MORE
        self.value = data
        self.value_size = <size_t>min(self.value_left, <uint64_t>size)
        used[0] = self.value_size
        self.offset += self.value_size
        self.value_left -= self.value_size
        if self.capturing != NULL:
            room = min(self.value_size, CAPTURE_BYTES_MAX - self.capturing.len)
            memcpy(self.capturing.value + self.capturing.len, data, room)
            self.capturing.len += room
            if self.value_left == 0:
                self._captured()
        return SCAN_VALUE

    cdef ScanEvent finish(self, const uint8_t* rest, size_t size) noexcept nogil:
        """The data set ends here, `rest` being what next() could not use.

        Called again after SCAN_END_ITEM and SCAN_END_SEQUENCE, up to SCAN_END.
        """
        cdef Level* level = &self.levels[self.depth]
        cdef size_t i
        if self.fault.code != 0:
            return SCAN_FAULT
        if self.value_left > 0:
            return self._fail(DATA_SET_TRUNCATED, 0)
        self.header_size = 0
        if size > 0:
            # Differs: the original drops the last bytes, too few for an element,
            # whatever they are, and so may lose the end of a data set.
            for i in range(size):
                if rest[i] != 0 or self.depth > 0:
                    self.header_offset = self.offset
                    return self._fail(DATA_SET_TRUNCATED, 0)
            if self.explicit_vr and size >= 6:
                # Enough to see the VR of an element that begins, as observed.
                self.notes.add(NOTE_NOT_STANDARD, 0, 0, 2)
        if self.depth > 0:
            # An item may end with the data set; a sequence must be complete.
            if level.kind != LEVEL_ITEM and (
                level.length == UNDEFINED_LENGTH_VALUE
                or self.offset - level.begin < level.length
            ):
                self.header_offset = self.offset
                return self._fail(DATA_SET_TRUNCATED, 0)
            return self._pop()
        if self.defined_pixel_data and size == 0:
            self.tag = TAG_PIXEL_DATA
            self.header_offset = self.defined_offset
            return self._fail(DEFINED_PIXEL_DATA, 0)
        return SCAN_END

    cdef bint skim(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil:
        """Walk over all of `data` that can be; False leaves a fault."""
        cdef ScanEvent event
        cdef size_t step = 0
        cdef size_t at = 0
        while True:
            event = self.next(data + at, size - at, &step)
            at += step
            if event == SCAN_MORE or event == SCAN_FAULT:
                used[0] = at
                return event == SCAN_MORE

    cdef bint skim_end(self, const uint8_t* rest, size_t size) noexcept nogil:
        """Is the data set whole? False leaves a fault."""
        cdef ScanEvent event = SCAN_END_ITEM
        while event == SCAN_END_ITEM or event == SCAN_END_SEQUENCE:
            event = self.finish(rest, size)
        return event == SCAN_END

    cdef ScanEvent _element(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil:
        """The header of an element at the top level or in an item."""
        cdef Level* level = &self.levels[self.depth]
        cdef bint big_endian = self.big_endian and not level.implicit
        cdef uint16_t traits
        cdef uint16_t unit
        cdef ScanEvent event
        self.header_offset = self.offset
        self.tag = load_tag(data, big_endian)
        self.header_size = 8
        if is_delimiter(self.tag):
            self.vr = VR_DELIMITER
            self.length = load_u32(data + 4, big_endian)
        elif level.implicit:
            self.vr = self._vr_by_dictionary()
            self.length = load_u32(data + 4, big_endian)
        else:
            self.vr = <uint16_t>((<uint16_t>data[4] << 8) | <uint16_t>data[5])
            if self.vr == VR_DELIMITER or self.vr == VR_FRAGMENT:
                return self._fail(IMPOSSIBLE_VR, 0)
            traits = self.traits[self.vr]
            if traits & LONG_HEADER:
                if size < 12:
                    return SCAN_MORE
                self.header_size = 12
                self.length = load_u32(data + 8, big_endian)
            else:
                self.length = load_u16(data + 6, big_endian)
            if not traits & STANDARD:
                self._not_standard(traits)
                traits = self.traits[self.vr]
            unit = traits >> UNIT_SHIFT
            if unit > 1 and self.length % unit != 0:
                self.notes.add(NOTE_UNIT, self.tag, self.vr, unit)
        used[0] = self.header_size
        self.offset += self.header_size
        if self.length & 1 and self.length != UNDEFINED_LENGTH_VALUE:
            self.notes.add(NOTE_ODD_LENGTH, self.tag, self.vr, self.length)
        if not self._fits_item():
            return SCAN_FAULT
        if self.vr == VR_DELIMITER:
            return self._delimiter()
        event = self._classify()
        if event == SCAN_ELEMENT:
            self._note_group(self.tag)
        return event

    cdef void _note_group(self, uint32_t tag) noexcept nogil:
        """Behind an element, as the original does, is it one that nobody may send?"""
        cdef uint32_t group = tag >> 16
        if group == 2 or (group & 1 and (group <= 7 or group == 0xFFFF)):
            self.notes.add(NOTE_GROUP, tag, 0, 0)

    cdef void _not_standard(self, uint16_t traits) noexcept nogil:
        """Two letters that PS3.5 has not, as the original takes them."""
        cdef uint16_t read = self.vr
        if (
            read == VR_BYTES_OR_WORDS or read == VR_PIXELS or read == VR_SHORT
            or read == VR_LUT or read == VR_OFFSET
        ):
            pass
        elif traits & LONG_HEADER:
            self.vr = VR_UNKNOWN
        else:
            self.vr = VR_UNKNOWN_SHORT
        self.notes.add(
            NOTE_NOT_STANDARD, self.tag, read, 4 if traits & LONG_HEADER else 2
        )
        if self.tag == TAG_PIXEL_DATA and read == VR_OX:
            self.notes.add(NOTE_OX, self.tag, read, 0)
            self.vr = VR_OW

    cdef bint _fits_item(self) noexcept nogil:
        """Does the element just read end where its item does, or before?

        A header that itself goes beyond the end of its item is let pass, as seen.
        """
        cdef Level* level = &self.levels[self.depth]
        cdef uint64_t inside = self.offset - level.begin
        if self.depth == 0 or level.length == UNDEFINED_LENGTH_VALUE:
            return True
        if self.length == UNDEFINED_LENGTH_VALUE:
            return True
        if inside > level.length:
            self.notes.add(NOTE_ITEM_OVERRUN, self.tag, 0, level.length)
            if self.tag != TAG_SEQUENCE_DELIMITATION:
                return True
        elif self.length <= level.length - inside:
            return True
        self._fail(ELEMENT_LENGTH, 0)
        return False

    cdef ScanEvent _delimiter(self) noexcept nogil:
        """A delimiter or an item where elements are due."""
        if self.tag == TAG_ITEM_DELIMITATION and self.depth > 0:
            return self._pop()
        # Differs: at the top level the original takes an item delimiter for the end of
        # the data set, and so may lose what follows.
        return self._fail(UNEXPECTED_DELIMITER, 0)

    cdef ScanEvent _part_of_sequence(
        self, const uint8_t* data, size_t* used
    ) noexcept nogil:
        """What a sequence or encapsulated pixel data may hold: items and the end."""
        cdef Level* level = &self.levels[self.depth]
        cdef bint big_endian = self.big_endian and not level.implicit
        self.header_offset = self.offset
        self.tag = load_tag(data, big_endian)
        self.length = load_u32(data + 4, big_endian)
        self.header_size = 8
        used[0] = 8
        self.offset += 8
        if self.length & 1 and self.length != UNDEFINED_LENGTH_VALUE:
            self.notes.add(NOTE_ODD_ITEM, level.last_tag, 0, self.length)
        if self.tag == TAG_SEQUENCE_DELIMITATION:
            return self._pop()
        if self.tag != TAG_ITEM:
            return self._fail(NOT_AN_ITEM, 0)
        if level.kind == LEVEL_SEQUENCE:
            return self._push(LEVEL_ITEM, self.length, level.implicit)
        if self.length == UNDEFINED_LENGTH_VALUE:
            return self._fail(UNDEFINED_LENGTH, 0)
        self.value_left = self.length
        self.capturing = NULL
        return SCAN_FRAGMENT

    cdef ScanEvent _classify(self) noexcept nogil:
        """An element: does it hold a value, items, or fragments?"""
        cdef Level* level = &self.levels[self.depth]
        cdef bint undefined = self.length == UNDEFINED_LENGTH_VALUE
        cdef uint16_t vr = self._resolved(self.vr)
        self.vr = vr
        self.misplaced = False
        if self.depth == 0 and self.tag == TAG_PIXEL_DATA and not self.pixel_data:
            self.pixel_data = True
            self.defined_pixel_data = self.encapsulated and not undefined
            self.defined_offset = self.header_offset
        if vr == VR_SQ:
            return self._push(LEVEL_SEQUENCE, self.length, level.implicit)
        if undefined:
            if vr == VR_UN or vr == VR_UNKNOWN or vr == VR_UNKNOWN_SHORT:
                # PS3.5 section 6.2.2, note 4: the content is Implicit VR.
                self.notes.add(NOTE_UNKNOWN_SEQUENCE, self.tag, 0, 0)
                self.vr = VR_SQ
                return self._push(LEVEL_SEQUENCE, self.length, True)
            if vr == VR_PIXELS or self.tag == TAG_PIXEL_DATA and (
                vr == VR_OB or vr == VR_OW
            ):
                self.misplaced = level.implicit or not self.encapsulated
                self.misplaced_fragments += self.misplaced
                return self._push(LEVEL_FRAGMENTS, self.length, level.implicit)
            return self._fail(UNDEFINED_LENGTH, 0)
        if self.tag == TAG_VOI_LUT_SEQUENCE and (vr == VR_OB or vr == VR_OW):
            return self._fail(IMPOSSIBLE_VR, 0)
        self._capture()
        if self.tag > level.last_tag:
            level.last_tag = self.tag
        self.value_left = self.length
        return SCAN_ELEMENT

    cdef uint16_t _vr_by_dictionary(self) noexcept nogil:
        """The VR of an element that does not say it."""
        cdef Level* level = &self.levels[self.depth]
        cdef uint32_t block
        cdef uint16_t vr
        cdef int i
        if self.tag & 0x10000 and (self.tag & 0xFFFF) >= 0x1000:
            block = (self.tag & <uint32_t>0xFFFF0000) | ((self.tag >> 8) & 0xFF)
            for i in range(level.creators, self.creator_count):
                if self.creators[i].block == block:
                    vr = self.table.find_private(self.tag, self.creators[i].number)
                    if vr != VR_NONE:
                        return vr
                    break
        vr = self.table.find(self.tag)
        if vr == VR_NONE:
            return VR_UNKNOWN
        return vr

    cdef uint16_t _resolved(self, uint16_t vr) noexcept nogil:
        """What an ambiguous VR comes to; PS3.5 sections 8.1.2, 8.2, 8.3 and A.1."""
        cdef Level* level = &self.levels[self.depth]
        cdef uint32_t repeating = self.tag & <uint32_t>0xFF01FFFF
        if vr == VR_PIXELS or vr == VR_BYTES_OR_WORDS:
            if self.tag == TAG_PIXEL_DATA or repeating == 0x60003000:
                return VR_OW
            if vr == VR_PIXELS:
                if self.length == UNDEFINED_LENGTH_VALUE:
                    return vr
                return VR_OW
            if not level.implicit:
                return vr
            if repeating == 0x50003000:
                return VR_OB
            if (
                self.tag == 0x54000110 or self.tag == 0x54000112
                or self.tag == 0x5400100A or self.tag == 0x54001010
            ) and level.waveform_bits >= 0:
                if level.waveform_bits == 8:
                    return VR_OB
                return VR_OW
        elif vr == VR_SHORT and level.implicit and level.pixel_representation == 1:
            if (
                self.tag == 0x00280120 or self.tag == 0x00280121
                or self.tag == 0x00603004 or self.tag == 0x00603006
                or self.tag == 0x00189810 or self.tag == 0x00283002
                or 0x00280106 <= self.tag <= 0x00280109
                or self.tag == 0x00409211 or self.tag == 0x00409216
            ):
                return VR_SS
        return vr

    cdef ScanEvent _push(
        self, LevelKind kind, uint32_t length, bint implicit
    ) noexcept nogil:
        cdef Level* level
        if self.depth == LEVELS_MAX:
            return self._fail(NESTING_DEPTH, LEVELS_MAX)
        if kind != LEVEL_ITEM and self.tag > self.levels[self.depth].last_tag:
            self.levels[self.depth].last_tag = self.tag
        self.depth += 1
        level = &self.levels[self.depth]
        level.kind = kind
        level.implicit = implicit
        level.length = length
        level.begin = self.offset
        level.creators = self.creator_count
        # Of a sequence: its own tag, for what is noted of its items.
        level.last_tag = 0 if kind == LEVEL_ITEM else self.tag
        level.pixel_representation = NOT_SAID
        level.waveform_bits = NOT_SAID
        if kind == LEVEL_ITEM:
            return SCAN_ITEM
        return SCAN_SEQUENCE if kind == LEVEL_SEQUENCE else SCAN_FRAGMENTS

    cdef ScanEvent _pop(self) noexcept nogil:
        """Leave a level, by its delimiter or because its length has run out."""
        cdef Level* level = &self.levels[self.depth]
        self.creator_count = level.creators
        self.depth -= 1
        if level.kind == LEVEL_ITEM:
            return SCAN_END_ITEM
        self._note_group(level.last_tag)
        return SCAN_END_SEQUENCE

    cdef void _capture(self) noexcept nogil:
        """Keep the value of a wanted tag; of a repeated one the first (spec 8)."""
        cdef Level* level = &self.levels[self.depth]
        cdef uint16_t vr = 0 if level.implicit else self.vr
        self.capturing = NULL
        if self.tag == TAG_SOP_CLASS_UID:
            self.uids_in_items |= self.depth > 0
            if not self.sop_class.present:
                self.capturing = &self.sop_class
        elif self.tag == TAG_SOP_INSTANCE_UID:
            self.uids_in_items |= self.depth > 0
            if not self.sop_instance.present:
                self.capturing = &self.sop_instance
        elif self.tag == TAG_SERIES_DATE:
            if self.depth == 0 and not self.series_date.present:
                self.capturing = &self.series_date
        elif (
            (
                self.tag == TAG_PIXEL_REPRESENTATION
                and level.pixel_representation == NOT_SAID
            )
            or (
                self.tag == TAG_WAVEFORM_BITS_ALLOCATED
                and level.waveform_bits == NOT_SAID
            )
            # Only one that comes in its order is remembered, as seen.
            or ((self.tag & 0x1FF00) == 0x10000 and self.tag > level.last_tag)
        ) and level.implicit:
            self.capturing = &self.other
        if self.capturing == NULL:
            return
        self.capturing.present = True
        self.capturing.vr = vr
        self.capturing.len = 0
        if self.length == 0:
            self._captured()

    cdef void _captured(self) noexcept nogil:
        """A wanted value is complete: remember what later elements depend on."""
        cdef Level* level = &self.levels[self.depth]
        cdef Capture* capture = self.capturing
        cdef size_t size = 0
        cdef int32_t said = SAID_NOTHING
        cdef uint16_t number
        self.capturing = NULL
        if capture != &self.other:
            return
        if capture.len >= 2:
            said = load_u16(capture.value, False)
        if self.tag == TAG_PIXEL_REPRESENTATION:
            level.pixel_representation = said
            return
        if self.tag == TAG_WAVEFORM_BITS_ALLOCATED:
            level.waveform_bits = said
            return
        if self.tag & 0xFF < 0x10 or self.creator_count == OPEN_CREATORS_MAX:
            return
        if self.vr != VR_UI and not self.traits[self.vr] & PADS_WITH_BLANK:
            return
        while size < capture.len and capture.value[size] != 0:
            size += 1           # a blank at the end stays and counts, as seen
        number = self.table.find_creator(capture.value, size)
        if number != 0:
            self.creators[self.creator_count].block = self.tag
            self.creators[self.creator_count].number = number
            self.creator_count += 1

    cdef ScanEvent _fail(self, int code, uint64_t b) noexcept nogil:
        set_element_fault(
            &self.fault, <FaultCode>code, self.tag, self.header_offset, b
        )
        return SCAN_FAULT

    def examine(
        self, chunks, bint explicit_vr=True, bint big_endian=False,
        bint encapsulated=False,
    ):
        """Scan a data set that comes in `chunks` of bytes; for tests.

        Returns:
            A dict: "fault" (text or None) and the captured "sop_class", "sop_instance"
            and "series_date" (bytes, or None when absent).
        """
        cdef bytes rest = b""
        cdef size_t used = 0
        cdef bint good = True
        self.reset(explicit_vr, big_endian, encapsulated)
        for chunk in chunks:
            rest += chunk
            good = self.skim(rest, <size_t>len(rest), &used)
            if not good:
                break
            rest = rest[used:]
        if good:
            self.skim_end(rest, <size_t>len(rest))
        return {
            "fault": fault_message(&self.fault) if self.fault.code != 0 else None,
            "sop_class": _captured_value(&self.sop_class),
            "sop_instance": _captured_value(&self.sop_instance),
            "series_date": _captured_value(&self.series_date),
        }


cdef object _captured_value(const Capture* capture):
    if not capture.present:
        return None
    return capture.value[:capture.len]
