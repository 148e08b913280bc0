"""Command sets: what a peer asks, and our answers. PS3.7 sections 6.3, 9.3.1, 9.3.5."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dcmrecv.native.fault cimport Fault
from dcmrecv.native.wire cimport Span

cdef enum:
    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    NO_DATA_SET = 0x0101        # (0000,0800); every other value means that one follows
    UID_BYTES_MAX = 64          # PS3.5 section 9.1
    COMMENT_BYTES_MAX = 64      # (0000,0902) is LO
    # Two UIDs, a comment, eight element headers and their values.
    RESPONSE_BYTES_MAX = 320
    # The same cut into the smallest PDUs that a peer may ask for.
    FRAMED_BYTES_MAX = 64 * RESPONSE_BYTES_MAX


cdef struct Command:
    uint16_t field
    uint16_t message_id
    uint16_t data_set_type
    Span sop_class              # without padding, 0..64 bytes, in the command buffer
    Span sop_instance           # the same, 1..64 bytes; none in a C-ECHO-RQ
    Span class_value            # both as they were sent, with all padding
    Span instance_value


cdef enum CommandResult:
    COMMAND_INTERNAL_FAULT = 0
    COMMAND_STORE = 1
    COMMAND_ECHO = 2
    COMMAND_REFUSED = 3         # see the fault


cdef CommandResult parse_command(
    const uint8_t* data, size_t size, Command* command, Fault* fault
) noexcept nogil

cdef uint32_t count_odd_uids(const Command* command, uint16_t* which) noexcept nogil

cdef size_t encode_response(
    uint8_t* out, const Command* command, uint16_t status, const char* comment
) noexcept nogil

cdef size_t frame_command(
    uint8_t* out, const uint8_t* command, size_t size,
    uint8_t context_id, uint32_t peer_max_pdu
) noexcept nogil
