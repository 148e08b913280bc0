"""One association's messages: receive, store, answer, until something else is due.

`run()` releases the GIL once around the loop; no step of an object or a PDU touches
Python. Never negotiates, and logs nothing but what goes into a `journal`: `association`
does both.
"""

import os
from enum import IntEnum

cimport cython
from libc.string cimport memcpy, memset

from dcmrecv.service.tls import tls_error
from dcmrecv.storage.sinks import make_sink
from dcmrecv.ul.oddities import Oddity

from dcmrecv.dimse.command cimport (
    C_STORE_RQ,
    COMMAND_ECHO,
    COMMAND_REFUSED,
    COMMAND_STORE,
    RESPONSE_BYTES_MAX,
    CommandResult,
    count_odd_uids,
    encode_response,
    frame_command,
    parse_command,
)
from dcmrecv.native.fault cimport (
    COMMAND_VALUE,
    DIMSE_TIMEOUT,
    NO_FAULT,
    PEER_CLOSED,
    SOCKET_READ,
    SOCKET_WRITE,
    TLS_FAILED,
    TOO_SLOW,
    clear_fault,
    describe_fault,
    fault_message,
    raise_fault,
    set_fault,
)
from dcmrecv.native.slot cimport (
    SLOT_BYTES,
    SLOT_ECHOES,
    SLOT_FAILURES,
    SLOT_OBJECTS,
    SLOT_PROGRESS_NS,
    SLOT_TOLERATED,
)
from dcmrecv.native.sysio cimport iovec
from dcmrecv.native.wire cimport Span
from dcmrecv.service.plan cimport CONTEXTS_MAX
from dcmrecv.storage.duplicate cimport NO_DUPLICATE
from dcmrecv.storage.sink cimport SUCCESS
from dcmrecv.ul.pdata cimport (
    PLAN_ENTRIES_MAX,
    READ_COMMAND,
    READ_DATA_SET,
    READ_FAULT,
    READ_MORE,
    READ_ODDITIES,
    READ_RELEASE,
    READ_WINDOW_FULL,
    ReadEvent,
)
from dcmrecv.ul.tls_socket_transport cimport TlsSocketTransport
from dcmrecv.ul.tls_transport cimport TlsTransport
from dcmrecv.ul.transport cimport (
    TRANSPORT_DONE,
    TRANSPORT_FAULT,
    TRANSPORT_INTERRUPTED,
    WATCHED_MAX,
    RawTransport,
    TransportResult,
)


cdef uint64_t NS_PER_S = 1_000_000_000
cdef uint64_t NS_PER_MS = 1_000_000


class Outcome(IntEnum):
    """Why run() came back."""

    INTERNAL_FAULT = 0
    RELEASE_RQ = 1      # the peer asks for release
    STORED = 2          # a C-STORE-RQ has been answered, see the attributes
    ECHOED = 3          # a C-ECHO-RQ has been answered
    INTERRUPTED = 4     # a watched descriptor is readable; call run() again


# What StoreReceiver.oddities counts, the kinds of the PDataReader first.
ODDITIES = (
    Oddity.ODD_FRAGMENT,
    Oddity.EMPTY_PDU,
    Oddity.LONG_PDU,
    Oddity.COMMAND_UID,
)


class Duplicate(IntEnum):
    """What became of an object whose file existed and was not replaced."""

    NONE = 0            # there was no such file
    OLDER_KEPT = 1      # the object was dropped
    OLDER_IS_SAME = 2   # nothing had to be written
    BOTH_KEPT = 3       # it has another name
    BOTH_DIFFER = 4     # the same, since the two are not the same object


_DUPLICATES = tuple(Duplicate)


_OUTCOMES = {
    STEP_RELEASE: Outcome.RELEASE_RQ,
    STEP_STORED: Outcome.STORED,
    STEP_ECHOED: Outcome.ECHOED,
    STEP_INTERRUPTED: Outcome.INTERRUPTED,
}


@cython.final
cdef class StoreReceiver:
    """Receives the objects of one association after the other; one a worker.

    Owns the window and the staging area, 1.5 MiB together, whatever the size of an
    object. `begin()`, then `run()` until it returns RELEASE_RQ or raises, then `end()`.
    """

    def __init__(self, storage, WorkerSlot slot not None, str temporary_tag not None):
        self.sink = make_sink(storage, temporary_tag)
        if slot.flush_group is not None:
            self.sink.writer.flusher.group = slot.flush_group
        self.reader = PDataReader(self.sink.image.window)
        self.plain = RawTransport()
        self.transport = self.plain
        self.staging = AlignedBuffer(STAGING_BYTES)
        self.slot = slot
        self.output_directory = _shown_directory(storage.output_directory)
        self.plan = AssociationPlan((), "", storage.mode)

    def begin(
        self, AssociationPlan plan not None, *, int fd, uint32_t max_pdu,
        uint32_t peer_max_pdu, dimse_timeout_s, bytes received, bint report,
        Journal journal=None, bint strict=False, uint64_t min_rate=0, engine=None,
    ):
        """Take over a connection whose association has just been accepted.

        Args:
            plan: kept until the next association begins.
            fd: the connection, non-blocking or not; stays the caller's.
            max_pdu: bytes, as announced in the A-ASSOCIATE-AC.
            peer_max_pdu: bytes, as the peer announced; 0 for no limit.
            dimse_timeout_s: bound on every wait in seconds, None for none.
            received: bytes that came behind the A-ASSOCIATE-RQ.
            report: return from run() after every message, not only after those that
                somebody must hear of.
            journal: with `report`, where routine objects are noted instead.
            strict: what is illegal but harmless ends the association.
            min_rate: bytes per second that the peer must send while a message is under
                way, on an average over RATE_WINDOW_S of waiting; 0 for any.
            engine: the TlsEngine that the connection goes through; None without TLS.

        Raises:
            ValueError: `received` is longer than the staging area.
        """
        if <size_t>len(received) > self.staging.capacity:
            raise ValueError(f"{len(received)} bytes behind an A-ASSOCIATE-RQ")
        cdef int i
        self.engine = engine
        self.transport = self._transport_for(engine)
        self.transport.attach(fd, dimse_timeout_s)
        self.reader.reset(max_pdu)
        self.reader.strict = strict
        self.odd_uids = 0
        self.min_rate = min_rate
        self.rate_waited_ns = 0
        self.rate_bytes = 0
        self.plan = plan
        for i in range(CONTEXTS_MAX):
            self.reader.accepted[i] = plan.by_id[i] != NULL
        memcpy(self.staging.base, <const char*>received, <size_t>len(received))
        self.staging.fill = <size_t>len(received)
        self.staged_at = 0
        self.peer_max_pdu = peer_max_pdu
        self.report = report
        self.journal = journal
        memset(&self.command, 0, sizeof(self.command))
        self.context = 0
        self.answer_size = 0
        self.answer_sent = 0
        self.after_answer = STEP_GO_ON
        self.last_status = SUCCESS
        self.comment[0] = 0
        clear_fault(&self.fault)

    cdef Transport _transport_for(self, engine):
        if engine is None or engine.in_kernel:
            return self.plain
        if engine.on_socket:
            if self.tls_socket is None:
                self.tls_socket = TlsSocketTransport()
            self.tls_socket.secure(engine.ssl_object)
            return self.tls_socket
        if self.tls is None:
            self.tls = TlsTransport()
        self.tls.secure(engine)
        return self.tls

    def watch(self, descriptors):
        """From now on run() returns INTERRUPTED when one of these becomes readable.

        Raises:
            ValueError: more than WATCHED_MAX descriptors.
        """
        cdef int numbers[WATCHED_MAX]
        cdef int count = 0
        if len(descriptors) > WATCHED_MAX:
            raise ValueError(f"at most {WATCHED_MAX} descriptors can be watched")
        for number in descriptors:
            numbers[count] = number
            count += 1
        self.transport.watch(numbers, count)

    def greet(self, const uint8_t[::1] answer not None):
        """Send the A-ASSOCIATE-AC, unless the caller has done so before begin().

        Raises:
            AssociationError: the peer takes nothing, or is gone.
        """
        cdef size_t sent = 0
        cdef TransportResult result
        with nogil:
            result = self.transport.send(&answer[0], <size_t>answer.shape[0], &sent)
        if result != TRANSPORT_DONE:
            self.fault = self.transport.fault
            raise_fault(&self.fault)

    def run(self):
        """Serve the association until Python is needed.

        Returns:
            An Outcome; after INTERRUPTED, STORED and ECHOED call it again.

        Raises:
            AssociationError: the association is over; `abort` says what to tell the
                peer.
        """
        cdef Step step
        with nogil:
            step = self._loop()
        if step == STEP_FAULT:
            if self.fault.code == TLS_FAILED:
                raise tls_error(self.transport.failure) from self.transport.failure
            # A broken record may be the fault of the next send(), too.
            if (
                self.engine is not None and self.engine.in_kernel
                and self.fault.code in (SOCKET_READ, SOCKET_WRITE)
                and self.engine.has_failed_at_end(self.fault.os_errno)
            ):
                self.fault.code = PEER_CLOSED
            raise_fault(&self.fault)
        if step not in _OUTCOMES:
            raise RuntimeError("the receive loop failed without a fault")
        return _OUTCOMES[step]

    def release(self, const uint8_t[::1] answer not None):
        """Answer an A-RELEASE-RQ, and wait for the peer's close.

        Args:
            answer: the A-RELEASE-RP.

        Returns:
            What came instead of the close, empty if there was no time for anything to
            come; None when nothing more is to be done: the peer has closed, is gone, or
            says nothing for LINGER_MS.

        Source:
            PS3.8 Table 9-10, AR-4 and Sta13.
        """
        cdef iovec room
        cdef size_t sent = 0
        cdef TransportResult result
        cdef size_t at = self.staged_at
        # Nothing is worth an interruption any more.
        self.transport.watch(NULL, 0)
        with nogil:
            result = self.transport.send(&answer[0], <size_t>answer.shape[0], &sent)
            if result == TRANSPORT_DONE and at == self.staging.fill:
                at = 0
                self.staging.fill = 0
                room.iov_base = self.staging.base
                room.iov_len = self.staging.capacity
                self.transport.timeout_ns = LINGER_MS * NS_PER_MS
                result = self.transport.fill(&room, 1)
                if result == TRANSPORT_DONE:
                    self.staging.fill = self.transport.filled
        if result != TRANSPORT_DONE:
            return None
        return (<char*>self.staging.base)[at:self.staging.fill]

    def end(self):
        """The association is over: an unfinished object is forgotten."""
        self.sink.abandon()
        self.engine = None
        if self.tls is not None:
            self.tls.secure(None)
        if self.tls_socket is not None:
            self.tls_socket.secure(None)
        if not self.reader.strict:
            self.slot.add(SLOT_TOLERATED, sum(self.oddities))

    cdef Step _loop(self) noexcept nogil:
        cdef Step step
        cdef ReadEvent event
        cdef size_t used = 0
        while True:
            if self.answer_size > 0:
                step = self._send_answer()
                if step != STEP_GO_ON:
                    return step
            event = self.reader.consume(
                self.staging.base + self.staged_at,
                self.staging.fill - self.staged_at, &used,
            )
            self.staged_at += used
            if event == READ_MORE:
                step = self._receive()
            elif event == READ_WINDOW_FULL:
                self.sink.window_full()
                step = STEP_GO_ON
            elif event == READ_COMMAND:
                step = self._begin_message()
            elif event == READ_DATA_SET:
                step = self._end_object()
            elif event == READ_RELEASE:
                step = STEP_RELEASE
            elif event == READ_FAULT:
                self.fault = self.reader.fault
                step = STEP_FAULT
            else:
                step = STEP_INTERNAL_FAULT
            if step != STEP_GO_ON:
                return step

    cdef Step _receive(self) noexcept nogil:
        """Let the transport fill what the reader planned."""
        cdef iovec iov[PLAN_ENTRIES_MAX]
        cdef int count
        cdef size_t left
        cdef TransportResult result
        self.staging.fill = 0
        self.staged_at = 0
        if self.transport.linear:
            iov[0].iov_base = self.staging.base
            iov[0].iov_len = self.staging.capacity
            count = 1
        else:
            count = self.reader.plan(iov, self.staging.base, self.staging.capacity)
        if self.min_rate != 0 and self.reader.inside_message():
            result = self._fill_at_pace(iov, count)
        else:
            result = self.transport.fill(iov, count)
        if result == TRANSPORT_DONE:
            self.rate_bytes += self.transport.filled
            left = self.transport.filled
            if not self.transport.linear:
                left = self.reader.commit(self.transport.filled, &self.staged_at)
            self.staging.fill = self.staged_at + left
            return STEP_GO_ON
        if result == TRANSPORT_INTERRUPTED:
            return STEP_INTERRUPTED
        self.fault = self.transport.fault
        if self.reader.inside_message():
            self.fault.a = 1
        return STEP_FAULT

    cdef TransportResult _fill_at_pace(self, iovec* iov, int count) noexcept nogil:
        """Fill, unless the peer is slower than it may be.

        Only time that we wait for the peer inside a message counts: neither the pause
        between two messages nor our own work.
        """
        cdef uint64_t window_ns = <uint64_t>RATE_WINDOW_S * NS_PER_S
        cdef uint64_t timeout_ns = self.transport.timeout_ns
        cdef uint64_t begin_ns
        cdef TransportResult result
        cdef bint ours
        while True:
            if self.rate_waited_ns >= window_ns:
                if self.rate_bytes < self.min_rate * (self.rate_waited_ns // NS_PER_S):
                    set_fault(&self.transport.fault, TOO_SLOW, 1, 0)
                    return TRANSPORT_FAULT
                self.rate_waited_ns = 0
                self.rate_bytes = 0
            ours = timeout_ns == 0 or window_ns - self.rate_waited_ns < timeout_ns
            if ours:
                self.transport.timeout_ns = window_ns - self.rate_waited_ns
            begin_ns = self.transport.io.monotonic_ns()
            result = self.transport.fill(iov, count)
            self.rate_waited_ns += self.transport.io.monotonic_ns() - begin_ns
            self.transport.timeout_ns = timeout_ns
            if (
                not ours
                or result != TRANSPORT_FAULT
                or self.transport.fault.code != DIMSE_TIMEOUT
            ):
                return result
            # The window ended before the peer's time did.
            clear_fault(&self.transport.fault)
            self.rate_waited_ns = max(self.rate_waited_ns, window_ns)

    cdef Step _begin_message(self) noexcept nogil:
        cdef uint32_t odd_uids
        cdef uint16_t which = 0
        cdef CommandResult result = parse_command(
            self.reader.command, self.reader.command_fill, &self.command, &self.fault
        )
        self.reader.command_fill = 0
        self.context = self.reader.context_id
        if (self.report or self.reader.strict) and result != COMMAND_REFUSED:
            odd_uids = count_odd_uids(&self.command, &which)
            self.odd_uids += odd_uids
            if odd_uids > 0 and self.reader.strict:
                set_fault(&self.fault, COMMAND_VALUE, which, 1)
                return STEP_FAULT
        if result == COMMAND_STORE:
            self.reader.expect_data_set()
            self.sink.begin(
                self.plan.by_id[self.context],
                self.command.sop_class, self.command.sop_instance,
            )
            return STEP_GO_ON
        if result == COMMAND_ECHO:
            self.slot.add(SLOT_ECHOES, 1)
            self.comment[0] = 0
            self._prepare_answer(SUCCESS)
            self.after_answer = STEP_ECHOED if self.report else STEP_GO_ON
            return STEP_GO_ON
        if result == COMMAND_REFUSED:
            return STEP_FAULT
        return STEP_INTERNAL_FAULT

    cdef Step _end_object(self) noexcept nogil:
        cdef uint16_t status = self.sink.end()
        self.comment[0] = 0
        if status == SUCCESS:
            self.slot.add(SLOT_OBJECTS, 1)
            self.slot.add(SLOT_BYTES, self.sink.data_set_size)
        else:
            self.slot.add(SLOT_FAILURES, 1)
            describe_fault(&self.sink.fault, self.comment, sizeof(self.comment))
        self._prepare_answer(status)
        if not self._is_routine():
            self.after_answer = STEP_STORED
        elif not self.report:
            self.after_answer = STEP_GO_ON
        elif self.journal is None or self.sink.path[0] == 0:
            self.after_answer = STEP_STORED
        else:
            self.after_answer = STEP_NOTE
        return STEP_GO_ON

    cdef bint _is_routine(self) noexcept nogil:
        return (
            self.last_status == SUCCESS
            and not self.sink.overwritten
            and self.sink.duplicate == NO_DUPLICATE
            and self.sink.notes.count == 0
        )

    cdef void _prepare_answer(self, uint16_t status) noexcept nogil:
        cdef uint8_t response[RESPONSE_BYTES_MAX]
        cdef size_t size = encode_response(
            response, &self.command, status, self.comment
        )
        self.last_status = status
        self.answer_size = frame_command(
            self.answer, response, size, self.context, self.peer_max_pdu
        )
        self.answer_sent = 0

    cdef Step _send_answer(self) noexcept nogil:
        cdef TransportResult result = self.transport.send(
            self.answer, self.answer_size, &self.answer_sent
        )
        if result == TRANSPORT_DONE:
            self.answer_size = 0
            self.slot.put(SLOT_PROGRESS_NS, self.transport.io.monotonic_ns())
            if self.after_answer != STEP_NOTE:
                return self.after_answer
            if self.journal.note(self.command.message_id, self.sink.path):
                return STEP_GO_ON
            return STEP_STORED
        if result == TRANSPORT_INTERRUPTED:
            return STEP_INTERRUPTED
        self.fault = self.transport.fault
        return STEP_FAULT

    @property
    def has_room(self):
        """May an association begin, as far as the disk is concerned?"""
        return self.sink.has_room()

    @property
    def oddities(self):
        """How many there were of each kind, in the order of `ODDITIES`."""
        cdef int kind
        cdef list counts = []
        for kind in range(<int>READ_ODDITIES):
            counts.append(self.reader.oddities[kind])
        return (*counts, self.odd_uids)

    @property
    def message_id(self):
        """Message ID (0000,0110) of the last message."""
        return self.command.message_id

    @property
    def sop_instance(self):
        """Affected SOP Instance UID of the last C-STORE-RQ, a character for a byte."""
        cdef Span uid = self.command.sop_instance
        return (<const char*>uid.ptr)[:uid.len].decode("latin-1")

    @property
    def violation(self):
        """FaultCode and its numbers (native/fault.pxd) of the last exception."""
        return <int>self.fault.code, self.fault.a, self.fault.b

    @property
    def is_store(self):
        """Was the last message a C-STORE-RQ?"""
        return self.command.field == C_STORE_RQ

    @property
    def in_data_set(self):
        """Is a data set under way, so that whatever ends now cuts it short?"""
        return self.reader.in_data_set

    @property
    def status(self):
        """Status (0000,0900) of the last answer."""
        return self.last_status

    @property
    def context_id(self):
        """Presentation context id of the last message."""
        return self.context

    @property
    def path(self):
        """The last object's file as it is shown: the output directory and its name."""
        if self.sink.path[0] == 0:
            return ""
        return self.output_directory + os.fsdecode(<bytes>self.sink.path)

    @property
    def overwritten(self):
        """Did the last object replace a file?"""
        return self.sink.overwritten

    @property
    def is_routine(self):
        """Was the last object stored, and is nothing else to be said of it?"""
        return self._is_routine()

    @property
    def duplicate(self):
        """What became of the last object, whose file existed and was not replaced.

        A Duplicate.
        """
        return _DUPLICATES[<int>self.sink.duplicate]

    @property
    def remarks(self):
        """What is worth a warning in the last object: see Notes.taken()."""
        return self.sink.notes.taken()

    @property
    def fault_text(self):
        """Why the last object failed, "" when it did not."""
        if self.sink.fault.code == NO_FAULT:
            return ""
        return fault_message(&self.sink.fault)

    @property
    def fault_errno(self):
        """The errno of the system call to blame for the last object, 0 for none."""
        return self.sink.fault.os_errno


def _shown_directory(str output_directory):
    """The output directory in front of a file name, as the original shows it."""
    if output_directory in ("", "."):
        return "./"
    return output_directory.rstrip("/") + "/"
