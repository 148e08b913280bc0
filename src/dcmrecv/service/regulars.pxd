"""Regulars: associations that need no Python."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dcmrecv.native.slot cimport WorkerSlot

cdef enum:
    READ_BYTES = 16384          # an A-ASSOCIATE-RQ has 0.2 to 10 KiB


cdef class Visit:
    cdef readonly int descriptor
    cdef readonly str address
    cdef readonly object received
    cdef readonly object asked
    cdef readonly object outcome
    cdef readonly object instead_of_close


cdef class Regulars:
    cdef object receiver        # StoreReceiver, or a script of the tests
    cdef object requests
    cdef WorkerSlot slot
    cdef uint32_t max_pdu
    cdef object dimse_timeout_s     # None: for ever
    cdef bint strict
    cdef uint64_t min_rate
    cdef bytes release_rp
    cdef uint8_t buffer[READ_BYTES]

    cdef _receive(self, int fd)
    cdef int _serve(self, Visit visit, descriptors) except -1
