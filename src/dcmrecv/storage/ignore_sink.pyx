"""`--ignore`: the data set is checked as in normal mode, and forgotten.

With `--no-parse` not even that: any bytes do.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memmove

from dcmrecv.encoding.dictionary import default_table

from dcmrecv.encoding.inflater cimport (
    INFLATE_MORE,
    INFLATE_PIECE,
    InflateResult,
)
from dcmrecv.native.fault cimport NO_FAULT, UNKNOWN_FAULT, set_fault
from dcmrecv.native.wire cimport Span
from dcmrecv.storage.image cimport ContextPlan


@cython.final
cdef class IgnoreSink(StoreSink):
    """Nothing is written, no directory made."""

    def __init__(self, storage, str tag not None):
        self.scanner = DatasetScanner(default_table(), self.notes)
        self.inflater = Inflater()
        self.parsing = storage.parse

    cdef void begin(
        self, const ContextPlan* plan, Span sop_class, Span sop_instance
    ) noexcept nogil:
        StoreSink.begin(self, plan, sop_class, sop_instance)
        self.image.begin_bare()
        self.carried = 0
        self.scanner.reset(plan.explicit_vr, plan.big_endian, plan.encapsulated)
        if self.parsing and plan.deflated:
            self.inflater.begin()

    cdef void window_full(self) noexcept nogil:
        if self.fault.code != NO_FAULT or not self._take_window():
            self.carried = 0
        self.image.window.fill = self.carried

    cdef uint16_t end(self) noexcept nogil:
        self.active = False
        if not self._finish():
            set_fault(&self.fault, UNKNOWN_FAULT, 0, 0)     # if nothing has said why
        return self._status()

    cdef bint _take_window(self) noexcept nogil:
        """Look at what has landed; False leaves a fault."""
        cdef uint8_t* data = self.image.window.base
        cdef size_t size = self.image.window.fill
        cdef size_t used = size
        self.data_set_size += size - self.carried
        self.carried = 0
        if not self.guard.allows(self.data_set_size, &self.fault):
            return False
        if not self.parsing:
            return True
        if self.plan.deflated:
            return self._inflate_window()
        if not self.scanner.skim(data, size, &used):
            self.fault = self.scanner.fault
            return False
        self.carried = size - used
        memmove(data, data + used, self.carried)
        return True

    cdef bint _inflate_window(self) noexcept nogil:
        cdef InflateResult result
        cdef size_t used = 0
        self.inflater.feed(self.image.window.base, self.image.window.fill)
        while True:
            result = self.inflater.next()
            if result == INFLATE_MORE:
                return True
            if result != INFLATE_PIECE:
                self.fault = self.inflater.fault
                return False
            if not self.scanner.skim(
                self.inflater.buffer, self.inflater.fill, &used
            ):
                self.fault = self.scanner.fault
                return False
            self.inflater.use(used)

    cdef bint _finish(self) noexcept nogil:
        cdef bint whole
        if self.fault.code != NO_FAULT or not self._take_window():
            return False
        if self.data_set_size == 0 or not self.parsing:
            return True
        if self.plan.deflated:
            if not self.inflater.ended():
                self.fault = self.inflater.fault
                return False
            whole = self.scanner.skim_end(self.inflater.buffer, self.inflater.fill)
        else:
            whole = self.scanner.skim_end(self.image.window.base, self.carried)
        if not whole:
            self.fault = self.scanner.fault
        return whole
