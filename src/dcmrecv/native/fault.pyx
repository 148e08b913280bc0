"""From a C status to a sentence and to an exception.

Owns the text of every fault of the data plane and the one gate, `raise_fault()`, from
`noexcept nogil` code to Python. Never decides what is a fault.
"""

import os

from dcmrecv.errors import (
    AssociationTimeout,
    PeerAborted,
    PeerClosed,
    ProtocolViolation,
    TlsError,
    TransportError,
)

from libc.errno cimport EXDEV
from libc.stdio cimport fprintf, snprintf, stderr
from libc.stdlib cimport abort
from libc.string cimport strerror

cdef extern from *:
    """
    #ifdef DCMRECV_CHECKED
    #define DCMRECV_IS_CHECKED 1
    #else
    #define DCMRECV_IS_CHECKED 0
    #endif
    """
    const bint CHECKED "DCMRECV_IS_CHECKED"


cdef void clear_fault(Fault* fault) noexcept nogil:
    fault.code = NO_FAULT
    fault.os_errno = 0
    fault.tag = 0
    fault.a = 0
    fault.b = 0


cdef void set_fault(
    Fault* fault, FaultCode code, uint64_t a, uint64_t b
) noexcept nogil:
    """Record a fault; the first one of an object or association is kept."""
    if fault.code != NO_FAULT:
        return
    fault.code = code
    fault.a = a
    fault.b = b


cdef void set_os_fault(Fault* fault, FaultCode code, int os_errno) noexcept nogil:
    if fault.code != NO_FAULT:
        return
    fault.code = code
    fault.os_errno = os_errno


cdef void set_element_fault(
    Fault* fault, FaultCode code, uint32_t tag, uint64_t offset, uint64_t b
) noexcept nogil:
    if fault.code != NO_FAULT:
        return
    fault.code = code
    fault.tag = tag
    fault.a = offset
    fault.b = b


# What each code says: of the numbers a and b, of a failed system call (its errno text
# follows), of a data element (its tag and offset stand in front).
cdef const char* _template(FaultCode code) noexcept nogil:
    if code == UNRECOGNIZED_PDU:
        return b"Unrecognized PDU type: %02llx"
    if code == UNEXPECTED_PDU:
        return b"Unexpected PDU type: %02llx"
    if code == PDU_LENGTH:
        return b"DUL Illegal PDU Length %llu.  Max expected %llu"
    if code == PDV_LENGTH:
        return b"Illegal PDV length %llu, %llu bytes left in the PDU"
    if code == PDV_CONTEXT:
        return b"Bad presentation context ID: %llu"
    if code == PDV_KIND:
        return b"DIMSE Unexpected PDV type"
    if code == CONTEXT_DIFFERS:
        return (
            b"Presentation Context ID of command (%llu) and data set (%llu) differs"
        )
    if code == COMMAND_LENGTH:
        return b"Command set longer than %llu bytes"
    if code == COMMAND_SET:
        return b"Malformed command set at offset %llu"
    if code == COMMAND_MISSING:
        return b"Command set lacks element (0000,%04llx)"
    if code == COMMAND_VALUE:
        return b"Command set: impossible value of element (0000,%04llx)"
    if code == COMMAND_FIELD:
        return (
            b"cannot handle this kind of DIMSE command (0x%04llx), "
            b"we are a Storage SCP only"
        )
    if code == PEER_CLOSED:
        return b"Peer closed the connection"
    if code == PEER_ABORTED:
        return b"Peer aborted the association (source %llu, reason %llu)"
    if code == DIMSE_TIMEOUT:
        return b"DIMSE No data available (timeout in non-blocking mode)"
    if code == SEND_TIMEOUT:
        return b"Peer does not read our answers"
    if code == TLS_FAILED:
        return b"TLS error"
    if code == TOO_SLOW:
        return b"Peer sends more slowly than --min-rate allows"
    if code == NAME_EXHAUSTED:
        return b"No unused file name after %llu tries"
    if code == DISK_RESERVE:
        return b"Disk is full up to its reserve"
    if code == OBJECT_TOO_LARGE:
        return b"Data set longer than %llu bytes"
    if code == DUPLICATE_OBJECT:
        return b"SOP instance is stored already"
    if code == EMPTY_DATA_SET:
        return b"Data set is empty"
    if code == PIXEL_REPRESENTATION:
        return b"Pixel representation not found"
    if code == DEFLATED_STREAM:
        return b"Deflated stream broken at offset %llu"
    if code == INFLATED_SIZE:
        return b"Deflated data set holds more than %llu bytes"
    return b"Internal fault"


cdef const char* _os_text(FaultCode code) noexcept nogil:
    if code == SOCKET_READ:
        return b"Cannot read from the connection"
    if code == SOCKET_WRITE:
        return b"Cannot write to the connection"
    if code == CREATE_DIRECTORY:
        return b"Cannot create directory"
    if code == CREATE_FILE:
        return b"Cannot create file"
    if code == WRITE_FILE:
        return b"Cannot write to file"
    if code == CLOSE_FILE:
        return b"Cannot close file"
    if code == FLUSH_FILE:
        return b"Cannot flush file to disk"
    if code == PUBLISH_FILE:
        return b"Cannot rename file"
    return NULL


cdef const char* _element_text(FaultCode code) noexcept nogil:
    if code == DATA_SET_TRUNCATED:
        return b"data set ends inside"
    if code == ELEMENT_LENGTH:
        return b"longer than what holds it"
    if code == UNEXPECTED_DELIMITER:
        return b"unexpected delimiter"
    if code == UNDEFINED_LENGTH:
        return b"undefined length not allowed"
    if code == DEFINED_PIXEL_DATA:
        return b"must be encapsulated"
    if code == NESTING_DEPTH:
        return b"nested too deeply"
    if code == NOT_AN_ITEM:
        return b"not an item"
    if code == IMPOSSIBLE_VR:
        return b"impossible VR"
    if code == ELEMENT_COUNT:
        return b"too many elements"
    if code == GROUP_LENGTH:
        return b"group too long for its length"
    return NULL


cdef const char* _os_reason(const Fault* fault) noexcept nogil:
    """What the errno of a system call means."""
    if fault.os_errno == EXDEV and (
        fault.code == CREATE_FILE or fault.code == CREATE_DIRECTORY
    ):
        return b"symbolic link out of the directory"    # openat2(2)
    return strerror(fault.os_errno)


cdef size_t describe_fault(const Fault* fault, char* out, size_t room) noexcept nogil:
    """Write one sentence about a fault, NUL-terminated, cut to `room` bytes.

    Returns the length without the NUL. Every text fits into the 64 characters of an
    Error Comment (0000,0902), PS3.7 Annex C, or is cut there by the caller's room.
    """
    cdef int written
    cdef const char* text = _os_text(fault.code)
    if text != NULL:
        written = snprintf(out, room, b"%s: %s", text, _os_reason(fault))
    else:
        text = _element_text(fault.code)
        if text != NULL:
            written = snprintf(
                out, room, b"(%04x,%04x) at offset %llu: %s",
                <unsigned>(fault.tag >> 16), <unsigned>(fault.tag & 0xFFFF),
                <unsigned long long>fault.a, text,
            )
        else:
            written = snprintf(
                out, room, _template(fault.code),
                <unsigned long long>fault.a, <unsigned long long>fault.b,
            )
    if written < 0:
        out[0] = 0
        return 0
    return min(<size_t>written, room - 1)


# Source and reason of the A-ABORT for each code: PS3.8 Tables 9-10 and 9-26 for what
# the upper layer finds, (0, 0) for what the DIMSE service user finds.
_PROTOCOL_ABORT = {
    UNRECOGNIZED_PDU: (2, 1),
    UNEXPECTED_PDU: (2, 2),
    PDU_LENGTH: (2, 6),
    PDV_LENGTH: (2, 6),
    PDV_CONTEXT: (0, 0),
    PDV_KIND: (0, 0),
    CONTEXT_DIFFERS: (0, 0),
    COMMAND_LENGTH: (0, 0),
    COMMAND_SET: (0, 0),
    COMMAND_MISSING: (0, 0),
    COMMAND_VALUE: (0, 0),
    COMMAND_FIELD: (0, 0),
}


cdef str fault_message(const Fault* fault):
    cdef char text[256]
    cdef size_t length = describe_fault(fault, text, sizeof(text))
    return text[:length].decode("utf-8", "replace")


cdef int raise_fault(const Fault* fault) except -1:
    """Raise the AssociationError that a fault of association scope stands for.

    Raises:
        ProtocolViolation, PeerClosed, PeerAborted, AssociationTimeout, TransportError,
        TlsError: by the code; `abort` says what to tell the peer.
        RuntimeError: the code is none of association scope, which is a bug of ours.
    """
    message = fault_message(fault)
    if fault.code in _PROTOCOL_ABORT:
        raise ProtocolViolation(message, abort=_PROTOCOL_ABORT[fault.code])
    if fault.code == PEER_CLOSED:
        raise PeerClosed(message)
    if fault.code == PEER_ABORTED:
        raise PeerAborted(message)
    if fault.code in (DIMSE_TIMEOUT, SEND_TIMEOUT, TOO_SLOW):
        raise AssociationTimeout(message, "DIMSE")
    if fault.code == TLS_FAILED:
        raise TlsError(message)
    if fault.code in (SOCKET_READ, SOCKET_WRITE):
        cause = OSError(fault.os_errno, os.strerror(fault.os_errno))
        raise TransportError(message) from cause
    raise RuntimeError(
        f"fault {<int>fault.code} is not of association scope: {message}"
    )


cdef void check(bint holds, const char* what) noexcept nogil:
    """An invariant of ours: aborts a checked build, costs nothing in another."""
    if CHECKED and not holds:
        fprintf(stderr, b"dcmrecv: broken invariant: %s\n", what)
        abort()
