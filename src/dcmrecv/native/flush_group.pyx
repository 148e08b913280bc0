"""One flush for every process that wants one at the same moment.

Who wants a flush takes a ticket and waits for the lock; whoever has the lock flushes
for all that have a ticket by then. The lock belongs to the kernel, so a process that is
killed holds up nobody. Never knows what is flushed.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.errno cimport EINTR, errno

cdef extern from *:
    """
    #include <fcntl.h>
    #include <stdint.h>
    #include <time.h>
    #include <unistd.h>

    static uint64_t dcmrecv_add(uint64_t *word)
    {
        return __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
    }

    static uint64_t dcmrecv_load(const uint64_t *word)
    {
        return __atomic_load_n(word, __ATOMIC_SEQ_CST);
    }

    static void dcmrecv_raise(uint64_t *word, uint64_t value)
    {
        uint64_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
        while (now < value && !__atomic_compare_exchange_n(
                   word, &now, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            ;
    }

    static void dcmrecv_doze(void)
    {
        struct timespec moment = {0, 50000};
        nanosleep(&moment, NULL);
    }

    /* A record lock: of the process, whoever it has inherited the descriptor from. */
    static int dcmrecv_lock(int fd, int locked)
    {
        struct flock whole = {0};
        whole.l_type = locked ? F_WRLCK : F_UNLCK;
        whole.l_whence = SEEK_SET;
        return fcntl(fd, locked ? F_SETLKW : F_SETLK, &whole);
    }
    """
    uint64_t add "dcmrecv_add"(uint64_t* word) nogil
    uint64_t load "dcmrecv_load"(const uint64_t* word) nogil
    void raise_to "dcmrecv_raise"(uint64_t* word, uint64_t value) nogil
    void doze "dcmrecv_doze"() nogil
    int set_lock "dcmrecv_lock"(int fd, int locked) nogil

cdef enum:
    BUSY_MIN = 4            # fewer are not waited for
    WAIT_NS_MAX = 4000000


@cython.final
cdef class FlushGroup:
    """A member of the group whose tickets are in row `index` of `memory`.

    Without memory a group of one.

    Args:
        memory: shared and writable, at least (index + 1) * 128 bytes; kept alive.
        lock_fd: a file whose record locks nobody else uses; stays the caller's.

    Raises:
        ValueError: the row lies outside of the memory.
    """

    def __cinit__(self, memory=None, size_t index=0, int lock_fd=-1):
        cdef Py_buffer view
        self.words = self.alone
        self.lock_fd = lock_fd
        if memory is None:
            return
        PyObject_GetBuffer(memory, &view, PyBUF_WRITABLE)
        try:
            if (index + 1) * GROUP_WORDS * sizeof(uint64_t) > <size_t>view.len:
                raise ValueError(f"row {index} lies outside of {view.len} bytes")
            self.words = <uint64_t*>view.buf + index * GROUP_WORDS
            self.memory = memory
        finally:
            PyBuffer_Release(&view)

    cdef int flush(self, SysIo* io, int fd) noexcept nogil:
        """Return when all that this process has written to the file system is on disk.

        `fd` is of any file there. Returns 0, or the errno of the flush; an error of one
        that another process made is not ours: we then flush ourselves.
        """
        cdef uint64_t ticket = add(&self.words[<int>GROUP_ARRIVED])
        cdef int result = 0
        cdef bint locked = False
        while self.lock_fd >= 0 and not locked:
            locked = set_lock(self.lock_fd, True) == 0
            if not locked and errno != EINTR:
                break       # no lock to be had: an extra flush does no harm
        if load(&self.words[<int>GROUP_FLUSHED]) < ticket:
            result = self._lead(io, fd)
        if locked:
            set_lock(self.lock_fd, False)
        return result

    cdef int _lead(self, SysIo* io, int fd) noexcept nogil:
        """Flush for everybody who has a ticket; 0 or errno."""
        cdef uint64_t before = load(&self.words[<int>GROUP_FLUSHED])
        cdef uint64_t busy = self.words[<int>GROUP_BUSY]
        cdef uint64_t begun_ns
        cdef uint64_t covered
        cdef uint64_t seen
        self._wait_for_others(io)
        covered = load(&self.words[<int>GROUP_ARRIVED])
        begun_ns = io.monotonic_ns()
        if io.syncfs(fd) != 0:
            return errno
        raise_to(&self.words[<int>GROUP_FLUSHED], covered)
        self.words[<int>GROUP_TOOK_NS] = io.monotonic_ns() - begun_ns
        # Who is busy has been served just now or waits already, unless he is in the
        # middle of an object: then another flush has seen him not long ago.
        seen = load(&self.words[<int>GROUP_ARRIVED]) - before
        self.words[<int>GROUP_BUSY] = busy - 1 if seen < busy else seen
        return 0

    cdef void _wait_for_others(self, SysIo* io) noexcept nogil:
        """Give those who are likely to come a moment, as long as a flush at most.

        Never for the sake of one to three senders. The wait ends when nearly all of the
        busy ones have come; a straggler finds himself in the next flush.
        """
        cdef uint64_t busy = self.words[<int>GROUP_BUSY]
        cdef uint64_t patience_ns = min(
            self.words[<int>GROUP_TOOK_NS], <uint64_t>WAIT_NS_MAX
        )
        cdef uint64_t begun_ns = io.monotonic_ns()
        cdef uint64_t waiting
        if busy < BUSY_MIN:
            return
        while io.monotonic_ns() - begun_ns < patience_ns:
            waiting = (
                load(&self.words[<int>GROUP_ARRIVED])
                - load(&self.words[<int>GROUP_FLUSHED])
            )
            if 8 * waiting >= 7 * busy:
                return
            doze()
