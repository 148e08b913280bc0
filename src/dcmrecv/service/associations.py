"""The associations of one worker process, one after the other.

Owns what they have in common, made once, and that a connection is closed and a seat
left, however its association ends. Never a PDU: that is `association`'s.
"""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator

from dcmrecv.config.logs import NETWORK_LOGGER
from dcmrecv.config.settings import (
    AssociationProfile,
    Settings,
    StorageMode,
    StorageSettings,
)
from dcmrecv.errors import (
    ProtocolViolation,
)
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.service import wording
from dcmrecv.service.access import Entrance
from dcmrecv.service.association import (
    RELEASE_RP,
    Association,
    Interrupts,
    Surroundings,
)
from dcmrecv.service.connection import Connection, shown_address
from dcmrecv.service.hosts import HostNames
from dcmrecv.service.journal import PLACE, journal_of
from dcmrecv.service.proxy import Proxies
from dcmrecv.service.receiver import StoreReceiver
from dcmrecv.service.regulars import Regulars, Visit
from dcmrecv.service.requests import AssociationRequests
from dcmrecv.service.tls import TlsEngine
from dcmrecv.ul.items import AbortReason, AbortSource
from dcmrecv.ul.negotiation import (
    NegotiationPolicy,
)

_logger = logging.getLogger(NETWORK_LOGGER)

ReceiverFactory = Callable[[StorageSettings, WorkerSlot, str], StoreReceiver]


class AssociationService:
    """Serves associations, one after the other; one for each worker process.

    Attributes:
        regulars: accepts connections that are no TLS, and serves those of peers that
            came before as far as it can.

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
        receiver = make_receiver(settings.storage, slot, temporary_tag)
        shown = receiver.output_directory + PLACE
        info, debug = map(_logger.isEnabledFor, (logging.INFO, logging.DEBUG))
        block_level = logging.DEBUG
        if settings.log.presentation_contexts:
            block_level = logging.INFO
        blocks = _logger.isEnabledFor(block_level)
        entrance = Entrance.of(settings, slot, _logger.error)
        self._proxies = Proxies.of(settings.access.proxies)
        self._shared = Surroundings(
            network=network,
            requests=AssociationRequests(
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
            ),
            slot=slot,
            hosts=HostNames() if network.host_lookup else None,
            receiver=receiver,
            journal=None if debug else journal_of(wording.routine(PLACE, shown)),
            entrance=entrance,
            strict=settings.access.strict,
            min_rate=settings.access.min_rate or 0,
            bit_preserving=settings.storage.mode is StorageMode.BIT_PRESERVING,
            info=info,
            debug=debug,
            block_level=block_level,
            blocks=blocks,
            is_plain=entrance is None
            and self._proxies is None
            and not info
            and not blocks,
        )
        self.regulars = Regulars(
            receiver, self._shared.requests, slot, network, settings.access, RELEASE_RP
        )

    def serve(
        self,
        connection: socket.socket,
        received: bytes,
        interrupts: Interrupts,
        engine: TlsEngine | None = None,
        address: str = "",
    ) -> None:
        """Serve one association to its end, and close the connection.

        Args:
            connection: connected; owned from now on.
            received: what has been read from it, as much as `request_complete` wants,
                or less when the peer closed or ARTIM expired before.
            interrupts: asked when the receive loop is interrupted.
            engine: of TLS, when the connection is inside of it.
            address: the peer's numeric address; "" to ask the connection.

        Raises:
            Exception: a fault of ours. The association has been aborted; the worker
                should end.
        """
        owned = Connection(connection, self._shared.network.acse_timeout_s, engine)
        address = shown_address(address) if address else owned.address()
        if self._proxies is not None:
            try:
                address, received = self._proxies.unwrap(address, received)
            except ProtocolViolation as violation:
                _logger.error("Closing connection of %s: %s", address, violation)
                owned.close()
                return
        with self._ending(owned, interrupts, address) as association:
            association.serve(received)

    def resume(
        self, connection: socket.socket, visit: Visit, interrupts: Interrupts
    ) -> None:
        """Serve the rest of an association that `regulars` has begun; as serve()."""
        owned = Connection(connection, self._shared.network.acse_timeout_s)
        address = shown_address(visit.address)
        with self._ending(owned, interrupts, address) as association:
            association.resume(visit)

    @contextlib.contextmanager
    def _ending(
        self, connection: Connection, interrupts: Interrupts, address: str
    ) -> Iterator[Association]:
        """An association whose connection is closed at the end of the context."""
        shared = self._shared
        association = Association(shared, connection, interrupts, address)
        try:
            yield association
        except Exception:
            _logger.exception(wording.internal_error(association.peer))
            shared.slot.increase("aborted")
            connection.abort((AbortSource.SERVICE_PROVIDER, AbortReason.NOT_SPECIFIED))
            raise
        finally:
            connection.close()
            if shared.entrance is not None:
                shared.entrance.leave()
