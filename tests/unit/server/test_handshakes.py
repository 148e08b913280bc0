"""Unfinished handshakes of one worker, with an injected clock."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcmrecv.server.handshakes import (
    FRESH_S,
    HANDSHAKES_MAX,
    HURRY_S,
    LINGER_S,
    REQUESTS_BYTES_MAX,
    Handshakes,
    Secured,
)
from tests.builders.certificates import Authority, Identity, client_context
from tests.builders.connections import Connections
from tests.builders.pdu import associate_rq
from tests.builders.tls_ways import WAYS, prepare
from tests.peers.waiting import wait_until

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("server")
CT = AUTHORITY.issue("ct1", names=["ct1.hospital.org"])
REQUEST = associate_rq()
TIMEOUT_S = 30.0


class Stage:
    """Handshakes with their peers."""

    def __init__(self, directory: Path, way: str = "buffers") -> None:
        self.directory = directory
        self.now_s = 1_000.0
        key, certificate = SERVER.write(directory, "acceptor")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.load_verify_locations(cadata=AUTHORITY.root.decode())
        self.context.verify_mode = ssl.CERT_OPTIONAL
        prepare(self.context, way)
        self.way = way
        self.handshakes = self.make()
        self.connections = Connections()

    def make(self, names: tuple[str, ...] = ()) -> Handshakes:
        self.handshakes = Handshakes(
            self.context, timeout_s=TIMEOUT_S, names=names, clock=lambda: self.now_s
        )
        return self.handshakes

    def admit(self, received: bytes = b"") -> socket.socket:
        """The peer's end of a new connection."""
        peer, accepted = self.connections.pair()
        self.handshakes.admit(accepted, received)
        return peer

    def requestor(
        self, identity: Identity | None = CT, version: str = "TLSv1_3"
    ) -> ssl.SSLSocket:
        """A peer that shakes hands to its end, and does not wait for ours."""
        context = client_context(AUTHORITY, identity, self.directory)
        context.maximum_version = ssl.TLSVersion[version]
        peer = self.admit()
        peer.setblocking(False)
        secured = context.wrap_socket(peer, do_handshake_on_connect=False)
        self.connections.close_later(secured)
        return secured

    def shake_hands(self, peer: ssl.SSLSocket) -> None:
        """Until the peer is content."""

        def content() -> bool:
            try:
                peer.do_handshake()
            except ssl.SSLWantReadError:
                self.handshakes.serve_events()
                return False
            return True

        wait_until(content, "the peer's handshake")

    def finished(self) -> Secured:
        """The connection that gets through."""
        found: list[Secured] = []

        def is_there() -> bool:
            self.handshakes.serve_events()
            secured = self.handshakes.take_finished()
            if secured is not None:
                found.append(secured)
            return bool(found)

        wait_until(is_there, "a finished handshake")
        return found[0]


@pytest.fixture(params=WAYS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, request.param)
    with made.connections:
        yield made
        made.handshakes.close_all()


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_connection_is_ready_when_its_request_is_whole(
    stage: Stage, version: str
) -> None:
    peer = stage.requestor(version=version)
    stage.shake_hands(peer)
    peer.send(REQUEST[:10])
    stage.handshakes.serve_events()
    assert stage.handshakes.take_finished() is None
    peer.send(REQUEST[10:] + b"ahead")
    secured = stage.finished()
    with secured.connection:
        assert secured.received == REQUEST + b"ahead"
        assert len(stage.handshakes) == 0


def test_a_peer_that_closes_before_its_request_is_for_the_service_to_log(
    stage: Stage,
) -> None:
    peer = stage.requestor()
    stage.shake_hands(peer)
    peer.close()
    secured = stage.finished()
    with secured.connection:
        assert (secured.received, secured.engine.has_ended) == (b"", True)


def test_a_peer_without_tls_is_told_apart_and_closed(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Spec 10.1, `wrong version number`; the end is not waited for for long."""
    peer = stage.admit(REQUEST)
    assert errors(caplog) == [
        "Could not receive association request: TLS error: wrong version number\n"
        "Connection with 127.0.0.1 ended without an association"
    ]
    assert len(stage.handshakes) == 1
    stage.now_s += LINGER_S
    stage.handshakes.expire()
    assert len(stage.handshakes) == 0
    while peer.recv(100):
        pass


def test_a_peer_that_stalls_has_its_time_only(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.admit(b"\x16\x03")
    stage.now_s += TIMEOUT_S - 1
    stage.handshakes.expire()
    assert (len(stage.handshakes), stage.handshakes.timeout_s()) == (1, 1)
    stage.now_s += 1
    stage.handshakes.expire()
    assert len(stage.handshakes) == 0
    assert "TLS error: handshake timed out" in errors(caplog)[0]


def test_silence_after_the_handshake_is_for_the_service_to_log(stage: Stage) -> None:
    peer = stage.requestor()
    stage.shake_hands(peer)
    wait_until(lambda: served(stage), "the end of our handshake")
    stage.now_s += TIMEOUT_S
    stage.handshakes.expire()
    secured = stage.handshakes.take_finished()
    assert secured is not None
    secured.connection.close()
    assert (secured.received, secured.engine.has_ended) == (b"", False)


def served(stage: Stage) -> bool:
    """Whether a request alone is missing."""
    stage.handshakes.serve_events()
    entries = stage.handshakes._entries.values()
    return all(entry.stage.name == "REQUEST" for entry in entries)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("name", ["ct1", "*.HOSPITAL.org"])
def test_a_peer_with_an_allowed_name_is_welcome(
    stage: Stage, version: str, name: str
) -> None:
    stage.make(names=("somebody", name))
    peer = stage.requestor(version=version)
    stage.shake_hands(peer)
    peer.send(REQUEST)
    with stage.finished().connection:
        pass


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("identity", [CT, None], ids=["other name", "no name"])
def test_another_peer_is_refused_in_the_handshake(
    stage: Stage,
    version: str,
    identity: Identity | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Up to TLS 1.2 with an alert; in TLS 1.3 its own part is over by then.

    So it is on the connection's own socket: our last flight has gone out.
    """
    stage.make(names=("ct2", "*.clinic.org"))
    peer = stage.requestor(identity, version)
    if version == "TLSv1_2" and stage.way == "buffers":
        with pytest.raises(ssl.SSLError, match="ACCESS_DENIED"):
            stage.shake_hands(peer)
    else:
        stage.shake_hands(peer)
        wait_until(lambda: served_out(stage), "the refusal")
        assert peer.recv(1) == b""
    assert len(errors(caplog)) == 1
    reason = "certificate name not allowed (CN=ct1)"
    if identity is None:
        reason = "peer did not return a certificate"
    assert f"TLS error: {reason}\n" in errors(caplog)[0]
    peer.close()
    wait_until(lambda: nobody_left(stage), "the end")
    assert stage.handshakes.take_finished() is None


def served_out(stage: Stage) -> bool:
    stage.handshakes.serve_events()
    entries = stage.handshakes._entries.values()
    return all(entry.stage.name == "LEAVING" for entry in entries)


def nobody_left(stage: Stage) -> bool:
    stage.handshakes.serve_events()
    return len(stage.handshakes) == 0


def test_a_broken_record_before_the_request_is_logged_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    peer = stage.requestor()
    stage.shake_hands(peer)
    wait_until(lambda: served(stage), "the end of our handshake")
    with socket.socket(fileno=socket.dup(peer.fileno())) as raw:
        raw.sendall(2 * (b"\x17\x03\x03\x00\x30" + bytes(48)))
    wait_until(lambda: served_out(stage), "the refusal")
    stage.handshakes.serve_events()
    peer.close()
    wait_until(lambda: nobody_left(stage), "the end")
    (line,) = errors(caplog)
    assert "Could not receive association request: TLS error: " in line
    assert stage.handshakes.take_finished() is None


def test_a_fast_peer_passes_those_that_stall(stage: Stage) -> None:
    stalled = [stage.admit(b"\x16") for _ in range(5)]
    peer = stage.requestor()
    stage.shake_hands(peer)
    peer.send(REQUEST)
    with stage.finished().connection:
        pass
    assert len(stage.handshakes) == len(stalled)


def test_no_other_peer_is_wanted_while_the_newest_one_is_fresh(stage: Stage) -> None:
    assert stage.handshakes.fresh_s() == 0
    stage.admit(b"\x16")
    assert stage.handshakes.fresh_s() == pytest.approx(FRESH_S)
    stage.now_s += FRESH_S
    assert stage.handshakes.fresh_s() == 0


def test_a_refused_peer_keeps_no_other_one_waiting(stage: Stage) -> None:
    stage.admit(REQUEST)
    assert len(stage.handshakes) == 1
    assert stage.handshakes.fresh_s() == 0


def test_the_oldest_makes_room_when_there_are_too_many(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    first = stage.admit(b"\x16")
    for _ in range(HANDSHAKES_MAX):
        stage.admit(b"\x16")
    assert len(stage.handshakes) == HANDSHAKES_MAX
    assert first.recv(1) == b""
    assert "handshake unfinished while others wait" in errors(caplog)[0]


def test_unfinished_requests_have_a_bound_together(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The longest one has to go, in the way of TLS; the next peer is served."""
    size = 700_000
    unfinished = b"\x01\x00\x00\x0f\xff\xff" + bytes(size - 6)
    peers = [stage.requestor() for _ in range(REQUESTS_BYTES_MAX // size + 1)]
    for peer in peers:
        stage.shake_hands(peer)
        for at in range(0, size, 10_000):  # as much as a socket takes at a time
            piece = unfinished[at : at + 10_000]
            wait_until(
                lambda piece=piece, peer=peer: sends(stage, peer, piece),
                "room in the socket",
            )
    left = size * (len(peers) - 1)
    wait_until(lambda: held(stage) == left, "the end of one of them")
    assert errors(caplog) == [
        "Could not receive association request: unfinished while others wait\n"
        "Connection with 127.0.0.1 ended without an association"
    ]
    assert peers[0].recv(1) == b""  # close_notify
    last = stage.requestor()
    stage.shake_hands(last)
    last.send(REQUEST)
    with stage.finished().connection:
        pass


def held(stage: Stage) -> int:
    """Bytes of unfinished requests, once everything that was sent has been read."""
    stage.handshakes.serve_events()
    entries = stage.handshakes._entries.values()
    return sum(len(entry.received) for entry in entries)


def sends(stage: Stage, peer: ssl.SSLSocket, piece: bytes) -> bool:
    stage.handshakes.serve_events()
    try:
        peer.send(piece)
    except ssl.SSLWantWriteError:
        return False
    return True


def test_what_a_refused_peer_still_sends_is_dropped(stage: Stage) -> None:
    peer = stage.admit(REQUEST)
    peer.sendall(bytes(100_000))
    wait_until(lambda: served_out(stage) and drained(stage), "the bytes to be read")
    (entry,) = stage.handshakes._entries.values()
    assert entry.engine.incoming.pending <= len(REQUEST)


def drained(stage: Stage) -> bool:
    (entry,) = stage.handshakes._entries.values()
    try:
        return not entry.connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True


def test_nobody_has_long_when_the_receiver_ends(stage: Stage) -> None:
    stage.admit(b"\x16")
    stage.handshakes.hurry()
    assert stage.handshakes.timeout_s() == pytest.approx(HURRY_S)
