"""storage.write_policy: sizes and measured costs in, a way of writing out."""

import pytest

from dcmrecv.config.settings import WriteMode
from dcmrecv.storage.write_policy import WritePolicy

KIB = 1024
MIB = 1024 * KIB
OBJECT = 512 * KIB  # bytes, in one write
SECOND_NS = 1_000_000_000

CHEAP, DEAR = 0.4, 4.0  # ns a byte


def policy_that_saw(*costs: float) -> WritePolicy:
    """A policy that chooses, after plain writes that cost so many ns a byte."""
    policy = WritePolicy(WriteMode.AUTO, False)
    for cost in costs:
        policy.tell(OBJECT, int(cost * OBJECT))
    return policy


def test_begins_plainly() -> None:
    assert policy_that_saw().choose_way(0, OBJECT, 1) is WriteMode.BUFFERED


def test_stays_plain_while_that_is_cheap() -> None:
    policy = policy_that_saw(*[CHEAP] * 50)
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.BUFFERED


def test_dear_memory_is_gone_around_after_three_objects() -> None:
    policy = policy_that_saw(*[DEAR] * 3)
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.DONTCACHE


def test_dear_is_three_times_what_memory_has_cost() -> None:
    policy = policy_that_saw(*[0.2] * 30)
    for _ in range(30):
        policy.tell(OBJECT, int(0.55 * OBJECT))
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.BUFFERED
    for _ in range(30):
        policy.tell(OBJECT, int(0.65 * OBJECT))
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.DONTCACHE


@pytest.mark.parametrize(
    ("cheapest", "bearable"),
    [
        (0.05, 0.49),  # quick memory: no other way is as cheap as this
        (1.4, 1.4),  # slow memory: nothing cheaper was seen
    ],
)
def test_dear_has_bounds(cheapest: float, bearable: float) -> None:
    policy = policy_that_saw(*[cheapest] * 50, *[bearable] * 50)
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.BUFFERED
    for _ in range(30):
        policy.tell(OBJECT, int((bearable + 0.15) * OBJECT))
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.DONTCACHE


def test_one_slow_write_between_quick_ones_means_nothing() -> None:
    """The process had lost its processor."""
    policy = policy_that_saw(CHEAP, 100 * DEAR, CHEAP, 100 * DEAR, CHEAP)
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.BUFFERED


@pytest.mark.parametrize("size", [1, 8 * KIB, 64 * KIB])
@pytest.mark.parametrize("mode", list(WriteMode))
def test_a_small_object_is_one_plain_write(mode: WriteMode, size: int) -> None:
    """LIMITS: below 64 KiB everything else loses."""
    policy = WritePolicy(mode, False)
    for _ in range(5):
        policy.tell(OBJECT, int(DEAR * OBJECT))
    assert policy.choose_way(0, size, 1) is WriteMode.BUFFERED


@pytest.mark.parametrize(
    "mode", [WriteMode.BUFFERED, WriteMode.DONTCACHE, WriteMode.DIRECT]
)
@pytest.mark.parametrize("cost", [CHEAP, DEAR])
def test_what_is_pinned_is_done(mode: WriteMode, cost: float) -> None:
    policy = WritePolicy(mode, False)
    for _ in range(5):
        policy.tell(OBJECT, int(cost * OBJECT))
    assert policy.choose_way(0, MIB, 1) is mode
    assert policy.choose_way(MIB, 10, 1) is mode
    assert policy.choose_way(100 * MIB, MIB, 1) is mode


def test_direct_is_next_when_dontcache_is_refused() -> None:
    policy = policy_that_saw(*[DEAR] * 3)
    policy.tell_refused(WriteMode.DONTCACHE)
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.DIRECT
    assert policy.choose_way(0, 255 * KIB, 1) is WriteMode.BUFFERED


def test_what_is_refused_is_never_chosen_again() -> None:
    policy = policy_that_saw(*[DEAR] * 3)
    assert policy.choose_way(0, MIB, 1) is WriteMode.DONTCACHE
    policy.tell_refused(WriteMode.DONTCACHE)
    policy.tell_refused(WriteMode.DIRECT)
    assert policy.choose_way(MIB, MIB, 1) is WriteMode.BUFFERED
    for mode in (WriteMode.DONTCACHE, WriteMode.DIRECT):
        pinned = WritePolicy(mode, False)
        pinned.tell_refused(mode)
        assert pinned.choose_way(0, MIB, 1) is WriteMode.BUFFERED


@pytest.mark.parametrize(("memory", "large"), [(512 * MIB, 16), (2048 * MIB, 32)])
def test_a_large_file_leaves_the_cache_alone(memory: int, large: int) -> None:
    """Past a 64th of the memory, whatever that costs; only with RWF_DONTCACHE."""
    policy = WritePolicy(WriteMode.AUTO, False, memory)
    ways = [policy.choose_way(at * MIB, MIB, 1) for at in range(40)]
    assert set(ways[:large]) == {WriteMode.BUFFERED}
    assert set(ways[large:]) == {WriteMode.DONTCACHE}
    policy.tell_refused(WriteMode.DONTCACHE)
    ways = [policy.choose_way(at * MIB, MIB, 1) for at in range(40)]
    assert set(ways) == {WriteMode.BUFFERED}


def test_who_waits_for_the_disk_keeps_nothing_in_the_cache() -> None:
    """Memory may be as cheap as it likes; small objects and pinned ways stay."""
    policy = WritePolicy(WriteMode.AUTO, True)
    for _ in range(5):
        policy.tell(OBJECT, int(CHEAP * OBJECT))
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.DONTCACHE
    assert policy.choose_way(0, 64 * KIB, 1) is WriteMode.BUFFERED
    assert policy.choose_way(64 * KIB, MIB, 1) is WriteMode.DONTCACHE
    pinned = WritePolicy(WriteMode.BUFFERED, True)
    assert pinned.choose_way(0, OBJECT, 1) is WriteMode.BUFFERED


def test_who_waits_for_the_disk_where_dontcache_is_refused_does_as_others() -> None:
    policy = WritePolicy(WriteMode.AUTO, True)
    policy.tell_refused(WriteMode.DONTCACHE)
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.BUFFERED
    for _ in range(3):
        policy.tell(OBJECT, int(DEAR * OBJECT))
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.DIRECT


def test_a_file_changes_its_way_when_memory_turns_out_dear() -> None:
    policy = policy_that_saw(CHEAP)
    assert policy.choose_way(0, MIB, 1) is WriteMode.BUFFERED
    for _ in range(4):
        policy.tell(MIB, int(DEAR * MIB))
    assert policy.choose_way(4 * MIB, MIB, 1) is WriteMode.DONTCACHE


def test_plain_writing_is_tried_again_after_a_hundred_objects() -> None:
    policy = policy_that_saw(*[DEAR] * 3)
    ways = [policy.choose_way(0, OBJECT, 1) for _ in range(202)]
    assert [i for i, w in enumerate(ways) if w is WriteMode.BUFFERED] == [100, 201]


def test_plain_writing_is_tried_again_after_two_seconds() -> None:
    policy = policy_that_saw(*[DEAR] * 3)
    assert policy.choose_way(0, OBJECT, 2 * SECOND_NS) is WriteMode.DONTCACHE
    assert policy.choose_way(0, OBJECT, 2 * SECOND_NS + 1) is WriteMode.BUFFERED
    assert policy.choose_way(0, OBJECT, 4 * SECOND_NS) is WriteMode.DONTCACHE
    assert policy.choose_way(0, OBJECT, 4 * SECOND_NS + 2) is WriteMode.BUFFERED


def test_memory_that_has_become_cheap_is_used_after_a_few_tries() -> None:
    """A try that went well is followed by another at once."""
    policy = policy_that_saw(*[DEAR] * 3)
    while policy.choose_way(0, OBJECT, 1) is not WriteMode.BUFFERED:
        pass
    for _ in range(10):
        policy.tell(OBJECT, int(CHEAP * OBJECT))
        assert policy.choose_way(0, OBJECT, 1) is WriteMode.BUFFERED


def test_a_try_that_went_badly_is_not_repeated_at_once() -> None:
    policy = policy_that_saw(*[DEAR] * 3)
    while policy.choose_way(0, OBJECT, 1) is not WriteMode.BUFFERED:
        pass
    policy.tell(OBJECT, int(DEAR * OBJECT))
    assert policy.choose_way(0, OBJECT, 1) is WriteMode.DONTCACHE
