"""A StoreReceiver over a socket pair, for tests of the data plane without a process."""

import contextlib
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from dcmrecv.config.settings import StorageMode, StorageSettings
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.journal import Journal
from dcmrecv.service.plan import AcceptedContext, AssociationPlan
from dcmrecv.service.receiver import StoreReceiver
from tests.builders.uids import CT_IMAGE, IMPLICIT_LE

TAG = "test-1"


@contextlib.contextmanager
def receiving(
    directory: Path | None = None,
    *,
    storage: StorageSettings | None = None,
    transfer_syntaxes: Sequence[str] = (IMPLICIT_LE,),
    max_pdu: int = 16_384,
    peer_max_pdu: int = 16_384,
    dimse_timeout_s: int | None = 10,
    received: bytes = b"",
    report: bool = True,
    journal: Journal | None = None,
    slot: WorkerSlot | None = None,
) -> Iterator[tuple[socket.socket, StoreReceiver]]:
    """The peer's end of a connection and the receiver behind the other end.

    Presentation contexts 1, 3, 5, ... are CT Image Storage in `transfer_syntaxes`. The
    output directory is `directory`, or a temporary one that is removed.
    """
    with contextlib.ExitStack() as stack:
        if storage is None:
            if directory is None:
                directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            storage = StorageSettings(
                output_directory=str(directory), mode=StorageMode.BIT_PRESERVING
            )
        memory = bytearray(SLOT_BYTES_SIZE)
        receiver = StoreReceiver(storage, slot or WorkerSlot(memory, 0), TAG)
        peer, own = socket.socketpair()
        stack.enter_context(peer)
        stack.enter_context(own)
        peer.settimeout(10)
        plan = AssociationPlan(
            [
                AcceptedContext(1 + 2 * i, CT_IMAGE, syntax)
                for i, syntax in enumerate(transfer_syntaxes)
            ],
            "RAW",
            storage.mode,
        )
        receiver.begin(
            plan,
            fd=own.fileno(),
            max_pdu=max_pdu,
            peer_max_pdu=peer_max_pdu,
            dimse_timeout_s=dimse_timeout_s,
            received=received,
            report=report,
            journal=journal,
        )
        stack.callback(receiver.end)
        yield peer, receiver
