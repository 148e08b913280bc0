"""The log lines of an object of which nothing else is to be said, without Python.

Owns how Message ID and path get between the words around them, and the one write. Never
decides what is logged, where, or how it looks: the `logging` module is asked for that
once, and gets back what cannot be written at once.
"""

import logging

cimport cython
from libc.errno cimport EINTR, errno
from libc.stdio cimport snprintf

from dcmrecv.config.logs import NETWORK_LOGGER, shortcut

from dcmrecv.native.sysio cimport system_io

# Where Message ID and path come; in no text of its own, since no path can have it.
PLACE = "\0"


def journal_of(lines not None):
    """The Journal for objects of which nothing else is said.

    Args:
        lines: of one object, as a Lines with PLACE where the Message ID comes and, once
            more, where the path does.

    Returns:
        None when the lines do not go straight to a single descriptor, or have something
        about them that changes, such as the time.
    """
    found = shortcut(NETWORK_LOGGER, logging.INFO, lines)
    return Journal(*found) if found is not None else None


@cython.final
cdef class Journal:
    """Writes the lines of one object after the other to a descriptor.

    Args:
        descriptor: stays the caller's.
        text: of one object, with NUL where the Message ID comes and where the path.

    Raises:
        ValueError: there are not two places in the text.
    """

    def __cinit__(self, int descriptor, bytes text not None):
        cdef bytes before, between, behind
        self.io = system_io()
        self.descriptor = descriptor
        self.owners = tuple(text.split(PLACE.encode()))
        before, between, behind = self.owners
        self.before = before
        self.between = between
        self.behind = behind

    cdef bint note(self, uint16_t message_id, const char* path) noexcept nogil:
        """Write the lines; False when they are not written, or not all of them."""
        cdef char text[JOURNAL_BYTES_MAX]
        cdef ssize_t written
        cdef int size = snprintf(
            text, JOURNAL_BYTES_MAX, b"%s%u%s%s%s",
            self.before, <unsigned int>message_id, self.between, path, self.behind,
        )
        if size < 0 or size >= JOURNAL_BYTES_MAX:
            return False
        while True:
            written = self.io.write(self.descriptor, text, <size_t>size)
            if written >= 0 or errno != EINTR:
                return written == size

    def write(self, uint16_t message_id, bytes path not None):
        """note(), of a path as bytes; for tests."""
        return self.note(message_id, path)
