"""Command sets between bytes and structs. Never sees a data set.

A command set is always encoded in Implicit VR Little Endian, PS3.7 section 6.3.1.
"""

from libc.string cimport memchr, memcpy, memset, strlen

from dcmrecv.native.fault cimport (
    COMMAND_FIELD,
    COMMAND_MISSING,
    COMMAND_SET,
    COMMAND_VALUE,
    clear_fault,
    fault_message,
    set_fault,
)
from dcmrecv.native.wire cimport (
    load_u16_le,
    load_u32_le,
    store_u16_le,
    store_u32_be,
    store_u32_le,
)

cdef enum:
    AFFECTED_SOP_CLASS_UID = 0x0002
    COMMAND_FIELD_TAG = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_RESPONDED_TO = 0x0120
    PRIORITY = 0x0700
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    ERROR_COMMENT = 0x0902
    AFFECTED_SOP_INSTANCE_UID = 0x1000

cdef enum:
    HAS_CLASS = 1
    HAS_FIELD = 2
    HAS_MESSAGE_ID = 4
    HAS_PRIORITY = 8
    HAS_DATA_SET_TYPE = 16
    HAS_INSTANCE = 32
    BROKEN_CLASS = 64
    BROKEN_INSTANCE = 128


cdef inline bint _is_space(uint8_t byte) noexcept nogil:
    return byte == c' ' or 9 <= byte <= 13


cdef Span _uid(const uint8_t* value, size_t size) noexcept nogil:
    """A UID without padding: ends at the first NUL, white space around does not count.

    White space is what isspace() says, as observed with the original.
    """
    cdef Span uid
    cdef const void* nul = memchr(value, 0, size)
    if nul != NULL:
        size = <size_t>(<const uint8_t*>nul - value)
    while size > 0 and _is_space(value[0]):
        value += 1
        size -= 1
    while size > 0 and _is_space(value[size - 1]):
        size -= 1
    uid.ptr = value
    uid.len = size
    return uid


cdef bint _is_odd(const uint8_t* value, size_t size) noexcept nogil:
    """Is this other than a UID, padded with one NUL at most? PS3.5 section 9.1."""
    cdef size_t at
    cdef bint begins = True     # a component
    cdef bint zero = False      # as its first digit
    if size > 0 and value[size - 1] == 0 and not size & 1:
        size -= 1
    if not 1 <= size <= UID_BYTES_MAX:
        return True
    for at in range(size):
        if value[at] == c'.':
            if begins:
                return True
            begins = True
        elif not c'0' <= value[at] <= c'9' or (zero and not begins):
            return True
        else:
            zero = begins and value[at] == c'0'
            begins = False
    return begins


cdef uint32_t count_odd_uids(const Command* command, uint16_t* which) noexcept nogil:
    """How many of the two UIDs PS3.5 section 9.1 forbids; `which` element is the last.

    Apart from parse_command(), since it costs more than all of that (2,300 instructions
    instead of 900) and few want to know.
    """
    cdef uint32_t count = 0
    if _is_odd(command.class_value.ptr, command.class_value.len):
        count += 1
        which[0] = AFFECTED_SOP_CLASS_UID
    if command.field == C_STORE_RQ and _is_odd(
        command.instance_value.ptr, command.instance_value.len
    ):
        count += 1
        which[0] = AFFECTED_SOP_INSTANCE_UID
    return count


cdef CommandResult _missing(Fault* fault, uint32_t tag) noexcept nogil:
    set_fault(fault, COMMAND_MISSING, tag, 0)
    return COMMAND_REFUSED


cdef CommandResult _impossible(Fault* fault, uint32_t tag) noexcept nogil:
    set_fault(fault, COMMAND_VALUE, tag, 0)
    return COMMAND_REFUSED


cdef CommandResult parse_command(
    const uint8_t* data, size_t size, Command* command, Fault* fault
) noexcept nogil:
    """Read a command set of `size` bytes into `command`, whose Spans point into `data`.

    Order, group length and unknown elements do not matter; of a repeated element the
    first counts (observed, spec 6.3). Anything but a complete C-STORE-RQ with a data
    set or a complete C-ECHO-RQ without one is COMMAND_REFUSED.
    """
    cdef size_t at = 0
    cdef size_t left
    cdef uint32_t length
    cdef uint16_t element
    cdef uint16_t number
    cdef uint32_t seen = 0
    cdef const uint8_t* value
    memset(command, 0, sizeof(Command))
    while at < size:
        left = size - at
        if left < 8:
            set_fault(fault, COMMAND_SET, at, 0)
            return COMMAND_REFUSED
        length = load_u32_le(data + at + 4)
        if length > left - 8:
            set_fault(fault, COMMAND_SET, at, 0)
            return COMMAND_REFUSED
        value = data + at + 8
        element = load_u16_le(data + at + 2)
        if load_u16_le(data + at) != 0:
            at += 8 + <size_t>length
            continue
        at += 8 + <size_t>length
        if element == AFFECTED_SOP_CLASS_UID and not seen & HAS_CLASS:
            seen |= HAS_CLASS
            command.class_value.ptr = value
            command.class_value.len = length
            command.sop_class = _uid(value, length)
            if command.sop_class.len > UID_BYTES_MAX:
                seen |= BROKEN_CLASS
        elif element == AFFECTED_SOP_INSTANCE_UID and not seen & HAS_INSTANCE:
            seen |= HAS_INSTANCE
            command.instance_value.ptr = value
            command.instance_value.len = length
            command.sop_instance = _uid(value, length)
            if not 1 <= command.sop_instance.len <= UID_BYTES_MAX:
                seen |= BROKEN_INSTANCE
        elif length == 2:
            number = load_u16_le(value)
            if element == COMMAND_FIELD_TAG and not seen & HAS_FIELD:
                seen |= HAS_FIELD
                command.field = number
            elif element == MESSAGE_ID and not seen & HAS_MESSAGE_ID:
                seen |= HAS_MESSAGE_ID
                command.message_id = number
            elif element == PRIORITY:
                seen |= HAS_PRIORITY
            elif element == DATA_SET_TYPE and not seen & HAS_DATA_SET_TYPE:
                seen |= HAS_DATA_SET_TYPE
                command.data_set_type = number
    return _judge(command, seen, fault)


cdef CommandResult _judge(
    const Command* command, uint32_t seen, Fault* fault
) noexcept nogil:
    """Is the command complete and one that we serve? Spec 6.3 for what is missed."""
    cdef bint incomplete
    if not seen & HAS_FIELD:
        return _missing(fault, COMMAND_FIELD_TAG)
    if command.field != C_STORE_RQ and command.field != C_ECHO_RQ:
        # C-FIND, C-GET and C-MOVE have a priority, which DCMTK misses first.
        incomplete = command.field in (0x0010, 0x0020, 0x0021) and not (
            seen & HAS_PRIORITY
        )
        set_fault(fault, COMMAND_FIELD, command.field, incomplete)
        return COMMAND_REFUSED
    if not seen & HAS_CLASS:
        return _missing(fault, AFFECTED_SOP_CLASS_UID)
    if seen & BROKEN_CLASS:
        return _impossible(fault, AFFECTED_SOP_CLASS_UID)
    if not seen & HAS_MESSAGE_ID:
        return _missing(fault, MESSAGE_ID)
    if not seen & HAS_DATA_SET_TYPE:
        return _missing(fault, DATA_SET_TYPE)
    if command.field == C_ECHO_RQ:
        if command.data_set_type != NO_DATA_SET:
            return _impossible(fault, DATA_SET_TYPE)
        return COMMAND_ECHO
    if not seen & HAS_PRIORITY:
        return _missing(fault, PRIORITY)
    if not seen & HAS_INSTANCE:
        return _missing(fault, AFFECTED_SOP_INSTANCE_UID)
    if seen & BROKEN_INSTANCE:
        set_fault(
            fault, COMMAND_VALUE, AFFECTED_SOP_INSTANCE_UID, command.sop_instance.len
        )
        return COMMAND_REFUSED
    if command.data_set_type == NO_DATA_SET:
        return _impossible(fault, DATA_SET_TYPE)
    return COMMAND_STORE


cdef size_t _put_number(uint8_t* out, uint16_t element, uint16_t value) noexcept nogil:
    store_u16_le(out, 0)
    store_u16_le(out + 2, element)
    store_u32_le(out + 4, 2)
    store_u16_le(out + 8, value)
    return 10


cdef size_t _put_text(
    uint8_t* out, uint16_t element, const uint8_t* text, size_t size, uint8_t pad
) noexcept nogil:
    cdef size_t even = size + (size & 1)
    store_u16_le(out, 0)
    store_u16_le(out + 2, element)
    store_u32_le(out + 4, <uint32_t>even)
    memcpy(out + 8, text, size)
    if even > size:
        out[8 + size] = pad
    return 8 + even


cdef size_t encode_response(
    uint8_t* out, const Command* command, uint16_t status, const char* comment
) noexcept nogil:
    """Write the answer to a C-STORE-RQ or C-ECHO-RQ; PS3.7 sections 9.3.1.2, 9.3.5.2.

    `out` has room for RESPONSE_BYTES_MAX. `comment` is NUL-terminated; an empty one is
    left out, a long one is cut to COMMENT_BYTES_MAX. Returns the number of bytes.
    """
    cdef size_t at = 12
    cdef size_t size = min(strlen(comment), <size_t>COMMENT_BYTES_MAX)
    at += _put_text(
        out + at, AFFECTED_SOP_CLASS_UID,
        command.sop_class.ptr, command.sop_class.len, 0,
    )
    at += _put_number(
        out + at, COMMAND_FIELD_TAG, <uint16_t>(command.field | 0x8000)
    )
    at += _put_number(out + at, MESSAGE_ID_RESPONDED_TO, command.message_id)
    at += _put_number(out + at, DATA_SET_TYPE, NO_DATA_SET)
    at += _put_number(out + at, STATUS, status)
    if size > 0:
        at += _put_text(out + at, ERROR_COMMENT, <const uint8_t*>comment, size, c' ')
    if command.field == C_STORE_RQ:
        at += _put_text(
            out + at, AFFECTED_SOP_INSTANCE_UID,
            command.sop_instance.ptr, command.sop_instance.len, 0,
        )
    store_u32_le(out, 0)
    store_u32_le(out + 4, 4)
    store_u32_le(out + 8, <uint32_t>(at - 12))
    return at


cdef size_t frame_command(
    uint8_t* out, const uint8_t* command, size_t size,
    uint8_t context_id, uint32_t peer_max_pdu
) noexcept nogil:
    """Put a command set into P-DATA-TF PDUs of one PDV each; PS3.8 section 9.3.5.

    One PDU for every peer that allows at least RESPONSE_BYTES_MAX + 6 bytes; below that
    as many as it needs, the smallest with fragments of 2 bytes. `peer_max_pdu` 0 is no
    limit. `out` has room for FRAMED_BYTES_MAX. Returns the number of bytes.
    """
    cdef size_t at = 0
    cdef size_t done = 0
    cdef size_t part
    cdef size_t largest = size
    if peer_max_pdu != 0 and <size_t>peer_max_pdu < size + 6:
        largest = (max(<size_t>peer_max_pdu, <size_t>8) - 6) & ~<size_t>1
    while True:
        part = min(largest, size - done)
        out[at] = 0x04
        out[at + 1] = 0
        store_u32_be(out + at + 2, <uint32_t>(part + 6))
        store_u32_be(out + at + 6, <uint32_t>(part + 2))
        out[at + 10] = context_id
        out[at + 11] = 0x03 if done + part == size else 0x01
        memcpy(out + at + 12, command + done, part)
        at += 12 + part
        done += part
        if done == size:
            return at


def parse(const uint8_t[::1] data not None):
    """parse_command() for tests.

    Returns:
        ("store", message id, SOP class, SOP instance), ("echo", message id, SOP class)
        or ("refused", text).
    """
    cdef Command command
    cdef Fault fault
    clear_fault(&fault)
    cdef const uint8_t* base = &data[0] if data.shape[0] else NULL
    cdef CommandResult result = parse_command(
        base, <size_t>data.shape[0], &command, &fault
    )
    if result == COMMAND_REFUSED:
        return "refused", fault_message(&fault)
    sop_class = command.sop_class.ptr[:command.sop_class.len]
    if result == COMMAND_ECHO:
        return "echo", command.message_id, sop_class
    return (
        "store", command.message_id, sop_class,
        command.sop_instance.ptr[:command.sop_instance.len],
    )


def odd_uids(const uint8_t[::1] data not None):
    """How many UIDs of the command set `data` are none by the standard; for tests."""
    cdef Command command
    cdef Fault fault
    cdef uint16_t which = 0
    clear_fault(&fault)
    cdef const uint8_t* base = &data[0] if data.shape[0] else NULL
    if parse_command(base, <size_t>data.shape[0], &command, &fault) == COMMAND_REFUSED:
        return 0
    return count_odd_uids(&command, &which)


def respond(
    const uint8_t[::1] data not None, uint16_t status, bytes comment,
    uint8_t context_id, uint32_t peer_max_pdu,
):
    """The PDUs that answer the command set `data`; for tests.

    Raises:
        ValueError: `data` is no C-STORE-RQ or C-ECHO-RQ that we serve.
    """
    cdef Command command
    cdef Fault fault
    cdef uint8_t response[RESPONSE_BYTES_MAX]
    cdef uint8_t framed[FRAMED_BYTES_MAX]
    cdef size_t size
    clear_fault(&fault)
    cdef const uint8_t* base = &data[0] if data.shape[0] else NULL
    if parse_command(base, <size_t>data.shape[0], &command, &fault) == COMMAND_REFUSED:
        raise ValueError(fault_message(&fault))
    size = encode_response(response, &command, status, comment)
    size = frame_command(framed, response, size, context_id, peer_max_pdu)
    return framed[:size]
