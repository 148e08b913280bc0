"""service.regulars: from accept() to close() without a word, over real connections.

test_associations.py has what becomes of the associations that take another turn.
"""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcmrecv.config.settings import (
    AccessSettings,
    AssociationProfile,
    NetworkSettings,
    ProfileContext,
    StorageMode,
    StorageSettings,
)
from dcmrecv.errors import PeerClosed, TransportError
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.receiver import Outcome, StoreReceiver
from dcmrecv.service.regulars import Regulars, Visit
from dcmrecv.service.requests import AssociationRequests
from dcmrecv.ul.negotiation import NegotiationPolicy
from dcmrecv.ul.pdu import ReleaseReply, encode
from tests.builders import command, data_set, pdu
from tests.builders.pdu import ProposedContext
from tests.builders.uids import CT_IMAGE, IMPLICIT_LE

BUSY = 3
POLICY = NegotiationPolicy(
    profile=AssociationProfile((ProfileContext(CT_IMAGE, (IMPLICIT_LE,)),)),
    max_pdu=16_384,
)
REQUEST = pdu.associate_rq([ProposedContext(1, CT_IMAGE)])
STRANGE = REQUEST.replace(b"RAW", b"WAR")
STORE = pdu.message(1, command.c_store_rq(), data_set.object_of())
ECHO = pdu.message(1, command.c_echo_rq())


class Stage:
    """A worker's door, with a listener; the one regular may be known already."""

    def __init__(self, directory: Path) -> None:
        self.slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0)
        self.requests = AssociationRequests(POLICY, StorageMode.BIT_PRESERVING)
        storage = StorageSettings(
            output_directory=os.fspath(directory), mode=StorageMode.BIT_PRESERVING
        )
        self.receiver = StoreReceiver(storage, self.slot, "tag")
        self.regulars = Regulars(
            self.receiver,
            self.requests,
            self.slot,
            NetworkSettings(port=0, dimse_timeout_s=5),
            AccessSettings(),
            encode(ReleaseReply()),
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.watched, self.alarm = os.pipe()
        self.told_busy = 0
        self.peers: list[socket.socket] = []
        self.requests.read(REQUEST).is_routine = True

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        self.listener.close()
        os.close(self.watched)
        os.close(self.alarm)

    def connect(self, said: bytes = b"", *, leaves: bool = False) -> socket.socket:
        """A peer that has said something, and closes its half of the connection."""
        peer = socket.create_connection(self.listener.getsockname(), 10)
        self.peers.append(peer)
        peer.sendall(said)
        if leaves:
            peer.shutdown(socket.SHUT_WR)
        return peer

    def visit(self) -> Visit:
        return self.regulars.visit(
            self.listener.fileno(),
            busy=BUSY,
            descriptors=(self.watched,),
            on_busy=self.note_busy,
        )

    @contextlib.contextmanager
    def visiting(self) -> Iterator[tuple[socket.socket, list[Visit]]]:
        """A regular who talks while he is served; afterwards the visit is there."""
        visits: list[Visit] = []
        thread = threading.Thread(target=lambda: visits.append(self.visit()))
        peer = self.connect(REQUEST)
        thread.start()
        try:
            yield peer, visits
        finally:
            thread.join(10)
            assert not thread.is_alive()

    def note_busy(self) -> None:
        assert self.slot.get("state") == BUSY
        self.told_busy += 1


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with contextlib.closing(Stage(tmp_path)) as staged:
        yield staged


def read_all(peer: socket.socket) -> bytes:
    """Everything until the receiver closes."""
    data = b""
    while piece := peer.recv(65_536):
        data += piece
    return data


def closed(visit: Visit) -> Visit:
    """Close what the visit has left open."""
    os.close(visit.descriptor)
    return visit


def test_nobody_at_the_door_is_no_visit(stage: Stage) -> None:
    with pytest.raises(BlockingIOError):
        stage.visit()
    assert stage.slot.get("state") == 0


@pytest.mark.parametrize(
    ("said", "leaves", "received"),
    [
        (b"", False, None),
        (b"", True, b""),
        (REQUEST[:-1], False, REQUEST[:-1]),
        (REQUEST + ECHO, False, REQUEST + ECHO),
        (STRANGE, False, STRANGE),
        (bytes(100), True, bytes(100)),
    ],
    ids=["silence", "close", "half", "more", "stranger", "nonsense"],
)
def test_a_stranger_is_left_to_others_with_what_he_said(
    stage: Stage, said: bytes, leaves: bool, received: bytes | None
) -> None:
    stage.connect(said, leaves=leaves)
    visit = closed(stage.visit())
    assert visit.received == received
    assert visit.address == "127.0.0.1"
    assert visit.asked is visit.outcome is visit.instead_of_close is None
    assert stage.slot.get("state") == BUSY
    assert (stage.slot.get("associations"), stage.told_busy) == (0, 0)


def test_a_request_that_was_not_routine_is_left_to_others(stage: Stage) -> None:
    stage.requests.read(REQUEST).is_routine = False
    stage.connect(REQUEST)
    assert closed(stage.visit()).asked is None


def test_a_regular_is_served_from_the_first_to_the_last_byte(
    stage: Stage, tmp_path: Path
) -> None:
    accepted = stage.requests.read(REQUEST).answer
    for number in range(1, 4):
        with stage.visiting() as (peer, visits):
            assert peer.recv(65_536) == accepted
            peer.sendall(ECHO + STORE + pdu.release_rq())
            peer.shutdown(socket.SHUT_WR)
            assert read_all(peer).endswith(pdu.release_rp())
        assert visits[0].descriptor == -1
        assert stage.slot.get("associations") == stage.told_busy == number
        assert stage.slot.get("echoes") == stage.slot.get("objects") == number
        (stored,) = tmp_path.iterdir()
        stored.unlink()


def test_an_object_that_has_to_be_told_of_is_left_to_others(stage: Stage) -> None:
    """One that replaces a file, here; the association stays open, and goes on."""
    with stage.visiting() as (peer, visits):
        peer.recv(65_536)
        peer.sendall(STORE + STORE)
    visit = closed(visits[0])
    assert visit.outcome is Outcome.STORED
    assert visit.asked is stage.requests.read(REQUEST)
    assert stage.receiver.overwritten
    stage.receiver.end()


def test_an_oddity_is_left_to_others_with_the_release_to_answer(stage: Stage) -> None:
    with stage.visiting() as (peer, visits):
        peer.recv(65_536)
        peer.sendall(pdu.p_data_tf() + pdu.release_rq())  # an empty PDU
    assert closed(visits[0]).outcome is Outcome.RELEASE_RQ
    assert any(stage.receiver.oddities)
    stage.receiver.end()


def test_a_release_inside_a_data_set_is_left_to_others(stage: Stage) -> None:
    with stage.visiting() as (peer, visits):
        peer.recv(65_536)
        fragment = pdu.pdv(1, bytes(10), command=False, last=False)
        peer.sendall(
            pdu.message(1, command.c_store_rq())
            + pdu.p_data_tf(fragment)
            + pdu.release_rq()
        )
    assert closed(visits[0]).outcome is Outcome.RELEASE_RQ
    assert stage.receiver.in_data_set
    stage.receiver.end()


def test_what_comes_behind_the_release_is_left_to_others(stage: Stage) -> None:
    with stage.visiting() as (peer, visits):
        peer.recv(65_536)
        peer.sendall(pdu.release_rq() + pdu.abort())
    visit = closed(visits[0])
    assert (visit.outcome, visit.instead_of_close) == (None, pdu.abort())


def test_an_interruption_is_left_to_others(stage: Stage) -> None:
    os.write(stage.alarm, b"!")
    stage.connect(REQUEST)
    assert closed(stage.visit()).outcome is Outcome.INTERRUPTED
    stage.receiver.end()


def test_a_peer_that_leaves_without_release_is_left_to_others(stage: Stage) -> None:
    stage.connect(REQUEST, leaves=True)
    assert isinstance(closed(stage.visit()).outcome, PeerClosed)
    stage.receiver.end()


def test_a_peer_that_is_gone_before_the_answer_is_left_to_others(stage: Stage) -> None:
    peer = stage.connect(REQUEST)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()  # with a reset, which is there before close() returns
    visit = closed(stage.visit())
    assert isinstance(visit.outcome, TransportError)
    assert stage.slot.get("associations") == 0
    stage.receiver.end()
