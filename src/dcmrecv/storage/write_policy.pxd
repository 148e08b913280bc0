"""WritePolicy: in which of three ways the next bytes of a file are written."""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    SMALL_BYTES = 65536             # an object up to here is one plain write
    DIRECT_BYTES_MIN = 262144       # in one write, for O_DIRECT to pay
    LARGE_BYTES_MIN = 16777216      # up to here no file is large

cdef enum:
    PROBE_AFTER_OBJECTS = 100       # written otherwise, then one plainly
    PROBE_AFTER_NS = 2000000000


cdef enum WriteWay:
    WAY_INTERNAL_FAULT = 0
    WAY_BUFFERED = 1
    WAY_DONTCACHE = 2
    WAY_DIRECT = 3
    WAYS = 4                        # how many numbers there are


cdef class WritePolicy:
    cdef WriteWay pinned            # WAY_INTERNAL_FAULT: nothing is, choose
    cdef uint64_t keeps_until       # past this offset no page is kept in the cache
    cdef bint refused[WAYS]         # the file system does not take it
    cdef double cost                # ns a byte in a plain write; an EWMA
    cdef double last                # the same of the last one alone
    cdef double cheapest            # the lowest that the cost has been
    cdef WriteWay way               # of the file under way
    cdef uint32_t objects           # since the last plain one
    cdef uint64_t probed_at_ns      # when that was; CLOCK_MONOTONIC

    cdef WriteWay choose(
        self, uint64_t at, size_t size, uint64_t now_ns
    ) noexcept nogil
    cdef bint measures(self, WriteWay way, size_t size) noexcept nogil
    cdef void measured(self, size_t size, uint64_t spent_ns) noexcept nogil
    cdef void refuse(self, WriteWay way) noexcept nogil
    cdef bint _is_dear(self, double cost) noexcept nogil
    cdef bint _is_past_cache(self, uint64_t at) noexcept nogil
    cdef WriteWay _cheaper(self, size_t size) noexcept nogil
    cdef WriteWay _begin(self, size_t size, uint64_t now_ns) noexcept nogil
