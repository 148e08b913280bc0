"""Tags, and the loads and stores of data element headers; PS3.5 section 7.1.

No state and no bound check.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from dcmrecv.native.wire cimport (
    load_u16_be,
    load_u16_le,
    load_u32_be,
    load_u32_le,
    store_u16_le,
    store_u32_be,
    store_u32_le,
)

cdef enum:
    UNDEFINED_LENGTH_VALUE = 0xFFFFFFFF

cdef enum:
    HEADER_BYTES_MAX = 12

cdef enum:
    TAG_ITEM = 0xFFFEE000
    TAG_ITEM_DELIMITATION = 0xFFFEE00D
    TAG_SEQUENCE_DELIMITATION = 0xFFFEE0DD
    TAG_SOP_CLASS_UID = 0x00080016
    TAG_SOP_INSTANCE_UID = 0x00080018
    TAG_SERIES_DATE = 0x00080021
    TAG_PIXEL_REPRESENTATION = 0x00280103
    TAG_VOI_LUT_SEQUENCE = 0x00283010
    TAG_WAVEFORM_BITS_ALLOCATED = 0x54001004
    TAG_PIXEL_DATA = 0x7FE00010


cdef inline uint32_t load_tag(const uint8_t* p, bint big_endian) noexcept nogil:
    """(group << 16) | element."""
    if big_endian:
        return load_u32_be(p)
    return (<uint32_t>load_u16_le(p) << 16) | <uint32_t>load_u16_le(p + 2)


cdef inline uint32_t load_u32(const uint8_t* p, bint big_endian) noexcept nogil:
    return load_u32_be(p) if big_endian else load_u32_le(p)


cdef inline uint16_t load_u16(const uint8_t* p, bint big_endian) noexcept nogil:
    return load_u16_be(p) if big_endian else load_u16_le(p)


cdef inline void store_tag(uint8_t* p, uint32_t tag, bint big_endian) noexcept nogil:
    if big_endian:
        store_u32_be(p, tag)
    else:
        store_u16_le(p, <uint16_t>(tag >> 16))
        store_u16_le(p + 2, <uint16_t>(tag & 0xFFFF))


cdef inline void store_u32(uint8_t* p, uint32_t value, bint big_endian) noexcept nogil:
    if big_endian:
        store_u32_be(p, value)
    else:
        store_u32_le(p, value)


cdef inline void store_u16(uint8_t* p, uint16_t value, bint big_endian) noexcept nogil:
    if big_endian:
        p[0] = <uint8_t>(value >> 8)
        p[1] = <uint8_t>(value & 0xFF)
    else:
        store_u16_le(p, value)


cdef inline bint is_delimiter(uint32_t tag) noexcept nogil:
    """One of the three tags that never have a VR? PS3.5 section 7.5."""
    return (
        tag == TAG_ITEM
        or tag == TAG_ITEM_DELIMITATION
        or tag == TAG_SEQUENCE_DELIMITATION
    )
