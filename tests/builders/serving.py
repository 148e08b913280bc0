"""An association service behind a small accept loop, and a scripted data plane.

Everything runs in one process, so that a test sees counters, log records and faults.
"""

import logging
import os
import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dcmrecv.config.logs import DATA_LOGGER, NETWORK_LOGGER
from dcmrecv.config.settings import (
    AssociationProfile,
    LogSettings,
    NetworkSettings,
    Settings,
    StorageMode,
    StorageSettings,
)
from dcmrecv.errors import AssociationError
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.associations import AssociationService
from dcmrecv.service.plan import AssociationPlan
from dcmrecv.service.receiver import Duplicate, Outcome
from dcmrecv.service.requests import request_complete
from tests.peers.waiting import wait_until

Step = Outcome | AssociationError | Exception


LETTERS = {10: "D", 20: "I", 30: "W", 40: "E", 50: "F"}


class Lines(logging.Handler):
    """The log as the original's console shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.tracebacks = 0

    def emit(self, record: logging.LogRecord) -> None:
        letter = LETTERS[record.levelno]
        text = record.getMessage()
        self.lines += [f"{letter}: {line}" for line in text.split("\n")]
        self.tracebacks += record.exc_info is not None

    def from_level(self, letters: str) -> list[str]:
        return [line for line in self.lines if line[0] in letters]


@contextmanager
def logged(level: int) -> Iterator[Lines]:
    """Turn the logs on that associations write, at a level, and off again."""
    loggers = [logging.getLogger(name) for name in (NETWORK_LOGGER, DATA_LOGGER)]
    before = [(logger.level, logger.propagate) for logger in loggers]
    lines = Lines()
    for logger in loggers:
        logger.setLevel(level)
        logger.propagate = False
        logger.addHandler(lines)
    try:
        yield lines
    finally:
        for logger, (level_before, propagate_before) in zip(
            loggers, before, strict=True
        ):
            logger.removeHandler(lines)
            logger.setLevel(level_before)
            logger.propagate = propagate_before


@dataclass(slots=True)
class ScriptedReceiver:
    """A data plane that does nothing but what the script says."""

    script: Sequence[Step] = (Outcome.RELEASE_RQ,)
    message_id: int = 9
    context_id: int = 1
    status: int = 0
    path: str = "./CT.1.2"
    output_directory: str = "./"
    has_room: bool = True
    overwritten: bool = False
    duplicate: Duplicate = Duplicate.NONE
    in_data_set: bool = False
    is_store: bool = True
    fault_text: str = ""
    fault_errno: int = 0
    sop_instance: str = ""
    remarks: tuple[int, Sequence[tuple[int, int, str, int]]] = (0, ())
    violation: tuple[int, int, int] = (0, 0, 0)
    oddities: tuple[int, ...] = (0, 0, 0, 0)
    instead_of_close: bytes | None = b""
    begun: list[dict[str, Any]] = field(default_factory=list)
    watched: list[tuple[int, ...]] = field(default_factory=list)
    ended: int = 0
    _left: list[Step] = field(default_factory=list)

    @property
    def is_routine(self) -> bool:
        return not (
            self.status or self.overwritten or self.duplicate or self.remarks[1]
        )

    def begin(self, plan: AssociationPlan, **arguments: Any) -> None:
        self.begun.append({"plan": plan, **arguments})
        self._left = list(self.script)

    def watch(self, descriptors: tuple[int, ...]) -> None:
        self.watched.append(descriptors)

    def run(self) -> Outcome:
        step = self._left.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def greet(self, answer: bytes) -> None:
        os.write(self.begun[-1]["fd"], answer)

    def release(self, answer: bytes) -> bytes | None:
        os.write(self.begun[-1]["fd"], answer)
        return self.instead_of_close

    def end(self) -> None:
        self.ended += 1


@dataclass(slots=True)
class Interruption:
    """Who wants the worker's attention, and what he says."""

    answers: list[bool] = field(default_factory=list)
    asked: int = 0

    def descriptors(self) -> tuple[int, ...]:
        return (100 + self.asked,)

    def must_abort(self) -> bool:
        self.asked += 1
        return self.answers.pop(0)


@dataclass(slots=True)
class Nobody:
    """No interruption at all."""

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def must_abort(self) -> bool:
        return False


@dataclass(slots=True)
class Served:
    """A service that takes one connection after the other, as a worker does."""

    port: int
    slot: WorkerSlot
    faults: list[Exception] = field(default_factory=list)
    served: int = 0

    def wait_for(self, associations: int = 1) -> None:
        """Until so many connections have been served to their end."""
        wait_until(lambda: self.served >= associations, "the end of the association")


def settings_of(
    directory: str | os.PathLike[str] = ".",
    *,
    mode: StorageMode = StorageMode.NORMAL,
    presentation_contexts: bool = False,
    **network: Any,
) -> Settings:
    return Settings(
        network=NetworkSettings(
            **{"port": 0, "acse_timeout_s": 5, "dimse_timeout_s": 5, **network}
        ),
        storage=StorageSettings(output_directory=os.fspath(directory), mode=mode),
        log=LogSettings(presentation_contexts=presentation_contexts),
    )


@contextmanager
def serving_with(
    settings: Settings,
    receiver: ScriptedReceiver | None = None,
    *,
    profile: AssociationProfile,
    interrupts: Interruption | Nobody | None = None,
    patience_s: float = 5.0,
) -> Iterator[Served]:
    """A small accept loop in a thread.

    Args:
        settings: of the receiver.
        receiver: a script instead of the real data plane.
        profile: what is accepted.
        interrupts: of every association.
        patience_s: how long a connection may take to say enough.
    """
    slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0)
    arguments = (settings, profile, slot, "tag")
    service = (
        AssociationService(*arguments)
        if receiver is None
        else AssociationService(*arguments, lambda *_: receiver)
    )
    over = threading.Event()
    attention = interrupts or Nobody()

    def receive(connection: socket.socket, received: bytes) -> bytes:
        connection.settimeout(patience_s)
        while not request_complete(received):
            try:
                piece = connection.recv(65_536)
            except TimeoutError:
                break
            if not piece:
                break
            received += piece
        return received

    def serve_one() -> None:
        visit = service.regulars.visit(
            listener.fileno(),
            busy=3,
            descriptors=attention.descriptors(),
            on_busy=lambda: None,
        )
        if visit.descriptor < 0:
            return
        connection = socket.socket(fileno=visit.descriptor)
        if visit.asked is not None:
            service.resume(connection, visit, attention)
            return
        received = receive(connection, visit.received or b"")
        service.serve(connection, received, attention, address=visit.address)

    def accept_all() -> None:
        while not over.is_set():
            if not select.select([listener], [], [], 0.02)[0]:
                continue
            try:
                serve_one()
            except Exception as fault:
                served.faults.append(fault)
            served.served += 1

    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = Served(listener.getsockname()[1], slot)
        thread = threading.Thread(target=accept_all)
        thread.start()
        try:
            yield served
        finally:
            over.set()
            thread.join(20)
            assert not thread.is_alive()
