"""One flush for every process that wants one at the same moment.

Who wants a flush takes a ticket and waits for the lock; whoever has the lock flushes
for all that have a ticket by then, and first waits for those who have announced that
they are about to want one. Locks and announcements belong to the kernel, so a process
that is killed holds up nobody. Never knows what is flushed.
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

    enum { DCMRECV_LEAD, DCMRECV_ANNOUNCED };

    /* A record lock: of the process, whoever it has inherited the descriptor from. */
    static int dcmrecv_lock(int fd, int command, int type, int byte)
    {
        struct flock lock = {0};
        lock.l_type = (short)type;
        lock.l_whence = SEEK_SET;
        lock.l_start = byte;
        lock.l_len = 1;
        return fcntl(fd, command, &lock);
    }

    /* Does another process have a lock there? */
    static int dcmrecv_is_locked(int fd, int byte)
    {
        struct flock lock = {0};
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = byte;
        lock.l_len = 1;
        return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    }
    """
    uint64_t add "dcmrecv_add"(uint64_t* word) nogil
    uint64_t load "dcmrecv_load"(const uint64_t* word) nogil
    void raise_to "dcmrecv_raise"(uint64_t* word, uint64_t value) nogil
    void doze "dcmrecv_doze"() nogil
    int set_lock "dcmrecv_lock"(int fd, int command, int type, int byte) nogil
    bint is_locked "dcmrecv_is_locked"(int fd, int byte) nogil
    const int LEAD "DCMRECV_LEAD"               # the byte of who flushes
    const int ANNOUNCED "DCMRECV_ANNOUNCED"     # of all that will want it in a moment

cdef extern from "<fcntl.h>" nogil:
    const int F_RDLCK
    const int F_SETLK
    const int F_SETLKW
    const int F_UNLCK
    const int F_WRLCK

cdef enum:
    WAIT_NS_MAX = 20000000      # for the announced; there may always be some


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
        self.announced = False
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

    cdef void announce(self) noexcept nogil:
        """A flush will be wanted in a moment: whoever flushes before waits for it."""
        self.announced = self.lock_fd >= 0 and (
            set_lock(self.lock_fd, F_SETLK, F_RDLCK, ANNOUNCED) == 0
        )

    cdef void withdraw(self) noexcept nogil:
        """What was announced, if anything was, is not to be waited for any more."""
        if self.announced:
            self.announced = False
            set_lock(self.lock_fd, F_SETLK, F_UNLCK, ANNOUNCED)

    cdef int flush(self, SysIo* io, int fd) noexcept nogil:
        """Return when all that this process has written to the file system is on disk.

        `fd` is of any file there. Returns 0, or the errno of the flush; an error of one
        that another process made is not ours: we then flush ourselves.
        """
        cdef uint64_t ticket = add(&self.words[<int>GROUP_ARRIVED])
        cdef int result = 0
        cdef bint locked = False
        self.withdraw()     # not before there is a ticket: who leads looks there next
        while self.lock_fd >= 0 and not locked:
            locked = set_lock(self.lock_fd, F_SETLKW, F_WRLCK, LEAD) == 0
            if not locked and errno != EINTR:
                break       # no lock to be had: an extra flush does no harm
        if load(&self.words[<int>GROUP_FLUSHED]) < ticket:
            result = self._lead(io, fd)
        if locked:
            set_lock(self.lock_fd, F_SETLK, F_UNLCK, LEAD)
        return result

    cdef int _lead(self, SysIo* io, int fd) noexcept nogil:
        """Flush for everybody who has a ticket; 0 or errno."""
        cdef uint64_t covered
        self._wait_for_announced(io)
        covered = load(&self.words[<int>GROUP_ARRIVED])
        if io.syncfs(fd) != 0:
            return errno
        raise_to(&self.words[<int>GROUP_FLUSHED], covered)
        return 0

    cdef void _wait_for_announced(self, SysIo* io) noexcept nogil:
        """Let those come who are about to.

        What they are writing out the flush would wait for anyway, and not serve them.
        With eight senders of 512 KiB objects 0.13 flushes an object and 1.1 times the
        throughput of a flush at once, and nobody is waited for in vain
        (benchmarks/end_to_end/durability.py). A flush for half of them, while the other
        half writes, gains nothing: a disk takes it after all that it was given before.
        """
        cdef uint64_t begun_ns = io.monotonic_ns()
        while (
            self.lock_fd >= 0 and is_locked(self.lock_fd, ANNOUNCED)
            and io.monotonic_ns() - begun_ns < <uint64_t>WAIT_NS_MAX
        ):
            doze()
