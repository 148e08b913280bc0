"""Loads and stores of wire integers, and Span, a borrowed range of bytes.

Never allocates and never checks a bound: the caller has compared lengths before.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef struct Span:
    const uint8_t* ptr          # borrowed; valid as long as its owner says
    size_t len                  # bytes


cdef inline uint16_t load_u16_be(const uint8_t* p) noexcept nogil:
    return <uint16_t>((<uint32_t>p[0] << 8) | <uint32_t>p[1])


cdef inline uint32_t load_u32_be(const uint8_t* p) noexcept nogil:
    return (
        (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16)
        | (<uint32_t>p[2] << 8) | <uint32_t>p[3]
    )


cdef inline uint16_t load_u16_le(const uint8_t* p) noexcept nogil:
    return <uint16_t>((<uint32_t>p[1] << 8) | <uint32_t>p[0])


cdef inline uint32_t load_u32_le(const uint8_t* p) noexcept nogil:
    return (
        (<uint32_t>p[3] << 24) | (<uint32_t>p[2] << 16)
        | (<uint32_t>p[1] << 8) | <uint32_t>p[0]
    )


cdef inline void store_u16_le(uint8_t* p, uint16_t value) noexcept nogil:
    p[0] = <uint8_t>(value & 0xFF)
    p[1] = <uint8_t>(value >> 8)


cdef inline void store_u32_le(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = <uint8_t>(value & 0xFF)
    p[1] = <uint8_t>((value >> 8) & 0xFF)
    p[2] = <uint8_t>((value >> 16) & 0xFF)
    p[3] = <uint8_t>(value >> 24)


cdef inline void store_u32_be(uint8_t* p, uint32_t value) noexcept nogil:
    p[0] = <uint8_t>(value >> 24)
    p[1] = <uint8_t>((value >> 16) & 0xFF)
    p[2] = <uint8_t>((value >> 8) & 0xFF)
    p[3] = <uint8_t>(value & 0xFF)
