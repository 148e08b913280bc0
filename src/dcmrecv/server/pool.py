"""How many workers there shall be: pure functions of values.

Never forks, never signals; supervisor.py carries the actions out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dcmrecv.config.settings import PoolSettings
from dcmrecv.server.scoreboard import WorkerState, WorkerStatus

SECOND_NS: Final = 1_000_000_000

# A worker beyond the spare ones goes after it was idle for so long: longer than the
# pause between two bursts of a modality, shorter than anybody would look at the
# process list and wonder.
KEEP_IDLE_S: Final = 30

# Workers started in one go, before the supervisor looks after its descriptors again:
# 8 forks take about 20 ms.
SPAWN_BATCH: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """What the operator wants."""

    max_workers: int
    spare_workers: int  # at most max_workers
    keep_idle_ns: int = KEEP_IDLE_S * SECOND_NS
    spawn_batch: int = SPAWN_BATCH

    @classmethod
    def of(cls, settings: PoolSettings) -> "PoolPolicy":
        """The policy that the settings ask for."""
        return cls(
            max_workers=settings.max_associations,
            spare_workers=min(settings.spare_workers, settings.max_associations),
        )


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Let a worker finish its association and end."""

    index: int


@dataclass(frozen=True, slots=True)
class Abort:
    """Let a worker abort its association and end."""

    index: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker that does not listen."""

    index: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to ask again if nothing happens before (None: never)."""

    actions: tuple[Spawn | Drain | Abort | Kill, ...]
    look_again_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Shutdown:
    """When patience ends. CLOCK_MONOTONIC."""

    abort_at_ns: int
    kill_at_ns: int


def plan_pool(
    statuses: Sequence[WorkerStatus],
    now_ns: int,
    policy: PoolPolicy,
    *,
    waiting: int = 0,
    spawn_after_ns: int = 0,
) -> Plan:
    """Keep the spare workers ready, within the limit; let those go that nobody needs.

    Args:
        statuses: every worker, those that were told to leave included.
        now_ns: CLOCK_MONOTONIC.
        policy: the limits.
        waiting: connections that wait for a worker. While none is idle each gets one
            on top of the spares; idle ones may be about to take them, or to find that
            they are silent.
        spawn_after_ns: not to start a worker before, since the last ones died young.

    Returns:
        Spawn and Drain actions. Never more workers than `max_workers`, never both kinds
        in one plan, never a Drain for a worker that is not idle.
    """
    idle = [status for status in statuses if status.state is WorkerState.IDLE]
    booting = sum(status.state is WorkerState.BOOTING for status in statuses)
    wanted = policy.spare_workers - len(idle) - booting
    if not idle:
        wanted += waiting
    missing = min(wanted, policy.max_workers - len(statuses))
    if missing > 0:
        if now_ns < spawn_after_ns:
            return Plan((), spawn_after_ns)
        actions = (Spawn(),) * min(missing, policy.spawn_batch)
        return Plan(actions, now_ns if missing > policy.spawn_batch else None)
    if wanted < 0:
        return _let_go(idle, -wanted, now_ns, policy)
    if len(statuses) > policy.spare_workers:
        # Nobody rings when a worker gets idle; look whether there are too many now.
        return Plan((), now_ns + policy.keep_idle_ns)
    return Plan(())


def _let_go(
    idle: Sequence[WorkerStatus], surplus: int, now_ns: int, policy: PoolPolicy
) -> Plan:
    longest_idle_first = sorted(idle, key=lambda status: status.progress_ns)
    candidates = longest_idle_first[:surplus]
    old = [
        status
        for status in candidates
        if now_ns - status.progress_ns >= policy.keep_idle_ns
    ]
    if len(old) < len(candidates):
        again_ns = candidates[len(old)].progress_ns + policy.keep_idle_ns
    else:
        again_ns = now_ns + policy.keep_idle_ns
    return Plan(tuple(Drain(status.index) for status in old), again_ns)


def plan_shutdown(
    statuses: Sequence[WorkerStatus], now_ns: int, shutdown: Shutdown
) -> Plan:
    """End every worker: first ask, then insist, then kill. Nobody is told twice."""
    if now_ns >= shutdown.kill_at_ns:
        order: type[Drain | Abort | Kill] = Kill
        state, again_ns = WorkerState.KILLED, None
    elif now_ns >= shutdown.abort_at_ns:
        order = Abort
        state, again_ns = WorkerState.ABORTING, shutdown.kill_at_ns
    else:
        order = Drain
        state, again_ns = WorkerState.LEAVING, shutdown.abort_at_ns
    actions = tuple(order(status.index) for status in statuses if status.state < state)
    return Plan(actions, again_ns if statuses else None)
