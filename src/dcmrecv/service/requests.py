"""Association requests and what we answer to them.

Senders come again and again with the same A-ASSOCIATE-RQ, byte for byte, so the last
ones are remembered with their answers: decoding, negotiating and encoding cost 74 us
for one presentation context and 1.5 ms for 128. Never touches a connection.
"""

import functools
from collections.abc import Mapping
from typing import Final

from dcmrecv.config.settings import StorageMode
from dcmrecv.service.plan import AcceptedContext, AssociationPlan
from dcmrecv.ul.negotiation import Negotiation, NegotiationPolicy, negotiate
from dcmrecv.ul.oddities import Oddity, oddities_of
from dcmrecv.ul.pdu import (
    ASSOCIATE_RQ_BYTES_MAX,
    HEADER_BYTES,
    AssociationRequest,
    PduType,
    Result,
    decode,
    encode,
    read_header,
)

REMEMBERED_MAX: Final = 64
# 128 presentation contexts with four transfer syntaxes each have about 18,000 bytes.
REMEMBERED_BYTES_MAX: Final = 20_480
# Of nothing but small items a request takes 12 times its size in memory: 6 MB for all.
REMEMBERED_TOTAL_BYTES_MAX: Final = 524_288


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


class AskedAssociation:
    """One A-ASSOCIATE-RQ; what follows from it is worked out when first asked for.

    Attributes:
        request: as decoded.
        calling_ae_title: without padding.
        called_ae_title: without padding.
        is_routine: it has been accepted before, and there was nothing to say about it
            but that.
    """

    def __init__(
        self, pdu: bytes, policy: NegotiationPolicy, mode: StorageMode
    ) -> None:
        """Decode the request.

        Raises:
            ProtocolViolation: it cannot be read.
        """
        request = decode(pdu)
        if not isinstance(request, AssociationRequest):
            raise TypeError(f"PDU type {pdu[0]} decoded as {type(request).__name__}")
        self.request = request
        self._pdu = pdu
        self.calling_ae_title = request.calling_ae_title
        self.called_ae_title = request.called_ae_title
        self.is_routine = False
        self._policy = policy
        self._mode = mode

    @functools.cached_property
    def oddities(self) -> Mapping[Oddity, int]:
        """What is illegal but harmless about it."""
        return oddities_of(self._pdu)

    @functools.cached_property
    def negotiation(self) -> Negotiation:
        """Our decision.

        Raises:
            ProtocolViolation: an AE title is blank.
        """
        return negotiate(self.request, self._policy)

    @functools.cached_property
    def answer(self) -> bytes:
        """The A-ASSOCIATE-AC or A-ASSOCIATE-RJ to send."""
        return encode(self.negotiation.answer)

    @functools.cached_property
    def plan(self) -> AssociationPlan:
        """The presentation contexts on which messages may come."""
        accepted = [
            AcceptedContext(
                context.id, context.abstract_syntax, context.transfer_syntax
            )
            for context in self.negotiation.contexts
            if context.result == Result.ACCEPTANCE
        ]
        return AssociationPlan(accepted, self.calling_ae_title, self._mode)


class AssociationRequests:
    """Reads A-ASSOCIATE-RQs under one policy.

    Args:
        policy: what is negotiated.
        mode: how objects are stored.
    """

    def __init__(self, policy: NegotiationPolicy, mode: StorageMode) -> None:
        self._policy = policy
        self._mode = mode
        # The one that was asked for last stands last.
        self._remembered: dict[bytes, AskedAssociation] = {}
        self._bytes = 0

    def recall(self, received: bytes) -> AskedAssociation | None:
        """What these bytes ask for, if they are an A-ASSOCIATE-RQ that is remembered.

        Nothing less or more than one: what comes behind it makes it another one.
        """
        asked = self._remembered.pop(received, None)
        if asked is not None:
            self._remembered[received] = asked
        return asked

    def read(self, pdu: bytes) -> AskedAssociation:
        """What a PDU of type A-ASSOCIATE-RQ asks for.

        Raises:
            ProtocolViolation: it cannot be read; such a PDU is not remembered.
        """
        asked = self.recall(pdu)
        if asked is None:
            asked = AskedAssociation(pdu, self._policy, self._mode)
            if len(pdu) <= REMEMBERED_BYTES_MAX:
                self._make_room(len(pdu))
                self._remembered[pdu] = asked
        return asked

    def _make_room(self, size: int) -> None:
        self._bytes += size
        while (
            len(self._remembered) >= REMEMBERED_MAX
            or self._bytes > REMEMBERED_TOTAL_BYTES_MAX
        ):
            oldest = next(iter(self._remembered))
            del self._remembered[oldest]
            self._bytes -= len(oldest)
