"""A scripted SCU on a raw socket: says exactly the bytes it is told to say.

Nothing here checks what is sent. What is read has a deadline, so that a receiver that
keeps silent fails the test instead of hanging it.
"""

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.builders import pdu
from tests.builders.command import (
    ERROR_COMMENT,
    Response,
    c_echo_rq,
    c_store_rq,
    parse_command_set,
)
from tests.builders.pdu import ProposedContext

READ_DEADLINE_S = 15.0
PDU_LIMIT = 1 << 20  # nothing that a receiver sends is longer


class PeerGone(Exception):
    """The receiver closed or reset the connection."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """One PDU as it came."""

    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """An A-ASSOCIATE-AC. PS3.8 section 9.3.3."""

    version: int
    called: bytes
    calling: bytes
    item_order: tuple[int, ...]
    contexts: dict[int, tuple[int, str]]  # context id: (result, transfer syntax)
    user_items: tuple[tuple[int, bytes], ...]

    def user_item(self, kind: int) -> bytes | None:
        """The body of the first user information sub-item of a kind."""
        return next((body for own, body in self.user_items if own == kind), None)

    @property
    def max_pdu(self) -> int:
        """What the receiver is ready to take, 0 for no limit."""
        body = self.user_item(0x51)
        return 0 if body is None else int.from_bytes(body, "big")


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """An A-ASSOCIATE-RJ. PS3.8 section 9.3.4."""

    result: int
    source: int
    reason: int


@dataclass(slots=True)
class RawScu:
    """A connection to a receiver.

    Use as a context manager. `deadline_s` bounds each wait for an answer.
    """

    port: int
    host: str = "127.0.0.1"
    deadline_s: float = READ_DEADLINE_S
    source: str = ""  # our own address, any of this machine by default
    connection: socket.socket = field(init=False)
    peer_max_pdu: int = field(init=False, default=16_384)

    def __post_init__(self) -> None:
        self.connection = socket.create_connection(
            (self.host, self.port), self.deadline_s, (self.source, 0)
        )
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close()

    # Sending

    def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
            PeerGone: the receiver has closed meanwhile.
        """
        try:
            self.connection.sendall(data)
        except (ConnectionResetError, BrokenPipeError) as gone:
            raise PeerGone(str(gone)) from gone

    def trickle(self, data: bytes, piece: int = 1) -> None:
        """Send bytes in small pieces, each in a segment of its own."""
        for at in range(0, len(data), piece):
            self.send(data[at : at + piece])

    def reset(self) -> None:
        """End the connection with a TCP RST."""
        self.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.connection.close()

    def finish_sending(self) -> None:
        """Close the sending half; answers can still be read."""
        self.connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection without a word."""
        self.connection.close()

    # Reading

    def read_exactly(self, size: int, deadline_s: float | None = None) -> bytes:
        """Wait for `size` bytes.

        Raises:
            PeerGone: the connection ended before.
            TimeoutError: the deadline passed.
        """
        until = time.monotonic() + (deadline_s or self.deadline_s)
        data = b""
        while len(data) < size:
            self.connection.settimeout(max(until - time.monotonic(), 0.001))
            try:
                piece = self.connection.recv(size - len(data))
            except ConnectionResetError as gone:
                raise PeerGone("reset") from gone
            if not piece:
                raise PeerGone(f"closed after {len(data)} of {size} bytes")
            data += piece
        return data

    def read_pdu(self, deadline_s: float | None = None) -> Pdu:
        """Wait for one PDU.

        Raises:
            PeerGone: the connection ended before.
            TimeoutError: the deadline passed.
        """
        header = self.read_exactly(pdu.HEADER_BYTES, deadline_s)
        kind, size = struct.unpack(">BxI", header)
        if size > PDU_LIMIT:
            raise ValueError(f"PDU of {size} bytes: {header.hex(' ')}")
        return Pdu(kind, self.read_exactly(size, deadline_s))

    def read_response(self, deadline_s: float | None = None) -> Response:
        """Wait for a DIMSE response of one PDU with one PDV.

        Raises:
            ValueError: something else came.
            PeerGone: the connection ended before.
            TimeoutError: the deadline passed.
        """
        return parse_response(self.read_pdu(deadline_s))

    def ending(self, deadline_s: float | None = None) -> str:
        """How the receiver ends the connection, everything before it is a fault.

        Returns:
            "abort 0,0" (with source and reason), "release", "closed" or "reset".
        """
        try:
            answer = self.read_pdu(deadline_s)
        except PeerGone as gone:
            return "reset" if str(gone) == "reset" else "closed"
        if answer.kind == pdu.A_ABORT:
            return f"abort {answer.body[2]},{answer.body[3]}"
        if answer.kind == pdu.A_RELEASE_RP:
            return "release"
        return f"PDU type {answer.kind:02x}: {answer.body[:32].hex(' ')}"

    def has_news(self, within_s: float) -> bool:
        """Whether the receiver says something, or closes, within so many seconds."""
        return bool(select.select([self.connection], [], [], within_s)[0])

    def is_closed(self, deadline_s: float | None = None) -> bool:
        """Wait until the receiver has closed the connection, whatever it says before.

        Raises:
            TimeoutError: still open at the deadline.
        """
        with contextlib.suppress(PeerGone):
            while True:
                self.read_exactly(1, deadline_s)
        return True

    def transcript(self, deadline_s: float | None = None) -> list[str]:
        """Everything the receiver says until the association is over, a line each.

        Responses stand with their command field, context, message id, status and UIDs;
        the last line is as of `ending()`, or "silence" when nothing came in time.
        """
        lines = []
        while True:
            try:
                answer = self.read_pdu(deadline_s)
            except PeerGone as gone:
                return [*lines, "reset" if str(gone) == "reset" else "closed"]
            except TimeoutError:
                return [*lines, "silence"]
            if answer.kind == pdu.A_ABORT:
                return [*lines, f"abort {answer.body[2]},{answer.body[3]}"]
            if answer.kind == pdu.A_RELEASE_RP:
                return [*lines, "release"]
            lines.append(describe_response(answer))

    # Whole exchanges

    def request_association(self, request: bytes) -> AssociateAccept | AssociateReject:
        """Send an A-ASSOCIATE-RQ and wait for the answer.

        Raises:
            ValueError: neither accept nor reject came.
            PeerGone: the connection ended before.
            TimeoutError: the deadline passed.
        """
        self.send(request)
        return parse_associate_answer(self.read_pdu())

    def associate(
        self,
        contexts: Iterable[ProposedContext] = (ProposedContext(1),),
        *,
        called: str = "ANY",
        calling: str = "RAW",
        max_pdu: int = 16_384,
        user_items: Iterable[bytes] = (),
    ) -> AssociateAccept:
        """Open an association that is expected to be accepted, every context too.

        Raises:
            ValueError: the association or one of the contexts was refused.
        """
        request = pdu.associate_rq(
            contexts,
            called=called,
            calling=calling,
            max_pdu=max_pdu,
            user_items=tuple(user_items),
        )
        answer = self.request_association(request)
        if isinstance(answer, AssociateReject):
            raise ValueError(f"association refused: {answer}")
        if any(result != 0 for result, _ in answer.contexts.values()):
            raise ValueError(f"context refused: {answer.contexts}")
        self.peer_max_pdu = answer.max_pdu or 131_072
        return answer

    def store(
        self,
        data_set: bytes,
        sop_instance_uid: str = "1.2.3.4.5",
        *,
        context_id: int = 1,
        sop_class_uid: str | None = None,
        message_id: int = 9,
    ) -> Response:
        """Send one object in the usual framing and wait for the C-STORE-RSP."""
        command = c_store_rq(sop_instance_uid, message_id=message_id)
        if sop_class_uid is not None:
            command = c_store_rq(
                sop_instance_uid, sop_class_uid=sop_class_uid, message_id=message_id
            )
        self.send(
            pdu.message(context_id, command, data_set, pdu_size=self.peer_max_pdu)
        )
        return self.read_response()

    def echo(self, *, context_id: int = 1, message_id: int = 7) -> Response:
        """Send a C-ECHO-RQ and wait for the C-ECHO-RSP."""
        self.send(pdu.message(context_id, c_echo_rq(message_id)))
        return self.read_response()

    def release(self) -> None:
        """Release the association.

        Raises:
            ValueError: the answer is no A-RELEASE-RP.
        """
        self.send(pdu.release_rq())
        ending = self.ending()
        if ending != "release":
            raise ValueError(f"release answered by {ending}")
        self.connection.close()

    def abort(self) -> None:
        """Send an A-ABORT and close."""
        self.send(pdu.abort())
        self.connection.close()


def store_alone(port: int, data_set: bytes, sop_instance_uid: str) -> Response:
    """Store one object over an association of its own."""
    with RawScu(port) as scu:
        scu.associate()
        response = scu.store(data_set, sop_instance_uid)
        scu.release()
    return response


def parse_response(answer: Pdu) -> Response:
    """Take a P-DATA-TF apart that holds one whole command set in one PDV.

    Raises:
        ValueError: it is something else.
    """
    if answer.kind != pdu.P_DATA_TF:
        raise ValueError(f"PDU type {answer.kind:02x}: {answer.body.hex(' ')}")
    size, context_id, control = struct.unpack_from(">IBB", answer.body)
    if size != len(answer.body) - 4 or control != 3:
        raise ValueError(f"not one whole command PDV: {answer.body[:8].hex(' ')}")
    return Response(context_id, parse_command_set(answer.body[6:]))


def describe_response(answer: Pdu) -> str:
    """One line about a response, all that a sender can see but an Error Comment."""
    response = parse_response(answer)
    raw = {t: v for t, v in response.raw.items() if t not in (0, ERROR_COMMENT)}
    values = " ".join(f"{tag:04x}={value.hex()}" for tag, value in raw.items())
    return f"context {response.context_id}: {values}"


def parse_associate_answer(answer: Pdu) -> AssociateAccept | AssociateReject:
    """Take an A-ASSOCIATE-AC or -RJ apart.

    Raises:
        ValueError: another PDU, or the items do not fill it exactly.
    """
    if answer.kind == pdu.A_ASSOCIATE_RJ and len(answer.body) == 4:
        return AssociateReject(*answer.body[1:])
    if answer.kind != pdu.A_ASSOCIATE_AC:
        raise ValueError(f"PDU type {answer.kind:02x}: {answer.body.hex(' ')}")
    contexts: dict[int, tuple[int, str]] = {}
    user_items: tuple[tuple[int, bytes], ...] = ()
    items = split_items(answer.body[68:])
    for kind, body in items:
        if kind == 0x21:
            contexts[body[0]] = (body[2], split_items(body[4:])[0][1].decode())
        elif kind == 0x50:
            user_items = split_items(body)
    return AssociateAccept(
        version=int.from_bytes(answer.body[:2], "big"),
        called=answer.body[4:20],
        calling=answer.body[20:36],
        item_order=tuple(kind for kind, _ in items),
        contexts=contexts,
        user_items=user_items,
    )


def split_items(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Kind and body of each item.

    Raises:
        ValueError: the last item is cut.
    """
    items: list[tuple[int, bytes]] = []
    while data:
        kind, size = struct.unpack_from(">BxH", data)
        body = data[4 : 4 + size]
        if len(body) != size:
            raise ValueError(f"item {kind:02x} is cut: {data.hex(' ')}")
        items.append((kind, body))
        data = data[4 + size :]
    return tuple(items)
