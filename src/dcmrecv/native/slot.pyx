"""One worker's counters in shared memory. One writer, any reader, never a lock."""

cimport cython
from cpython.buffer cimport (
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)

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
    "",
    "",
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

    def __cinit__(self, memory, size_t index):
        cdef Py_buffer view
        PyObject_GetBuffer(memory, &view, PyBUF_WRITABLE)
        try:
            if (index + 1) * SLOT_BYTES_SIZE > <size_t>view.len:
                raise ValueError(f"slot {index} lies outside of {view.len} bytes")
            self.words = <uint64_t*>view.buf + index * SLOT_WORDS
            self.memory = memory
        finally:
            PyBuffer_Release(&view)

    def get(self, str field):
        """The present value of a field of SLOT_FIELDS."""
        return self.words[_word(field)]

    def set(self, str field, uint64_t value):
        """Store a field of SLOT_FIELDS."""
        self.words[_word(field)] = value

    def increase(self, str field, uint64_t amount=1):
        """Add to a field of SLOT_FIELDS."""
        self.words[_word(field)] += amount
