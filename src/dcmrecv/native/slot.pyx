"""One worker's counters in shared memory. One writer, any reader, never a lock."""

cimport cython
from cpython.buffer cimport (
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)

cdef extern from *:
    void __sync_synchronize() noexcept nogil

# Name of every word of a slot, in order; "" is unused. Counts unless said otherwise.
SLOT_FIELDS = (
    "pid",              # process id, 0 = free slot
    "generation",       # how many workers had this slot before
    "state",            # WorkerState
    "associations",     # accepted
    "objects",          # answered with Success
    "bytes",            # data set bytes of those
    "failures",         # C-STORE-RQs answered with a failure status
    "refused",          # A-ASSOCIATE-RQs rejected
    "aborted",          # associations that ended otherwise than by release
    "echoes",           # C-ECHO-RQs answered
    "tolerated",        # illegal but harmless PDUs that were read
    "progress_ns",      # CLOCK_MONOTONIC of the last message
    "started_ns",       # CLOCK_MONOTONIC of the worker's start
    "peer_high",        # address of the peer that has a seat, upper 64 bits
    "peer_low",         # and lower ones; both 0: nobody has
    "",
)

SLOT_BYTES_SIZE = 8 * SLOT_WORDS

_WORD_OF = {name: word for word, name in enumerate(SLOT_FIELDS) if name}


cdef size_t _word(str field) except? 999:
    if field not in _WORD_OF:
        raise ValueError(f"no slot field {field!r}")
    return _WORD_OF[field]


@cython.final
cdef class WorkerSlot:
    """Slot `index` of `memory`, a writable buffer of at least (index + 1) * 128 bytes.

    Keeps a reference to `memory`; the counters start as they are.

    Raises:
        ValueError: the slot lies outside of the memory.
    """

    def __cinit__(self, memory, size_t index, flush_group=None):
        self.flush_group = flush_group
        cdef Py_buffer view
        PyObject_GetBuffer(memory, &view, PyBUF_WRITABLE)
        try:
            if (index + 1) * SLOT_BYTES_SIZE > <size_t>view.len:
                raise ValueError(f"slot {index} lies outside of {view.len} bytes")
            self.first = <uint64_t*>view.buf
            self.slots = <size_t>view.len // SLOT_BYTES_SIZE
            self.words = self.first + index * SLOT_WORDS
            self.memory = memory
        finally:
            PyBuffer_Release(&view)

    def take_seat(self, uint64_t high, uint64_t low, size_t most):
        """Note the peer's address, unless `most` slots of the memory have it already.

        Of several slots that do this at the same moment none may get the last seat,
        but never more than `most` have one.

        Returns:
            Whether this slot has a seat now.
        """
        cdef size_t slot
        cdef size_t taken = 0
        cdef const uint64_t* words
        self.put(SLOT_PEER_HIGH, high)
        self.put(SLOT_PEER_LOW, low)
        # Ours must be visible before we look at the others: they do the same.
        __sync_synchronize()
        for slot in range(self.slots):
            words = self.first + slot * SLOT_WORDS
            if words[SLOT_PEER_HIGH] == high and words[SLOT_PEER_LOW] == low:
                taken += 1
        if taken > most:
            self.leave_seat()
            return False
        return True

    def leave_seat(self):
        """Nobody has the seat any more."""
        self.put(SLOT_PEER_HIGH, 0)
        self.put(SLOT_PEER_LOW, 0)

    def get(self, str field):
        """The present value of a field of SLOT_FIELDS."""
        return self.words[_word(field)]

    def set(self, str field, uint64_t value):
        """Store a field of SLOT_FIELDS."""
        self.words[_word(field)] = value

    def increase(self, str field, uint64_t amount=1):
        """Add to a field of SLOT_FIELDS."""
        self.words[_word(field)] += amount

    def count(self, str field, uint64_t value, size_t first):
        """In how many slots, from slot `first` on, a field has a value."""
        cdef size_t word = _word(field)
        cdef size_t slot
        cdef size_t found = 0
        for slot in range(first, self.slots):
            found += self.first[slot * SLOT_WORDS + word] == value
        return found
