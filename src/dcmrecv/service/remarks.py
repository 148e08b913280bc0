"""What the log says of a data set that was stored or read in spite of something; pure.

The original's wording, for `dcmtk.dcmdata`. At most encoding.notes.NOTES_MAX lines an
object, the last of which says how many more there would have been. Never logs.
"""

from collections.abc import Iterable, Iterator

from pydicom.datadict import get_entry

from dcmrecv.encoding.dictionary import default_table

# By the NoteKind of encoding/notes.pxd: tag, VR, a number.
_TEXTS = {
    1: "DcmItem: Length of element {tag} is odd",
    2: "DcmItem: Length of element {tag} is not a multiple of {detail} (VR={vr})",
    3: "DcmSequenceOfItems: Length of item in sequence {name} {tag} is odd",
    4: (
        "DcmItem: Non-standard VR '{shown}' ({code}) encountered while parsing element "
        "{tag}, assuming {detail} byte length field"
    ),
    5: (
        "Found element {tag} with VR UN and undefined length, reading a sequence with "
        "transfer syntax LittleEndianImplicit (CP-246)"
    ),
    6: "DcmItem: Dataset not in ascending tag order, at element {tag}",
    7: (
        "DcmItem: Element {tag} found twice in one data set or item, ignoring second "
        "entry"
    ),
    8: "DcmItem: Invalid Element {tag} found in data set",
    9: (
        "DcmItem: Explicit item length ({detail} bytes) too large for the elements "
        "contained in the item"
    ),
    10: "DcmItem: Group Length with VR other than UL found, corrected",
    11: (
        "DcmItem: Non-standard VR 'OX' is known to be wrongly used for PixelData "
        "{tag}, setting VR to 'OW'"
    ),
}

Remark = tuple[int, int, str, int]  # kind, tag, VR, number

_UNKNOWN = "Unknown Tag & Data"
# Not retired in PS3.6 of April 2022, as the original has it.
_RETIRED_LATER = frozenset(
    (
        *(0x0038_0004, 0x0070_1807, 0x0070_1808, 0x3004_0010, 0x3004_0012),
        *(0x3006_0085, 0x3006_0088, 0x3008_002B, 0x3010_0090),
    )
)


def _name(tag: int) -> str:
    """What a tag is called, as the original calls it."""
    group, element = tag >> 16, tag & 0xFFFF
    if group & 1:
        illegal = group <= 7
        if element == 0:
            return "IllegalGroupLength" if illegal else "PrivateGroupLength"
        if 0x10 <= element <= 0xFF:
            return "IllegalPrivateCreator" if illegal else "PrivateCreator"
        return _UNKNOWN
    if element == 0 and group > 2:
        return "GenericGroupLength"
    if default_table().vr_of(tag) is None:
        return _UNKNOWN
    try:
        _, _, _, retired, keyword = get_entry(tag)
    except KeyError:
        return _UNKNOWN
    if retired and tag not in _RETIRED_LATER:
        return f"RETIRED_{keyword}"
    return keyword or _UNKNOWN


def _shown(tag: int) -> str:
    """The number of a tag; the highest one is none with the original."""
    if tag == 0xFFFF_FFFF:
        return "(????,????)"
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def remarks(count: int, found: Iterable[Remark]) -> Iterator[str]:
    """The lines for what was noted of one object.

    Args:
        count: of all notes.
        found: the first of them, as StoreReceiver.remarks gives them.
    """
    told = 0
    for kind, tag, vr, detail in found:
        told += 1
        yield _TEXTS[kind].format(
            tag=_shown(tag),
            vr=vr,
            shown="".join(c if 32 <= ord(c) < 127 else " " for c in vr),
            code="\\".join(f"{ord(c):02x}" for c in vr),
            name=_name(tag),
            detail=detail,
        )
    if count > told:
        yield f"{count - told} more warnings about this data set"
