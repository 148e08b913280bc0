"""The data dictionary as a table that is read without the GIL: tag to VR.

Filled once, from what `dictionary` gives. Knows no names and reads no file.
"""

cimport cython
from libc.string cimport memcmp, memset

from dcmrecv.encoding.vr cimport VR_LO, VR_NONE, VR_UL

cdef enum:
    HASH_FACTOR = 0x9E3779B1    # 2**32 divided by the golden ratio


cdef inline uint32_t _mixed(uint32_t value) noexcept nogil:
    return (<uint32_t>(value * <uint32_t>HASH_FACTOR)) >> 15


cdef inline uint32_t _mixed_text(const uint8_t* text, size_t size) noexcept nogil:
    cdef uint32_t mixed = 2166136261
    cdef size_t i
    for i in range(size):
        mixed = (mixed ^ text[i]) * <uint32_t>16777619
    return mixed


cdef inline bint _holds(const Span16* span, uint16_t number) noexcept nogil:
    return span.first <= number <= span.last and (
        (number ^ span.first) & span.parity == 0
    )


cdef Span16 _span(numbers):
    cdef Span16 span
    span.first = numbers[0]
    span.last = numbers[len(numbers) - 1]
    span.parity = numbers.step - 1
    return span


cdef uint16_t _code(str vr) except 0:
    return <uint16_t>((ord(vr[0]) << 8) | ord(vr[1]))


@cython.final
@cython.no_gc
cdef class VrTable:
    """Which VR a tag has.

    Args:
        tags: VR by tag.
        repeaters: (groups, elements, VR), ranges with steps of 1 or 2; the first that
            fits counts; for tags not in `tags`.
        private_tags: VR by private creator, group and last two digits of the element.
        special: the same as `repeaters`, for private creators and group lengths.

    Raises:
        ValueError: more entries than there is room for.
    """

    def __cinit__(self, tags, repeaters=(), private_tags=None, special=()):
        memset(self.slots, 0, sizeof(self.slots))
        memset(self.private_slots, 0, sizeof(self.private_slots))
        memset(self.repeats, 0, sizeof(self.repeats))
        memset(self.creator_slots, 0, sizeof(self.creator_slots))
        self.repeater_count = 0
        self.creator_numbers = {}
        self.creator_names = []
        private_tags = private_tags or {}
        if len(tags) > TABLE_SLOTS // 2 or len(private_tags) > PRIVATE_SLOTS // 2:
            raise ValueError("too many tags for the table")
        if len(repeaters) + len(special) > REPEATERS_MAX:
            raise ValueError("too many repeating tags for the table")
        for tag, vr in tags.items():
            _put(self.slots, TABLE_SLOTS - 1, tag, 0, _code(vr))
        self._add_repeaters(special)
        self.special_count = self.repeater_count
        self._add_repeaters(repeaters)
        for (creator, tag), vr in private_tags.items():
            _put(
                self.private_slots, PRIVATE_SLOTS - 1, tag,
                self._number_of(creator), _code(vr),
            )

    cdef int _add_repeaters(self, repeaters) except -1:
        cdef Repeater* entry
        for groups, elements, vr in repeaters:
            entry = &self.repeaters[self.repeater_count]
            entry.groups = _span(groups)
            entry.elements = _span(elements)
            entry.vr = _code(vr)
            for high in range(entry.groups.first >> 8, (entry.groups.last >> 8) + 1):
                self.repeats[<uint8_t>high] = 1
            self.repeater_count += 1
        return 0

    cdef uint16_t _number_of(self, bytes creator) except 0:
        cdef uint32_t at
        cdef Py_ssize_t number
        if creator in self.creator_numbers:
            return self.creator_numbers[creator]
        number = len(self.creator_names) + 1
        if number >= CREATORS_MAX:
            raise ValueError("too many private creators for the table")
        self.creator_names.append(creator)
        self.creator_numbers[creator] = number
        self.creator_text[number] = creator
        self.creator_size[number] = <size_t>len(creator)
        at = _mixed_text(<const uint8_t*><const char*>creator, <size_t>len(creator))
        while self.creator_slots[at % (CREATORS_MAX * 2)] != 0:
            at += 1
        self.creator_slots[at % (CREATORS_MAX * 2)] = <uint16_t>number
        return <uint16_t>number

    cdef uint16_t find(self, uint32_t tag) noexcept nogil:
        """The VR of a tag, VR_NONE when it is unknown."""
        cdef uint32_t at = _mixed(tag) & (TABLE_SLOTS - 1)
        cdef uint16_t vr
        while self.slots[at].vr != 0:
            if self.slots[at].tag == tag:
                return self.slots[at].vr
            at = (at + 1) & (TABLE_SLOTS - 1)
        if self.special_count > 0:
            vr = self._find_repeater(tag, 0, self.special_count)
            if vr != VR_NONE:
                return vr
        if (tag & 0xFFFF) == 0:
            return VR_UL        # a group length, PS3.5 section 7.2
        if (tag & 0x1FF00) == 0x10000 and (tag & 0xFF) >= 0x10:
            return VR_LO        # a private creator, PS3.5 section 7.8.1
        if self.repeats[tag >> 24] == 0:
            return VR_NONE
        return self._find_repeater(tag, self.special_count, self.repeater_count)

    cdef uint16_t _find_repeater(self, uint32_t tag, int i, int end) noexcept nogil:
        while i < end:
            if _holds(&self.repeaters[i].groups, <uint16_t>(tag >> 16)) and (
                _holds(&self.repeaters[i].elements, <uint16_t>(tag & 0xFFFF))
            ):
                return self.repeaters[i].vr
            i += 1
        return VR_NONE

    cdef uint16_t find_creator(self, const uint8_t* name, size_t size) noexcept nogil:
        """The number of a private creator, 0 when nothing is known of it."""
        cdef uint32_t at = _mixed_text(name, size)
        cdef uint16_t number
        while True:
            number = self.creator_slots[at % (CREATORS_MAX * 2)]
            if number == 0:
                return 0
            if self.creator_size[number] == size and (
                memcmp(self.creator_text[number], name, size) == 0
            ):
                return number
            at += 1

    cdef uint16_t find_private(self, uint32_t tag, uint16_t creator) noexcept nogil:
        """The VR of an element in the block of a private creator.

        What is known of the whole tag counts more than what is of its last two digits.
        """
        cdef uint16_t vr = self._find_private(tag, creator)
        if vr != VR_NONE:
            return vr
        return self._find_private(tag & <uint32_t>0xFFFF00FF, creator)

    cdef uint16_t _find_private(self, uint32_t tag, uint16_t creator) noexcept nogil:
        cdef uint32_t at = _mixed(tag + creator) & (PRIVATE_SLOTS - 1)
        while self.private_slots[at].vr != 0:
            if self.private_slots[at].tag == tag and (
                self.private_slots[at].creator == creator
            ):
                return self.private_slots[at].vr
            at = (at + 1) & (PRIVATE_SLOTS - 1)
        return VR_NONE

    def vr_of(self, uint32_t tag, bytes creator=None):
        """The two letters of a tag's VR, None when it is unknown; for tests."""
        cdef uint16_t vr
        cdef uint16_t number
        if creator is None:
            vr = self.find(tag)
        else:
            number = self.find_creator(creator, <size_t>len(creator))
            vr = self.find_private(tag, number) if number else 0
        return chr(vr >> 8) + chr(vr & 0xFF) if vr else None


cdef void _put(
    Slot* slots, uint32_t last, uint32_t tag, uint16_t creator, uint16_t vr
) noexcept nogil:
    cdef uint32_t at = _mixed(tag + creator) & last
    while slots[at].vr != 0:
        at = (at + 1) & last
    slots[at].tag = tag
    slots[at].creator = creator
    slots[at].vr = vr
