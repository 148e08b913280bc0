"""Where the elements of disordered items lie, and the ranges of a file in their order.

Only what could not be put in order in memory comes here. Never reads or writes a byte
of a data set; bounded, so that a hostile object is refused and not remembered.
"""

cimport cython
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy


cdef int _outermost_first(const void* left, const void* right) noexcept nogil:
    cdef const Group* a = <const Group*>left
    cdef const Group* b = <const Group*>right
    if a.begin != b.begin:
        return -1 if a.begin < b.begin else 1
    if a.end != b.end:
        return -1 if a.end > b.end else 1
    return 0


@cython.final
cdef class Reordering:
    """The disordered items of one object. They nest or are apart, never overlap."""

    def __cinit__(self):
        # Address space only, until an object needs it.
        self.pieces = <Piece*>malloc(PIECES_MAX * sizeof(Piece))
        self.groups = <Group*>malloc(GROUPS_MAX * sizeof(Group))
        if self.pieces == NULL or self.groups == NULL:
            raise MemoryError("no room for the order of elements")
        self.clear()

    def __dealloc__(self):
        free(self.pieces)
        free(self.groups)

    cdef void clear(self) noexcept nogil:
        self.piece_count = 0
        self.group_count = 0
        self.walk_depth = 0

    cdef bint add(
        self, const Piece* pieces, int count, uint64_t begin, uint64_t end
    ) noexcept nogil:
        """Remember an item between two offsets; False when there is no room.

        `pieces` are its elements as they shall stand; those left out are dropped.
        """
        cdef Group* group
        if self.group_count == GROUPS_MAX or count > PIECES_MAX - self.piece_count:
            return False
        group = &self.groups[self.group_count]
        group.begin = begin
        group.end = end
        group.first = self.piece_count
        group.count = count
        memcpy(&self.pieces[self.piece_count], pieces, count * sizeof(Piece))
        self.piece_count += count
        self.group_count += 1
        return True

    cdef void begin_walk(self, uint64_t begin, uint64_t end) noexcept nogil:
        """Ask for everything between two offsets, in its order, by next_range()."""
        qsort(self.groups, self.group_count, sizeof(Group), _outermost_first)
        self.walk_depth = 1
        self.walk[0].over_group = False
        self.walk[0].group = 0
        self.walk[0].cursor = begin
        self.walk[0].end = end

    cdef bint next_range(self, uint64_t* begin, uint64_t* end) noexcept nogil:
        """The next range of bytes that stand as they shall; False: that was all."""
        cdef Walk* top
        cdef Walk* above
        cdef int found
        while self.walk_depth > 0:
            top = &self.walk[self.walk_depth - 1]
            above = &self.walk[self.walk_depth]
            if top.over_group:
                if top.piece == top.piece_end:
                    self.walk_depth -= 1
                    continue
                above.over_group = False
                above.group = top.group
                above.cursor = self.pieces[top.piece].begin
                above.end = self.pieces[top.piece].end
                top.piece += 1
                self.walk_depth += 1
                continue
            if top.cursor >= top.end:
                self.walk_depth -= 1
                continue
            found = self._group_in(top.group, top.cursor, top.end)
            begin[0] = top.cursor
            if found < 0:
                end[0] = top.end
                top.cursor = top.end
                return True
            if self.groups[found].begin > top.cursor:
                end[0] = self.groups[found].begin
                top.cursor = end[0]
                return True
            top.cursor = self.groups[found].end
            above.over_group = True
            above.group = found + 1
            above.piece = self.groups[found].first
            above.piece_end = above.piece + self.groups[found].count
            self.walk_depth += 1
        return False

    cdef int _group_in(
        self, int low, uint64_t begin, uint64_t end
    ) noexcept nogil:
        """The first and outermost group between two offsets, from number `low` on.

        -1: there is none.
        """
        cdef int high = self.group_count
        cdef int middle
        while low < high:
            middle = (low + high) // 2
            if self.groups[middle].begin < begin:
                low = middle + 1
            else:
                high = middle
        while low < self.group_count and self.groups[low].begin < end:
            if self.groups[low].end <= end:
                return low
            low += 1
        return -1

    def ranges(self, groups, uint64_t begin, uint64_t end):
        """Put `groups`, lists of (begin, end) and a range, in order; for tests.

        Returns:
            The ranges of next_range(), or None when there is no room.
        """
        cdef uint64_t first = 0
        cdef uint64_t last = 0
        cdef Piece* pieces
        cdef bint good
        self.clear()
        for own, group_begin, group_end in groups:
            pieces = <Piece*>malloc(len(own) * sizeof(Piece))
            for number, (piece_begin, piece_end) in enumerate(own):
                pieces[<int>number].begin = piece_begin
                pieces[<int>number].end = piece_end
            good = self.add(pieces, <int>len(own), group_begin, group_end)
            free(pieces)
            if not good:
                return None
        self.begin_walk(begin, end)
        found = []
        while self.next_range(&first, &last):
            found.append((first, last))
        return found
