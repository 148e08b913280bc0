"""VrTable: the VR of a tag, for what is read in Implicit VR."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    TABLE_SLOTS = 32768         # a power of two, six times the tags of PS3.6
    PRIVATE_SLOTS = 32768
    REPEATERS_MAX = 512
    CREATORS_MAX = 2048


cdef struct Slot:
    uint32_t tag
    uint16_t vr                 # 0: free
    uint16_t creator            # of a private tag, from 1


cdef struct Span16:
    uint16_t first
    uint16_t last
    uint16_t parity             # 1: only every second number belongs to it


cdef struct Repeater:
    Span16 groups
    Span16 elements
    uint16_t vr


cdef class VrTable:
    cdef Slot slots[TABLE_SLOTS]
    cdef Slot private_slots[PRIVATE_SLOTS]
    cdef Repeater repeaters[REPEATERS_MAX]
    cdef int special_count          # the first ones, of private creators and lengths
    cdef int repeater_count
    cdef uint8_t repeats[256]   # by the high byte of the group: does any tag repeat?
    cdef dict creator_numbers   # bytes -> number
    cdef list creator_names
    cdef uint16_t creator_slots[CREATORS_MAX * 2]
    cdef const char* creator_text[CREATORS_MAX]
    cdef size_t creator_size[CREATORS_MAX]

    cdef uint16_t find(self, uint32_t tag) noexcept nogil
    cdef uint16_t _find_repeater(self, uint32_t tag, int i, int end) noexcept nogil
    cdef int _add_repeaters(self, repeaters) except -1
    cdef uint16_t find_creator(self, const uint8_t* name, size_t size) noexcept nogil
    cdef uint16_t find_private(self, uint32_t tag, uint16_t creator) noexcept nogil
    cdef uint16_t _find_private(self, uint32_t tag, uint16_t creator) noexcept nogil
    cdef uint16_t _number_of(self, bytes creator) except 0
