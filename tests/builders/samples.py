"""The files that come with pydicom, as far as an SCU can send them.

`sendable_files()` gives them as they are; `distinct_copies()` gives each a SOP Instance
UID of its own, so that a receiver that names files by it stores them side by side.
"""

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pydicom.data
from pydicom.errors import InvalidDicomError

from tests.builders.part10 import (
    MEDIA_STORAGE_SOP_INSTANCE_UID,
    TRANSFER_SYNTAX_UID,
    parse_part10,
    read_part10,
)
from tests.builders.uids import DEFLATED_LE

# Not what they say: cut inside an element, not in the transfer syntax that the File
# Meta Information names, or without a SOP class there. DCMTK's senders refuse them.
BROKEN = (
    "MR_truncated.dcm",
    "rtplan_truncated.dcm",
    "SC_rgb_jpeg.dcm",
    "rtdose_rle.dcm",
    "rtdose_rle_1frame.dcm",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One file and what a C-STORE-RQ says about it."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str

    @property
    def data_set(self) -> bytes:
        """The bytes after the File Meta Information."""
        return read_part10(self.path).data_set


@functools.cache
def sendable_files() -> tuple[Sample, ...]:
    """Every whole file of pydicom's own that has its UIDs and a transfer syntax."""
    root = Path(pydicom.data.__file__).parent
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        if path.name in BROKEN:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                data_set = pydicom.dcmread(path, stop_before_pixels=True)
            except (InvalidDicomError, EOFError):
                continue
            if "SOPClassUID" not in data_set or "SOPInstanceUID" not in data_set:
                continue
            syntax = read_part10(path).meta_text(TRANSFER_SYNTAX_UID)
            found.append(
                Sample(path, data_set.SOPClassUID, data_set.SOPInstanceUID, syntax)
            )
    return tuple(found)


def one_of_each_transfer_syntax() -> tuple[Sample, ...]:
    """The smallest sendable file of each transfer syntax."""
    smallest: dict[str, Sample] = {}
    for sample in sorted(sendable_files(), key=lambda s: s.path.stat().st_size):
        smallest.setdefault(sample.transfer_syntax, sample)
    return tuple(smallest[syntax] for syntax in sorted(smallest))


def distinct_copies(
    directory: Path, samples: tuple[Sample, ...] | None = None
) -> tuple[Sample, ...]:
    """Copies of files in `directory`, each with its own SOP Instance UID."""
    copies = []
    for number, sample in enumerate(samples or sendable_files(), 1):
        uid, content = sample.sop_instance_uid, sample.path.read_bytes()
        if sample.transfer_syntax != DEFLATED_LE:
            # Of the same length, so that nothing else in the file has to change.
            uid = f"1.2.1{number:0{len(sample.sop_instance_uid) - 5}}"
            in_meta = parse_part10(content).meta_text(MEDIA_STORAGE_SOP_INSTANCE_UID)
            for old in (sample.sop_instance_uid, in_meta):
                content = content.replace(old.encode(), uid.encode())
        path = directory / f"{number:03}-{sample.path.stem}.dcm"
        path.write_bytes(content)
        copies.append(Sample(path, sample.sop_class_uid, uid, sample.transfer_syntax))
    return tuple(copies)
