"""Names and directories of stored files: spec 7.4 to 7.6. Never creates anything."""

cimport cython
from libc.stdint cimport uint16_t
from libc.stdint cimport uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy
from libc.time cimport localtime_r, strftime, time_t, tm
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from dcmrecv.config.settings import FilenameMode
from dcmrecv.storage.sop_class import PREFIXES

from dcmrecv.encoding.vr cimport VR_DA

cdef extern from "<sys/random.h>" nogil:
    ssize_t getrandom(void* buffer, size_t size, unsigned int flags)

cdef enum:
    PREFIXES_MAX = 512
    # Prefix, dots, time stamp or UID of 64 characters, and a NUL; without extension.
    STEM_BYTES_MAX = 128

_MODES = {
    FilenameMode.DEFAULT: NAMED_DEFAULT,
    FilenameMode.UNIQUE: NAMED_UNIQUE,
    FilenameMode.SHORT_UNIQUE: NAMED_SHORT_UNIQUE,
    FilenameMode.SYSTEM_TIME: NAMED_SYSTEM_TIME,
}

# The prefix table for bisection; the bytes are kept alive by _PREFIX_BYTES.
cdef Span _class_uids[PREFIXES_MAX]
cdef Span _class_prefixes[PREFIXES_MAX]
cdef int _class_count = 0

_PREFIX_BYTES = [
    (uid.encode("ascii"), prefix.encode("ascii")) for uid, prefix in PREFIXES
]


cdef Span _span_of(bytes text):
    cdef Span span
    span.ptr = <const uint8_t*><const char*>text
    span.len = <size_t>len(text)
    return span


cdef int _load_prefixes() except -1:
    global _class_count
    if len(_PREFIX_BYTES) > PREFIXES_MAX:
        raise RuntimeError("more Storage SOP classes than PREFIXES_MAX")
    for uid, prefix in _PREFIX_BYTES:
        _class_uids[_class_count] = _span_of(uid)
        _class_prefixes[_class_count] = _span_of(prefix)
        _class_count += 1
    return 0


_load_prefixes()


cdef int _compare(Span left, Span right) noexcept nogil:
    cdef int order = memcmp(left.ptr, right.ptr, min(left.len, right.len))
    if order != 0:
        return order
    return <int>(left.len > right.len) - <int>(left.len < right.len)


cdef Span prefix_of_class(Span sop_class) noexcept nogil:
    """The file name prefix of a SOP class; empty when it is unknown."""
    cdef int low = 0
    cdef int high = _class_count
    cdef int middle
    cdef int order
    cdef Span none
    while low < high:
        middle = (low + high) // 2
        order = _compare(_class_uids[middle], sop_class)
        if order == 0:
            return _class_prefixes[middle]
        if order < 0:
            low = middle + 1
        else:
            high = middle
    none.ptr = NULL
    none.len = 0
    return none


cdef void _random_bytes(uint8_t* out, size_t size) noexcept nogil:
    """`size` random bytes, at most 256: so few are never cut short, getrandom(2).

    It can only be interrupted before the kernel's generator is ready, early at boot.
    """
    while getrandom(out, size, 0) != <ssize_t>size:
        pass


cdef size_t make_uid(char* out) noexcept nogil:
    """A new UID: "2.25." and a random UUID as a decimal number; PS3.5 section B.2.

    `out` has room for UID_TEXT_MAX. Returns the length without the NUL.
    """
    cdef uint32_t limbs[4]
    cdef uint8_t raw[16]
    cdef char digits[40]
    cdef int count = 0
    cdef uint64_t rest
    cdef int i
    cdef bint zero = False
    _random_bytes(raw, 16)
    raw[6] = <uint8_t>((raw[6] & 0x0F) | 0x40)     # version 4, RFC 9562 section 5.4
    raw[8] = <uint8_t>((raw[8] & 0x3F) | 0x80)
    for i in range(4):
        limbs[i] = (
            (<uint32_t>raw[4 * i] << 24) | (<uint32_t>raw[4 * i + 1] << 16)
            | (<uint32_t>raw[4 * i + 2] << 8) | <uint32_t>raw[4 * i + 3]
        )
    while not zero:
        rest = 0
        zero = True
        for i in range(4):
            rest = (rest << 32) | limbs[i]
            limbs[i] = <uint32_t>(rest // 10)
            rest = rest % 10
            if limbs[i] != 0:
                zero = False
        digits[count] = <char>(c'0' + <char>rest)
        count += 1
    memcpy(out, b"2.25.", 5)
    for i in range(count):
        out[5 + i] = digits[count - 1 - i]
    out[5 + count] = 0
    return <size_t>(5 + count)


cdef inline bint _is_kept(uint8_t byte) noexcept nogil:
    return (
        c'a' <= byte <= c'z' or c'A' <= byte <= c'Z' or c'0' <= byte <= c'9'
        or byte == c' ' or byte == c'-' or byte == c'.' or byte == c':'
        or byte == c'@' or byte == c'_'
    )


cdef size_t _put(char* out, size_t at, const void* text, size_t size) noexcept nogil:
    memcpy(out + at, text, size)
    return at + size


@cython.final
cdef class FileNaming:
    """Makes file names in one of the four modes, with an extension appended verbatim.

    Every byte outside of `A-Z a-z 0-9`, blank and `- . : @ _` becomes `_`, so a name
    never leaves its directory whatever the peer called its object.
    """

    def __cinit__(self, mode, str extension not None):
        self.mode = _MODES[mode]
        self.extension = extension.encode("utf-8", "surrogateescape")
        self.extension_text = self.extension
        self.extension_size = <size_t>len(self.extension)
        self.name = <char*>malloc(STEM_BYTES_MAX + self.extension_size)
        if self.name == NULL:
            raise MemoryError("no memory for a file name")
        self.name[0] = 0
        self.name_size = 0
        self.version = 1

    def __dealloc__(self):
        free(self.name)

    cdef bint may_repeat(self) noexcept nogil:
        """May two objects have the same name, so that the later one replaces?"""
        return self.mode == NAMED_DEFAULT

    cdef void compose(self, Span prefix, Span sop_instance) noexcept nogil:
        """Make the next name; `sop_instance` has at most 64 bytes, `prefix` 8."""
        cdef size_t at = 0
        cdef size_t i
        cdef char text[64]
        cdef uint8_t noise[4]
        cdef timespec now
        cdef time_t seconds
        cdef tm local
        if prefix.len == 0:
            prefix.ptr = <const uint8_t*>(
                b"XX" if self.mode == NAMED_SHORT_UNIQUE else b"UNKNOWN"
            )
            prefix.len = 2 if self.mode == NAMED_SHORT_UNIQUE else 7
        if self.mode == NAMED_SYSTEM_TIME:
            clock_gettime(CLOCK_REALTIME, &now)
            seconds = now.tv_sec
            localtime_r(&seconds, &local)
            at = strftime(self.name, STEM_BYTES_MAX, b"%Y%m%d%H%M%S", &local)
            i = <size_t>snprintf(
                text, sizeof(text), b".%06lu.", <unsigned long>(now.tv_nsec // 1000)
            )
            at = _put(self.name, at, text, i)
            at = _put(self.name, at, prefix.ptr, prefix.len)
        else:
            at = _put(self.name, at, prefix.ptr, prefix.len)
            if self.mode == NAMED_DEFAULT:
                at = _put(self.name, at, b".", 1)
                at = _put(self.name, at, sop_instance.ptr, sop_instance.len)
                if self.version > 1:
                    # No UID has an underline, so this is no other object's name.
                    i = <size_t>snprintf(text, sizeof(text), b"_v%d", self.version)
                    at = _put(self.name, at, text, i)
            elif self.mode == NAMED_UNIQUE:
                at = _put(self.name, at, b".X.", 3)
                i = make_uid(text)
                at = _put(self.name, at, text, i)
            else:
                clock_gettime(CLOCK_REALTIME, &now)
                _random_bytes(noise, 4)
                i = <size_t>snprintf(
                    text, sizeof(text), b"_%08lx%02x%02x%02x%02x",
                    <unsigned long><uint32_t>now.tv_sec,
                    noise[0], noise[1], noise[2], noise[3],
                )
                at = _put(self.name, at, text, i)
        at = _put(self.name, at, self.extension_text, self.extension_size)
        for i in range(at):
            if not _is_kept(<uint8_t>self.name[i]):
                self.name[i] = c'_'
        self.name[at] = 0
        self.name_size = at

    def make(
        self, bytes prefix not None, bytes sop_instance not None, int version=1
    ):
        """The next name as bytes; for tests."""
        self.version = version
        if len(prefix) > 8 or len(sop_instance) > 64:
            raise ValueError("prefix or UID too long")
        self.compose(_span_of(prefix), _span_of(sop_instance))
        return self.name[:self.name_size]


cdef inline int _digits(const uint8_t* text, size_t count) noexcept nogil:
    """The number that `count` digits stand for, or -1."""
    cdef int number = 0
    cdef size_t i
    for i in range(count):
        if not c'0' <= text[i] <= c'9':
            return -1
        number = 10 * number + <int>(text[i] - c'0')
    return number


cdef bint _series_date(Capture* date, int* parts) noexcept nogil:
    """Year, month and day of the first value, if it is a date; rules of spec 7.6."""
    cdef const uint8_t* text = date.value
    cdef size_t size = 0
    if not date.present or (date.vr != 0 and date.vr != VR_DA):
        return False
    while size < date.len and text[size] != c'\\':
        size += 1
    while size > 0 and text[size - 1] == c' ':
        size -= 1
    parts[0] = _digits(text, 4) if size >= 4 else -1
    if size == 8:
        parts[1] = _digits(text + 4, 2)
        parts[2] = _digits(text + 6, 2)
    elif size == 10 and text[4] == c'.' and text[7] == c'.':
        parts[1] = _digits(text + 5, 2)
        parts[2] = _digits(text + 8, 2)
    else:
        return False
    return parts[0] >= 0 and 1 <= parts[1] <= 12 and 1 <= parts[2] <= 31


cdef void compose_directory(char* out, Capture* series_date) noexcept nogil:
    """`data/YYYY/MM/DD/` of a Series Date, or `undef/YYYYMMDD/` of today.

    `out` has room for DIRECTORY_BYTES_MAX.
    """
    cdef int parts[3]
    cdef timespec now
    cdef time_t seconds
    cdef tm local
    if _series_date(series_date, parts):
        snprintf(
            out, DIRECTORY_BYTES_MAX, b"data/%04d/%02d/%02d/",
            parts[0], parts[1], parts[2],
        )
        return
    clock_gettime(CLOCK_REALTIME, &now)
    seconds = now.tv_sec
    localtime_r(&seconds, &local)
    strftime(out, DIRECTORY_BYTES_MAX, b"undef/%Y%m%d/", &local)


def directory_of(value, str vr=""):
    """The directory for a Series Date value (bytes or None); for tests."""
    cdef Capture capture
    cdef char out[DIRECTORY_BYTES_MAX]
    cdef bytes text = value or b""
    capture.present = value is not None
    capture.vr = <uint16_t>(ord(vr[0]) << 8 | ord(vr[1])) if vr else 0
    capture.len = min(<size_t>len(text), sizeof(capture.value))
    memcpy(capture.value, <const char*>text, capture.len)
    compose_directory(out, &capture)
    return out.decode("ascii")


def prefix_for(str sop_class not None):
    """The prefix of a SOP class UID, "" when unknown; for tests."""
    cdef bytes uid = sop_class.encode("ascii")
    cdef Span prefix = prefix_of_class(_span_of(uid))
    return prefix.ptr[:prefix.len].decode("ascii")
