"""One association from its A-ASSOCIATE-RQ to the closed connection.

Owns the handshake, release and abort, what is logged about an association, and when.
Never a message: the StoreReceiver answers those itself. The texts are in `wording`, the
decisions in `ul.negotiation`.
"""

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from dcmrecv.config.logs import DATA_LOGGER, NETWORK_LOGGER
from dcmrecv.config.settings import (
    AssociationProfile,
    Settings,
    StorageMode,
    StorageSettings,
)
from dcmrecv.errors import (
    AssociationError,
    ProtocolViolation,
)
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.service import parameter_block, tls_wording, wording
from dcmrecv.service.access import NO_SEAT, Entrance, Refusal, refused
from dcmrecv.service.connection import Connection
from dcmrecv.service.hosts import HostNames
from dcmrecv.service.journal import PLACE, Journal, journal_of
from dcmrecv.service.proxy import Proxies
from dcmrecv.service.receiver import ODDITIES, Duplicate, Outcome, StoreReceiver
from dcmrecv.service.remarks import remarks
from dcmrecv.service.requests import AskedAssociation, AssociationRequests
from dcmrecv.service.tls import TlsEngine
from dcmrecv.service.wording import Ending, Peer, StoreReport
from dcmrecv.ul.items import AbortReason, AbortSource
from dcmrecv.ul.negotiation import (
    REJECT_CALLED_AE_TITLE,
    REJECT_CONGESTION,
    REJECT_LOCAL_LIMIT,
    REJECT_NO_CONTEXT,
    REJECT_PROTOCOL_VERSION,
    NegotiationPolicy,
    Note,
    proposed_roles,
)
from dcmrecv.ul.oddities import Oddity, refuse, tolerated
from dcmrecv.ul.pdu import (
    ASSOCIATE_RQ_BYTES_MAX,
    HEADER_BYTES,
    AssociationReject,
    PduType,
    ReleaseReply,
    encode,
    read_header,
)
from dcmrecv.ul.state import Action, Event, State, pdu_event, transition

# What a waiting room sends when there are too many associations.
PREPARED_REJECT = encode(REJECT_LOCAL_LIMIT)

_NOTHING_ODD = (0,) * len(ODDITIES)

_RELEASE_RP = encode(ReleaseReply())

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


ReceiverFactory = Callable[[StorageSettings, WorkerSlot, str], StoreReceiver]


def request_complete(received: bytes) -> bool:
    """Is there enough to begin with: a whole A-ASSOCIATE-RQ, or a fault for certain?

    Args:
        received: everything that came on a new connection.

    Source:
        PS3.8 section 9.3.1.
    """
    if len(received) < HEADER_BYTES:
        return False
    kind, length = read_header(received)
    if kind != PduType.ASSOCIATE_RQ or length > ASSOCIATE_RQ_BYTES_MAX:
        return True
    return len(received) >= HEADER_BYTES + length


class AssociationService:
    """Serves associations, one after the other; one for each worker process.

    Args:
        settings: of the whole receiver.
        profile: what is negotiated.
        slot: where this worker counts.
        temporary_tag: makes the names of this worker's temporary files its own.
        make_receiver: the data plane.
    """

    def __init__(
        self,
        settings: Settings,
        profile: AssociationProfile,
        slot: WorkerSlot,
        temporary_tag: str,
        make_receiver: ReceiverFactory = StoreReceiver,
    ) -> None:
        network = settings.network
        self._settings = settings
        self._requests = AssociationRequests(
            NegotiationPolicy(
                profile=profile,
                promiscuous=network.promiscuous,
                prefer_uncompressed=network.prefer_uncompressed,
                # With patterns the entrance looks at the called AE title.
                ae_title=None if settings.access.called else network.ae_title,
                max_pdu=network.max_pdu,
                verifies_users=settings.access.user_file is not None,
            ),
            settings.storage.mode,
        )
        self._slot = slot
        self._hosts = HostNames() if network.host_lookup else None
        self._proxies = Proxies.of(settings.access.proxies)
        self._entrance = Entrance.of(settings, slot, _logger.error)
        self._receiver = make_receiver(settings.storage, slot, temporary_tag)
        shown = self._receiver.output_directory + PLACE
        self._journal = journal_of(wording.routine(PLACE, shown))

    def serve(
        self,
        connection: socket.socket,
        received: bytes,
        interrupts: Interrupts,
        engine: TlsEngine | None = None,
    ) -> None:
        """Serve one association to its end, and close the connection.

        Args:
            connection: connected; owned from now on.
            received: what has been read from it, as much as `request_complete` wants,
                or less when the peer closed or ARTIM expired before.
            interrupts: asked when the receive loop is interrupted.
            engine: of TLS, when the connection is inside of it.

        Raises:
            Exception: a fault of ours. The association has been aborted; the worker
                should end.
        """
        timeout_s = self._settings.network.acse_timeout_s
        owned = Connection(connection, timeout_s, engine)
        address = owned.address()
        if self._proxies is not None:
            try:
                address, received = self._proxies.unwrap(address, received)
            except ProtocolViolation as violation:
                _logger.error("Closing connection of %s: %s", address, violation)
                owned.close()
                return
        association = _Association(
            self._settings,
            self._requests,
            self._slot,
            self._hosts,
            self._receiver,
            self._journal,
            owned,
            interrupts,
            self._entrance,
            address,
        )
        try:
            association.serve(received)
        except Exception:
            _logger.exception(wording.internal_error(association.peer))
            self._slot.increase("aborted")
            owned.abort((AbortSource.SERVICE_PROVIDER, AbortReason.NOT_SPECIFIED))
            raise
        finally:
            owned.close()
            if self._entrance is not None:
                self._entrance.leave()


class _Association:
    """The association on one connection."""

    def __init__(
        self,
        settings: Settings,
        requests: AssociationRequests,
        slot: WorkerSlot,
        hosts: HostNames | None,
        receiver: StoreReceiver,
        journal: Journal | None,
        connection: Connection,
        interrupts: Interrupts,
        entrance: Entrance | None,
        address: str,
    ) -> None:
        self._network = settings.network
        self._strict = settings.access.strict
        self._min_rate = settings.access.min_rate or 0
        self._entrance = entrance
        self._requests = requests
        self._slot = slot
        self._hosts = hosts
        self._receiver = receiver
        self._connection = connection
        self._interrupts = interrupts
        self._state = State.STA2
        self._bit_preserving = settings.storage.mode is StorageMode.BIT_PRESERVING
        # Asked once: no line is put together that nobody will see.
        self._info = _logger.isEnabledFor(logging.INFO)
        self._debug = _logger.isEnabledFor(logging.DEBUG)
        shown = settings.log.presentation_contexts
        self._block_level = logging.INFO if shown else logging.DEBUG
        self._blocks = _logger.isEnabledFor(self._block_level)
        self._journal = None if self._debug else journal
        self.peer = Peer(address)
        self._called_ae_title = ""

    def serve(self, received: bytes) -> None:
        """From the first PDU to the end; the connection stays open."""
        if self._debug and self._connection.engine is not None:
            _logger.debug(tls_wording.details_block(self._connection.engine))
        event = self._first_event(received)
        action = self._on(event)
        if action is Action.AE_6:
            self._request(received)
        elif action is Action.AA_1:
            self._strange_beginning(received, event)
        else:
            self._no_beginning(received, event)
        if self._debug:
            _logger.debug(wording.ASSOCIATION_TERMINATED)

    def _on(self, event: Event) -> Action:
        step = transition(self._state, event)
        self._state = step.state
        return step.action

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
        if self._info:
            _logger.info(wording.association_received(self._host(), "", ""))
            _logger.info(wording.NOTHING_RECEIVED)

    def _host(self) -> str:
        if self._hosts is None:
            return self.peer.address
        return self._hosts.shown(self.peer.address)

    # The request and its answer

    def _request(self, received: bytes) -> None:
        _, length = read_header(received)
        size = HEADER_BYTES + length
        if length > ASSOCIATE_RQ_BYTES_MAX:
            _logger.error(wording.request_too_large(length))
        elif self._debug:
            _logger.debug(wording.received_pdu(received[:size]))
        try:
            asked = self._requests.read(received[:size])
            if len(received) - size > _AHEAD_BYTES_MAX:
                raise ProtocolViolation(
                    f"{len(received) - size} bytes behind the A-ASSOCIATE-RQ",
                    abort=(AbortSource.SERVICE_PROVIDER, AbortReason.UNEXPECTED_PDU),
                )
        except ProtocolViolation as violation:
            self._slot.increase("refused")
            _logger.error(wording.request_failed(str(violation), self.peer))
            self._abort(violation)
            return
        self.peer = Peer(self.peer.address, asked.calling_ae_title)
        self._called_ae_title = asked.called_ae_title
        try:
            self._answer(asked, received[size:])
        except AssociationError as error:
            self._end_by(Ending(error=error))

    def _answer(self, asked: AskedAssociation, ahead: bytes) -> None:
        self._log_request(asked)
        if self._entrance is not None and asked.request.supports_version_1:
            refusal = self._entrance.judge(self.peer.address, asked.request)
            if refusal is not None:
                self._refuse(refusal)
                self._log_oddities(asked.oddities)
                return
        try:
            if self._strict:
                refuse(asked.oddities)
            negotiation = asked.negotiation
        except ProtocolViolation as violation:
            self._slot.increase("refused")
            _logger.error(wording.association_refused(self.peer, str(violation)))
            self._abort(violation)
            return
        for note in negotiation.notes:
            _logger.log(_NOTE_LEVELS[note], wording.NOTES[note])
        answer = negotiation.answer
        if isinstance(answer, AssociationReject):
            self._reject(asked, answer)
        elif self._entrance is not None and not self._entrance.enter(self.peer.address):
            self._refuse(NO_SEAT)
        elif not self._receiver.has_room:
            self._reject_for_space()
        else:
            self._accept(asked)
            self._serve_messages(asked, ahead)
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
        if self._info:
            line = wording.association_received(
                self._host(), asked.calling_ae_title, asked.called_ae_title
            )
            engine = self._connection.engine
            certified = engine.peer() if engine is not None else None
            if certified is not None:
                line = f"{line} ({tls_wording.identity(certified)})"
            _logger.info(line)
        if self._blocks:
            _logger.log(self._block_level, wording.INCOMING_REQUEST)
            block = parameter_block.request_block(request, self._network.max_pdu)
            _logger.log(self._block_level, block)

    def _refuse(self, refusal: Refusal) -> None:
        """The peer may not come in, whatever he asks for."""
        self._on(Event.REJECT)
        self._slot.increase("refused")
        _logger.info(refused(self.peer, refusal))
        self._connection.send(refusal.reject)
        self._connection.linger()

    def _reject(self, asked: AskedAssociation, reject: AssociationReject) -> None:
        self._on(Event.REJECT)
        self._slot.increase("refused")
        if reject == REJECT_CALLED_AE_TITLE and self._network.ae_title is not None:
            title = self._network.ae_title
            _logger.error(wording.title_not_recognized(title, self.peer))
        if reject == REJECT_NO_CONTEXT:
            _logger.info(wording.NO_ACCEPTABLE_CONTEXTS)
            self._log_answer(asked)
        if reject != REJECT_PROTOCOL_VERSION:
            _logger.info(wording.refusing(reject))
            _logger.info(wording.rejected(self.peer, reject))
        self._connection.send_encoded(asked.answer)
        self._connection.linger()

    def _reject_for_space(self) -> None:
        """The disk has been filled up to its reserve; it may pass."""
        self._on(Event.REJECT)
        self._slot.increase("refused")
        _logger.error(wording.no_room(self.peer))
        _logger.info(wording.refusing(REJECT_CONGESTION))
        _logger.info(wording.rejected(self.peer, REJECT_CONGESTION))
        self._connection.send(REJECT_CONGESTION)
        self._connection.linger()

    def _accept(self, asked: AskedAssociation) -> None:
        max_length = asked.request.user.max_length
        for warning in wording.max_send_pdv(max_length)[1]:
            _logger.warning(warning)
        self._on(Event.ACCEPT)
        self._connection.send_encoded(asked.answer)
        self._slot.increase("associations")
        if self._info:
            _logger.info(wording.acknowledged(max_length))
        self._log_answer(asked)

    def _log_answer(self, asked: AskedAssociation) -> None:
        if self._blocks:
            own = self._network.max_pdu
            block = parameter_block.answer_block(asked.request, own, asked.negotiation)
            _logger.log(self._block_level, block)

    # The association

    def _serve_messages(self, asked: AskedAssociation, ahead: bytes) -> None:
        receiver = self._receiver
        failure: AssociationError | None = None
        try:
            receiver.begin(
                asked.plan,
                fd=self._connection.fileno(),
                max_pdu=self._network.max_pdu,
                peer_max_pdu=asked.request.user.max_length,
                dimse_timeout_s=self._network.dimse_timeout_s,
                received=ahead,
                report=self._info,
                journal=self._journal,
                strict=self._strict,
                min_rate=self._min_rate,
                engine=self._connection.engine,
            )
            receiver.watch(self._interrupts.descriptors())
            try:
                self._run()
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
        if self._strict:
            _logger.error("Not tolerated of %s: %s", self.peer, tolerated(found))
            return
        self._slot.increase("tolerated", sum(of_request.values()))
        if self._info:
            _logger.info("Tolerated of %s: %s", self.peer, tolerated(found))

    def _run(self) -> None:
        """Until the peer asks for release.

        Raises:
            AssociationError: the association ends otherwise.
        """
        while True:
            outcome = self._receiver.run()
            if outcome == Outcome.STORED:
                self._log_store()
            elif outcome == Outcome.ECHOED:
                for line in wording.echoed(self._receiver.message_id):
                    _logger.info(line)
            elif outcome == Outcome.RELEASE_RQ:
                return
            elif outcome == Outcome.INTERRUPTED:
                if self._interrupts.must_abort():
                    reason = "the receiver is being stopped"
                    raise AssociationError(reason, abort=(0, 0))
                self._receiver.watch(self._interrupts.descriptors())
            else:
                raise RuntimeError(f"the receive loop ended with {outcome!r}")

    def _log_store(self) -> None:
        receiver = self._receiver
        path = receiver.path
        if path and receiver.is_routine and not self._debug:
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
            bit_preserving=self._bit_preserving,
        )
        # After a failure the old file is still there, whatever was tried.
        overwriting = receiver.overwritten and report.status == 0
        # DCMTK opens the file in bit preserving mode before it tells of the request.
        if overwriting and self._bit_preserving:
            _logger.warning(wording.overwriting(report.path))
        _logger.info(wording.store_received(report.message_id))
        if self._debug:
            _logger.debug(wording.message_block(report))
        for line in remarks(*receiver.remarks):
            _data_logger.warning(line)
        if overwriting and not self._bit_preserving:
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
        receiver = self._receiver
        self._on(Event.RELEASE_RQ)
        if receiver.in_data_set:
            context_id = receiver.context_id
            instance = receiver.sop_instance
            _logger.error(wording.data_set_released(context_id, self.peer, instance))
        _logger.info(wording.RELEASE_RECEIVED)
        self._on(Event.RELEASE_RESPONSE)
        # Who asks for release and then hangs up has got what he wanted.
        instead_of_close = receiver.release(_RELEASE_RP)
        if instead_of_close is not None:
            self._connection.linger(instead_of_close)

    def _end_by(self, ending: Ending) -> None:
        """The association ends otherwise than by release."""
        self._slot.increase("aborted")
        warning = wording.dimse_warning(
            ending, self.peer.calling_ae_title, self._called_ae_title
        )
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
