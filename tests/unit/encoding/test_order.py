"""encoding.order: ranges of a file in the order of the elements in them."""

from dcmrecv.encoding.order import Reordering


def test_without_groups_all_is_one_range() -> None:
    assert Reordering().ranges([], 0, 100) == [(0, 100)]


def test_a_group_is_put_in_its_order_between_what_surrounds_it() -> None:
    groups = [([(20, 30), (10, 20)], 10, 30)]
    assert Reordering().ranges(groups, 0, 50) == [(0, 10), (20, 30), (10, 20), (30, 50)]


def test_what_no_piece_names_is_left_out() -> None:
    assert Reordering().ranges([([(0, 10)], 0, 30)], 0, 30) == [(0, 10)]


def test_groups_nest() -> None:
    """The inner one lies in the first piece of the outer one and begins with it."""
    inner = ([(4, 8), (0, 4)], 0, 8)
    outer = ([(12, 20), (0, 12)], 0, 20)
    expected = [(12, 20), (4, 8), (0, 4), (8, 12)]
    assert Reordering().ranges([inner, outer], 0, 20) == expected


def test_groups_follow_each_other() -> None:
    first = ([(2, 4), (0, 2)], 0, 4)
    second = ([(6, 8), (4, 6)], 4, 8)
    expected = [(2, 4), (0, 2), (6, 8), (4, 6)]
    assert Reordering().ranges([second, first], 0, 8) == expected


def test_too_many_groups_are_refused() -> None:
    groups = [([(n, n + 1)], n, n + 1) for n in range(65_537)]
    assert Reordering().ranges(groups, 0, 65_537) is None
    assert Reordering().ranges(groups[:-1], 0, 65_536) is not None
