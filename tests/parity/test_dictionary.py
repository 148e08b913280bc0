"""Every tag that a dictionary knows, private ones too: the original's VR for each.

A sequence of unknown VR is read in Implicit VR and written in Explicit VR, so what the
original stores shows what its dictionary says.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._private_dict import private_dictionaries

from dcmrecv.encoding.dictionary import add_file, standard_dictionary
from tests.builders import uids
from tests.builders.command import SUCCESS
from tests.builders.data_set import LONG_VRS, UNDEFINED, Encoding
from tests.builders.part10 import read_part10
from tests.builders.pdu import ProposedContext
from tests.peers.program import ORIGINAL, OURS, storage_program
from tests.peers.scu import RawScu

IMPLICIT = Encoding(explicit=False, byte_order="<")
EXPLICIT = Encoding(explicit=True, byte_order="<")
PDU_ROOM = 120_000  # one PDV for each data set


def standard_tags() -> set[int]:
    """Whatever anybody calls a tag of the standard, and some neighbours."""
    tags = set(DicomDictionary) | set(standard_dictionary().tags)
    for pattern in RepeatersDictionary:
        for digits in ("0", "2", "E", "1"):
            tags.add(int(pattern.replace("x", digits), 16))
    tags |= {group << 16 | element for group in (8, 9) for element in (0, 0x10, 0xFF)}
    return {tag for tag in tags if tag >> 16 != 0xFFFE}


def private_tags() -> dict[bytes, set[int]]:
    """Tags by creator, in the first block of each group."""
    found: dict[bytes, set[int]] = {}
    for creator, entries in private_dictionaries.items():
        own = found.setdefault(creator.encode("latin-1", "replace"), set())
        for pattern in entries:
            if re.fullmatch("[0-9A-Fa-f]{3}[13579BDFbdf]xx[0-9A-Fa-f]{2}", pattern):
                own.add(int(pattern[:4] + "10" + pattern[6:], 16))
    for creator_name, tag in standard_dictionary().private_tags:
        own = found.setdefault(creator_name, set())
        own.add(tag if tag & 0xFFFF >= 0x1000 else tag | 0x1000)
        own.add(tag & 0xFFFF00FF | 0x1100)
    return found


def probes() -> Iterator[bytes]:
    """Items in Implicit VR with an empty element for each tag."""
    tags = sorted(standard_tags())
    for at in range(0, len(tags), 2_000):
        yield b"".join(IMPLICIT.element(tag, "") for tag in tags[at : at + 2_000])
    for creator, own in private_tags().items():
        by_group: dict[int, set[int]] = {}
        for tag in own:
            by_group.setdefault(tag >> 16, set()).add(tag)
        for group, members in by_group.items():
            members |= {group << 16 | 0x10, group << 16 | 0x11}
            yield b"".join(
                IMPLICIT.element(tag, "", creator if tag & 0xFFFF < 0x100 else b"")
                for tag in sorted(members)
            )


def data_sets() -> Iterator[bytes]:
    """The probes, many to a data set of even length."""
    content = b""
    for probe in probes():
        content += IMPLICIT.item(probe)
        if len(content) > PDU_ROOM - 40_000:
            yield unknown_sequence(content)
            content = b""
    yield unknown_sequence(content)


def unknown_sequence(content: bytes) -> bytes:
    data = EXPLICIT.element(0x0009_1001, "UN", content, length=UNDEFINED)
    data += IMPLICIT.element(0xFFFEE0DD, "")
    return data + (EXPLICIT.element(0x0011_0010, "LO", b"x") if len(data) % 2 else b"")


def stored(tmp_path: Path, command: tuple[str, ...], output: str) -> list[bytes]:
    program = storage_program(
        tmp_path, "-q", "-pdu", "131072", command=command, output=output
    )
    with program, RawScu(program.port) as scu:
        scu.associate([ProposedContext(1, transfer_syntaxes=(uids.EXPLICIT_LE,))])
        for number, data_set in enumerate(data_sets()):
            assert scu.store(data_set, f"1.2.{number}").status == SUCCESS
        scu.release()
    return [
        read_part10(tmp_path / output / f"CT.1.2.{number}").data_set
        for number in range(len(list(data_sets())))
    ]


def vrs_of(data_set: bytes) -> list[str]:
    """Tags and VRs, one after the other, of what was stored."""
    found, at = [], 0
    while at < len(data_set):
        group, element, vr = struct.unpack_from("<HH2s", data_set, at)
        if group == 0xFFFE:
            at += 8
            continue
        found.append(f"({group:04x},{element:04x}) {vr.decode('latin-1')}")
        if vr.decode("latin-1") in LONG_VRS:
            at += 12
        else:
            at += 8 + int.from_bytes(data_set[at + 6 : at + 8], "little")
    return found


def test_every_tag_has_the_same_vr(tmp_path: Path) -> None:
    """Some 15,000 of them."""
    original = stored(tmp_path, ORIGINAL, "original")
    ours = stored(tmp_path, OURS, "ours")
    assert sum(len(vrs_of(data_set)) for data_set in original) > 10_000
    for expected, found in zip(original, ours, strict=True):
        assert vrs_of(found) == vrs_of(expected)
        assert found == expected


def test_reading_the_answers_does_not_miss_a_difference() -> None:
    first = EXPLICIT.element(0x0008_0060, "CS", b"ab") + EXPLICIT.item(b"")
    assert vrs_of(first) == ["(0008,0060) CS"]
    with pytest.raises(struct.error):
        vrs_of(b"\x08\0\x60")


RANGES = """(0008,0000-u-FFFF)\tUL\tWholeGroup\t1\tX
(0010-0020,0020)\tUL\tEvenGroups\t1\tX
(0012-u-0020,4440-u-4460)\tUL\tWide\t1\tX
(0012-u-0020,4444-4450)\tUS\tNarrow\t1\tX
(0012-u-0040,4444-4450)\tSH\tNeitherIsInside\t1\tX
(0011,0020-u-0030)\tUI\tCreators\t1\tX
(0009-o-0029,"ACME",10-u-20)\tFD\tBlock\t1\tX
(0009,"ACME",12)\tOW\tOfTheBlock\t1\tX
(0040,A730)\tOB\tNoSequence\t1\tX
"""
IN_RANGES = (
    *(0x0008_0000, 0x0008_0018, 0x0008_F001, 0x0010_0020, 0x0011_0010, 0x0011_0021),
    *(0x0012_0020, 0x0012_4440, 0x0012_4444, 0x0013_4444, 0x0013_4445, 0x0014_0020),
    *(0x0009_1011, 0x0009_1012, 0x0009_1021, 0x0030_4444, 0x0040_A730, 0x0020_0020),
)


def test_ranges_in_files_of_ones_own_mean_the_same(tmp_path: Path) -> None:
    """DCMDICTPATH: single tags go before ranges, narrow ranges before wide ones."""
    own = tmp_path / "own.dic"
    own.write_text(RANGES)
    originals = [*Path("/usr/share").glob("libdcmtk*/dicom.dic"), own]
    values = {0x0009_0010: b"ACME"}
    data_set = unknown_sequence(
        IMPLICIT.item(
            b"".join(
                IMPLICIT.element(tag, "", values.get(tag, b""))
                for tag in sorted((*IN_RANGES, *values))
            )
        )
    )
    found = []
    for command, paths, output in (
        (ORIGINAL, originals, "original"),
        (OURS, [own], "ours"),
    ):
        program = storage_program(tmp_path, "-q", command=command, output=output)
        program.environment = {"DCMDICTPATH": ":".join(map(str, paths))}
        with program, RawScu(program.port) as scu:
            scu.associate([ProposedContext(1, transfer_syntaxes=(uids.EXPLICIT_LE,))])
            assert scu.store(data_set, "1.2").status == SUCCESS
            scu.release()
        stored_data_set = read_part10(tmp_path / output / "CT.1.2").data_set
        found.append(vrs_of(stored_data_set))
    assert found[1] == found[0]
    assert len(found[0]) == len(IN_RANGES) + 2


def test_the_originals_own_files_change_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """DCMDICTPATH may name them: every line can be read."""
    own, read = standard_dictionary(), standard_dictionary()
    paths = [*Path("/usr/share").glob("libdcmtk*/dicom.dic")]
    paths += Path("/usr/share").glob("libdcmtk*/private.dic")
    assert len(paths) == 2
    for path in paths:
        add_file(read, str(path))
    assert caplog.records == []
    before, after = own.table(), read.table()
    changed = {t for t in read.tags if before.vr_of(t) != after.vr_of(t)}
    assert changed == set()
    assert read.private_tags == own.private_tags
