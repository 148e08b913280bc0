"""native.sysio: the libc table does what the calls of those names do.

Its failures are tested with scripted tables in tests/faults.
"""

import errno
import os
from pathlib import Path

from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving
from tests.builders.uids import IMPLICIT_LE


def test_a_file_goes_through_create_write_close_and_rename(tmp_path: Path) -> None:
    sent = data_set.object_of(pixel_bytes=64, transfer_syntax=IMPLICIT_LE)
    with receiving(tmp_path) as (peer, receiver):
        peer.sendall(pdu.message(1, command.c_store_rq(), sent))
        receiver.run()
        assert receiver.status == 0
    assert os.listdir(tmp_path) == ["CT.1.2.3.4.5"]
    assert (tmp_path / "CT.1.2.3.4.5").read_bytes().endswith(sent)


def test_errno_of_a_failed_call_reaches_the_fault(tmp_path: Path) -> None:
    (tmp_path / "CT.1.2.3.4.5").mkdir()
    with receiving(tmp_path) as (peer, receiver):
        peer.sendall(pdu.message(1, command.c_store_rq(), data_set.object_of()))
        receiver.run()
        assert receiver.status == 0xA700
        assert receiver.fault_errno == errno.EISDIR
        assert receiver.fault_text == "Cannot rename file: Is a directory"
    assert os.listdir(tmp_path) == ["CT.1.2.3.4.5"]
