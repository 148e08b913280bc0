"""Pool policy: what holds for every history of a pool."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from dcmrecv.server.pool import (
    Abort,
    Drain,
    Kill,
    PoolPolicy,
    Shutdown,
    Spawn,
    plan_pool,
    plan_shutdown,
)
from dcmrecv.server.scoreboard import WorkerState, WorkerStatus

KEEP = 100


@dataclass
class Pool:
    """A pool whose workers do what they are told."""

    policy: PoolPolicy
    now: int = 0
    states: dict[int, WorkerState] = field(default_factory=dict)
    progress: dict[int, int] = field(default_factory=dict)

    def statuses(self) -> list[WorkerStatus]:
        return [
            WorkerStatus(index=index, state=state, progress_ns=self.progress[index])
            for index, state in sorted(self.states.items())
        ]

    def move(self, index: int, state: WorkerState) -> None:
        self.states[index] = state
        self.progress[index] = self.now

    def manage(self, waiting: int = 0) -> int | None:
        """Carry out one plan; checks what every plan must keep."""
        plan = plan_pool(self.statuses(), self.now, self.policy, waiting=waiting)
        kinds = {type(action) for action in plan.actions}
        assert len(kinds) <= 1
        for action in plan.actions:
            if isinstance(action, Spawn):
                free = next(i for i in range(10_000) if i not in self.states)
                self.move(free, WorkerState.BOOTING)
            else:
                assert isinstance(action, Drain)
                assert self.states[action.index] is WorkerState.IDLE
                assert self.now - self.progress[action.index] >= KEEP
                self.states[action.index] = WorkerState.LEAVING
        assert len(self.states) <= self.policy.max_workers
        if plan.look_again_ns is not None:
            assert plan.look_again_ns >= self.now
        return plan.look_again_ns

    def settle(self) -> None:
        """Let workers boot and leave and time pass until the pool rests."""
        for _ in range(100):
            for index, state in list(self.states.items()):
                if state is WorkerState.BOOTING:
                    self.move(index, WorkerState.IDLE)
                elif state is WorkerState.LEAVING:
                    del self.states[index]
            before = dict(self.states)
            again = self.manage()
            if self.states != before:
                continue
            if self.count(WorkerState.IDLE) <= self.policy.spare_workers:
                return
            assert again is not None
            self.now = max(self.now, again)
        raise AssertionError("the pool never rests")

    def count(self, state: WorkerState) -> int:
        return list(self.states.values()).count(state)


policies = st.builds(
    lambda most, spare, batch: PoolPolicy(
        max_workers=most,
        spare_workers=min(spare, most),
        keep_idle_ns=KEEP,
        spawn_batch=batch,
    ),
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 4),
)
# What happens to the pool; the number chooses the worker.
events = st.lists(
    st.tuples(
        st.sampled_from(["start", "end", "boot", "die", "leave", "pass"]),
        st.integers(0, 11),
        st.integers(0, 3),
    ),
    max_size=60,
)
CHANGES = {
    "start": (WorkerState.IDLE, WorkerState.BUSY),
    "end": (WorkerState.BUSY, WorkerState.IDLE),
    "boot": (WorkerState.BOOTING, WorkerState.IDLE),
}


@given(policies, events)
def test_whatever_happens_the_spare_workers_come_back(
    policy: PoolPolicy, history: list[tuple[str, int, int]]
) -> None:
    """Also: never past the limit, no busy or freshly idle worker is sent away."""
    pool = Pool(policy)
    for event, choice, waiting in history:
        pool.now += 7
        if event == "pass":
            pool.now += KEEP
        chosen = list(pool.states)[choice : choice + 1]
        for index in chosen:
            if event in CHANGES:
                before, after = CHANGES[event]
                if pool.states[index] is before:
                    pool.move(index, after)
            elif event == "die" or (
                event == "leave" and pool.states[index] is WorkerState.LEAVING
            ):
                del pool.states[index]
        pool.manage(waiting)
    pool.settle()
    room = policy.max_workers - pool.count(WorkerState.BUSY)
    assert pool.count(WorkerState.IDLE) == min(policy.spare_workers, room)
    assert pool.count(WorkerState.BOOTING) == 0


ORDERS = {
    Drain: WorkerState.LEAVING,
    Abort: WorkerState.ABORTING,
    Kill: WorkerState.KILLED,
}


@given(
    st.lists(st.sampled_from(list(WorkerState)[1:]), max_size=8),
    st.lists(st.integers(0, 50), min_size=1, max_size=8),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_shutdown_only_ever_gets_harder_and_ends_with_a_kill(
    states: list[WorkerState], steps: list[int], patience: int, more: int
) -> None:
    shutdown = Shutdown(abort_at_ns=patience, kill_at_ns=patience + more)
    statuses = [WorkerStatus(index=i, state=state) for i, state in enumerate(states)]
    now = 0
    for step in [*steps, patience + more]:
        now += step
        plan = plan_shutdown(statuses, now, shutdown)
        for action in plan.actions:
            assert not isinstance(action, Spawn)
            told = ORDERS[type(action)]
            assert statuses[action.index].state < told
            statuses[action.index] = WorkerStatus(index=action.index, state=told)
        if statuses and now < shutdown.kill_at_ns:
            assert plan.look_again_ns is not None
            assert plan.look_again_ns > now
        assert plan_shutdown(statuses, now, shutdown).actions == ()
    assert all(status.state is WorkerState.KILLED for status in statuses)
