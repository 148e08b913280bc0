"""The same objects to DCMTK's dcmrecv 3.6.7 and to us: the same files.

Names, directories, permissions, File Meta Information apart from who wrote it, and the
data sets, byte by byte.
"""

import datetime
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom
import pytest

from tests.builders import uids
from tests.builders.command import SUCCESS, c_store_rq
from tests.builders.data_set import (
    PIXEL_DATA,
    SERIES_DATE,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    UNDEFINED,
    Encoding,
    encapsulated_object,
    object_of,
    pattern,
)
from tests.builders.part10 import Part10, read_part10
from tests.builders.pdu import ProposedContext, message
from tests.builders.samples import Sample, distinct_copies
from tests.peers.program import ORIGINAL, OURS, storage_program
from tests.peers.scu import RawScu
from tests.peers.senders import storescu

CONTENDERS = {"original": ORIGINAL, "ours": OURS}
CONTEXTS = (
    ProposedContext(1),
    ProposedContext(3, transfer_syntaxes=(uids.EXPLICIT_LE,)),
    ProposedContext(5, transfer_syntaxes=(uids.EXPLICIT_BE,)),
    ProposedContext(7, transfer_syntaxes=(uids.JPEG_BASELINE,)),
)
IMPLICIT = Encoding.of(uids.IMPLICIT_LE)
EXPLICIT = Encoding.of(uids.EXPLICIT_LE)
BIG_ENDIAN = Encoding.of(uids.EXPLICIT_BE)

# Who wrote the file, and the group length, which depends on it.
WRITER_META = (0x00020000, 0x00020012, 0x00020013)


def paths_below(directory: Path) -> dict[str, Path]:
    """Every file by its path below a directory."""
    return {
        str(path.relative_to(directory)): path
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def send_raw(
    tmp_path: Path, options: Sequence[str], objects: Sequence[tuple[int, bytes, bytes]]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Send objects to both; context, command set and data set of each.

    Returns:
        The files of the original and ours, by their path below the output directory.
    """
    for output, command in CONTENDERS.items():
        program = storage_program(tmp_path, *options, command=command, output=output)
        with program, RawScu(program.port) as scu:
            scu.associate(CONTEXTS, calling="PARITY")
            for context_id, command_set, data_set in objects:
                scu.send(message(context_id, command_set, data_set))
                assert scu.read_response().status == SUCCESS
            scu.release()
    return paths_below(tmp_path / "original"), paths_below(tmp_path / "ours")


def comparable_meta(part10: Part10) -> list[tuple[int, tuple[str, bytes]]]:
    """File Meta Information in its order, without who wrote it."""
    return [(t, v) for t, v in part10.meta.items() if t not in WRITER_META]


def assert_same_meta(original: Path, ours: Path) -> None:
    """The same elements in the same order with the same values."""
    first, second = read_part10(original), read_part10(ours)
    assert first.preamble == second.preamble
    assert list(first.meta) == list(second.meta)
    assert comparable_meta(first) == comparable_meta(second)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Every sendable file of pydicom, each with a SOP Instance UID of its own."""
    return distinct_copies(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module", params=["-B", "+B"])
def received(
    request: pytest.FixtureRequest,
    samples: tuple[Sample, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, dict[str, Path], dict[str, Path]]:
    """The samples as both stored them from storescu: mode, original's files, ours."""
    base = tmp_path_factory.mktemp("received")
    classes = sorted({sample.sop_class_uid for sample in samples})
    for output, command in CONTENDERS.items():
        with storage_program(
            base,
            request.param,
            command=command,
            output=output,
            abstract_syntaxes=classes,
        ) as program:
            done = storescu(program.port, samples, base)
            assert done.returncode == 0, done.stdout
    return request.param, paths_below(base / "original"), paths_below(base / "ours")


Received = tuple[str, dict[str, Path], dict[str, Path]]


def test_samples_get_the_same_names(received: Received) -> None:
    """One file for each sample, called the same."""
    _, original, ours = received
    assert list(ours) == list(original)


def test_samples_get_the_same_meta(received: Received) -> None:
    """Group 0002 of every sample."""
    _, original, ours = received
    for name, path in original.items():
        assert_same_meta(path, ours[name])


def test_samples_get_the_same_data_set(received: Received) -> None:
    """Every byte."""
    _, original, ours = received
    for name, path in original.items():
        assert read_part10(ours[name]).data_set == read_part10(path).data_set


def test_dcmdump_and_pydicom_read_every_file_to_its_end(received: Received) -> None:
    _, _, ours = received
    dumps = subprocess.run(
        ["dcmdump", "--quiet", *map(str, ours.values())],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert dumps.returncode == 0, dumps.stderr.decode(errors="replace")
    with pydicom.config.disable_value_validation():  # some samples have odd values
        for path in ours.values():
            assert sum(1 for _ in pydicom.dcmread(path).iterall()) > 2, path


def test_every_class_gets_the_same_prefix(tmp_path: Path) -> None:
    """Spec 7.4, for every class that pydicom's dictionary knows.

    Those that the original does not know may have a prefix of a later DCMTK's.
    """
    classes = [
        uid
        for uid, entry in pydicom._uid_dict.UID_dictionary.items()
        if entry[1] == "SOP Class"
    ]
    objects = [
        (1, c_store_rq(f"1.2.{number}", sop_class_uid=uid), object_of())
        for number, uid in enumerate(classes, 1)
    ]
    original, ours = send_raw(tmp_path, ["+B"], objects)
    assert len(classes) > 150
    prefixes = {name.split(".", 1)[1]: name.split(".")[0] for name in ours}
    for name in original:
        prefix, number = name.split(".", 1)
        assert prefix in ("UNKNOWN", prefixes[number]), classes[int(number[4:]) - 1]


def test_every_byte_value_gives_the_same_name(tmp_path: Path) -> None:
    """Spec 7.5."""
    objects = []
    for value in range(1, 256):
        uid = b"%d.%c" % (value, value)
        uid += b"\0" * (len(uid) % 2)
        objects.append((1, c_store_rq(uid), object_of()))
    original, ours = send_raw(tmp_path, ["-B"], objects)
    assert len(original) == 255
    assert list(ours) == list(original)


@pytest.mark.parametrize("extension", ["", ".dcm", "dcm", "/../x", " a b ", "ä*?\\:@"])
def test_extension_gives_the_same_name(tmp_path: Path, extension: str) -> None:
    """Spec 7.5: `-fe` is appended and sanitised."""
    objects = [(1, c_store_rq("1.2.3"), object_of())]
    original, ours = send_raw(tmp_path, ["+B", "-fe", extension], objects)
    assert list(ours) == list(original)


@pytest.mark.parametrize("option", ["+fu", "+fsu", "+fst"])
def test_unique_names_have_the_same_form(tmp_path: Path, option: str) -> None:
    """Spec 7.4: digits differ, and how many there are in a UID."""
    classes = (uids.CT_IMAGE, uids.UNKNOWN_CLASS)
    objects = [(1, c_store_rq(sop_class_uid=uid), object_of()) for uid in classes]
    forms = []
    for files in send_raw(tmp_path, [option, "-fe", ".x"], objects):
        names = sorted(files, key=lambda name: "CT" in name)
        if option == "+fu":
            forms.append([re.sub(r"[0-9.]{20,}", "UID", name) for name in names])
        elif option == "+fsu":
            forms.append([re.sub(r"[0-9a-f]{16}", "HEX", name) for name in names])
        else:
            forms.append([re.sub(r"[0-9]", "9", name) for name in names])
    assert forms[1] == forms[0]


DATES = [
    *(b"20200102", b"20200102  ", b"2020.01.02", b"20200102\\20210101 ", b"20200230"),
    *(b"18581117", b"99991231", b"00010101", b"20200002", b"20201301", b"20200100"),
    *(b"20200132", b"202001", b"00000000", b"2020-01-02", b"2020/1/2", b" 20200102 "),
    *(b"20200102\0\0", b"20200102xx", b"20200102- ", b"", b"2020010", b"2020.1.2"),
    *(
        b"\\20200102 ",
        b"2020.0102 ",
        b"20 00102",
        b"+2020102",
        b"abcdefgh",
        b"2020.13.01",
    ),
]


def test_every_series_date_gives_the_same_directory(tmp_path: Path) -> None:
    """Spec 7.6, in each encoding."""
    objects = []
    for number, date in enumerate(DATES):
        date += b" " * (len(date) % 2)
        for context_id, encoding in ((1, IMPLICIT), (3, EXPLICIT), (5, BIG_ENDIAN)):
            data_set = encoding.element(SERIES_DATE, "DA", date)
            data_set += encoding.short(0x00280010, 1)
            uid = f"1.{context_id}.{number}"
            objects.append((context_id, c_store_rq(uid), data_set))
    original, ours = send_raw(tmp_path, ["+ssd"], objects)
    assert sorted(ours) == sorted(original)
    assert any(name.startswith("data/") for name in original)
    today = datetime.datetime.now()
    assert any(name.startswith(f"undef/{today:%Y}") for name in original)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000, 0o027])
def test_permissions_are_the_same(tmp_path: Path, umask: int) -> None:
    """Spec 7.7, files and directories."""
    modes = []
    before = os.umask(umask)
    try:
        objects = [(1, c_store_rq(), object_of(series_date="20200102"))]
        send_raw(tmp_path, ["+ssd"], objects)
        for output in CONTENDERS:
            paths = sorted((tmp_path / output).rglob("*"))
            modes.append([path.stat().st_mode for path in paths])
    finally:
        os.umask(before)
    assert len(modes[0]) == 5
    assert modes[1] == modes[0]


def uid_element(encoding: Encoding, tag: int, value: bytes) -> bytes:
    """A UID element with its value as it is."""
    return encoding.element(tag, "UI", value)


HEADS = {
    "no UIDs": b"",
    "other UIDs": uid_element(IMPLICIT, SOP_CLASS_UID, b"9.9.9\0")
    + uid_element(IMPLICIT, SOP_INSTANCE_UID, b"8.8.88"),
    "no class": uid_element(IMPLICIT, SOP_INSTANCE_UID, b"1.2.3.4.5\0"),
    "no instance": uid_element(IMPLICIT, SOP_CLASS_UID, uids.CT_IMAGE.encode() + b"\0"),
    "empty class": uid_element(IMPLICIT, SOP_CLASS_UID, b""),
    "empty instance": uid_element(IMPLICIT, SOP_INSTANCE_UID, b""),
    "padded with blanks": uid_element(IMPLICIT, SOP_CLASS_UID, b"1.2.3 ")
    + uid_element(IMPLICIT, SOP_INSTANCE_UID, b"1.2.4 "),
    "leading blank": uid_element(IMPLICIT, SOP_INSTANCE_UID, b" 1.2.4"),
    "two values": uid_element(IMPLICIT, SOP_INSTANCE_UID, b"1.2\\1.3\0"),
    "long": uid_element(IMPLICIT, SOP_INSTANCE_UID, b"1." + b"7" * 78),
    "UIDs in a sequence": IMPLICIT.sequence(
        0x00081140,
        [
            IMPLICIT.item(
                uid_element(IMPLICIT, SOP_CLASS_UID, b"9.9.9\0")
                + uid_element(IMPLICIT, SOP_INSTANCE_UID, b"8.8.88"),
                undefined=True,
            )
        ],
        undefined=True,
    ),
    "UID of nothing but NULs": uid_element(IMPLICIT, SOP_INSTANCE_UID, b"\0\0"),
    "name of a UID": uid_element(IMPLICIT, SOP_INSTANCE_UID, b"=names"),
    "UID with a NUL inside": uid_element(IMPLICIT, SOP_INSTANCE_UID, b"1.2\0.3"),
}


@pytest.mark.parametrize("mode", ["-B", "+B"])
@pytest.mark.parametrize("head", HEADS)
def test_meta_is_made_from_the_same_uids(tmp_path: Path, mode: str, head: str) -> None:
    """Spec 7.2: from the data set in normal mode, from the command otherwise."""
    data_set = HEADS[head] + IMPLICIT.short(0x00280010, 1)
    objects = [(1, c_store_rq("1.2.3.4.5"), data_set)]
    (original,), (ours,) = (
        files.values() for files in send_raw(tmp_path, [mode], objects)
    )
    first, second = read_part10(original), read_part10(ours)
    assert second.data_set == first.data_set == data_set
    if mode == "-B" and IMPLICIT.tag(SOP_INSTANCE_UID) not in HEADS[head]:
        # Both make a new one, each below a root of its own.
        assert first.meta.pop(0x00020003) != second.meta.pop(0x00020003)
    assert list(first.meta) == list(second.meta)
    assert comparable_meta(first) == comparable_meta(second)


def instance(uid: bytes) -> bytes:
    """An SOP Instance UID."""
    return uid_element(IMPLICIT, SOP_INSTANCE_UID, uid)


def nested(tag: int, *contents: bytes) -> bytes:
    """A sequence of items."""
    return IMPLICIT.sequence(tag, [IMPLICIT.item(content) for content in contents])


CLASS = uid_element(IMPLICIT, SOP_CLASS_UID, b"9.9.9\0")
NAME = IMPLICIT.text(0x00100010, "PN", "Name")
LOW, HIGH = 0x00081140, 0x00400555
DISORDERED_HEADS = {
    "late sequence": nested(HIGH, instance(b"1.1.11"))
    + nested(LOW, instance(b"2.2.22")),
    "same class": nested(HIGH, CLASS + instance(b"1.1.11"))
    + nested(LOW, CLASS + instance(b"2.2.22")),
    "late UID": nested(LOW, instance(b"1.1.11")) + instance(b"2.2.22") + NAME,
    "repeated sequence": nested(LOW, NAME) + nested(LOW, instance(b"1.1.11")),
    "repeated, then another": nested(LOW, NAME)
    + nested(LOW, instance(b"1.1.11"))
    + nested(HIGH, instance(b"2.2.22")),
    "late in an item": nested(
        HIGH, nested(HIGH, instance(b"1.1.11")) + nested(LOW, instance(b"2.2.22"))
    ),
    "repeated UID": instance(b"1.1.11") + instance(b"2.2.22"),
    "late class": nested(LOW, CLASS) + uid_element(IMPLICIT, SOP_CLASS_UID, b"7.77"),
    "early disorder": nested(LOW, NAME + instance(b"1.1.11")) + nested(HIGH, CLASS),
}


@pytest.mark.parametrize("filler", [0, 1_500_000])
@pytest.mark.parametrize("head", DISORDERED_HEADS)
def test_the_uids_that_stand_first_when_all_is_in_order_count(
    tmp_path: Path, head: str, filler: int
) -> None:
    """The original looks for them in the sorted data set, items included."""
    data_set = DISORDERED_HEADS[head]
    data_set += IMPLICIT.element(PIXEL_DATA, "OW", bytes(filler))
    objects = [(1, c_store_rq("1.2.3.4.5"), data_set)]
    (original,), (ours,) = (
        files.values() for files in send_raw(tmp_path, ["-B"], objects)
    )
    first, second = read_part10(original), read_part10(ours)
    assert second.data_set == first.data_set
    if IMPLICIT.tag(SOP_INSTANCE_UID) not in first.data_set:
        assert first.meta.pop(0x00020003) != second.meta.pop(0x00020003)
    assert comparable_meta(first) == comparable_meta(second)


def unchanged_data_sets() -> Iterator[tuple[str, int, bytes]]:
    """Data sets that the original writes as it got them; spec section 8."""
    for context_id, encoding in ((1, IMPLICIT), (3, EXPLICIT), (5, BIG_ENDIAN)):
        rows = encoding.short(0x00280010, 1)
        item = encoding.item(encoding.text(0x00081150, "UI", "1.2"), undefined=True)
        sequence = encoding.sequence(0x00081140, [item, item], undefined=True)
        private = encoding.text(0x00090010, "LO", "OWNER")
        private += encoding.element(0x00091001, "UN", pattern(20))
        padding = encoding.element(0xFFFCFFFC, "OB", bytes(100))
        pixels = encoding.element(PIXEL_DATA, "OW", pattern(300_000))
        deep = sequence
        for _ in range(5):
            deep = encoding.sequence(
                0x00081140, [encoding.item(deep, undefined=True)], undefined=True
            )
        yield f"{context_id} native", context_id, rows + pixels
        yield f"{context_id} sequence", context_id, sequence + rows
        yield f"{context_id} nested", context_id, deep + rows
        yield f"{context_id} private", context_id, private + rows
        yield f"{context_id} padding", context_id, rows + pixels + padding
        yield f"{context_id} empty", context_id, encoding.text(0x00100010, "PN", "")
    jpeg = EXPLICIT.item(b"") + EXPLICIT.item(pattern(5_000)) + EXPLICIT.item(b"ab")
    yield (
        "encapsulated",
        7,
        EXPLICIT.short(0x00280010, 1)
        + EXPLICIT.element(PIXEL_DATA, "OB", jpeg, length=UNDEFINED)
        + EXPLICIT.element(0xFFFEE0DD, ""),
    )
    yield "whole encapsulated object", 7, encapsulated_object()


def test_normal_mode_leaves_these_bytes_as_the_original_does(tmp_path: Path) -> None:
    """What needs no re-encoding is the same to the last byte."""
    cases = {name: (c, data) for name, c, data in unchanged_data_sets()}
    objects = [
        (context_id, c_store_rq(f"1.2.{number}"), data_set)
        for number, (context_id, data_set) in enumerate(cases.values())
    ]
    original, ours = send_raw(tmp_path, ["-B"], objects)
    for number, (name, (_, data_set)) in enumerate(cases.items()):
        stored = read_part10(original[f"CT.1.2.{number}"]).data_set
        assert stored == data_set, f"{name}: the original changes it"
        assert read_part10(ours[f"CT.1.2.{number}"]).data_set == stored, name
