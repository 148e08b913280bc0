"""Fault: what went wrong on the data plane, and the one gate to Python exceptions."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cpdef enum FaultCode:
    NO_FAULT = 0
    # Association scope: the association ends.
    UNRECOGNIZED_PDU = 1        # a: PDU type
    UNEXPECTED_PDU = 2          # a: PDU type
    PDU_LENGTH = 3              # a: length, b: largest allowed
    PDV_LENGTH = 4              # a: length of the PDV item, b: bytes left in the PDU
    PDV_CONTEXT = 5             # a: presentation context id
    PDV_KIND = 6                # a: 1 = command fragment, data was due; 0 = reverse
    CONTEXT_DIFFERS = 7         # a: context id of the command, b: of the data set
    COMMAND_LENGTH = 8          # a: largest allowed
    COMMAND_SET = 9             # a: offset in the command set
    COMMAND_MISSING = 10        # a: tag of the missing element
    COMMAND_VALUE = 11          # a: tag of the element with an impossible value
    COMMAND_FIELD = 12          # a: command field that we do not serve
    PEER_CLOSED = 13            # a: 1 = inside a PDU
    PEER_ABORTED = 14           # a: source, b: reason
    DIMSE_TIMEOUT = 15          # a: 1 = inside a data set
    SOCKET_READ = 16            # os_errno
    SOCKET_WRITE = 17           # os_errno
    SEND_TIMEOUT = 18
    TLS_FAILED = 19             # TlsTransport has the exception
    TOO_SLOW = 20               # a: 1 = inside a data set
    # Object scope: the object fails, the association goes on.
    CREATE_DIRECTORY = 32       # os_errno
    CREATE_FILE = 33            # os_errno
    WRITE_FILE = 34             # os_errno
    CLOSE_FILE = 35             # os_errno
    PUBLISH_FILE = 36           # os_errno
    NAME_EXHAUSTED = 37         # a: names tried
    EMPTY_DATA_SET = 38
    PIXEL_REPRESENTATION = 39   # encapsulated pixel data in a native transfer syntax
    DATA_SET_TRUNCATED = 40     # tag, a: offset
    ELEMENT_LENGTH = 41         # tag, a: offset
    UNEXPECTED_DELIMITER = 42   # tag, a: offset
    UNDEFINED_LENGTH = 43       # tag, a: offset
    DEFINED_PIXEL_DATA = 44     # tag, a: offset
    NESTING_DEPTH = 45          # tag, a: offset, b: deepest allowed
    NOT_AN_ITEM = 46            # tag, a: offset
    DEFLATED_STREAM = 47        # a: offset in the deflated stream
    DUPLICATE_OBJECT = 48
    FLUSH_FILE = 49             # os_errno
    DISK_RESERVE = 50           # a: 0 = bytes, 1 = inodes
    OBJECT_TOO_LARGE = 51       # a: largest allowed
    IMPOSSIBLE_VR = 56          # tag, a: offset
    ELEMENT_COUNT = 57          # tag, a: offset, b: most allowed
    GROUP_LENGTH = 58           # tag, a: offset, b: bytes
    INFLATED_SIZE = 59          # a: most allowed, bytes
    UNKNOWN_FAULT = 63          # of ours


cdef struct Fault:
    FaultCode code
    int os_errno                # 0 when no system call is to blame
    uint32_t tag                # data element, (group << 16) | element
    uint64_t a
    uint64_t b


cdef void clear_fault(Fault* fault) noexcept nogil
cdef void set_fault(Fault* fault, FaultCode code, uint64_t a, uint64_t b) noexcept nogil
cdef void set_os_fault(Fault* fault, FaultCode code, int os_errno) noexcept nogil
cdef void set_element_fault(
    Fault* fault, FaultCode code, uint32_t tag, uint64_t offset, uint64_t b
) noexcept nogil

cdef size_t describe_fault(const Fault* fault, char* out, size_t room) noexcept nogil
cdef str fault_message(const Fault* fault)
cdef int raise_fault(const Fault* fault) except -1
cdef void check(bint holds, const char* what) noexcept nogil
