"""Pool policy by example; tests/property/test_pool.py has the general rules."""

from collections.abc import Sequence

import pytest

from dcmrecv.config.settings import PoolSettings
from dcmrecv.server.pool import (
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
from dcmrecv.server.scoreboard import WorkerState, WorkerStatus

BOOTING = WorkerState.BOOTING
IDLE = WorkerState.IDLE
BUSY = WorkerState.BUSY
LEAVING = WorkerState.LEAVING
ABORTING = WorkerState.ABORTING

NOW = 1_000_000
KEEP = 1_000
POLICY = PoolPolicy(max_workers=5, spare_workers=2, keep_idle_ns=KEEP, spawn_batch=3)


def workers(states: Sequence[WorkerState], since: int = NOW) -> list[WorkerStatus]:
    return [
        WorkerStatus(index=index, state=state, progress_ns=since)
        for index, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "spawned"),
    [
        ([], 2),
        ([BOOTING], 1),
        ([BOOTING, IDLE], 0),
        ([BUSY, IDLE], 1),
        ([BUSY, BUSY, BUSY, BUSY], 1),
        ([BUSY, BUSY, BUSY, BUSY, BUSY], 0),
        ([LEAVING, LEAVING, LEAVING, BUSY], 1),
    ],
)
def test_spare_workers_are_kept_ready_up_to_the_limit(
    states: Sequence[WorkerState], spawned: int
) -> None:
    plan = plan_pool(workers(states), NOW, POLICY)
    assert plan.actions == (Spawn(),) * spawned


def test_each_waiting_connection_gets_a_worker_when_nobody_is_idle() -> None:
    plan = plan_pool(workers([BUSY, BOOTING]), NOW, POLICY, waiting=1)
    assert plan.actions == (Spawn(), Spawn())


def test_a_flood_of_connections_is_left_to_idle_workers_first() -> None:
    """Silent ones need no worker, and one that is not silent makes them busy."""
    assert plan_pool(workers([IDLE, IDLE]), NOW, POLICY, waiting=250).actions == ()


def test_a_rush_is_met_in_batches() -> None:
    """So that the supervisor looks after its descriptors between."""
    policy = PoolPolicy(max_workers=64, spare_workers=2, spawn_batch=3)
    plan = plan_pool((), NOW, policy, waiting=50)
    assert plan == Plan((Spawn(),) * 3, NOW)


def test_after_young_deaths_nobody_is_started_for_a_while() -> None:
    assert plan_pool((), NOW, POLICY, spawn_after_ns=NOW + 9) == Plan((), NOW + 9)
    assert plan_pool((), NOW + 9, POLICY, spawn_after_ns=NOW + 9).actions


def test_a_quiet_pool_is_never_looked_at() -> None:
    assert plan_pool(workers([IDLE, IDLE]), NOW, POLICY) == Plan(())


def test_surplus_workers_go_when_they_were_idle_for_long() -> None:
    statuses = workers([IDLE, IDLE, IDLE, BUSY], NOW)
    assert plan_pool(statuses, NOW, POLICY) == Plan((), NOW + KEEP)
    assert plan_pool(statuses, NOW + KEEP - 1, POLICY).actions == ()
    assert plan_pool(statuses, NOW + KEEP, POLICY).actions == (Drain(0),)


def test_the_longest_idle_goes_first_and_only_the_surplus() -> None:
    statuses = [
        WorkerStatus(index=0, state=IDLE, progress_ns=300),
        WorkerStatus(index=1, state=IDLE, progress_ns=100),
        WorkerStatus(index=2, state=IDLE, progress_ns=NOW),
        WorkerStatus(index=3, state=IDLE, progress_ns=200),
    ]
    plan = plan_pool(statuses, NOW, POLICY)
    assert plan.actions == (Drain(1), Drain(3))


def test_bursts_do_not_thrash() -> None:
    """A worker that served within the time to keep stays, however many are idle."""
    statuses = workers([IDLE] * 5, NOW - KEEP + 1)
    assert plan_pool(statuses, NOW, POLICY) == Plan((), NOW + 1)


def test_a_grown_pool_is_looked_at_again_without_being_told() -> None:
    """Workers that get idle do not ring, so the surplus must be found by looking."""
    plan = plan_pool(workers([BUSY, BUSY, IDLE, IDLE]), NOW, POLICY)
    assert plan == Plan((), NOW + KEEP)


def test_one_association_needs_one_worker() -> None:
    policy = PoolPolicy.of(PoolSettings(max_associations=1, spare_workers=2))
    assert (policy.max_workers, policy.spare_workers) == (1, 1)
    assert plan_pool((), NOW, policy).actions == (Spawn(),)
    assert plan_pool(workers([BUSY]), NOW, policy, waiting=3).actions == ()


def test_shutdown_asks_then_insists_then_kills() -> None:
    shutdown = Shutdown(abort_at_ns=NOW + 10, kill_at_ns=NOW + 20)
    asked = workers([LEAVING])
    aborted = workers([ABORTING])
    assert plan_shutdown(workers([BUSY]), NOW, shutdown) == Plan((Drain(0),), NOW + 10)
    assert plan_shutdown(asked, NOW + 9, shutdown) == Plan((), NOW + 10)
    assert plan_shutdown(asked, NOW + 10, shutdown) == Plan((Abort(0),), NOW + 20)
    assert plan_shutdown(aborted, NOW + 19, shutdown) == Plan((), NOW + 20)
    assert plan_shutdown(aborted, NOW + 20, shutdown) == Plan((Kill(0),), None)


def test_shutdown_without_patience_aborts_at_once() -> None:
    shutdown = Shutdown(abort_at_ns=NOW, kill_at_ns=NOW + 20)
    plan = plan_shutdown(workers([BOOTING, IDLE, BUSY]), NOW, shutdown)
    assert plan.actions == (Abort(0), Abort(1), Abort(2))


def test_shutdown_is_over_with_the_last_worker() -> None:
    shutdown = Shutdown(abort_at_ns=NOW + 10, kill_at_ns=NOW + 20)
    assert plan_shutdown((), NOW, shutdown) == Plan(())
