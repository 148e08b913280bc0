"""One association from its A-ASSOCIATE-RQ to the closed connection.

Owns the handshake, release and abort, what is logged about an association, and when.
Never a message: the StoreReceiver answers those itself. The texts are in `wording`, the
decisions in `ul.negotiation`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dcmrecv.config.logs import DATA_LOGGER, NETWORK_LOGGER
from dcmrecv.config.settings import NetworkSettings
from dcmrecv.errors import (
    AssociationError,
    ProtocolViolation,
)
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.service import parameter_block, tls_wording, wording
from dcmrecv.service.access import NO_SEAT, Entrance, Refusal, refused
from dcmrecv.service.connection import Connection
from dcmrecv.service.hosts import HostNames
from dcmrecv.service.journal import Journal
from dcmrecv.service.receiver import ODDITIES, Duplicate, Outcome, StoreReceiver
from dcmrecv.service.regulars import Visit
from dcmrecv.service.remarks import remarks
from dcmrecv.service.requests import (
    AskedAssociation,
    AssociationRequests,
    request_complete,
)
from dcmrecv.service.wording import Ending, Peer, StoreReport
from dcmrecv.ul.items import AbortReason, AbortSource
from dcmrecv.ul.negotiation import (
    REJECT_CALLED_AE_TITLE,
    REJECT_CONGESTION,
    REJECT_LOCAL_LIMIT,
    REJECT_NO_CONTEXT,
    REJECT_PROTOCOL_VERSION,
    Note,
    proposed_roles,
)
from dcmrecv.ul.oddities import Oddity, refuse, tolerated
from dcmrecv.ul.pdu import (
    ASSOCIATE_RQ_BYTES_MAX,
    HEADER_BYTES,
    AssociationReject,
    ReleaseReply,
    encode,
    read_header,
)
from dcmrecv.ul.state import Action, Event, State, pdu_event, transition

# What a waiting room sends when there are too many associations.
PREPARED_REJECT = encode(REJECT_LOCAL_LIMIT)

_NOTHING_ODD = (0,) * len(ODDITIES)

RELEASE_RP = encode(ReleaseReply())

# Nobody may send P-DATA before the A-ASSOCIATE-AC; who does shall not fill the memory.
_AHEAD_BYTES_MAX = 262_144

_NOTE_LEVELS = {
    Note.DEFAULT_ROLE_REFUSED: logging.ERROR,
    Note.ROLE_SET_TO_NONE: logging.WARNING,
}

_logger = logging.getLogger(NETWORK_LOGGER)
_data_logger = logging.getLogger(DATA_LOGGER)


class Interrupts(Protocol):
    """What may want a worker's attention while it serves."""

    def descriptors(self) -> tuple[int, ...]:
        """Descriptors that become readable when somebody wants attention."""

    def must_abort(self) -> bool:
        """Shall the association end at once? Asked after one became readable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the associations of a worker have in common.

    `info` and `debug` are asked for once: no line is put together that nobody will see.
    `is_plain`: an accepted request is neither logged nor subject to who the peer is, so
    that `regulars` may serve it when it comes again.
    """

    network: NetworkSettings
    requests: AssociationRequests
    slot: WorkerSlot
    hosts: HostNames | None
    receiver: StoreReceiver
    journal: Journal | None
    entrance: Entrance | None
    strict: bool
    min_rate: int
    bit_preserving: bool
    info: bool
    debug: bool
    block_level: int
    blocks: bool
    is_plain: bool


class Association:
    """The association on one connection."""

    __slots__ = (
        "_address",
        "_asked",
        "_connection",
        "_interrupts",
        "_shared",
    )

    def __init__(
        self,
        shared: Surroundings,
        connection: Connection,
        interrupts: Interrupts,
        address: str,
    ) -> None:
        self._shared = shared
        self._connection = connection
        self._interrupts = interrupts
        self._address = address
        self._asked: AskedAssociation | None = None

    @property
    def peer(self) -> Peer:
        """Who is at the other end, as far as is known."""
        if self._asked is None:
            return Peer(self._address)
        return Peer(self._address, self._asked.calling_ae_title)

    def serve(self, received: bytes) -> None:
        """From the first PDU to the end; the connection stays open."""
        if self._shared.debug and self._connection.engine is not None:
            _logger.debug(tls_wording.details_block(self._connection.engine))
        event = self._first_event(received)
        action = transition(State.STA2, event).action
        if action is Action.AE_6:
            self._request(received)
        elif action is Action.AA_1:
            self._strange_beginning(received, event)
        else:
            self._no_beginning(received, event)
        if self._shared.debug:
            _logger.debug(wording.ASSOCIATION_TERMINATED)

    def resume(self, visit: Visit) -> None:
        """Go on with an association that `regulars` has begun; it stays open."""
        if visit.asked is None:
            raise ValueError("nothing to resume")
        self._asked = visit.asked
        if visit.instead_of_close is not None:
            self._connection.linger(visit.instead_of_close)
        else:
            self._converse(visit.asked, visit.outcome)

    # Before there is a request

    def _first_event(self, received: bytes) -> Event:
        if request_complete(received):
            return pdu_event(received[0])
        if self._connection.is_closed():
            return Event.CONNECTION_CLOSED
        return Event.ARTIM_EXPIRED

    def _no_beginning(self, received: bytes, event: Event) -> None:
        """The peer went away, or never said enough."""
        if event is Event.ARTIM_EXPIRED:
            _logger.error(wording.request_failed(wording.READ_TIMEOUT, self.peer))
        elif event is Event.CONNECTION_CLOSED and len(received) >= HEADER_BYTES:
            _logger.error(wording.request_failed(wording.NETWORK_CLOSED, self.peer))
        else:
            self._log_nothing_received()

    def _strange_beginning(self, received: bytes, event: Event) -> None:
        """The first PDU is none that begins an association."""
        abort = (AbortSource.SERVICE_USER, AbortReason.NOT_SPECIFIED)
        reason = f"Unexpected PDU type: {received[0]:02x}"
        if event is Event.INVALID_PDU:
            abort = (AbortSource.SERVICE_PROVIDER, AbortReason.UNRECOGNIZED_PDU)
            reason = f"Unrecognized PDU type: {received[0]:2x}"
        else:
            self._log_nothing_received()
        _logger.error(wording.request_failed(reason, self.peer))
        self._connection.abort(abort)

    def _log_nothing_received(self) -> None:
        # DCMTK takes the silence for a request without titles and application context.
        if self._shared.info:
            _logger.info(wording.association_received(self._host(), "", ""))
            _logger.info(wording.NOTHING_RECEIVED)

    def _host(self) -> str:
        if self._shared.hosts is None:
            return self.peer.address
        return self._shared.hosts.shown(self.peer.address)

    # The request and its answer

    def _request(self, received: bytes) -> None:
        _, length = read_header(received)
        size = HEADER_BYTES + length
        if length > ASSOCIATE_RQ_BYTES_MAX:
            _logger.error(wording.request_too_large(length))
        elif self._shared.debug:
            _logger.debug(wording.received_pdu(received[:size]))
        try:
            asked = self._shared.requests.read(received[:size])
            if len(received) - size > _AHEAD_BYTES_MAX:
                raise ProtocolViolation(
                    f"{len(received) - size} bytes behind the A-ASSOCIATE-RQ",
                    abort=(AbortSource.SERVICE_PROVIDER, AbortReason.UNEXPECTED_PDU),
                )
        except ProtocolViolation as violation:
            self._shared.slot.increase("refused")
            _logger.error(wording.request_failed(str(violation), self.peer))
            self._abort(violation)
            return
        self._asked = asked
        try:
            self._answer(asked, received[size:])
        except AssociationError as error:
            self._end_by(Ending(error=error))

    def _answer(self, asked: AskedAssociation, ahead: bytes) -> None:
        entrance = self._shared.entrance
        self._log_request(asked)
        if entrance is not None and asked.request.supports_version_1:
            refusal = entrance.judge(self._address, asked.request)
            if refusal is not None:
                self._refuse(refusal)
                self._log_oddities(asked.oddities)
                return
        try:
            if self._shared.strict:
                refuse(asked.oddities)
            negotiation = asked.negotiation
        except ProtocolViolation as violation:
            self._shared.slot.increase("refused")
            _logger.error(wording.association_refused(self.peer, str(violation)))
            self._abort(violation)
            return
        for note in negotiation.notes:
            _logger.log(_NOTE_LEVELS[note], wording.NOTES[note])
        answer = negotiation.answer
        if isinstance(answer, AssociationReject):
            self._reject(asked, answer)
        elif entrance is not None and not entrance.enter(self._address):
            self._refuse(NO_SEAT)
        elif not self._shared.receiver.has_room:
            self._reject_for_space()
        else:
            self._accept(asked, ahead)
            return
        self._log_oddities(asked.oddities)

    def _log_request(self, asked: AskedAssociation) -> None:
        request = asked.request
        if not request.supports_version_1:
            reason = wording.unsupported_protocol(request.protocol_version)
            _logger.error(wording.request_failed(reason, self.peer))
            return
        if request.user.roles:
            selections = proposed_roles(request)
            for context in request.contexts:
                selection = selections.get(context.abstract_syntax)
                if selection and selection.scu == selection.scp == 0:
                    _logger.warning(wording.ROLES_EMPTY)
        if self._shared.info:
            line = wording.association_received(
                self._host(), asked.calling_ae_title, asked.called_ae_title
            )
            engine = self._connection.engine
            certified = engine.peer() if engine is not None else None
            if certified is not None:
                line = f"{line} ({tls_wording.identity(certified)})"
            _logger.info(line)
        if self._shared.blocks:
            _logger.log(self._shared.block_level, wording.INCOMING_REQUEST)
            block = parameter_block.request_block(request, self._shared.network.max_pdu)
            _logger.log(self._shared.block_level, block)

    def _refuse(self, refusal: Refusal) -> None:
        """The peer may not come in, whatever he asks for: PS3.8 Table 9-10, AE-8."""
        self._shared.slot.increase("refused")
        _logger.info(refused(self.peer, refusal))
        self._connection.send(refusal.reject)
        self._connection.linger()

    def _reject(self, asked: AskedAssociation, reject: AssociationReject) -> None:
        self._shared.slot.increase("refused")
        level = logging.INFO
        title = self._shared.network.ae_title
        if reject == REJECT_CALLED_AE_TITLE and title is not None:
            level = logging.ERROR
            _logger.error(wording.title_not_recognized(title))
        if reject == REJECT_NO_CONTEXT:
            _logger.info(wording.NO_ACCEPTABLE_CONTEXTS)
            self._log_answer(asked)
        if reject != REJECT_PROTOCOL_VERSION:
            _logger.info(wording.refusing(reject))
            _logger.log(level, wording.rejected(self.peer, reject))
        self._connection.send_encoded(asked.answer)
        self._connection.linger()

    def _reject_for_space(self) -> None:
        """The disk has been filled up to its reserve; it may pass."""
        self._shared.slot.increase("refused")
        _logger.error(wording.rejected(self.peer, REJECT_CONGESTION))
        self._connection.send(REJECT_CONGESTION)
        self._connection.linger()

    def _accept(self, asked: AskedAssociation, ahead: bytes) -> None:
        max_length = asked.request.user.max_length
        _, warnings = wording.max_send_pdv(max_length)
        for warning in warnings:
            _logger.warning(warning)
        self._connection.send_encoded(asked.answer)
        self._shared.slot.increase("associations")
        if self._shared.info:
            _logger.info(wording.acknowledged(max_length))
        self._log_answer(asked)
        if self._shared.is_plain and not (
            warnings
            or asked.negotiation.notes
            or asked.oddities
            or asked.request.user.roles
        ):
            asked.is_routine = True
        self._serve_messages(asked, ahead)

    def _log_answer(self, asked: AskedAssociation) -> None:
        if self._shared.blocks:
            own = self._shared.network.max_pdu
            block = parameter_block.answer_block(asked.request, own, asked.negotiation)
            _logger.log(self._shared.block_level, block)

    # The association

    def _serve_messages(self, asked: AskedAssociation, ahead: bytes) -> None:
        receiver = self._shared.receiver
        receiver.begin(
            asked.plan,
            fd=self._connection.descriptor,
            max_pdu=self._shared.network.max_pdu,
            peer_max_pdu=asked.request.user.max_length,
            dimse_timeout_s=self._shared.network.dimse_timeout_s,
            received=ahead,
            report=self._shared.info,
            journal=self._shared.journal,
            strict=self._shared.strict,
            min_rate=self._shared.min_rate,
            engine=self._connection.engine,
        )
        receiver.watch(self._interrupts.descriptors())
        self._converse(asked)

    def _converse(
        self, asked: AskedAssociation, outcome: Outcome | Exception | None = None
    ) -> None:
        """Serve the messages, from `outcome` of the receive loop on."""
        receiver = self._shared.receiver
        failure: AssociationError | None = None
        try:
            try:
                self._run(outcome)
            except AssociationError as error:
                failure = error
            finally:
                self._log_oddities(asked.oddities, receiver.oddities)
            if receiver.in_data_set:
                _logger.info(wording.store_received(receiver.message_id))
            if failure is None:
                self._release()
                return
        finally:
            receiver.end()
        self._end_by(
            Ending(
                error=failure,
                context_id=receiver.context_id if receiver.in_data_set else None,
                sop_instance=receiver.sop_instance if receiver.in_data_set else "",
                fault=receiver.violation,
                is_store=receiver.is_store,
            )
        )

    def _log_oddities(
        self,
        of_request: Mapping[Oddity, int],
        of_messages: Sequence[int] = _NOTHING_ODD,
    ) -> None:
        """Once for the whole association; those of messages have been counted."""
        if not of_request and not any(of_messages):
            return
        found = {**of_request, **dict(zip(ODDITIES, of_messages, strict=True))}
        if self._shared.strict:
            _logger.error("Not tolerated of %s: %s", self.peer, tolerated(found))
            return
        self._shared.slot.increase("tolerated", sum(of_request.values()))
        if self._shared.info:
            _logger.info("Tolerated of %s: %s", self.peer, tolerated(found))

    def _run(self, outcome: Outcome | Exception | None) -> None:
        """Until the peer asks for release.

        Raises:
            AssociationError: the association ends otherwise.
        """
        while True:
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is None:
                outcome = self._shared.receiver.run()
            if outcome == Outcome.STORED:
                self._log_store()
            elif outcome == Outcome.ECHOED:
                for line in wording.echoed(self._shared.receiver.message_id):
                    _logger.info(line)
            elif outcome == Outcome.RELEASE_RQ:
                return
            elif outcome == Outcome.INTERRUPTED:
                if self._interrupts.must_abort():
                    reason = "the receiver is being stopped"
                    raise AssociationError(reason, abort=(0, 0))
                self._shared.receiver.watch(self._interrupts.descriptors())
            else:
                raise RuntimeError(f"the receive loop ended with {outcome!r}")
            outcome = None

    def _log_store(self) -> None:
        receiver = self._shared.receiver
        path = receiver.path
        if path and receiver.is_routine and not self._shared.debug:
            _logger.info(wording.routine(receiver.message_id, path))
            return
        report = StoreReport(
            message_id=receiver.message_id,
            context_id=receiver.context_id,
            status=receiver.status,
            path=path,
            fault_text=receiver.fault_text,
            fault_errno=receiver.fault_errno,
            sop_instance=receiver.sop_instance,
            bit_preserving=self._shared.bit_preserving,
        )
        # After a failure the old file is still there, whatever was tried.
        overwriting = receiver.overwritten and report.status == 0
        # DCMTK opens the file in bit preserving mode before it tells of the request.
        if overwriting and self._shared.bit_preserving:
            _logger.warning(wording.overwriting(report.path))
        _logger.info(wording.store_received(report.message_id))
        if self._shared.debug:
            _logger.debug(wording.message_block(report))
        for line in remarks(*receiver.remarks):
            _data_logger.warning(line)
        if overwriting and not self._shared.bit_preserving:
            _logger.warning(wording.overwriting(report.path))
        if report.status != 0:
            _logger.error(wording.store_failed(report, self.peer))
        elif receiver.duplicate is not Duplicate.NONE:
            self._log_duplicate(receiver.duplicate, report.path)
        elif report.path:
            _logger.info(wording.stored(report.path))
        _logger.info(wording.store_answered(report.status))

    def _log_duplicate(self, duplicate: Duplicate, path: str) -> None:
        same = duplicate is Duplicate.OLDER_IS_SAME
        level = logging.INFO if same else logging.WARNING
        _logger.log(level, wording.duplicate(duplicate, path))

    # The end

    def _release(self) -> None:
        """Answer an A-RELEASE-RQ.

        Source:
            PS3.8 section 7.2, Table 9-10: AR-2, AR-4.
        """
        receiver = self._shared.receiver
        if receiver.in_data_set:
            context_id = receiver.context_id
            instance = receiver.sop_instance
            _logger.error(wording.data_set_released(context_id, self.peer, instance))
        if self._shared.info:
            _logger.info(wording.RELEASE_RECEIVED)
        # Who asks for release and then hangs up has got what he wanted.
        instead_of_close = receiver.release(RELEASE_RP)
        if instead_of_close is not None:
            self._connection.linger(instead_of_close)

    def _end_by(self, ending: Ending) -> None:
        """The association ends otherwise than by release."""
        self._shared.slot.increase("aborted")
        if self._asked is not None:
            calling, called = self._asked.calling_ae_title, self._asked.called_ae_title
            warning = wording.dimse_warning(ending, calling, called)
            if warning is not None:
                _logger.warning(warning)
        for text in (wording.data_set_lost(ending), wording.ended(ending, self.peer)):
            if text is not None:
                _logger.error(text)
        if ending.error.abort is None:
            _logger.info(wording.ABORT_RECEIVED)
        self._abort(ending.error)

    def _abort(self, error: AssociationError) -> None:
        if error.abort is not None:
            self._connection.abort(error.abort)
