"""The data dictionary that Implicit VR is read with: pydicom's, corrected.

What decides whether bytes change is which tags the original knows, not which are in
today's standard, so the tables in `data/` say where its answers differ from pydicom's;
tests/parity/test_dictionary.py asks the original for every one of them.
Never reads a data set.
"""

import functools
import importlib.resources
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._private_dict import private_dictionaries

from dcmrecv.encoding.vr_table import VrTable
from dcmrecv.errors import ConfigurationError

# Files of DCMTK's dictionary format, with ":" in between (manual page).
DICTIONARY_PATH_VARIABLE = "DCMDICTPATH"

_logger = logging.getLogger("dcmtk.dcmdata")

# What needs no entry: private creators and group lengths. The original has ranges for
# them, so that a range inside of one goes before it.
_GENERIC = (
    (range(0x0001, 0x1_0000, 2), range(0x10, 0x100)),
    (range(0x1_0000), range(1)),
)

_NUMBERS = r"\s*[0-9A-Fa-f]{1,4}(?:-[oeuOEU])?(?:-[0-9A-Fa-f]{1,4})?\s*"
_TAG = re.compile(
    rf'\((?P<group>{_NUMBERS}),\s*(?:"(?P<creator>[^"]*)"\s*,)?(?P<element>{_NUMBERS})\)'
)

# Tags that one line may give a private creator: its whole block in 64 groups.
_PRIVATE_RANGE_MAX = 0x100 * 0x40

UNKNOWN = "-"  # in the table of corrections: the original does not know the tag

# What pydicom calls ambiguous, in the original's words (encoding/vr.pxd).
_AMBIGUOUS = {
    "US or SS": "xs",
    "US or OW": "lt",
    "US or SS or OW": "lt",
    "OB or OW": "ox",
    "NONE": "na",
}

_STANDARD_VRS = "AEASATCSDADSDTFDFLISLOLTOBODOFOLOVOWPNSHSLSQSSSTSVTMUCUIULUNURUSUTUV"
_VRS = frozenset(_AMBIGUOUS.values()) | {"px", "up"}
_VRS |= frozenset(re.findall("..", _STANDARD_VRS))


Repeater = tuple[range, range, str]  # groups, elements, VR


@dataclass(slots=True)
class Dictionary:
    """What is known of tags, before it is put into a table.

    Attributes:
        tags: VR by tag.
        repeaters: (groups, elements, VR), for tags not in `tags`; the first that holds
            a tag counts.
        special: the same of private creators and group lengths.
        private_tags: VR by creator and tag, the block's number taken out.
    """

    tags: dict[int, str] = field(default_factory=dict)
    repeaters: list[Repeater] = field(default_factory=list)
    special: list[Repeater] = field(default_factory=list)
    private_tags: dict[tuple[bytes, int], str] = field(default_factory=dict)

    def table(self) -> VrTable:
        """The same for the data plane.

        Raises:
            ConfigurationError: there is more than the table has room for.
        """
        try:
            return VrTable(self.tags, self.repeaters, self.private_tags, self.special)
        except ValueError as error:
            problem = f"data dictionary of {DICTIONARY_PATH_VARIABLE}: {error}"
            raise ConfigurationError(problem) from error

    def add_range(self, groups: range, elements: range, vr: str) -> None:
        """Add a range of tags: in the place of the same one, or before a wider one."""
        generic = any(_within(groups, elements, other) for other in _GENERIC)
        ranges = self.special if generic else self.repeaters
        for number, (*other, _) in enumerate(ranges):
            same = other == [groups, elements]
            if same or _within(groups, elements, (other[0], other[1])):
                ranges[number : number + same] = [(groups, elements, vr)]
                return
        ranges.append((groups, elements, vr))


def _within(groups: range, elements: range, other: tuple[range, range]) -> bool:
    """Do the bounds of a range lie inside of those of another?"""
    return all(
        wide[0] <= own[0] and own[-1] <= wide[-1]
        for own, wide in zip((groups, elements), other, strict=True)
    )


def _plain(vr: str) -> str:
    return _AMBIGUOUS.get(vr, vr)


def _repeater(pattern: str, vr: str) -> Repeater:
    """A pattern, "60xx3000"; only even numbers repeat, PS3.5 section 7.6."""
    groups, elements = (
        range(int(part.replace("x", "0"), 16), int(part.replace("x", "F"), 16) + 1, 2)
        for part in (pattern[:4], pattern[4:])
    )
    return groups, elements, vr


def standard_dictionary() -> Dictionary:
    """PS3.6 as pydicom has it, with the corrections."""
    found = Dictionary()
    for tag, entry in DicomDictionary.items():
        found.tags[tag] = _plain(entry[0])
    for pattern, entry in RepeatersDictionary.items():
        # Of the others the original knows single tags only: see the corrections.
        if re.fullmatch("(50|60|7F)xx[0-9A-F]{4}|002031xx", pattern):
            found.repeaters.append(_repeater(pattern, _plain(entry[0])))
    _correct(found)
    _add_private(found)
    return found


def _rows(name: str) -> Iterator[list[str]]:
    """The fields of each line of a table of ours."""
    source = importlib.resources.files("dcmrecv.encoding") / "data" / name
    for line in source.read_text("latin-1").splitlines():
        if not line.startswith("#"):
            yield line.split("\t")


def _numbers(ranges: str) -> Iterator[int]:
    """The numbers of "08 0A-0C", hexadecimal."""
    for part in ranges.split(" "):
        first, _, last = part.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


def _correct(found: Dictionary) -> None:
    """Let the standard's tags be those that the original knows."""
    for tags, vr in _rows("dictionary-corrections.tsv"):
        for tag in _numbers(tags):
            if vr == UNKNOWN:
                found.tags.pop(tag, None)
            else:
                found.tags[tag] = vr


def _add_private(found: Dictionary) -> None:
    """Private tags: pydicom's of the creators that the original knows, corrected."""
    rows = list(_rows("private-corrections.tsv"))
    for creator in {row[0] for row in rows}:
        for pattern, entry in private_dictionaries.get(creator, {}).items():
            if re.fullmatch("[0-9A-Fa-f]{4}xx[0-9A-Fa-f]{2}", pattern):
                tag = int(pattern[:4] + "00" + pattern[6:], 16)
                found.private_tags[creator.encode(), tag] = _plain(entry[0])
    for creator, *rest in rows:
        if not rest:
            continue
        groups, elements, vr = rest
        for group in _numbers(groups):
            for element in _numbers(elements):
                key = creator.encode(), group << 16 | element
                if vr == UNKNOWN:
                    found.private_tags.pop(key, None)
                elif group & 1:
                    found.private_tags[key] = vr


def add_file(found: Dictionary, path: str) -> None:
    """Add the tags of a file in DCMTK's dictionary format; they replace known ones.

    Lines of a tag, a VR, a name and perhaps more, with tabs in between; a tag is
    "(gggg,eeee)" with ranges "60xx-60yy" of even or "-o-" odd or "-u-" any numbers, and
    a private creator in quotation marks between group and element. What is wrong with
    the file or a line is logged as the original does.
    """
    try:
        text = Path(path).read_text("latin-1")
    except OSError:
        _logger.error("DcmDataDictionary: Cannot open file: %s", path)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        problem = _add_line(found, line.rstrip().split("\t"))
        if problem:
            _logger.error("DcmDataDictionary: %s: %s", path, problem % number)


def _add_line(found: Dictionary, fields: list[str]) -> str | None:
    """Add what one line says; what is wrong with it, with a place for its number."""
    if len(fields) < 3:
        return "too few fields (line %d)"
    tag = _TAG.fullmatch(fields[0].strip())
    vr = fields[1].strip()
    if tag is None:
        return f"bad Tag field (line %d): {fields[0].replace('%', '%%')}"
    if vr not in _VRS:
        return f"bad VR field (line %d): {vr.replace('%', '%%')}"
    groups, elements = _span(tag["group"]), _span(tag["element"])
    creator = tag["creator"]
    single = len(groups) == len(elements) == 1
    if creator is not None:
        if len(groups) * len(elements) > _PRIVATE_RANGE_MAX:
            return "range too large (line %d)"
        for group in groups:
            for element in elements:
                key = creator.encode("latin-1"), group << 16 | element
                if single or key not in found.private_tags:
                    found.private_tags[key] = vr
    elif single:
        found.tags[groups[0] << 16 | elements[0]] = vr
    elif groups and elements:
        found.add_range(groups, elements, vr)
    return None


def _span(text: str) -> range:
    """The numbers of "gggg", "gggg-gggg" (even), "gggg-o-gggg" or "gggg-u-gggg"."""
    first, *rest = text.strip().split("-")
    low, high = int(first, 16), int((rest or [first])[-1], 16)
    kind = rest[0].strip().lower() if len(rest) == 2 else "e"
    if not rest or kind == "u":
        return range(low, high + 1)
    low += (low & 1) != (kind == "o")
    return range(low, high + 1, 2)


@functools.cache
def default_table() -> VrTable:
    """The table of this process, with the files that DCMDICTPATH names.

    Differs: the original then knows nothing but what stands in those files.
    """
    found = standard_dictionary()
    for path in os.environ.get(DICTIONARY_PATH_VARIABLE, "").split(":"):
        if path:
            add_file(found, path)
    return found.table()
