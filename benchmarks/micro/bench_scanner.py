"""The walk over a data set, in process: an image, and one that is all sequences."""

from pytest_benchmark.fixture import BenchmarkFixture

from dcmrecv.encoding.dictionary import default_table
from dcmrecv.encoding.scanner import DatasetScanner
from tests.builders.data_set import Encoding, object_of
from tests.builders.uids import EXPLICIT_LE

EXPLICIT = Encoding(explicit=True, byte_order="<")
IMAGE = object_of(pixel_bytes=512 << 10, transfer_syntax=EXPLICIT_LE)
MEASUREMENT = EXPLICIT.sequence(
    0x0040_08EA,
    [
        EXPLICIT.item(
            EXPLICIT.text(0x0008_0100, "SH", "mm")
            + EXPLICIT.text(0x0008_0102, "SH", "UCUM")
            + EXPLICIT.text(0x0008_0104, "LO", "millimeter")
        )
    ],
    undefined=True,
)
SEQUENCES = EXPLICIT.sequence(
    0x0040_A730, [EXPLICIT.item(MEASUREMENT, undefined=True)] * 5_000
)


def bench_image(benchmark: BenchmarkFixture) -> None:
    assert benchmark(DatasetScanner(default_table()).examine, [IMAGE])["fault"] is None


def bench_sequences(benchmark: BenchmarkFixture) -> None:
    assert (
        benchmark(DatasetScanner(default_table()).examine, [SEQUENCES])["fault"] is None
    )
