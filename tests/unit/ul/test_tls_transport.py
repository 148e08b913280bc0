"""A StoreReceiver behind TLS, over a socket pair."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcmrecv.config.settings import StorageMode, StorageSettings
from dcmrecv.errors import AssociationTimeout, PeerClosed, TlsError
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.plan import AcceptedContext, AssociationPlan
from dcmrecv.service.receiver import Outcome, StoreReceiver
from tests.builders import command, pdu
from tests.builders.certificates import Authority, client_context
from tests.builders.connections import Connections
from tests.builders.tls_ways import WAYS, await_data, prepare, shaken_hands
from tests.builders.uids import CT_IMAGE, IMPLICIT_LE
from tests.peers.program import data_sets_below

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("server")
RELEASE = pdu.pdu(5, bytes(4))


class Stage:
    """A receiver and its peer, hands shaken."""

    def __init__(self, directory: Path, version: str, way: str) -> None:
        key, certificate = SERVER.write(directory, "acceptor")
        acceptor = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        acceptor.load_cert_chain(certificate, key)
        prepare(acceptor, way)
        requestor = client_context(AUTHORITY, None, directory)
        requestor.maximum_version = ssl.TLSVersion[version]
        with Connections() as connections:
            peer, own = (end.dup() for end in connections.pair())
        peer.settimeout(10)
        secured: list[ssl.SSLSocket] = []
        thread = threading.Thread(
            target=lambda: secured.append(requestor.wrap_socket(peer))
        )
        thread.start()
        self.engine, self.own = shaken_hands(acceptor, own)
        thread.join(10)
        (self.peer,) = secured
        self.out = directory / "out"
        self.out.mkdir()
        storage = StorageSettings(
            output_directory=str(self.out), mode=StorageMode.BIT_PRESERVING
        )
        slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0)
        self.receiver = StoreReceiver(storage, slot, "test-1")

    def begin(self, received: bytes = b"", dimse_timeout_s: int | None = 10) -> None:
        """As after an A-ASSOCIATE-AC."""
        self.receiver.begin(
            AssociationPlan(
                [AcceptedContext(1, CT_IMAGE, IMPLICIT_LE)],
                "RAW",
                StorageMode.BIT_PRESERVING,
            ),
            fd=self.own.fileno(),
            max_pdu=16_384,
            peer_max_pdu=16_384,
            dimse_timeout_s=dimse_timeout_s,
            received=received,
            report=True,
            engine=self.engine,
        )

    def close(self) -> None:
        self.receiver.end()
        self.peer.close()
        self.own.close()


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=WAYS)
def stage(
    request: pytest.FixtureRequest, version: str, tmp_path: Path
) -> Iterator[Stage]:
    made = Stage(tmp_path, version, request.param)
    yield made
    made.close()


@pytest.fixture
def buffered(version: str, tmp_path: Path) -> Iterator[Stage]:
    """What OpenSSL gets has been read before."""
    made = Stage(tmp_path, version, "buffers")
    yield made
    made.close()


def store(data_set: bytes, instance: str = "1.2.3") -> bytes:
    """A C-STORE-RQ with its data set, as P-DATA-TF PDUs."""
    request = command.c_store_rq(instance)
    return pdu.message(1, request, data_set)


@pytest.mark.parametrize("size", [2, 16_384, 1_000_000, 5_000_000])
def test_objects_of_every_size_arrive_whole(stage: Stage, size: int) -> None:
    stage.begin()
    data_set = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sender = threading.Thread(target=stage.peer.sendall, args=(store(data_set),))
    sender.start()
    assert stage.receiver.run() == Outcome.STORED
    sender.join(10)
    assert stage.receiver.status == 0
    assert stage.peer.recv(65_536)[:1] == b"\x04"
    assert list(data_sets_below(stage.out).values()) == [data_set]
    stage.peer.sendall(RELEASE)
    assert stage.receiver.run() == Outcome.RELEASE_RQ


def test_records_of_every_size_are_read(stage: Stage) -> None:
    """How the peer cuts its stream into records does not matter."""
    stage.begin()
    whole = store(bytes(3_000))
    for at in range(0, len(whole), 70):
        stage.peer.send(whole[at : at + 70])
    assert stage.receiver.run() == Outcome.STORED
    assert stage.receiver.status == 0


def test_what_came_with_the_handshake_is_read_first(buffered: Stage) -> None:
    """Bytes that are in the engine already, of a record that is not whole yet."""
    echo = pdu.message(1, command.c_echo_rq())
    buffered.peer.send(echo)
    await_data(buffered.own)
    buffered.engine.feed(buffered.own.recv(20))
    buffered.begin()
    assert buffered.receiver.run() == Outcome.ECHOED


def test_what_came_with_the_request_is_read_first(stage: Stage) -> None:
    echo = pdu.message(1, command.c_echo_rq())
    stage.begin(received=echo)
    assert stage.receiver.run() == Outcome.ECHOED


def test_what_came_behind_the_release_goes_back_to_the_engine(buffered: Stage) -> None:
    """It waits for the peer's close, and must not begin within a record."""
    buffered.begin()
    records = []
    for said in (RELEASE, b"whole", b"in two parts"):
        buffered.peer.send(said)
        await_data(buffered.own)
        records.append(buffered.own.recv(65_536))
    with socket.socket(fileno=socket.dup(buffered.peer.fileno())) as raw:
        raw.sendall(records[0] + records[1] + records[2][:20])
    assert buffered.receiver.run() == Outcome.RELEASE_RQ
    buffered.receiver.end()
    buffered.engine.feed(records[2][20:])
    assert buffered.engine.open() == b"in two parts"


def end(peer: ssl.SSLSocket) -> None:
    """Send no more, without a word in TLS."""
    socket.socket.shutdown(peer, socket.SHUT_WR)


@pytest.mark.parametrize("politely", [True, False])
def test_a_peer_that_ends_is_gone(stage: Stage, politely: bool) -> None:
    stage.begin()
    if politely:
        stage.peer.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            stage.peer.unwrap()
    else:
        end(stage.peer)
    with pytest.raises(PeerClosed):
        stage.receiver.run()


def test_what_came_before_the_end_is_answered(stage: Stage) -> None:
    stage.begin()
    stage.peer.send(pdu.message(1, command.c_echo_rq()))
    end(stage.peer)
    assert stage.receiver.run() == Outcome.ECHOED
    with pytest.raises(PeerClosed):
        stage.receiver.run()


def test_a_silent_peer_is_not_waited_for_for_ever(stage: Stage) -> None:
    stage.begin(dimse_timeout_s=1)
    with pytest.raises(AssociationTimeout):
        stage.receiver.run()


def test_a_changed_record_ends_the_association(stage: Stage) -> None:
    """Whether what stood before it still is answered depends on when it comes."""
    stage.begin()
    stage.peer.send(pdu.message(1, command.c_echo_rq()))
    raw = socket.socket(fileno=socket.dup(stage.peer.fileno()))
    with raw:
        raw.sendall(b"\x17\x03\x03\x00\x30" + bytes(48))
    # The latter from OpenSSL 3.2 on.
    reason = r"^TLS error: .*(bad record mac|record layer failure)$"
    with pytest.raises(TlsError, match=reason) as failed:
        while stage.receiver.run() == Outcome.ECHOED:
            pass
    assert isinstance(failed.value.__cause__, ssl.SSLError)


def test_interruption_in_a_wait(stage: Stage) -> None:
    stage.begin()
    signal, other = socket.socketpair()
    with signal, other:
        stage.receiver.watch((other.fileno(),))
        signal.send(b"x")
        assert stage.receiver.run() == Outcome.INTERRUPTED
    stage.receiver.watch(())
    stage.peer.send(pdu.message(1, command.c_echo_rq()))
    assert stage.receiver.run() == Outcome.ECHOED
