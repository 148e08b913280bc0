"""encoding.inflater: a deflated data set, read and written again. PS3.5 A.5."""

import zlib
from pathlib import Path

import pytest

from dcmrecv.config.settings import StorageMode, StorageSettings
from dcmrecv.encoding.inflater import Deflater, Inflater
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving
from tests.builders.uids import DEFLATED_LE, EXPLICIT_LE


def store(directory: Path, sent: bytes) -> tuple[int, str]:
    """Status and fault of a deflated data set in normal mode."""
    storage = StorageSettings(output_directory=str(directory), mode=StorageMode.NORMAL)
    with receiving(storage=storage, transfer_syntaxes=[DEFLATED_LE]) as (peer, own):
        peer.sendall(pdu.message(1, command.c_store_rq("1.2.9"), sent))
        own.run()
        return own.status, own.fault_text


@pytest.mark.parametrize("pixel_bytes", [64, 60_000])
def test_the_uids_of_a_deflated_data_set_reach_the_file_meta(
    tmp_path: Path, pixel_bytes: int
) -> None:
    sent = data_set.object_of(
        "1.2.3.4", pixel_bytes=pixel_bytes, transfer_syntax=DEFLATED_LE
    )
    assert store(tmp_path, sent) == (0, "")
    stored = (tmp_path / "CT.1.2.9").read_bytes()
    assert b"UI\x08\x001.2.3.4\0" in stored[:400]
    # The byte that pads the stream to an even length is not stored (spec 8).
    assert stored.endswith(sent.removesuffix(b"\0"))


def test_a_stream_that_expands_a_thousandfold_is_walked_in_bounded_pieces(
    tmp_path: Path,
) -> None:
    encoding = data_set.Encoding.of(EXPLICIT_LE)
    inflated = data_set.identification("1.2.9", transfer_syntax=EXPLICIT_LE)
    inflated += encoding.element(data_set.PIXEL_DATA, "OW", bytes(64 << 20))
    assert store(tmp_path, data_set.deflate(inflated)) == (0, "")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda stream: stream[:-20], "Deflated stream broken at offset"),
        (lambda _: b"\x07" * 300, "Deflated stream broken at offset 0"),
        (
            lambda stream: zlib.compress(b"x" * 400),
            "Deflated stream broken",
        ),
        (
            lambda _: data_set.deflate(
                data_set.object_of(transfer_syntax=EXPLICIT_LE)[:-9]
            ),
            "(7fe0,0010)",
        ),
    ],
)
def test_a_broken_stream_is_not_understood_and_leaves_nothing(
    tmp_path: Path, damage, text: str
) -> None:
    stream = data_set.object_of(pixel_bytes=4_000, transfer_syntax=DEFLATED_LE)
    status, fault = store(tmp_path, damage(stream))
    assert status == 0xC000
    assert text in fault
    assert list(tmp_path.iterdir()) == []


def test_any_split_of_a_stream_inflates_to_the_same() -> None:
    data = data_set.pattern(700_000)
    stream = data_set.deflate(data)
    for size in (1, 7, 1_000, len(stream)):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        inflated = Inflater().inflate(pieces)
        assert b"".join(inflated) == data


def test_a_stream_without_its_end_is_broken() -> None:
    assert Inflater().inflate([data_set.deflate(bytes(1_000))[:-4]]) is None


def test_any_split_of_the_data_deflates_to_the_same() -> None:
    data = data_set.pattern(300_000)
    whole = Deflater().deflate([data])
    assert Deflater().deflate([data[:1], data[1:9_999], data[9_999:]]) == whole
    assert zlib.decompress(whole, wbits=-15) == data
