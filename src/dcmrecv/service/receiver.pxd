"""StoreReceiver: the loop that joins connection, messages and storage."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dcmrecv.dimse.command cimport (
    COMMENT_BYTES_MAX,
    FRAMED_BYTES_MAX,
    Command,
)
from dcmrecv.native.buffer cimport AlignedBuffer
from dcmrecv.native.fault cimport Fault
from dcmrecv.native.slot cimport WorkerSlot
from dcmrecv.storage.image cimport ContextPlan
from dcmrecv.storage.sink cimport StoreSink
from dcmrecv.ul.pdata cimport PDataReader
from dcmrecv.ul.transport cimport Transport

cdef enum:
    # One read takes a small object whole, a large one in pieces that stay in L2.
    STAGING_BYTES = 262144
    CONTEXTS_MAX = 256


cdef enum Step:
    STEP_INTERNAL_FAULT = 0
    STEP_GO_ON = 1
    STEP_RELEASE = 2
    STEP_STORED = 3
    STEP_ECHOED = 4
    STEP_INTERRUPTED = 5
    STEP_FAULT = 6


cdef class StoreReceiver:
    cdef Transport transport
    cdef PDataReader reader
    cdef StoreSink sink
    cdef WorkerSlot slot
    cdef str output_directory
    # Bytes received and not yet read.
    cdef AlignedBuffer staging
    cdef size_t staged_at           # fill says how far they go
    # The association.
    cdef ContextPlan plans[CONTEXTS_MAX]
    cdef object mode
    cdef list owners                # keep alive what the plans point to
    cdef uint32_t peer_max_pdu      # 0: no limit
    cdef bint report                # return from run() after every message
    # The message under way.
    cdef Command command
    cdef uint8_t context
    cdef uint8_t answer[FRAMED_BYTES_MAX]
    cdef size_t answer_size         # 0: nothing to send
    cdef size_t answer_sent
    cdef Step after_answer
    cdef uint16_t last_status
    cdef char comment[COMMENT_BYTES_MAX + 1]
    cdef Fault fault                # of association scope

    cdef int _accept(self, context, str calling_ae_title) except -1
    cdef Step _loop(self) noexcept nogil
    cdef Step _receive(self) noexcept nogil
    cdef Step _begin_message(self) noexcept nogil
    cdef Step _end_object(self) noexcept nogil
    cdef void _prepare_answer(self, uint16_t status) noexcept nogil
    cdef Step _send_answer(self) noexcept nogil
