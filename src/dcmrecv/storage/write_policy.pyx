"""Which way of writing is the cheapest now: a pure decision, from sizes and costs.

A copy into the page cache is the cheapest way as long as memory is. In a virtual
machine whose free memory goes back to the host it costs ten times as much; then writing
without keeping the pages wins (RWF_DONTCACHE), or around the cache (O_DIRECT). It also
wins where the disk is waited for anyway. Never makes a system call: the writer carries
out, measures and reports.
"""

import os

cimport cython

from dcmrecv.config.settings import WriteMode

cdef enum:
    WEIGHT = 4          # a new cost counts for one part in four
    LARGE_SHARE = 64    # one part in so many of the memory is a large file

# Of one byte, in ns. Inside plain writes of 1 MiB on virtual machines: 0.2 to 0.5 with
# warm memory, 1 or 3.5 to 5 with cold memory; 0.5 to 0.9 without keeping the pages. By
# the wall: the host's part of the cost is nobody's processor time.
cdef double DEAR_MIN = 0.5      # cheaper than any other way
cdef double DEAR_MAX = 1.5
cdef double DEAR_TIMES = 3      # what the cheapest has cost
cdef double ASSUMED = 0.75      # before the first is known

_PINNED = {
    WriteMode.AUTO: WAY_INTERNAL_FAULT,
    WriteMode.BUFFERED: WAY_BUFFERED,
    WriteMode.DONTCACHE: WAY_DONTCACHE,
    WriteMode.DIRECT: WAY_DIRECT,
}


@cython.final
cdef class WritePolicy:
    """What one process has learnt about writing to one directory.

    Args:
        mode: a WriteMode; any but AUTO is what is done, unless it is refused, with
            every object of more than SMALL_BYTES.
        durable: every byte is on the disk before its object is acknowledged.
        memory_bytes: of the machine; asked for by default.
    """

    def __cinit__(self, mode, bint durable, memory_bytes=None):
        cdef int way
        self.pinned = _PINNED[mode]
        if memory_bytes is None:
            memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        # One large object must not evict what everybody else has in the cache. Up to
        # there the cache is the cheaper way while memory is: 256 MiB took 0.36 s/GB
        # through it and 0.45 around it from the 17th MiB on (benchmarks/end_to_end,
        # huge-256m). That is because the write-back comes later. Who waits for it gains
        # nothing, and is slowed down as soon as the cache has to grow into memory that
        # is dear: in a stream of 12.6 GB keeping every page cost 2.4 times the CPU time
        # and a third of the rate (benchmarks/end_to_end/durability.py).
        self.keeps_until = 0
        if not durable:
            self.keeps_until = max(LARGE_BYTES_MIN, memory_bytes // LARGE_SHARE)
        for way in range(<int>WAYS):
            self.refused[way] = False
        self.cost = ASSUMED
        self.last = ASSUMED
        self.cheapest = DEAR_MAX / DEAR_TIMES
        self.way = WAY_BUFFERED
        self.objects = 0
        self.probed_at_ns = 0

    cdef WriteWay choose(
        self, uint64_t at, size_t size, uint64_t now_ns
    ) noexcept nogil:
        """How to write `size` bytes at offset `at`, where 0 begins a file.

        What a file was once taken out of the cache for is not taken back.
        """
        if at == 0:
            self.way = self._begin(size, now_ns)
        elif self.way == WAY_BUFFERED and size > SMALL_BYTES:
            if self.pinned != WAY_INTERNAL_FAULT:
                self.way = self.pinned
            elif self._is_past_cache(at):
                self.way = WAY_DONTCACHE
            elif self._is_dear(self.cost):
                self.way = self._cheaper(size)
        return WAY_BUFFERED if self.refused[<int>self.way] else self.way

    cdef WriteWay _begin(self, size_t size, uint64_t now_ns) noexcept nogil:
        if size <= SMALL_BYTES:
            return WAY_BUFFERED
        if self.pinned != WAY_INTERNAL_FAULT:
            return self.pinned
        if self._is_past_cache(0):
            return WAY_DONTCACHE
        if not self._is_dear(self.cost):
            return WAY_BUFFERED
        self.objects += 1
        if (
            self.objects > PROBE_AFTER_OBJECTS
            or now_ns - self.probed_at_ns > PROBE_AFTER_NS
        ):
            self.objects = 0
            self.probed_at_ns = now_ns
            return WAY_BUFFERED
        return self._cheaper(size)

    cdef bint _is_dear(self, double cost) noexcept nogil:
        """Is that more than a plain write is worth, in ns a byte?

        With 1.5 alone, whatever memory had cost before, a stream of 12.6 GB took 1.5
        times the CPU time on a machine where memory costs 0.2 warm and 1 cold
        (benchmarks/end_to_end/durability.py, `close`).
        """
        return cost > max(DEAR_MIN, DEAR_TIMES * self.cheapest)

    cdef bint _is_past_cache(self, uint64_t at) noexcept nogil:
        """Shall what is at `at` leave the cache, whatever that costs, and can it?"""
        return at >= self.keeps_until and not self.refused[<int>WAY_DONTCACHE]

    cdef WriteWay _cheaper(self, size_t size) noexcept nogil:
        if not self.refused[<int>WAY_DONTCACHE]:
            return WAY_DONTCACHE
        if size >= DIRECT_BYTES_MIN and not self.refused[<int>WAY_DIRECT]:
            return WAY_DIRECT
        return WAY_BUFFERED

    cdef bint measures(self, WriteWay way, size_t size) noexcept nogil:
        """Shall the duration of this write be told to measured()?"""
        return (
            way == WAY_BUFFERED and size > SMALL_BYTES
            and self.pinned == WAY_INTERNAL_FAULT
        )

    cdef void measured(self, size_t size, uint64_t spent_ns) noexcept nogil:
        """A plain write of `size` bytes took so long.

        The lesser of two in a row counts: a process that loses its processor within a
        write has not learnt anything about memory.
        """
        cdef double now = <double>spent_ns / <double>size
        cdef double cost = min(now, self.last)
        self.last = now
        self.cost += (cost - self.cost) / WEIGHT
        self.cheapest = min(self.cheapest, self.cost)
        if self._is_dear(self.cost) and not self._is_dear(now):
            # It seems to get better: the next object will tell more.
            self.objects = PROBE_AFTER_OBJECTS

    cdef void refuse(self, WriteWay way) noexcept nogil:
        """The file system does not take writes of this kind; remember it."""
        self.refused[<int>way] = True

    def choose_way(self, uint64_t at, size_t size, uint64_t now_ns):
        """choose(), as the WriteMode of that way; for tests."""
        cdef WriteWay way = self.choose(at, size, now_ns)
        return next(mode for mode, pinned in _PINNED.items() if pinned == way)

    def tell(self, size_t size, uint64_t spent_ns):
        """measured(); for tests."""
        self.measured(size, spent_ns)

    def tell_refused(self, mode):
        """refuse(), of the way of a WriteMode; for tests."""
        self.refuse(_PINNED[mode])
