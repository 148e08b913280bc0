"""encoding.vr_table: found is what was put in, and nothing else."""

import random

import pytest

from dcmrecv.encoding.vr_table import VrTable


def test_every_tag_is_found_and_no_other() -> None:
    """As many as PS3.6 has, so that slots collide."""
    groups = random.Random(1).choices(range(8, 0x5000, 2), k=6_000)
    elements = random.Random(2).choices(range(1, 0x10000, 2), k=6_000)
    tags = {
        group << 16 | element: "SQ" if element & 2 else "LO"
        for group, element in zip(groups, elements, strict=True)
    }
    table = VrTable(tags)
    assert {tag: table.vr_of(tag) for tag in tags} == tags
    assert [tag + 1 for tag in tags if table.vr_of(tag + 1)] == []


def test_group_lengths_and_private_creators_need_no_entry() -> None:
    """PS3.5 sections 7.2 and 7.8.1."""
    table = VrTable({})
    assert table.vr_of(0x0008_0000) == "UL"
    assert table.vr_of(0x0009_0000) == "UL"
    assert table.vr_of(0x0009_0010) == "LO"
    assert table.vr_of(0x0009_00FF) == "LO"
    assert table.vr_of(0x0009_000F) is None
    assert table.vr_of(0x0008_0010) is None


def test_repeating_groups_come_after_single_tags() -> None:
    repeater = range(0x6000, 0x6100, 2), range(0x3000, 0x3001), "ox"
    table = VrTable({0x6002_3000: "OB"}, [repeater])
    assert table.vr_of(0x6000_3000) == table.vr_of(0x60FE_3000) == "ox"
    assert table.vr_of(0x6002_3000) == "OB"
    assert table.vr_of(0x6001_3000) is None


def test_ranges_hold_their_bounds_and_every_or_every_second_number() -> None:
    ranges = [
        (range(0x0011, 0x0202, 2), range(0x1000, 0x1003), "US"),
        (range(0x0012, 0x0013), range(0x0001, 0xFFFF + 1, 2), "SH"),
        (range(0x0011, 0x0202, 2), range(0x1000, 0x1004), "UL"),
    ]
    table = VrTable({}, ranges, {}, [(range(0x11, 0x12), range(0x20, 0x30), "UI")])
    assert table.vr_of(0x0011_1000) == table.vr_of(0x0201_1002) == "US"
    assert table.vr_of(0x0101_1003) == "UL"
    assert table.vr_of(0x0101_1004) is table.vr_of(0x0203_1000) is None
    assert table.vr_of(0x0012_0001) == table.vr_of(0x0012_FFFF) == "SH"
    assert table.vr_of(0x0012_0002) is table.vr_of(0x0014_0001) is None
    assert table.vr_of(0x0011_0020) == table.vr_of(0x0011_002F) == "UI"
    assert table.vr_of(0x0011_0030) == table.vr_of(0x0013_0020) == "LO"


def test_private_tags_belong_to_their_creator() -> None:
    table = VrTable({}, (), {(b"A", 0x0009_0001): "SQ", (b"BB", 0x0009_0001): "US"})
    assert table.vr_of(0x0009_1001, b"A") == "SQ"
    assert table.vr_of(0x0009_FF01, b"BB") == "US"
    assert table.vr_of(0x0009_1001, b"C") is None
    assert table.vr_of(0x0009_1002, b"A") is None


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="too many tags"):
        VrTable(dict.fromkeys(range(20000), "LO"))
    with pytest.raises(ValueError, match="repeating"):
        VrTable({}, [(range(8, 9), range(9), "LO")] * 1_000)
    with pytest.raises(ValueError, match="creators"):
        VrTable({}, (), {(b"%d" % n, 0x0009_0001): "LO" for n in range(3_000)})
