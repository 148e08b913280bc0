"""SCUs that keep a receiver busy in the background and remember what it promised."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.builders.command import SUCCESS
from tests.builders.data_set import object_of
from tests.peers.scu import PeerGone, RawScu
from tests.peers.waiting import wait_until

# Bytes of pixel data: one PDU, some PDUs, more than a receiver's window.
SIZES = (64, 30_000, 300_000, 2_500_000)


@dataclass(slots=True)
class Load:
    """`senders` threads that store objects one after the other; a context manager.

    Each begins a new association when one is lost or refused, and after every
    `objects_per_association` objects. Whatever was answered with Success stands in
    `stored`, by SOP Instance UID.
    """

    port: int
    senders: int = 4
    objects_per_association: int = 5
    stored: dict[str, bytes] = field(init=False, default_factory=dict)
    refused: int = field(init=False, default=0)
    lost: int = field(init=False, default=0)
    broken: list[BaseException] = field(init=False, default_factory=list)
    _stop: threading.Event = field(init=False, default_factory=threading.Event)
    _threads: list[threading.Thread] = field(init=False, default_factory=list)

    def __enter__(self) -> Self:
        for number in range(self.senders):
            thread = threading.Thread(target=self._run, args=(number,), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        if self.broken:
            raise self.broken[0]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that the load brings about.

        Raises:
            TimeoutError: it does not come about.
        """
        wait_until(lambda: self.broken or condition(), what, deadline_s=60)

    def _run(self, number: int) -> None:
        objects = self._objects(number)
        while not self._stop.is_set():
            try:
                with RawScu(self.port) as scu:
                    self._use(scu, objects)
            except (PeerGone, ConnectionError):
                self.lost += 1
            except ValueError:  # A-ASSOCIATE-RJ, or an A-ABORT for an answer
                self.refused += 1
            except BaseException as error:
                self.broken.append(error)
                return

    def _use(self, scu: RawScu, objects: Iterator[tuple[str, bytes]]) -> None:
        scu.associate()
        for _ in range(self.objects_per_association):
            uid, data_set = next(objects)
            response = scu.store(data_set, uid)
            if response.status == SUCCESS:
                self.stored[uid] = data_set
            if self._stop.is_set():
                break
        scu.release()

    def _objects(self, number: int) -> Iterator[tuple[str, bytes]]:
        count = 0
        while True:
            count += 1
            uid = f"1.2.{number + 1}.{count}"
            yield uid, object_of(uid, pixel_bytes=SIZES[(number + count) % len(SIZES)])
