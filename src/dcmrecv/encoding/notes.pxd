"""Notes: what deserves a warning, for a log that is written later."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef enum:
    NOTES_MAX = 32              # of one object; more are only counted


cdef enum NoteKind:
    NOTE_NONE = 0
    NOTE_ODD_LENGTH = 1
    NOTE_UNIT = 2               # detail: bytes of a unit
    NOTE_ODD_ITEM = 3           # detail: length
    NOTE_NOT_STANDARD = 4       # a VR that is none
    NOTE_UNKNOWN_SEQUENCE = 5   # UN of undefined length
    NOTE_ORDER = 6
    NOTE_TWICE = 7
    NOTE_GROUP = 8              # a group that no data set may have
    NOTE_ITEM_OVERRUN = 9       # detail: length of the item
    NOTE_GROUP_LENGTH_VR = 10
    NOTE_OX = 11


cdef struct Note:
    NoteKind kind
    uint32_t tag
    uint16_t vr
    uint64_t detail


cdef class Notes:
    cdef Note kept[NOTES_MAX]
    cdef uint64_t count         # of all, kept or not

    cdef inline void clear(self) noexcept nogil:
        self.count = 0

    cdef inline void add(
        self, NoteKind kind, uint32_t tag, uint16_t vr, uint64_t detail
    ) noexcept nogil:
        if self.count < NOTES_MAX:
            self.kept[self.count].kind = kind
            self.kept[self.count].tag = tag
            self.kept[self.count].vr = vr
            self.kept[self.count].detail = detail
        self.count += 1

    cdef inline void add_before_group(
        self, NoteKind kind, uint32_t tag
    ) noexcept nogil:
        """Add a note on an element, before the one on its group if that is the last."""
        cdef bint behind = (
            0 < self.count <= NOTES_MAX
            and self.kept[self.count - 1].kind == NOTE_GROUP
            and self.kept[self.count - 1].tag == tag
        )
        if not behind:
            self.add(kind, tag, 0, 0)
            return
        self.kept[self.count - 1].kind = kind
        self.add(NOTE_GROUP, tag, 0, 0)
