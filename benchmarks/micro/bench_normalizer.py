"""What normal mode rewrites, in process: an image, and one that is all sequences."""

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.end_to_end.data_sets import changed_image, image, report
from dcmrecv.encoding.dictionary import default_table
from dcmrecv.encoding.normalizer import Normalizer
from dcmrecv.encoding.scanner import DatasetScanner

NORMALIZER = Normalizer(DatasetScanner(default_table()))


def bench_image(benchmark: BenchmarkFixture) -> None:
    data = image()
    assert benchmark(NORMALIZER.rewrite, [data]) == data


def bench_changed_image(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(NORMALIZER.rewrite, [changed_image()])) > 512 << 10


def bench_report(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(NORMALIZER.rewrite, [report()])) > len(report())
