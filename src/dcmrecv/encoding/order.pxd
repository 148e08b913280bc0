"""Reordering: elements that came out of order, and how they shall stand."""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    # Elements of disordered items that are too large to be put in order in memory.
    # 5 MiB of the 64 that a worker may have for everything.
    PIECES_MAX = 131072
    GROUPS_MAX = 65536          # such items of one object
    WALK_MAX = 4200             # twice the deepest nesting, and reserve


cdef struct Piece:
    uint64_t begin
    uint64_t end
    uint64_t counted            # bytes that a group length counts
    uint32_t tag
    uint32_t misplaced          # encapsulated pixel data inside that has no business
    uint32_t corrected          # group lengths inside, of another VR than UL


cdef struct Group:
    # A disordered item: its elements lie between `begin` and `end`.
    uint64_t begin
    uint64_t end
    int first                   # of its pieces, which stand in the right order
    int count


cdef struct Walk:
    bint over_group             # over the pieces of a group, or over a range
    int group                   # the groups inside come from this number on
    uint64_t cursor
    uint64_t end
    int piece
    int piece_end


cdef class Reordering:
    cdef Piece* pieces          # owned
    cdef int piece_count
    cdef Group* groups          # owned
    cdef int group_count
    cdef Walk walk[WALK_MAX]
    cdef int walk_depth

    cdef void clear(self) noexcept nogil
    cdef bint add(
        self, const Piece* pieces, int count, uint64_t begin, uint64_t end
    ) noexcept nogil
    cdef void begin_walk(self, uint64_t begin, uint64_t end) noexcept nogil
    cdef bint next_range(self, uint64_t* begin, uint64_t* end) noexcept nogil
    cdef int _group_in(
        self, int low, uint64_t begin, uint64_t end
    ) noexcept nogil
