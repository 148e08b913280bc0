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
    table = VrTable({0x6002_3000: "OB"}, [(0x6000_3000, 0xFF01_FFFF, "ox")])
    assert table.vr_of(0x6000_3000) == table.vr_of(0x60FE_3000) == "ox"
    assert table.vr_of(0x6002_3000) == "OB"
    assert table.vr_of(0x6001_3000) is None


def test_private_tags_belong_to_their_creator() -> None:
    table = VrTable({}, (), {(b"A", 0x0009_0001): "SQ", (b"BB", 0x0009_0001): "US"})
    assert table.vr_of(0x0009_1001, b"A") == "SQ"
    assert table.vr_of(0x0009_FF01, b"BB") == "US"
    assert table.vr_of(0x0009_1001, b"C") is None
    assert table.vr_of(0x0009_1002, b"A") is None


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(ValueError, match="too many tags"):
        VrTable(dict.fromkeys(range(10000), "LO"))
    with pytest.raises(ValueError, match="repeating"):
        VrTable({}, [(0, 0, "LO")] * 1_000)
    with pytest.raises(ValueError, match="creators"):
        VrTable({}, (), {(b"%d" % n, 0x0009_0001): "LO" for n in range(3_000)})
