"""P-DATA-TF framing: PS3.8 section 9.3.5 and Annex E.

Never makes a system call and never looks into a command set or a data set.
"""

cimport cython
from libc.string cimport memcpy, memset

from dcmrecv.native.fault cimport (
    CONTEXT_DIFFERS,
    COMMAND_LENGTH,
    PDU_LENGTH,
    PDV_CONTEXT,
    PDV_KIND,
    PDV_LENGTH,
    PEER_ABORTED,
    UNEXPECTED_PDU,
    UNRECOGNIZED_PDU,
    clear_fault,
    describe_fault,
    set_fault,
)
from dcmrecv.native.wire cimport load_u32_be

cdef enum:
    PDU_HEADER = 0              # 6 bytes: type, reserved, length
    PDV_HEADER = 1              # 6 bytes: length, context id, message control header
    FRAGMENT = 2
    RELEASE_BODY = 3            # 4 reserved bytes
    ABORT_BODY = 4              # reserved, reserved, source, reason

cdef enum:
    A_ASSOCIATE_RQ = 0x01
    P_DATA_TF = 0x04
    A_RELEASE_RQ = 0x05
    A_RELEASE_RP = 0x06
    A_ABORT = 0x07

cdef enum:
    COMMAND_FRAGMENT = 0x01     # message control header, PS3.8 Table E.2-1
    LAST_FRAGMENT = 0x02


@cython.final
@cython.no_gc
cdef class PDataReader:
    """Reads what comes after the A-ASSOCIATE-AC.

    Lands data set bytes in `landing`, an AlignedBuffer that it shares and never frees.
    """

    def __cinit__(self, AlignedBuffer landing not None):
        self.landing = landing
        memset(self.accepted, 0, sizeof(self.accepted))
        self.reset(16384)

    cdef void reset(self, uint32_t max_pdu) noexcept nogil:
        """Forget the last association; no presentation context is accepted any more."""
        clear_fault(&self.fault)
        self.max_pdu = max_pdu
        memset(self.accepted, 0, sizeof(self.accepted))
        self.phase = PDU_HEADER
        self.header_fill = 0
        self.header_need = 6
        self.pdu_left = 0
        self.pdv_left = 0
        self.last = False
        self.in_data_set = False
        self.empty_run = 0
        self.context_id = 0
        self.command_fill = 0
        self.strict = False
        memset(self.oddities, 0, sizeof(self.oddities))
        self.likely_fragment = 0
        self.planned_rest = 0
        self.planned_fragments = 0
        self.planned_staging = NULL

    cdef void expect_data_set(self) noexcept nogil:
        """The command set just read is followed by a data set."""
        self.in_data_set = True

    cdef bint inside_message(self) noexcept nogil:
        """Is a PDU or a message begun and not ended?"""
        return (
            self.phase != PDU_HEADER
            or self.header_fill != 0
            or self.in_data_set
            or self.command_fill != 0
        )

    cdef ReadEvent consume(
        self, const uint8_t* data, size_t size, size_t* used
    ) noexcept nogil:
        """Read from `data` until something happened; `used` says how far.

        READ_MORE means that all bytes are used. After any other event the caller goes
        on with the rest, also with an empty rest.
        """
        cdef size_t at = 0
        cdef size_t take
        cdef ReadEvent event
        while True:
            if self.phase == FRAGMENT:
                if self.pdv_left == 0:
                    event = self._end_fragment()
                    if event != READ_MORE:
                        used[0] = at
                        return event
                    continue
                if self.in_data_set and self.landing.room() == 0:
                    used[0] = at
                    return READ_WINDOW_FULL
                if at == size:
                    break
                take = min(<size_t>self.pdv_left, size - at)
                if self.in_data_set:
                    take = min(take, self.landing.room())
                    memcpy(self.landing.landing(), data + at, take)
                    self.landing.fill += take
                else:
                    if take > COMMAND_BYTES_MAX - self.command_fill:
                        set_fault(&self.fault, COMMAND_LENGTH, COMMAND_BYTES_MAX, 0)
                        used[0] = at
                        return READ_FAULT
                    memcpy(self.command + self.command_fill, data + at, take)
                    self.command_fill += take
                self.pdv_left -= <uint32_t>take
                at += take
                continue
            if at == size:
                break
            take = min(self.header_need - self.header_fill, size - at)
            memcpy(self.header + self.header_fill, data + at, take)
            self.header_fill += take
            at += take
            if self.header_fill < self.header_need:
                break
            self.header_fill = 0
            if self.phase == PDU_HEADER:
                event = self._begin_pdu()
            elif self.phase == PDV_HEADER:
                event = self._begin_pdv()
            elif self.phase == RELEASE_BODY:
                self.phase = PDU_HEADER
                self.header_need = 6
                event = READ_RELEASE
            else:
                set_fault(&self.fault, PEER_ABORTED, self.header[2], self.header[3])
                event = READ_FAULT
            if event != READ_MORE:
                used[0] = at
                return event
        used[0] = at
        return READ_MORE

    cdef ReadEvent _begin_pdu(self) noexcept nogil:
        """PDU header: type, reserved, length. PS3.8 section 9.3.1."""
        cdef uint32_t length = load_u32_be(self.header + 2)
        self.pdu_type = self.header[0]
        if self.pdu_type == P_DATA_TF:
            if length > LONG_PDU_BYTES_MAX:
                set_fault(&self.fault, PDU_LENGTH, length, self.max_pdu)
                return READ_FAULT
            if length > self.max_pdu:
                # Differs: DCMTK aborts at a PDU longer than announced.
                if self._tolerate(LONG_PDU, length, self.max_pdu) != READ_MORE:
                    return READ_FAULT
            self.pdu_left = length
            self.first_in_pdu = True
            if length == 0:
                # Differs: DCMTK aborts at an empty P-DATA-TF (DECISIONS row 6).
                if self._tolerate(EMPTY_PDU, 0, 0) != READ_MORE:
                    return READ_FAULT
                return self._count_empty()
            return self._expect_pdv()
        if self.pdu_type == A_RELEASE_RQ or self.pdu_type == A_ABORT:
            if length != 4:
                set_fault(&self.fault, PDU_LENGTH, length, 4)
                return READ_FAULT
            self.header_need = 4
            self.phase = RELEASE_BODY if self.pdu_type == A_RELEASE_RQ else ABORT_BODY
            return READ_MORE
        if A_ASSOCIATE_RQ <= self.pdu_type <= A_RELEASE_RP:
            set_fault(&self.fault, UNEXPECTED_PDU, self.pdu_type, 0)
        else:
            set_fault(&self.fault, UNRECOGNIZED_PDU, self.pdu_type, 0)
        return READ_FAULT

    cdef ReadEvent _begin_pdv(self) noexcept nogil:
        """PDV item header. PS3.8 section 9.3.5.1, Annex E.2."""
        cdef uint32_t length = load_u32_be(self.header)  # id, control header, fragment
        cdef uint8_t context_id = self.header[4]
        cdef uint8_t control = self.header[5]
        cdef bint is_command = (control & COMMAND_FRAGMENT) != 0
        if length < 2 or length > self.pdu_left - 4:
            set_fault(&self.fault, PDV_LENGTH, length, self.pdu_left)
            return READ_FAULT
        if not self.accepted[context_id]:
            set_fault(&self.fault, PDV_CONTEXT, context_id, 0)
            return READ_FAULT
        if is_command == self.in_data_set:
            set_fault(&self.fault, PDV_KIND, is_command, 0)
            return READ_FAULT
        if self.in_data_set or self.command_fill != 0:
            # All fragments of a message travel on one context, PS3.8 Annex E.1.
            if context_id != self.context_id:
                set_fault(&self.fault, CONTEXT_DIFFERS, self.context_id, context_id)
                return READ_FAULT
        self.context_id = context_id
        self.pdu_left -= 4 + length
        self.pdv_left = length - 2
        self.last = (control & LAST_FRAGMENT) != 0
        self.phase = FRAGMENT
        if self.pdv_left & 1:
            # Differs: DCMTK aborts at an odd fragment (DECISIONS row 6).
            if self._tolerate(ODD_FRAGMENT, length, self.pdu_left) != READ_MORE:
                return READ_FAULT
        if self.pdv_left == 0 and not self.last:
            return self._count_empty()
        self.empty_run = 0
        if self.in_data_set and not self.last:
            # Alone in its PDU: so are those that follow, most senders being regular.
            self.likely_fragment = 0
            if self.pdu_left == 0 and not self.pdv_left & 1 and self.first_in_pdu:
                self.likely_fragment = self.pdv_left
        self.first_in_pdu = False
        return READ_MORE

    cdef ReadEvent _expect_pdv(self) noexcept nogil:
        """Bytes are left in the PDU: enough for the header of a PDV?"""
        if self.pdu_left < 6:
            set_fault(&self.fault, PDV_LENGTH, self.pdu_left, self.pdu_left)
            return READ_FAULT
        self.phase = PDV_HEADER
        return READ_MORE

    cdef ReadEvent _count_empty(self) noexcept nogil:
        self.empty_run += 1
        if self.empty_run > EMPTY_RUN_MAX:
            set_fault(&self.fault, PDV_LENGTH, 0, EMPTY_RUN_MAX)
            return READ_FAULT
        return READ_MORE

    cdef ReadEvent _tolerate(
        self, ReadOddity kind, uint64_t length, uint64_t allowed
    ) noexcept nogil:
        """Count something illegal but harmless; a fault in strict mode."""
        self.oddities[<int>kind] += 1
        if not self.strict:
            return READ_MORE
        set_fault(
            &self.fault, PDU_LENGTH if kind == LONG_PDU else PDV_LENGTH, length, allowed
        )
        return READ_FAULT

    cdef ReadEvent _end_fragment(self) noexcept nogil:
        self.phase = PDU_HEADER
        if self.pdu_left > 0 and self._expect_pdv() != READ_MORE:
            return READ_FAULT
        if not self.last:
            return READ_MORE
        self.last = False
        if self.in_data_set:
            self.in_data_set = False
            return READ_DATA_SET
        return READ_COMMAND

    cdef int plan(self, iovec* iov, uint8_t* staging, size_t room) noexcept nogil:
        """Say where the next bytes shall land; PLAN_ENTRIES_MAX places at most.

        The rest of a data set fragment goes straight to `landing`. Behind it follow the
        PDUs on which we bet, their fragments in `landing`, their headers in `staging`,
        at the place that they would have if the whole stream went there; without a bet,
        `staging` takes what follows. Returns how many entries of `iov` are set;
        `commit()` must follow. Only valid after READ_MORE.
        """
        cdef size_t rest = self._direct_room()
        cdef size_t fragment = self.likely_fragment
        cdef size_t stride = HEADERS_BYTES + fragment
        cdef size_t number = 0
        cdef size_t i
        cdef uint8_t* place = self.landing.landing() + rest
        self.planned_rest = rest
        self.planned_fragments = 0
        self.planned_staging = staging
        iov[0].iov_base = self.landing.landing()
        iov[0].iov_len = rest
        if rest == 0:
            iov[0].iov_base = staging
            iov[0].iov_len = min(room, <size_t>LINEAR_BYTES)
            return 1
        if rest < self.pdv_left:
            return 1
        if fragment > 0 and not self.last and self.pdu_left == 0:
            number = min((self.landing.room() - rest) // fragment, room // stride)
            number = min(number, <size_t>SCATTERED_MAX)
        if number == 0:
            iov[1].iov_base = staging
            iov[1].iov_len = min(room, <size_t>LINEAR_BYTES)
            return 2
        self.planned_fragments = number
        for i in range(number):
            iov[1 + 2 * i].iov_base = staging + i * stride
            iov[1 + 2 * i].iov_len = HEADERS_BYTES
            iov[2 + 2 * i].iov_base = place + i * fragment
            iov[2 + 2 * i].iov_len = fragment
        return <int>(1 + 2 * number)

    cdef size_t commit(self, size_t received, size_t* begin) noexcept nogil:
        """Take over `received` bytes that lie where `plan()` said.

        Returns how many of them are left for `consume()`: they lie in staging, from
        `begin` on.
        """
        cdef size_t stride = HEADERS_BYTES + self.likely_fragment
        cdef size_t left = received - min(self.planned_rest, received)
        cdef const uint8_t* landed
        cdef size_t placed
        cdef size_t i
        self.landing.fill += received - left
        self.pdv_left -= <uint32_t>(received - left)
        begin[0] = 0
        for i in range(self.planned_fragments):
            begin[0] = i * stride
            if left < HEADERS_BYTES:
                return left
            landed = self.landing.landing()
            if not self._take_scattered(self.planned_staging + begin[0], left):
                self._line_up(i, 0, landed, left - HEADERS_BYTES)
                return left
            placed = <size_t>(self.landing.landing() - landed)
            left -= HEADERS_BYTES + placed
            if placed < self.likely_fragment or self.last:
                if left > 0:
                    self._line_up(i, placed, landed, left + placed)
                begin[0] += HEADERS_BYTES + placed
                return left
        return left

    cdef bint _take_scattered(self, const uint8_t* header, size_t size) noexcept nogil:
        """Is the header behind the fragment just ended one on which the bet is won?

        Then the next fragment is begun, and of `size` bytes from the header on what
        belongs to it has landed. A last fragment may be shorter than the others.
        """
        cdef uint32_t length = load_u32_be(header + 6)
        cdef uint32_t fragment = length - 2
        if (
            header[0] != P_DATA_TF
            or load_u32_be(header + 2) != length + 4
            or length + 4 > self.max_pdu
            or header[10] != self.context_id
            or header[11] & COMMAND_FRAGMENT
            or length <= 2
            or fragment > self.likely_fragment
            or fragment & 1
        ):
            return False
        self.last = (header[11] & LAST_FRAGMENT) != 0
        size = min(size - HEADERS_BYTES, <size_t>fragment)
        self.landing.fill += size
        self.pdv_left = fragment - <uint32_t>size
        self.pdu_left = 0
        self.phase = FRAGMENT
        self.empty_run = 0
        return True

    cdef void _line_up(
        self, size_t number, size_t placed, const uint8_t* landed, size_t size
    ) noexcept nogil:
        """Copy what was scattered in vain to where it would be without scattering.

        Of the planned fragment `number`, which begins at `landed`, the first `placed`
        bytes are where they belong; `size` bytes came from `landed` on, headers
        between the fragments included.
        """
        cdef size_t fragment = self.likely_fragment
        cdef size_t stride = HEADERS_BYTES + fragment
        cdef uint8_t* out = self.planned_staging + number * stride + HEADERS_BYTES
        cdef size_t take
        while size > 0:
            take = min(size, fragment)
            memcpy(out + placed, landed + placed, take - placed)
            size -= min(size, stride)
            placed = 0
            landed += fragment
            out += stride

    cdef size_t _direct_room(self) noexcept nogil:
        if self.phase != FRAGMENT or not self.in_data_set:
            return 0
        return min(<size_t>self.pdv_left, self.landing.room())

    def forbid_oddities(self):
        """Be strict from now on; for tests."""
        self.strict = True

    def accept(self, context_ids):
        """Let these presentation context ids pass; for tests."""
        for context_id in context_ids:
            self.accepted[<uint8_t>context_id] = True

    def feed(self, const uint8_t[::1] data not None, size_t staging_bytes=0):
        """Run the real reader over `data`; for tests, which have no socket.

        Every command set counts as followed by a data set. With `staging_bytes` the
        data go the way of plan() and commit(), as if one receive after the other
        filled whatever is planned; otherwise that of consume().

        Returns:
            The events in order: ("command", context id, bytes), ("data", bytes),
            ("data set",), ("release",) or ("fault", code, text), the last one.
        """
        cdef list events = []
        cdef const uint8_t* base = &data[0] if data.shape[0] else NULL
        cdef size_t size = <size_t>data.shape[0]
        cdef size_t taken, staged, begin
        cdef iovec iov[PLAN_ENTRIES_MAX]
        cdef AlignedBuffer staging
        cdef int count, i
        if staging_bytes == 0:
            self._feed_linear(base, size, events)
            return events
        staging = AlignedBuffer(staging_bytes)
        self._feed_linear(base, 0, events)
        while size > 0:
            count = self.plan(iov, staging.base, staging_bytes)
            taken = 0
            for i in range(count):
                staged = min(iov[i].iov_len, size - taken)
                memcpy(iov[i].iov_base, base + taken, staged)
                taken += staged
            base += taken
            size -= taken
            staged = self.commit(taken, &begin)
            if not self._feed_linear(staging.base + begin, staged, events):
                return events
        return events

    cdef bint _feed_linear(
        self, const uint8_t* data, size_t size, list events
    ) except -1:
        """Consume all of `data`; False after a fault."""
        cdef size_t used = 0
        cdef ReadEvent event
        while True:
            event = self.consume(data, size, &used)
            data += used
            size -= used
            if event == READ_COMMAND:
                events.append(("command", self.context_id, self._take_command()))
                self.expect_data_set()
            elif event == READ_WINDOW_FULL:
                events.append(("data", self._take_landed()))
            elif event == READ_DATA_SET:
                events.append(("data", self._take_landed()))
                events.append(("data set",))
            elif event == READ_RELEASE:
                events.append(("release",))
            elif event == READ_FAULT:
                events.append(("fault", <int>self.fault.code, self._fault_text()))
                return False
            else:
                return True

    cdef bytes _take_command(self):
        cdef bytes taken = self.command[:self.command_fill]
        self.command_fill = 0
        return taken

    cdef bytes _take_landed(self):
        cdef bytes taken = self.landing.base[:self.landing.fill]
        self.landing.fill = 0
        return taken

    cdef str _fault_text(self):
        cdef char text[256]
        cdef size_t length = describe_fault(&self.fault, text, sizeof(text))
        return text[:length].decode()
