"""What a data set has that is worth a warning.

Collected without the GIL, a bounded number for each object, and told afterwards as
tuples of numbers; what the log says of them is worded in `service.wording`.
"""

cimport cython


@cython.final
cdef class Notes:
    """The notes on one object."""

    def __cinit__(self):
        self.count = 0

    def taken(self):
        """What was noted.

        Returns:
            The number of all notes, and of the first NOTES_MAX (kind, tag, two letters
            of a VR or NULs, a number).
        """
        cdef int i
        cdef list found = []
        for i in range(<int>min(self.count, <uint64_t>NOTES_MAX)):
            vr = self.kept[i].vr
            found.append((
                <int>self.kept[i].kind,
                self.kept[i].tag,
                chr(vr >> 8) + chr(vr & 0xFF),
                self.kept[i].detail,
            ))
        return self.count, found
