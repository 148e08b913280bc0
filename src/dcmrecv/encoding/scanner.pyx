"""A resumable walk over a data set: is it well formed, and what do a few tags say.

Reads chunks of any size in order, keeps no more than a header and the wanted values.
Never writes and never changes a byte. PS3.5 section 7 and Annex A.4.
"""

cimport cython
from libc.string cimport memcpy

from dcmrecv.encoding.element cimport (
    TAG_ITEM,
    TAG_ITEM_DELIMITATION,
    TAG_PIXEL_DATA,
    TAG_SEQUENCE_DELIMITATION,
    TAG_SERIES_DATE,
    TAG_SOP_CLASS_UID,
    TAG_SOP_INSTANCE_UID,
    UNDEFINED_LENGTH_VALUE,
    has_long_header,
    is_delimiter_group,
    load_tag,
    load_u16,
    load_u32,
    vr_code,
)
from dcmrecv.native.fault cimport (
    DATA_SET_TRUNCATED,
    DEFINED_PIXEL_DATA,
    ELEMENT_LENGTH,
    NESTING_DEPTH,
    NOT_AN_ITEM,
    UNDEFINED_LENGTH,
    UNEXPECTED_DELIMITER,
    FaultCode,
    clear_fault,
    fault_message,
    set_element_fault,
)

cdef uint64_t UNDEFINED_END = 0xFFFFFFFFFFFFFFFF


@cython.final
@cython.no_gc
cdef class DatasetScanner:
    """One scanner serves many data sets; `reset()` begins the next."""

    def __cinit__(self):
        self.reset(True, False, False)

    cdef void reset(
        self, bint explicit_vr, bint big_endian, bint encapsulated
    ) noexcept nogil:
        self.explicit_vr = explicit_vr
        self.big_endian = big_endian
        self.encapsulated = encapsulated
        self.offset = 0
        self.depth = 0
        self.header_fill = 0
        self.header_need = 8
        self.header_offset = 0
        self.value_left = 0
        self.tag = 0
        self.capturing = NULL
        self.sop_class.present = False
        self.sop_instance.present = False
        self.series_date.present = False
        self.misplaced_fragments = False
        clear_fault(&self.fault)

    cdef ScanResult scan(self, const uint8_t* data, size_t size) noexcept nogil:
        """Look at the next `size` bytes. After SCAN_FAULT nothing is looked at."""
        cdef size_t at = 0
        cdef size_t take
        cdef size_t room
        cdef ScanResult result
        if self.fault.code != 0:
            return SCAN_FAULT
        while at < size:
            if self.value_left > 0:
                take = <size_t>min(self.value_left, <uint64_t>(size - at))
                if self.capturing != NULL:
                    room = min(take, CAPTURE_BYTES_MAX - self.capturing.len)
                    memcpy(self.capturing.value + self.capturing.len, data + at, room)
                    self.capturing.len += room
                at += take
                self.offset += take
                self.value_left -= take
                continue
            if self.header_fill == 0:
                self._pop_ended()
                self.header_offset = self.offset
                self.header_need = 8
            take = min(self.header_need - self.header_fill, size - at)
            memcpy(self.header + self.header_fill, data + at, take)
            self.header_fill += take
            at += take
            self.offset += take
            if self.header_fill == self.header_need:
                result = self._element()
                if result != SCAN_OK:
                    return result
        return SCAN_OK

    cdef ScanResult finish(self) noexcept nogil:
        """The data set ends here: is anything left open?"""
        if self.fault.code != 0:
            return SCAN_FAULT
        if self.value_left > 0 or not self._rest_is_padding():
            return self._fail(DATA_SET_TRUNCATED, 0)
        self.header_fill = 0
        self._pop_ended()
        if self.depth > 0:
            self.header_offset = self.offset
            return self._fail(DATA_SET_TRUNCATED, 0)
        return SCAN_OK

    cdef bint _rest_is_padding(self) noexcept nogil:
        """Are the last bytes, too few for an element, zeros? The original ignores them.

        Differs: it ignores other bytes too, and so may lose the end of a data set.
        """
        cdef size_t i
        for i in range(self.header_fill):
            if self.header[i] != 0:
                return False
        return self.header_fill == 0 or self.depth == 0

    cdef ScanResult _element(self) noexcept nogil:
        """A header of `header_need` bytes is there; read it, or ask for 12 bytes."""
        cdef bint big_endian = self._reads_big_endian()
        cdef uint32_t tag = load_tag(self.header, big_endian)
        cdef uint32_t length
        cdef uint16_t vr = 0
        self.tag = tag
        if self.depth > 0 and self.offset > self.levels[self.depth - 1].end:
            return self._fail(ELEMENT_LENGTH, 0)
        if is_delimiter_group(tag) or self._reads_implicit():
            length = load_u32(self.header + 4, big_endian)
        elif self.depth > 0 and self.levels[self.depth - 1].kind != LEVEL_ITEM:
            return self._fail(NOT_AN_ITEM, 0)
        else:
            vr = vr_code(<char>self.header[4], <char>self.header[5])
            if not has_long_header(vr):
                length = load_u16(self.header + 6, big_endian)
            elif self.header_fill < 12:
                self.header_need = 12
                return SCAN_OK
            else:
                length = load_u32(self.header + 8, big_endian)
        self.header_fill = 0
        if self.depth > 0 and self.levels[self.depth - 1].kind != LEVEL_ITEM:
            return self._inside_sequence(tag, length)
        return self._value(tag, vr, length)

    cdef ScanResult _inside_sequence(
        self, uint32_t tag, uint32_t length
    ) noexcept nogil:
        """What a sequence or encapsulated pixel data may hold: items and the end."""
        cdef Level* level = &self.levels[self.depth - 1]
        cdef uint64_t end
        if tag == TAG_SEQUENCE_DELIMITATION:
            if level.end != UNDEFINED_END and level.end != self.offset:
                return self._fail(UNEXPECTED_DELIMITER, 0)
            self.depth -= 1
            self.value_left = length
            self.capturing = NULL
            return SCAN_OK
        if tag != TAG_ITEM:
            return self._fail(NOT_AN_ITEM, 0)
        if length == UNDEFINED_LENGTH_VALUE:
            if level.kind == LEVEL_FRAGMENTS:
                return self._fail(UNDEFINED_LENGTH, 0)
            return self._push(LEVEL_ITEM, UNDEFINED_END, level.implicit)
        end = self.offset + length
        if level.end != UNDEFINED_END and end > level.end:
            return self._fail(ELEMENT_LENGTH, 0)
        if level.kind == LEVEL_FRAGMENTS:
            self.value_left = length
            self.capturing = NULL
            return SCAN_OK
        return self._push(LEVEL_ITEM, end, level.implicit)

    cdef ScanResult _value(
        self, uint32_t tag, uint16_t vr, uint32_t length
    ) noexcept nogil:
        """A data element at the top level or in an item."""
        cdef Level* level = NULL
        if self.depth > 0:
            level = &self.levels[self.depth - 1]
        if is_delimiter_group(tag):
            # A delimiter at the very end of an item of defined length does no harm.
            if (
                tag == TAG_ITEM_DELIMITATION
                and length == 0
                and level != NULL
                and (level.end == UNDEFINED_END or level.end == self.offset)
            ):
                self.depth -= 1
                return SCAN_OK
            return self._fail(UNEXPECTED_DELIMITER, 0)
        if length == UNDEFINED_LENGTH_VALUE:
            return self._undefined(tag, vr)
        if level != NULL and level.end != UNDEFINED_END:
            if self.offset + length > level.end:
                return self._fail(ELEMENT_LENGTH, 0)
        if vr == vr_code(c'S', c'Q'):
            return self._push(
                LEVEL_SEQUENCE, self.offset + length, level != NULL and level.implicit
            )
        if tag == TAG_PIXEL_DATA and self.depth == 0 and self.encapsulated:
            return self._fail(DEFINED_PIXEL_DATA, 0)
        self.value_left = length
        self._capture(tag, vr)
        return SCAN_OK

    cdef ScanResult _undefined(self, uint32_t tag, uint16_t vr) noexcept nogil:
        """An element of undefined length; PS3.5 sections 6.2.2, 7.5 and A.4."""
        cdef bint implicit = self._reads_implicit()
        if tag == TAG_PIXEL_DATA and (
            implicit or vr == vr_code(c'O', c'B') or vr == vr_code(c'O', c'W')
        ):
            if not self.encapsulated:
                self.misplaced_fragments = True
            return self._push(LEVEL_FRAGMENTS, UNDEFINED_END, implicit)
        if implicit or vr == vr_code(c'S', c'Q'):
            return self._push(LEVEL_SEQUENCE, UNDEFINED_END, implicit)
        if vr == vr_code(c'U', c'N'):
            # PS3.5 section 6.2.2, note 4: the content is Implicit VR Little Endian.
            return self._push(LEVEL_SEQUENCE, UNDEFINED_END, True)
        return self._fail(UNDEFINED_LENGTH, 0)

    cdef ScanResult _push(
        self, LevelKind kind, uint64_t end, bint implicit
    ) noexcept nogil:
        if self.depth == LEVELS_MAX:
            return self._fail(NESTING_DEPTH, LEVELS_MAX)
        self.levels[self.depth].kind = kind
        self.levels[self.depth].end = end
        self.levels[self.depth].implicit = implicit
        self.depth += 1
        return SCAN_OK

    cdef void _pop_ended(self) noexcept nogil:
        """Leave the levels of defined length that end here."""
        while self.depth > 0 and self.levels[self.depth - 1].end <= self.offset:
            self.depth -= 1

    cdef bint _reads_implicit(self) noexcept nogil:
        if self.depth > 0:
            return self.levels[self.depth - 1].implicit or not self.explicit_vr
        return not self.explicit_vr

    cdef bint _reads_big_endian(self) noexcept nogil:
        if self.depth > 0 and self.levels[self.depth - 1].implicit:
            return False
        return self.big_endian

    cdef void _capture(self, uint32_t tag, uint16_t vr) noexcept nogil:
        """Keep the value of a wanted tag; of a repeated one the first (spec 8)."""
        self.capturing = NULL
        if self.depth > 0:
            return
        if tag == TAG_SOP_CLASS_UID:
            self.capturing = &self.sop_class
        elif tag == TAG_SOP_INSTANCE_UID:
            self.capturing = &self.sop_instance
        elif tag == TAG_SERIES_DATE:
            self.capturing = &self.series_date
        if self.capturing == NULL:
            return
        if self.capturing.present:
            self.capturing = NULL
            return
        self.capturing.present = True
        self.capturing.vr = vr
        self.capturing.len = 0

    cdef ScanResult _fail(self, int code, uint64_t b) noexcept nogil:
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
        cdef bytes chunk
        self.reset(explicit_vr, big_endian, encapsulated)
        for chunk in chunks:
            if self.scan(chunk, <size_t>len(chunk)) != SCAN_OK:
                break
        self.finish()
        return {
            "fault": fault_message(&self.fault) if self.fault.code != 0 else None,
            "sop_class": _captured(&self.sop_class),
            "sop_instance": _captured(&self.sop_instance),
            "series_date": _captured(&self.series_date),
        }


cdef object _captured(const Capture* capture):
    if not capture.present:
        return None
    return capture.value[:capture.len]
