from collections.abc import Sequence
from dataclasses import dataclass

from dcmrecv.config.settings import StorageMode

@dataclass(frozen=True)
class AcceptedContext:
    id: int
    abstract_syntax: str
    transfer_syntax: str

class AssociationPlan:
    def __init__(
        self,
        contexts: Sequence[AcceptedContext],
        calling_ae_title: str,
        mode: StorageMode,
    ) -> None: ...
    @property
    def contexts(self) -> tuple[AcceptedContext, ...]: ...
    @property
    def calling_ae_title(self) -> str: ...
