"""The DIMSE statuses that we send; PS3.7 Annex C and PS3.4 Table B.2-1."""

from enum import IntEnum


class Status(IntEnum):
    """Status (0000,0900) of a C-STORE-RSP or C-ECHO-RSP."""

    SUCCESS = 0x0000  # PS3.7 section C.1.1: the object is whole under its final name
    DUPLICATE_SOP_INSTANCE = 0x0111  # PS3.7 section C.5.7: it is stored already
    OUT_OF_RESOURCES = 0xA700  # PS3.4 section B.2.3: refused, cannot be written
    CANNOT_UNDERSTAND = 0xC000  # PS3.4 section B.2.3: error, the data set is broken
