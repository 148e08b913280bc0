"""What is fuzzed: the readers of bytes from the network, and what must hold for any.

A target takes any bytes, reads them with the real code, and raises AssertionError when
something that is always true is not. The sanitizers find what C does behind its back.
Seeds are made here, so that no corpus has to be kept.

    python -m tests.fuzz.targets TARGET FILE    # what an input does, once
"""

import ipaddress
import itertools
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dcmrecv.config.settings import (
    AssociationProfile,
    ProfileContext,
    StorageMode,
    StorageSettings,
)
from dcmrecv.dimse.command import odd_uids, parse, respond
from dcmrecv.encoding.dictionary import default_table
from dcmrecv.encoding.normalizer import Normalizer
from dcmrecv.encoding.scanner import DatasetScanner
from dcmrecv.errors import AssociationError, ProtocolViolation
from dcmrecv.native.buffer import AlignedBuffer
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.parameter_block import request_block
from dcmrecv.service.plan import AcceptedContext, AssociationPlan
from dcmrecv.service.proxy import Proxies, behind_header
from dcmrecv.service.receiver import Outcome, StoreReceiver
from dcmrecv.ul.items import secret_at
from dcmrecv.ul.negotiation import NegotiationPolicy, negotiate
from dcmrecv.ul.oddities import oddities_of
from dcmrecv.ul.pdata import PDataReader
from dcmrecv.ul.pdu import AssociationRequest, decode, encode
from tests.builders import pdu, proxy
from tests.builders.command import c_echo_rq, c_store_rq
from tests.builders.data_set import Encoding, encapsulated_object, object_of
from tests.builders.pdu import ProposedContext
from tests.builders.uids import (
    CT_IMAGE,
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_BASELINE,
    MR_IMAGE,
)

SYNTAXES = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED_LE, JPEG_BASELINE)
SENT_BYTES_MAX = 100_000  # fits into the buffers of a socket pair
WINDOWS = (64, 1_000, 4_096, 65_536)
BALANCER = "10.9.0.1"
PROXIES = Proxies([BALANCER])
STAGINGS = (0, 64, 300, 4_096, 65_536)
POLICIES = (
    NegotiationPolicy(
        profile=AssociationProfile((ProfileContext(CT_IMAGE, (IMPLICIT_LE,)),))
    ),
    NegotiationPolicy(
        profile=AssociationProfile(()), promiscuous=True, verifies_users=True
    ),
)


def _pieces(data: bytes, knob: int) -> list[bytes]:
    """Data cut into equal pieces, of a size that a byte chooses."""
    size = (len(data) + 1, 1, 7, 64, 1_000)[knob % 5]
    return [data[at : at + size] for at in range(0, len(data), size)]


def pdata(data: bytes) -> None:
    """P-DATA-TF framing: every split and both paths say the same."""
    if len(data) < 3:
        return
    window, staging = WINDOWS[data[0] % 4], STAGINGS[data[1] % 5]
    wire = data[3:]
    whole = _read(wire, _pieces(wire, 0), WINDOWS[-1], 0)
    assert whole == _read(wire, _pieces(wire, data[2]), window, staging)
    commands, data_sets = whole[:2]
    assert sum(map(len, commands + data_sets)) <= len(wire)


def _read(
    wire: bytes, pieces: list[bytes], window: int, staging: int
) -> tuple[list[bytes], list[bytes], list[object]]:
    """Whole command sets, whole data sets, and what else was said."""
    reader = PDataReader(AlignedBuffer(window))
    reader.accept([1, 3])
    commands: list[bytes] = []
    data_sets: list[bytes] = []
    landed = b""
    others: list[object] = []
    for piece in pieces:
        for event in reader.feed(piece, staging):
            if event[0] == "command":
                commands.append(event[2])
            elif event[0] == "data":
                landed += event[1]
            elif event[0] == "data set":
                data_sets.append(landed)
                landed = b""
            else:
                others.append(event)
            if event[0] == "fault":
                return commands, data_sets, others
    return commands, data_sets, others


def command(data: bytes) -> None:
    """Command sets: what is understood is answered within its bounds."""
    found = parse(data)
    assert 0 <= odd_uids(data) <= 2
    if found[0] == "refused":
        assert found[1].isprintable()
        return
    assert all(len(uid) <= 64 for uid in found[2:])
    for peer_max_pdu in (0, 1, 60, 16_384):
        answer = respond(data, 0xA700, b"x" * 70, 1, peer_max_pdu)
        assert len(answer) < 64 * 320


def associate(data: bytes) -> None:
    """A-ASSOCIATE-RQ: decoded, judged, answered and logged, or a ProtocolViolation."""
    try:
        request = decode(data)
    except ProtocolViolation as violation:
        assert violation.abort is not None
        return
    if not isinstance(request, AssociationRequest):
        return
    oddities_of(data)
    assert 0 <= secret_at(data[74:]) <= len(data)
    for line in request_block(request, 16_384).splitlines():
        assert line.isprintable()
    for policy in POLICIES:
        try:
            negotiation = negotiate(request, policy)
        except ProtocolViolation:
            continue
        answer = encode(negotiation.answer)
        assert len(answer) < 6 + 68 + 2**20
        decode(answer)


def proxy_header(data: bytes) -> None:
    """PROXY protocol: an address and the rest, or a ProtocolViolation."""
    rest = behind_header(data)
    assert rest is None or data.endswith(rest)
    assert PROXIES.unwrap("10.9.0.2", data) == ("10.9.0.2", data)
    try:
        source, left = PROXIES.unwrap(BALANCER, data)
    except ProtocolViolation:
        return
    assert ipaddress.ip_address(source)
    assert not data or left == rest


def _syntax(bits: int) -> dict[str, bool]:
    """One of the transfer syntaxes that a data set can be read in."""
    explicit_vr = bool(bits & 1)
    return {
        "explicit_vr": explicit_vr,
        "big_endian": explicit_vr and bool(bits & 2),
        "encapsulated": explicit_vr and bool(bits & 4),
    }


def scanner(data: bytes) -> None:
    """Data sets: a walk ends, and says the same in any split."""
    if len(data) < 2:
        return
    syntax = _syntax(data[0])
    rest = data[2:]
    walk = DatasetScanner(default_table())
    found = walk.examine(_pieces(rest, 0), **syntax)
    assert found == walk.examine(_pieces(rest, data[1]), **syntax)


def normalizer(data: bytes) -> None:
    """Data sets written again: the same in any split, and stable after the first time.

    Only group lengths may change once more: they count bytes of an odd number as they
    came, and the second time these come padded. Pixel data of defined length passes,
    as with the original, only in front of a rest that is dropped.
    """
    if len(data) < 2:
        return
    syntax = _syntax(data[0])
    rest = data[2:]
    rewriter = Normalizer(DatasetScanner(default_table()))
    written = rewriter.rewrite(_pieces(rest, 0), **syntax)
    assert written == rewriter.rewrite(_pieces(rest, data[1]), **syntax)
    if isinstance(written, bytes):
        again = rewriter.rewrite(_pieces(written, 0), **syntax)
        if isinstance(again, str):
            assert "must be encapsulated" in again
            return
        assert len(again) == len(written)
        assert rewriter.rewrite(_pieces(again, 0), **syntax) == again


_receivers: dict[StorageMode, tuple[StoreReceiver, Path]] = {}


def _receiver(mode: StorageMode) -> StoreReceiver:
    """The one for a mode; what it has stored so far is thrown away."""
    if mode not in _receivers:
        directory = Path(tempfile.mkdtemp(prefix="dcmrecv-fuzz-"))
        storage = StorageSettings(output_directory=str(directory), mode=mode)
        slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0)
        _receivers[mode] = StoreReceiver(storage, slot, "fuzz"), directory
    store, directory = _receivers[mode]
    for path in directory.iterdir():
        assert path.is_file() and not path.name.startswith(".")
        path.unlink()
    return store


def receiver(data: bytes) -> None:
    """The whole data plane behind a socket, in every storage mode."""
    if not data:
        return
    mode = tuple(StorageMode)[data[0] % 3]
    store = _receiver(mode)
    peer, own = socket.socketpair()
    with peer, own:
        contexts = [
            AcceptedContext(1 + 2 * i, CT_IMAGE, syntax)
            for i, syntax in enumerate(SYNTAXES)
        ]
        store.begin(
            AssociationPlan(contexts, "FUZZ", mode),
            fd=own.fileno(),
            max_pdu=16_384,
            peer_max_pdu=16_384,
            dimse_timeout_s=5,
            received=b"",
            report=True,
            strict=bool(data[0] & 64),
            min_rate=1 if data[0] & 128 else 0,
        )
        peer.settimeout(5)
        peer.sendall(data[1:SENT_BYTES_MAX])
        peer.shutdown(socket.SHUT_WR)
        try:
            while store.run() in (Outcome.STORED, Outcome.ECHOED):
                assert store.status in (0, 0xA700, 0xC000)
                assert "/../" not in store.path
                assert store.fault_text.isprintable()
        except AssociationError:
            pass
        finally:
            store.end()


# Seeds


def _messages() -> Iterator[bytes]:
    for number, syntax in enumerate(SYNTAXES):
        context = 1 + 2 * number
        if syntax == JPEG_BASELINE:
            data_set = encapsulated_object()
        else:
            data_set = object_of(transfer_syntax=syntax, series_date="20261122")
        for size in (16_384, 50):
            yield pdu.message(context, c_store_rq(), data_set, pdu_size=size)
    yield pdu.message(1, c_echo_rq(3)) + pdu.release_rq()
    yield pdu.p_data_tf() + pdu.abort(2, 1)
    yield pdu.p_data_tf(
        pdu.pdv(1, c_store_rq("1.2"), command=True, last=True),
        pdu.pdv(1, object_of()[:51], command=False, last=False),
        pdu.pdv(1, object_of()[51:], command=False, last=True),
    )


def _requests() -> Iterator[bytes]:
    yield pdu.associate_rq()
    yield pdu.associate_rq(protocol_version=2)
    yield pdu.associate_rq(
        [ProposedContext(1, CT_IMAGE, SYNTAXES), ProposedContext(3, MR_IMAGE)],
        user_items=[
            pdu.asynchronous_operations_window(5, 1),
            pdu.role_selection(CT_IMAGE, scu=1, scp=1),
            pdu.item(0x55, b"VERSION"),
            pdu.extended_negotiation(CT_IMAGE, b"\1\2"),
            pdu.user_identity("anna", "passcode", response_requested=True),
        ],
    )
    yield pdu.release_rq()
    yield pdu.abort()


def _data_sets() -> Iterator[bytes]:
    for bits, syntax in enumerate((IMPLICIT_LE, EXPLICIT_LE, None, EXPLICIT_BE)):
        if syntax is not None:
            yield bytes([bits, 0]) + object_of(transfer_syntax=syntax)
    yield b"\5\0" + encapsulated_object()
    for explicit in (False, True):
        encoding = Encoding(explicit=explicit, byte_order="<")
        inner = encoding.element(0x0008_0018, "UI", b"1.2.3\0")
        for undefined in (False, True):
            items = [encoding.item(inner, undefined=undefined)] * 2
            sequence = encoding.sequence(0x0008_1140, items, undefined=undefined)
            nested = encoding.item(sequence, undefined=undefined)
            whole = encoding.sequence(0x0008_1115, [nested], undefined=undefined)
            yield bytes([explicit, 1]) + inner + whole


@dataclass(frozen=True, slots=True)
class Target:
    """One entry point, and inputs from which to begin."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]


TARGETS = {
    "pdata": Target(pdata, lambda: (bytes(3) + wire for wire in _messages())),
    "command": Target(
        command,
        lambda: (c_store_rq(), c_echo_rq(1), c_store_rq("1.2.3.04 ")),
    ),
    "associate": Target(associate, _requests),
    "proxy": Target(
        proxy_header,
        lambda: (
            proxy.proxied("192.0.2.7", further=b"\4\0\1x") + b"\1rest",
            proxy.proxied("2001:db8::7"),
            proxy.local(),
        ),
    ),
    "scanner": Target(scanner, _data_sets),
    "normalizer": Target(normalizer, _data_sets),
    "receiver": Target(
        receiver,
        lambda: (
            bytes([mode]) + wire
            for mode, wire in itertools.product((0, 1, 2, 64, 129), _messages())
        ),
    ),
}

if __name__ == "__main__":
    TARGETS[sys.argv[1]].run(Path(sys.argv[2]).read_bytes())
