"""StoreReceiver: the loop that joins connection, messages and storage."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dcmrecv.dimse.command cimport (
    COMMENT_BYTES_MAX,
    FRAMED_BYTES_MAX,
    Command,
)
from dcmrecv.native.buffer cimport AlignedBuffer
from dcmrecv.native.fault cimport Fault
from dcmrecv.native.slot cimport WorkerSlot
from dcmrecv.native.sysio cimport iovec
from dcmrecv.service.journal cimport Journal
from dcmrecv.service.plan cimport AssociationPlan
from dcmrecv.storage.sink cimport StoreSink
from dcmrecv.ul.pdata cimport PDataReader
from dcmrecv.ul.tls_socket_transport cimport TlsSocketTransport
from dcmrecv.ul.tls_transport cimport TlsTransport
from dcmrecv.ul.transport cimport RawTransport, Transport, TransportResult

cdef enum:
    # What one read may have to line up again: several of the longest PDUs.
    STAGING_BYTES = 524288
    RATE_WINDOW_S = 10
    # PS3.8 leaves the close to the peer that asked for release, but not for ever.
    LINGER_MS = 500


cdef enum Step:
    STEP_INTERNAL_FAULT = 0
    STEP_GO_ON = 1
    STEP_RELEASE = 2
    STEP_STORED = 3
    STEP_ECHOED = 4
    STEP_INTERRUPTED = 5
    STEP_FAULT = 6
    STEP_NOTE = 7       # STEP_GO_ON, once the journal has it


cdef class StoreReceiver:
    cdef RawTransport plain
    cdef TlsTransport tls           # None before the first one
    cdef TlsSocketTransport tls_socket  # the same
    cdef Transport transport        # the one of them in use
    cdef object engine              # the TlsEngine, None without TLS
    cdef PDataReader reader
    cdef StoreSink sink
    cdef WorkerSlot slot
    cdef readonly str output_directory  # as it is shown in front of a file's name
    # Bytes received and not yet read.
    cdef AlignedBuffer staging
    cdef size_t staged_at           # fill says how far they go
    # The association.
    cdef AssociationPlan plan
    cdef uint32_t peer_max_pdu      # 0: no limit
    cdef bint report                # return from run() after every message
    cdef Journal journal            # but not after routine objects; None: neither
    cdef uint64_t odd_uids          # in command sets
    # The pace of the peer inside messages, looked at once in RATE_WINDOW_S.
    cdef uint64_t min_rate          # bytes per second; 0: any
    cdef uint64_t rate_waited_ns    # since the window began
    cdef uint64_t rate_bytes
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

    cdef Transport _transport_for(self, engine)
    cdef Step _loop(self) noexcept nogil
    cdef Step _receive(self) noexcept nogil
    cdef TransportResult _fill_at_pace(self, iovec* iov, int count) noexcept nogil
    cdef Step _begin_message(self) noexcept nogil
    cdef Step _end_object(self) noexcept nogil
    cdef void _prepare_answer(self, uint16_t status) noexcept nogil
    cdef bint _is_routine(self) noexcept nogil
    cdef Step _send_answer(self) noexcept nogil
