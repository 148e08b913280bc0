from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from dcmrecv.config.settings import StorageSettings
from dcmrecv.native.slot import WorkerSlot

class Outcome(IntEnum):
    INTERNAL_FAULT = 0
    RELEASE_RQ = 1
    STORED = 2
    ECHOED = 3
    INTERRUPTED = 4

@dataclass(frozen=True)
class AcceptedContext:
    id: int
    abstract_syntax: str
    transfer_syntax: str

class StoreReceiver:
    def __init__(
        self, storage: StorageSettings, slot: WorkerSlot, temporary_tag: str
    ) -> None: ...
    def begin(
        self,
        *,
        fd: int,
        contexts: Sequence[AcceptedContext],
        calling_ae_title: str,
        max_pdu: int,
        peer_max_pdu: int,
        dimse_timeout_s: int | None,
        received: bytes,
        report: bool,
    ) -> None: ...
    def watch(self, descriptors: Sequence[int]) -> None: ...
    def run(self) -> Outcome: ...
    def end(self) -> None: ...
    @property
    def message_id(self) -> int: ...
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
    def fault_text(self) -> str: ...
    @property
    def fault_errno(self) -> int: ...
