"""A C-STORE-RQ read and answered, in process, with the cost of the Python calls."""

from pytest_benchmark.fixture import BenchmarkFixture

from dcmrecv.dimse.command import parse, respond
from tests.builders import command

REQUEST = command.c_store_rq("1.2.840.113619.2.55.3.2831164355.781.1593602417.467")


def bench_parse(benchmark: BenchmarkFixture) -> None:
    assert benchmark(parse, REQUEST)[0] == "store"


def bench_respond(benchmark: BenchmarkFixture) -> None:
    assert benchmark(respond, REQUEST, 0, b"", 1, 16_384)[0] == 4
