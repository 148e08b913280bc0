"""storage.normal_sink: the file holds what the normalizer says, in every size."""

import random
from pathlib import Path

import pytest

from dcmrecv.config.settings import StorageMode, StorageSettings
from dcmrecv.encoding.dictionary import default_table
from dcmrecv.encoding.normalizer import Normalizer
from dcmrecv.encoding.scanner import DatasetScanner
from tests.builders import command, data_set, pdu
from tests.builders.part10 import read_part10
from tests.builders.receiving import receiving
from tests.builders.sending import send_in_background
from tests.builders.uids import DEFLATED_LE, EXPLICIT_LE

EXPLICIT = data_set.Encoding.of(EXPLICIT_LE)
NAME = "CT.1.2.3.4.5"
IDENTIFICATION = data_set.identification("1.2.3.4.5", transfer_syntax=EXPLICIT_LE)


def store(directory: Path, sent: bytes, context_id: int = 1) -> tuple[int, str]:
    """Status and fault of an object in Explicit VR (1) or deflated (3)."""
    storage = StorageSettings(output_directory=str(directory), mode=StorageMode.NORMAL)
    syntaxes = [EXPLICIT_LE, DEFLATED_LE]
    with receiving(storage=storage, transfer_syntaxes=syntaxes) as (peer, own):
        wire = pdu.message(context_id, command.c_store_rq(), sent)
        sending = send_in_background(peer, wire)
        own.run()
        sending.join()
        return own.status, own.fault_text


def stored(directory: Path) -> bytes:
    return read_part10(directory / NAME).data_set


def normalized(data: bytes) -> bytes:
    written: bytes = Normalizer(DatasetScanner(default_table())).rewrite([data])
    assert isinstance(written, bytes)
    return written


def items(count: int, size: int) -> bytes:
    """A sequence of items with a value of `size` bytes each, lengths defined."""
    item = EXPLICIT.item(EXPLICIT.element(0x0008_0100, "UT", b"x" * size))
    return EXPLICIT.sequence(0x0008_1140, [item] * count)


def mixture(seed: int) -> bytes:
    """Several megabytes of small and large elements with something to change."""
    chance = random.Random(seed)
    data = IDENTIFICATION
    for group in range(0x0012, 0x0030, 2):
        base = group << 16
        if chance.random() < 0.5:
            data += EXPLICIT.element(base, "UL", bytes(4))
        size = chance.choice([2, 5_001, 16_384, 16_385, 70_000, 900_000])
        data += EXPLICIT.element(base + 0x10, "OB", data_set.pattern(size))
        count = chance.choice([0, 1, 200, 4_000])
        item = EXPLICIT.item(EXPLICIT.element(0x0008_0100, "UT", b"y" * 9))
        data += EXPLICIT.sequence(base + 0x20, [item] * count)
    return data


@pytest.mark.parametrize(
    "data",
    [
        IDENTIFICATION,
        IDENTIFICATION + EXPLICIT.element(data_set.PIXEL_DATA, "OW", bytes(3_000_000)),
        items(1, 10) + EXPLICIT.element(data_set.PIXEL_DATA, "OW", bytes(520_000)),
        items(5_000, 10) + EXPLICIT.element(data_set.PIXEL_DATA, "OW", bytes(2)),
        items(5_000, 1_001),
        items(100, 40_000),
        *(mixture(seed) for seed in range(8)),
    ],
    ids=lambda data: str(len(data)),
)
def test_the_file_holds_the_normalized_data_set(tmp_path: Path, data: bytes) -> None:
    assert store(tmp_path, data) == (0, "")
    assert stored(tmp_path) == normalized(data)


@pytest.mark.parametrize("size", [100, 300_000, 3_000_000])
def test_disorder_over_windows_is_sorted_in_the_file(tmp_path: Path, size: int) -> None:
    first = EXPLICIT.element(0x0010_0010, "PN", b"Last")
    second = EXPLICIT.element(0x0009_1001, "OB", data_set.pattern(size))
    data = first + second + items(3, 10) + second + IDENTIFICATION
    assert store(tmp_path, data) == (0, "")
    assert stored(tmp_path) == normalized(data)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_deflated_data_set_is_inflated_normalized_and_deflated(
    tmp_path: Path, size: int
) -> None:
    data = items(3, size) + IDENTIFICATION
    assert store(tmp_path, data_set.deflate(data), 3) == (0, "")
    expected = data_set.deflate(normalized(data))
    assert stored(tmp_path) in (expected, expected.removesuffix(b"\0"))


@pytest.mark.parametrize("filler", [10, 3_000_000])
@pytest.mark.parametrize("uid", ["1.2.3.4.5", "1.2.3.4.567", "1.9"])
def test_the_file_is_described_by_the_uids_of_the_data_set(
    tmp_path: Path, filler: int, uid: str
) -> None:
    """Known when the first window is written, or only after it."""
    data = EXPLICIT.element(0x0008_0008, "OB", bytes(filler))
    data += EXPLICIT.text(data_set.SOP_CLASS_UID, "UI", "1.2.840.1")
    data += EXPLICIT.text(data_set.SOP_INSTANCE_UID, "UI", uid)
    assert store(tmp_path, data) == (0, "")
    part10 = read_part10(tmp_path / NAME)
    assert part10.meta_text(0x0002_0002) == "1.2.840.1"
    assert part10.meta_text(0x0002_0003) == uid
    assert part10.data_set == data


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_of_a_data_set_that_ends_too_early_nothing_stays(
    tmp_path: Path, size: int
) -> None:
    data = EXPLICIT.element(0x0008_0008, "OB", bytes(size)) + items(1, 10)[:-3]
    status, fault = store(tmp_path, data)
    assert status == 0xC000
    assert "(0008,0100) at offset" in fault
    assert list(tmp_path.iterdir()) == []


def test_a_header_may_be_cut_by_the_end_of_a_window(tmp_path: Path) -> None:
    """The window holds 1 MiB less its headroom; every cut of a header occurs."""
    for cut in range(1, 13):
        size = (1 << 20) - 16_384 - 12 - cut
        data = EXPLICIT.element(0x0008_0008, "OB", bytes(size)) + items(2, 7)
        assert store(tmp_path, data) == (0, "")
        assert stored(tmp_path) == normalized(data)
