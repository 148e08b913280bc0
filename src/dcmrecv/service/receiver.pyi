from collections.abc import Sequence
from enum import IntEnum

from dcmrecv.config.settings import StorageSettings
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.service.journal import Journal
from dcmrecv.service.plan import AssociationPlan
from dcmrecv.service.tls import TlsEngine
from dcmrecv.ul.oddities import Oddity

ODDITIES: tuple[Oddity, ...]

class Outcome(IntEnum):
    INTERNAL_FAULT = 0
    RELEASE_RQ = 1
    STORED = 2
    ECHOED = 3
    INTERRUPTED = 4

class Duplicate(IntEnum):
    NONE = 0
    OLDER_KEPT = 1
    OLDER_IS_SAME = 2
    BOTH_KEPT = 3
    BOTH_DIFFER = 4

class StoreReceiver:
    output_directory: str
    def __init__(
        self, storage: StorageSettings, slot: WorkerSlot, temporary_tag: str
    ) -> None: ...
    def begin(
        self,
        plan: AssociationPlan,
        *,
        fd: int,
        max_pdu: int,
        peer_max_pdu: int,
        dimse_timeout_s: int | None,
        received: bytes,
        report: bool,
        journal: Journal | None = None,
        strict: bool = ...,
        min_rate: int = ...,
        engine: TlsEngine | None = None,
    ) -> None: ...
    def watch(self, descriptors: Sequence[int]) -> None: ...
    def greet(self, answer: bytes) -> None: ...
    def run(self) -> Outcome: ...
    def release(self, answer: bytes) -> bytes | None: ...
    def end(self) -> None: ...
    @property
    def has_room(self) -> bool: ...
    @property
    def oddities(self) -> tuple[int, ...]: ...
    @property
    def message_id(self) -> int: ...
    @property
    def sop_instance(self) -> str: ...
    @property
    def violation(self) -> tuple[int, int, int]: ...
    @property
    def is_store(self) -> bool: ...
    @property
    def in_data_set(self) -> bool: ...
    @property
    def status(self) -> int: ...
    @property
    def context_id(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def overwritten(self) -> bool: ...
    @property
    def is_routine(self) -> bool: ...
    @property
    def duplicate(self) -> Duplicate: ...
    @property
    def remarks(self) -> tuple[int, list[tuple[int, int, str, int]]]: ...
    @property
    def fault_text(self) -> str: ...
    @property
    def fault_errno(self) -> int: ...
