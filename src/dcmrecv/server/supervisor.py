"""The supervisor: forks workers, reaps them, tells them when to end.

Owns the processes and the signals of the parent. Stays single-threaded, so that forking
is safe. Carries out what pool.py decides; never speaks DICOM.
"""

import gc
import logging
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from dcmrecv.config.logs import APPLICATION_LOGGER
from dcmrecv.config.settings import Settings, StorageMode
from dcmrecv.errors import ConfigurationError, ExitCode, ListenError
from dcmrecv.server.leftovers import (
    may_have_leftovers,
    receiver_tag,
    remove_leftovers,
    remove_temporary_files,
)
from dcmrecv.server.pool import (
    SECOND_NS,
    Abort,
    Drain,
    Kill,
    Plan,
    PoolPolicy,
    Shutdown,
    Spawn,
    plan_pool,
    plan_shutdown,
)
from dcmrecv.server.reception import Reception
from dcmrecv.server.scoreboard import Counters, Scoreboard, WorkerState, WorkerStatus
from dcmrecv.server.signals import SignalPipe, is_ignored
from dcmrecv.server.startup import Examined, listen, reload
from dcmrecv.server.waiting_room import RoomLimits, WaitingRoom
from dcmrecv.server.worker import (
    EXIT_ABORTED,
    EXIT_DONE,
    Equipment,
    ServiceFactory,
    run_worker,
)
from dcmrecv.service.access import accepted_hosts
from dcmrecv.service.associations import AssociationService
from dcmrecv.service.networks import Networks

logger = logging.getLogger(APPLICATION_LOGGER)

NOTED_SIGNALS: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGCHLD,
)

# From "abort your association" to SIGKILL: an A-ABORT and the removal of a file.
KILL_AFTER_NS: Final = 5 * SECOND_NS

# A pause before the next worker after one died that had not served anybody, doubled for
# each in a row that did not even start. One that dies in an association is replaced at
# once.
BACKOFF_NS: Final = SECOND_NS // 10
BACKOFF_MAX_NS: Final = 5 * SECOND_NS

# Descriptors that are not for the waiting room: logs, pipes, what a library opens.
RESERVED_DESCRIPTORS: Final = 128


@dataclass(slots=True)
class _Child:
    index: int
    tag: str
    told: WorkerState = WorkerState.FREE  # LEAVING or later, once told


class Supervisor:
    """Runs a receiver in this process and its children."""

    def __init__(
        self,
        settings: Settings,
        examined: Examined,
        *,
        service_factory: ServiceFactory = AssociationService,
        board: Scoreboard | None = None,
        parent: int | None = None,
        on_ready: Callable[[int], None] | None = None,
    ) -> None:
        """Note signals and listen.

        Args:
            settings: of the whole receiver.
            examined: what server.startup found in the files that they name.
            service_factory: makes what serves the associations, in each worker.
            board: one that somebody else reads too; made here when None.
            parent: a descriptor whose end of file means that whoever started us is
                gone; treated as SIGTERM.
            on_ready: called once, with the port, when the first worker waits for
                connections.

        Raises:
            ListenError: the port cannot be had; signals are as before.
        """
        # First of all: whoever sees us listen may want us to end.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._signals = SignalPipe(
            [number for number in NOTED_SIGNALS if not is_ignored(number)]
        )
        try:
            prepared = listen(settings, examined)
        except ListenError:
            self._signals.undo()
            raise
        self._settings = settings
        self._port: int = prepared.listeners[0].getsockname()[1]
        self._policy = PoolPolicy.of(settings.pool)
        self._board = board or Scoreboard(self._policy.max_workers)
        self._totals = self._board.totals_slot()
        self._reception = Reception(
            prepared.listeners,
            WaitingRoom(
                artim_s=settings.network.acse_timeout_s,
                totals=self._totals,
                welcome=accepted_hosts(settings.access),
                proxies=Networks(settings.access.proxies),
                limits=RoomLimits.for_descriptors(
                    _raise_descriptor_limit() - RESERVED_DESCRIPTORS
                ),
            ),
            queueing=settings.pool.queue_associations,
            secure=prepared.secure_listeners,
        )
        self._doorbell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lifeline, self._lifeline_held = os.pipe2(os.O_CLOEXEC)
        self._equipment = Equipment(
            settings=settings,
            profile=prepared.profile,
            listeners=prepared.listeners,
            channel=self._reception.worker_channel,
            doorbell=self._doorbell,
            lifeline=self._lifeline,
            board=self._board,
            service_factory=service_factory,
            secure_listeners=prepared.secure_listeners,
            tls_context=prepared.tls_context,
        )
        self._prepared = prepared
        self._parent = parent
        self._on_ready = on_ready
        self._ready = False
        self._tag = receiver_tag()
        self._children: dict[int, _Child] = {}
        self._janitor: int | None = None
        self._dead_tags: list[str] = []
        self._tags_searched: tuple[str, ...] = ()
        self._failed_starts = 0
        self._spawn_after_ns = 0
        self._look_again_ns: int | None = None
        self._shutdown: Shutdown | None = None
        self._signal = 0
        self._clean = True
        self._cannot_boot = False

    def run(self) -> int:
        """Serve until a signal ends it.

        Returns:
            The exit code: 0 when every association ended by itself, 128 + the signal
            when one had to be aborted, 3 when no worker could start.
        """
        started_ns = time.monotonic_ns()
        self._epoll = select.epoll()
        handlers: dict[int, Callable[[], None]] = {
            self._signals.fileno(): self._look_at_signals,
            self._doorbell: self._answer_doorbell,
            self._reception.fileno(): self._reception.serve_events,
        }
        if self._parent is not None:
            handlers[self._parent] = self._lose_parent
        for descriptor in handlers:
            self._epoll.register(descriptor, select.EPOLLIN)
        # What exists now is never garbage; not to visit it keeps its pages shared.
        gc.collect()
        gc.freeze()
        try:
            self._sweep()
            self._manage()
            while not self._is_done():
                for descriptor, _ in self._epoll.poll(self._timeout_s()):
                    handlers[descriptor]()
                self._manage()
                # After a look at the workers, so that nobody is rejected whom an idle
                # one could have served.
                self._reception.expire()
        finally:
            self._close()
        duration_s = (time.monotonic_ns() - started_ns) / SECOND_NS
        logger.info("%s", summary(self._board.counters(), duration_s))
        if self._cannot_boot:
            return ExitCode.WORKER_BOOT
        return ExitCode.SUCCESS if self._clean else 128 + self._signal

    def _is_done(self) -> bool:
        return (
            self._shutdown is not None
            and not self._children
            and self._janitor is None
            and not len(self._reception)
        )

    def _timeout_s(self) -> float | None:
        moments = (self._look_again_ns, self._reception.next_deadline_ns())
        known = [moment for moment in moments if moment is not None]
        if not known:
            return None
        return max(0, min(known) - time.monotonic_ns()) / SECOND_NS

    def _close(self) -> None:
        # What is left is the exit code, which no further signal may change; Python puts
        # the default action back in place of a handler, but not of this.
        for number in NOTED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        # Workers that a bug of ours left behind end by the lifeline.
        signal.set_wakeup_fd(-1)
        self._signals.close()
        self._epoll.close()
        self._reception.close()
        os.close(self._doorbell)
        os.close(self._lifeline)
        os.close(self._lifeline_held)

    # The pool

    def _manage(self) -> None:
        now_ns = time.monotonic_ns()
        if self._shutdown is not None:
            self._carry_out(plan_shutdown(self._statuses(), now_ns, self._shutdown))
            return
        # First ask to be told, then look: so nothing happens unseen in between.
        self._board.ask_to_ring(
            below=self._policy.spare_workers, always=self._reception.is_waiting
        )
        statuses = self._statuses()
        plan = plan_pool(
            statuses,
            now_ns,
            self._policy,
            waiting=self._reception.waiting,
            spawn_after_ns=self._spawn_after_ns,
        )
        self._carry_out(plan)
        if plan.actions:
            statuses = self._statuses()
        self._reception.balance(statuses, self._policy.max_workers)
        self._board.say_crowded(self._reception.is_crowded)
        if len(statuses) >= self._policy.max_workers:
            # Nothing to do for us when they get busy.
            self._board.ask_to_ring(below=0, always=self._reception.is_waiting)
        self._report_ready(statuses)

    def _report_ready(self, statuses: tuple[WorkerStatus, ...]) -> None:
        if any(s.state in (WorkerState.IDLE, WorkerState.BUSY) for s in statuses):
            self._become_ready()

    def _become_ready(self) -> None:
        if self._ready:
            return
        self._ready = True
        if self._on_ready is not None:
            self._on_ready(self._port)

    def _statuses(self) -> tuple[WorkerStatus, ...]:
        """The scoreboard, with what we told the workers."""
        told = {
            child.index: child.told
            for child in self._children.values()
            if child.told is not WorkerState.FREE
        }
        return tuple(
            replace(status, state=told[status.index])
            if status.index in told
            else status
            for status in self._board.snapshot()
        )

    def _carry_out(self, plan: Plan) -> None:
        self._look_again_ns = plan.look_again_ns
        for action in plan.actions:
            match action:
                case Spawn():
                    self._spawn()
                case Drain(index):
                    self._tell(index, signal.SIGTERM, WorkerState.LEAVING)
                case Abort(index):
                    self._tell(index, signal.SIGQUIT, WorkerState.ABORTING)
                case Kill(index):
                    self._tell(index, signal.SIGKILL, WorkerState.KILLED)

    def _tell(self, index: int, number: signal.Signals, told: WorkerState) -> None:
        for pid, child in self._children.items():
            if child.index == index:
                # Not reaped yet, so the process id is still that of our child.
                os.kill(pid, number)
                child.told = told

    def _spawn(self) -> None:
        now_ns = time.monotonic_ns()
        row = self._board.claim(now_ns)
        if row is None:
            return
        index, generation = row

        def tag_of(pid: int) -> str:
            return f"{self._tag}.{pid}.{generation}"

        try:
            pid = self._fork(
                lambda: run_worker(self._equipment, index, tag_of(os.getpid()))
            )
        except OSError as error:
            logger.error("Cannot start a worker process: %s", error.strerror)
            self._board.retire(index)
            self._failed_starts += 1
            self._back_off()
        else:
            self._children[pid] = _Child(index, tag_of(pid))

    def _back_off(self) -> None:
        delay_ns = min(BACKOFF_NS << min(self._failed_starts, 16), BACKOFF_MAX_NS)
        self._spawn_after_ns = time.monotonic_ns() + delay_ns

    def _fork(self, work: Callable[[], int]) -> int:
        """Start a child that ends with the exit code that `work` returns.

        Raises:
            OSError: no process to be had.
        """
        # Until the child has its own handlers a signal must not end up in our pipe.
        allowed = signal.pthread_sigmask(signal.SIG_BLOCK, NOTED_SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                self._be_child(work)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, allowed)
        return pid

    def _be_child(self, work: Callable[[], int]) -> NoReturn:
        exit_code = 1
        try:
            signal.set_wakeup_fd(-1)
            self._signals.close()
            self._epoll.close()
            self._reception.forget_in_child()
            os.close(self._lifeline_held)
            if self._parent is not None:
                os.close(self._parent)
            exit_code = work()
        except BaseException:
            logger.critical("Child process failed", exc_info=True)
        finally:
            os._exit(exit_code)

    # What happens to us

    def _answer_doorbell(self) -> None:
        os.eventfd_read(self._doorbell)

    def _look_at_signals(self) -> None:
        for number in self._signals.read():
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP and self._settings.network.reload:
                self._reload()
            elif self._shutdown is None:
                patient = number != signal.SIGQUIT
                self._begin_shutdown(number, patient=patient)
            elif number != signal.SIGHUP:
                self._insist()

    def _reload(self) -> None:
        """Let new workers serve new associations under what the files say now."""
        if self._shutdown is not None:
            return
        try:
            self._prepared = reload(self._prepared)
        except ConfigurationError as error:
            for line in (
                *error.details,
                str(error),
                "Not reloaded, going on as before",
            ):
                logger.error("%s", line)
            return
        self._equipment = replace(
            self._equipment,
            profile=self._prepared.profile,
            tls_context=self._prepared.tls_context,
        )
        # They finish what they have; an idle one finds that it has nothing.
        for child in list(self._children.values()):
            if child.told is WorkerState.FREE:
                self._tell(child.index, signal.SIGTERM, WorkerState.LEAVING)
        logger.info("Reloaded certificates and association profile")

    def _lose_parent(self) -> None:
        assert self._parent is not None
        if os.read(self._parent, 4_096):
            return
        self._epoll.unregister(self._parent)
        if self._shutdown is None:
            self._begin_shutdown(signal.SIGTERM, patient=True)

    def _begin_shutdown(self, number: int, *, patient: bool) -> None:
        self._signal = number
        drain_ns = self._settings.pool.drain_timeout_s * SECOND_NS if patient else 0
        abort_at_ns = time.monotonic_ns() + drain_ns
        self._shutdown = Shutdown(abort_at_ns, abort_at_ns + KILL_AFTER_NS)
        self._reception.close_doors()

    def _insist(self) -> None:
        assert self._shutdown is not None
        now_ns = time.monotonic_ns()
        if now_ns < self._shutdown.abort_at_ns:
            self._shutdown = Shutdown(now_ns, now_ns + KILL_AFTER_NS)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._janitor:
                self._janitor = None
                if os.WIFSIGNALED(status):
                    self._dead_tags += self._tags_searched
                self._clean_up()
            elif pid in self._children:
                self._bury(pid, os.waitstatus_to_exitcode(status))

    def _bury(self, pid: int, exit_code: int) -> None:
        child = self._children.pop(pid)
        last, counters = self._board.retire(child.index)
        booting = last.state is WorkerState.BOOTING
        self._failed_starts = self._failed_starts + 1 if booting else 0
        if not booting:
            # Killed before we looked; all the same it had waited for connections.
            self._become_ready()
        if exit_code == EXIT_DONE:
            return
        if self._shutdown is not None:
            self._clean = False
        if exit_code == EXIT_ABORTED:
            return
        logger.error(
            "Worker process %d ended unexpectedly (%s)", pid, _describe(exit_code)
        )
        if exit_code < 0:
            self._reception.recover()
        if exit_code == ExitCode.WORKER_BOOT and not self._ready:
            # The others would fail in the same way. Later on, when workers have served
            # already, the trouble may pass, and those that live serve on.
            self._cannot_boot = True
            if self._shutdown is None:
                self._begin_shutdown(signal.SIGTERM, patient=False)
        if last.state is WorkerState.BUSY:
            if exit_code < 0:
                # It could not count that itself.
                self._totals.increase("aborted")
            self._dead_tags.append(child.tag)
            self._clean_up()
        elif not counters.associations:
            self._back_off()

    def _clean_up(self) -> None:
        """Search for the dead workers' files, in a process of its own.

        The search may take long, in a directory with millions of files.
        """
        if self._janitor is not None or not self._dead_tags:
            return
        self._tags_searched = tuple(self._dead_tags)
        try:
            self._janitor = self._fork(self._be_janitor)
        except OSError as error:
            # With the next death, or never.
            logger.error("Cannot remove temporary files: %s", error.strerror)
            return
        self._dead_tags.clear()

    def _sweep(self) -> None:
        """Remove the files of receivers that died, in a process of its own as well."""
        storage = self._settings.storage
        if storage.mode is StorageMode.IGNORE or not may_have_leftovers(storage):
            return
        try:
            self._janitor = self._fork(self._be_sweeper)
        except OSError as error:
            logger.error("Cannot remove temporary files: %s", error.strerror)

    def _be_sweeper(self) -> int:
        self._calm_signals()
        removed = remove_leftovers(self._settings.storage)
        if removed:
            logger.warning(
                "Removed %d unfinished files of a receiver that had died", removed
            )
        return EXIT_DONE

    def _calm_signals(self) -> None:
        for number in NOTED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _be_janitor(self) -> int:
        self._calm_signals()
        remove_temporary_files(self._settings.storage, self._tags_searched)
        return EXIT_DONE


def summary(counters: Counters, duration_s: float) -> str:
    """What was done, in one line."""
    return (
        f"Served {counters.associations} associations "
        f"({counters.refused} refused, {counters.aborted} aborted): "
        f"{counters.objects} objects, {counters.bytes} bytes, "
        f"{counters.failures} failures in {duration_s:.1f} s "
        f"({counters.objects / duration_s:.1f} objects/s, "
        f"{counters.bytes / duration_s / 1e6:.2f} MB/s)"
    )


def _describe(exit_code: int) -> str:
    if exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


def _raise_descriptor_limit() -> int:
    """Allow as many descriptors as we may have; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard
