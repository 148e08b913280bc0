"""Whole objects through a StoreReceiver over a socket pair, in process.

The sender is a Python sendall() of prepared bytes; its cost is part of the figure.
"""

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dcmrecv.config.settings import StorageMode, StorageSettings
from dcmrecv.service.receiver import Outcome
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving

OBJECTS = 50


@pytest.mark.parametrize("mode", list(StorageMode), ids=lambda mode: mode.value)
def bench_small_objects(
    benchmark: BenchmarkFixture, mode: StorageMode, tmp_path: Path
) -> None:
    sent = data_set.object_of(pixel_bytes=8_192)
    storage = StorageSettings(output_directory=str(tmp_path), mode=mode)
    with receiving(storage=storage, report=False) as (peer, receiver):
        serial = 0

        def store() -> None:
            nonlocal serial
            for _ in range(OBJECTS):
                serial += 1
                peer.sendall(pdu.message(1, command.c_store_rq(f"1.2.{serial}"), sent))
                peer.sendall(pdu.release_rq())
                assert receiver.run() is Outcome.RELEASE_RQ
                peer.recv(4_096)

        benchmark(store)
