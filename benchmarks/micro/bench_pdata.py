"""P-DATA-TF framing alone: a 16 MiB data set through the reader, in process.

The landed bytes are copied out once for the caller, on both paths alike.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dcmrecv.native.buffer import AlignedBuffer
from dcmrecv.ul.pdata import PDataReader
from tests.builders import command, pdu

DATA_SET = bytes(16 << 20)


@pytest.mark.parametrize("staging", [0, 524_288], ids=["consume", "plan-commit"])
@pytest.mark.parametrize("pdu_size", [4_096, 16_384])
def bench_data_set(benchmark: BenchmarkFixture, pdu_size: int, staging: int) -> None:
    reader = PDataReader(AlignedBuffer(1 << 20))
    reader.accept([1])
    wire = pdu.message(1, command.c_store_rq(), DATA_SET, pdu_size=pdu_size)
    events = benchmark(reader.feed, wire, staging)
    assert sum(len(event[1]) for event in events if event[0] == "data") == len(DATA_SET)
