"""Value representations as two letters in a number, and what depends on them."""

from libc.stdint cimport uint16_t

cdef enum:
    # What decides how an element is written; flags of `vr_traits()`.
    LONG_HEADER = 0x01          # 12 bytes with a 32-bit length, PS3.5 Table 7.1-1
    PADS_WITH_BLANK = 0x02      # an odd value gets a blank
    PADS_WITH_NUL = 0x04        # an odd value gets a NUL
    STANDARD = 0x08             # of PS3.5 Table 6.2-1
    UNIT_SHIFT = 4              # above: bytes of the smallest unit of a value

cdef enum:
    VR_NONE = 0                 # in no dictionary
    VR_DA = 0x4441
    VR_LO = 0x4C4F
    VR_OB = 0x4F42
    VR_OW = 0x4F57
    VR_OX = 0x4F58              # wrong, but seen with pixel data
    VR_SQ = 0x5351
    VR_SS = 0x5353
    VR_UI = 0x5549
    VR_UL = 0x554C
    VR_UN = 0x554E
    VR_US = 0x5553
    # Names that the original has for what depends on another element, in lower case.
    VR_BYTES_OR_WORDS = 0x6F78      # ox: OB or OW
    VR_PIXELS = 0x7078              # px: OB or OW, perhaps encapsulated
    VR_SHORT = 0x7873               # xs: US or SS
    VR_LUT = 0x6C74                 # lt: US, SS or OW
    VR_OFFSET = 0x7570              # up: UL that points into the file
    VR_DELIMITER = 0x6E61           # na: none, of the elements without VR
    VR_FRAGMENT = 0x7069            # pi
    # Two letters that are no VR, read with a long or with a short header.
    VR_UNKNOWN = 0x3F34
    VR_UNKNOWN_SHORT = 0x3F3F


cdef const uint16_t* vr_traits() noexcept nogil


cdef inline uint16_t written_vr(uint16_t vr) noexcept nogil:
    """The two letters that stand for a VR in a file."""
    if (vr & 0xE0E0) == 0x4040:
        return vr               # two capital letters
    if vr == VR_BYTES_OR_WORDS or vr == VR_PIXELS:
        return VR_OB
    if vr == VR_SHORT:
        return VR_US
    if vr == VR_LUT:
        return VR_OW
    if vr == VR_OFFSET:
        return VR_UL
    return VR_UN
