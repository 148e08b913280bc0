"""WorkerSlot: the 128 bytes of shared memory in which one worker counts."""

from libc.stdint cimport uint64_t

# Field numbers; the names and meanings stand in SLOT_FIELDS of slot.pyx.
cdef enum:
    SLOT_WORDS = 16
    SLOT_PID = 0
    SLOT_GENERATION = 1
    SLOT_STATE = 2
    SLOT_ASSOCIATIONS = 3
    SLOT_OBJECTS = 4
    SLOT_BYTES = 5
    SLOT_FAILURES = 6
    SLOT_REFUSED = 7
    SLOT_ABORTED = 8
    SLOT_ECHOES = 9
    SLOT_TOLERATED = 10
    SLOT_PROGRESS_NS = 11
    SLOT_STARTED_NS = 12
    SLOT_PEER_HIGH = 13
    SLOT_PEER_LOW = 14


cdef class WorkerSlot:
    cdef object memory          # keeps the mapping alive
    cdef readonly object flush_group    # the FlushGroup of all workers, None without
    cdef uint64_t* words        # 16 words inside `memory`; this process is their writer
    cdef uint64_t* first        # those of the first slot
    cdef size_t slots           # in `memory`

    cdef inline void add(self, int field, uint64_t amount) noexcept nogil:
        # One writer, so a plain aligned store is a relaxed atomic one on all hosts.
        self.words[field] += amount

    cdef inline void put(self, int field, uint64_t value) noexcept nogil:
        self.words[field] = value
