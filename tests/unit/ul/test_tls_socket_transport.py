"""What an answer does when OpenSSL writes it itself, and there is no room for it.

Everything else that this transport shares with others is in test_tls_transport.py.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcmrecv.errors import AssociationTimeout
from dcmrecv.service.receiver import Outcome
from tests.builders import command, pdu
from tests.unit.ul.test_tls_transport import Stage


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, request.param, "socket")
    yield made
    made.close()


def fill(connection: socket.socket) -> int:
    """Leave no room for an answer; how many bytes it took."""
    filled = 0
    with socket.socket(fileno=socket.dup(connection.fileno())) as raw:
        raw.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += raw.send(bytes(65_536))
    return filled


def test_an_answer_waits_for_room(stage: Stage) -> None:
    stage.begin()
    stage.peer.send(pdu.message(1, command.c_echo_rq()))
    stage.peer.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        stage.peer.recv(1)  # tickets of TLS 1.3
    stage.peer.settimeout(10)
    left = fill(stage.own)

    def read_past() -> None:
        nonlocal left
        with socket.socket(fileno=socket.dup(stage.peer.fileno())) as raw:
            raw.settimeout(10)
            while left > 0:
                left -= len(raw.recv(min(left, 65_536)))

    reader = threading.Timer(0.1, read_past)
    reader.start()
    assert stage.receiver.run() == Outcome.ECHOED
    reader.join(10)
    assert stage.peer.recv(100)[:1] == b"\x04"


def test_an_answer_does_not_wait_for_ever(stage: Stage) -> None:
    stage.begin(dimse_timeout_s=1)
    stage.peer.send(pdu.message(1, command.c_echo_rq()))
    fill(stage.own)
    with pytest.raises(AssociationTimeout, match="does not read our answers"):
        stage.receiver.run()
