from collections.abc import Callable, Sequence

from dcmrecv.config.settings import AccessSettings, NetworkSettings
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.service.receiver import Outcome, StoreReceiver
from dcmrecv.service.requests import AskedAssociation, AssociationRequests

class Visit:
    descriptor: int
    address: str
    received: bytes | None
    asked: AskedAssociation | None
    outcome: Outcome | Exception | None
    instead_of_close: bytes | None

class Regulars:
    def __init__(
        self,
        receiver: StoreReceiver,
        requests: AssociationRequests,
        slot: WorkerSlot,
        network: NetworkSettings,
        access: AccessSettings,
        release_rp: bytes,
    ) -> None: ...
    def visit(
        self,
        listener: int,
        *,
        busy: int,
        descriptors: Sequence[int],
        on_busy: Callable[[], None],
    ) -> Visit: ...
