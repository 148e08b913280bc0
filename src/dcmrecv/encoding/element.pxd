"""Decoding of data element headers, PS3.5 section 7.1. No state, no bound check."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dcmrecv.native.wire cimport (
    load_u16_be,
    load_u16_le,
    load_u32_be,
    load_u32_le,
)

cdef enum:
    UNDEFINED_LENGTH_VALUE = 0xFFFFFFFF

cdef enum:
    TAG_ITEM = 0xFFFEE000
    TAG_ITEM_DELIMITATION = 0xFFFEE00D
    TAG_SEQUENCE_DELIMITATION = 0xFFFEE0DD
    TAG_SOP_CLASS_UID = 0x00080016
    TAG_SOP_INSTANCE_UID = 0x00080018
    TAG_SERIES_DATE = 0x00080021
    TAG_PIXEL_DATA = 0x7FE00010


cdef inline uint16_t vr_code(char first, char second) noexcept nogil:
    return <uint16_t>((<uint32_t><uint8_t>first << 8) | <uint32_t><uint8_t>second)


cdef inline uint32_t load_tag(const uint8_t* p, bint big_endian) noexcept nogil:
    """(group << 16) | element."""
    if big_endian:
        return load_u32_be(p)
    return (<uint32_t>load_u16_le(p) << 16) | <uint32_t>load_u16_le(p + 2)


cdef inline uint32_t load_u32(const uint8_t* p, bint big_endian) noexcept nogil:
    return load_u32_be(p) if big_endian else load_u32_le(p)


cdef inline uint16_t load_u16(const uint8_t* p, bint big_endian) noexcept nogil:
    return load_u16_be(p) if big_endian else load_u16_le(p)


cdef inline bint is_delimiter_group(uint32_t tag) noexcept nogil:
    return (tag >> 16) == 0xFFFE


cdef inline bint has_long_header(uint16_t vr) noexcept nogil:
    """Does the VR have a 12-byte header with a 32-bit length? PS3.5 Table 7.1-1.

    Two upper-case letters that are no VR of today count as a future one, which would
    have the long header; anything else has a 16-bit length (observed, spec 8).
    """
    cdef uint8_t first = <uint8_t>(vr >> 8)
    cdef uint8_t second = <uint8_t>(vr & 0xFF)
    if first == c'O' or vr == vr_code(c'S', c'Q') or vr == vr_code(c'S', c'V'):
        return True
    if first == c'U':
        # UC, UN, UR, UT and UV are long; UI, UL and US are short.
        return not (second == c'I' or second == c'L' or second == c'S')
    if not (c'A' <= first <= c'Z' and c'A' <= second <= c'Z'):
        return False
    return not is_short_vr(vr)


cdef inline bint is_short_vr(uint16_t vr) noexcept nogil:
    return (
        vr == vr_code(c'A', c'E') or vr == vr_code(c'A', c'S')
        or vr == vr_code(c'A', c'T') or vr == vr_code(c'C', c'S')
        or vr == vr_code(c'D', c'A') or vr == vr_code(c'D', c'S')
        or vr == vr_code(c'D', c'T') or vr == vr_code(c'F', c'L')
        or vr == vr_code(c'F', c'D') or vr == vr_code(c'I', c'S')
        or vr == vr_code(c'L', c'O') or vr == vr_code(c'L', c'T')
        or vr == vr_code(c'P', c'N') or vr == vr_code(c'S', c'H')
        or vr == vr_code(c'S', c'L') or vr == vr_code(c'S', c'S')
        or vr == vr_code(c'S', c'T') or vr == vr_code(c'T', c'M')
    )
