"""Storage SOP classes and file name prefixes: storage/sop_class.py."""

import re

import pytest
from pydicom.uid import UID, UID_dictionary

from dcmrecv.config.uids import name_of
from dcmrecv.storage.sop_class import PREFIXES, prefix_of


@pytest.mark.parametrize(
    ("uid", "prefix"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "CT"),
        ("1.2.840.10008.5.1.4.1.1.4", "MR"),
        ("1.2.840.10008.5.1.4.1.1.7", "SC"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "RS"),
        ("1.2.840.10008.5.1.4.1.1.88.1", "SR_t"),
        ("1.2.840.10008.5.1.4.1.1.9.1", "WV_d"),
        ("1.2.840.10008.5.1.1.27", "SP"),
        ("1.2.840.10008.5.1.4.1.1.501.4", "AI2"),
    ],
)
def test_prefixes_of_the_original(uid: str, prefix: str) -> None:
    """As DCMTK's dcmrecv 3.6.7 names its files: spec section 7.4."""
    assert prefix_of(uid) == prefix


@pytest.mark.parametrize(
    ("uid", "prefix"),
    [
        ("1.2.840.10008.5.1.4.1.1.66.7", "SGl"),
        ("1.2.840.10008.5.1.4.1.1.6.3", "PA"),
        ("1.2.840.10008.5.1.4.1.1.201.1", "INV"),
        ("1.2.840.10008.5.1.4.1.1.601.5", "UW"),
    ],
)
def test_prefixes_that_later_versions_added(uid: str, prefix: str) -> None:
    """3.6.7 calls these files UNKNOWN."""
    assert prefix_of(uid) == prefix


def test_changed_prefix_stays_as_in_the_original() -> None:
    """Later versions say PAp; a script that looks for PA.* files must go on working."""
    assert prefix_of("1.2.840.10008.5.1.4.1.1.200.3") == "PA"


@pytest.mark.parametrize(
    "uid", ["", "9.9.1", "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2\0"]
)
def test_unknown_class_has_no_prefix(uid: str) -> None:
    """Verification is no Storage SOP class."""
    assert prefix_of(uid) is None


def test_table_ascends_by_the_bytes_of_the_uid() -> None:
    """storage.naming searches a C table made of it by halves."""
    keys = [uid.encode("ascii") for uid, _ in PREFIXES]
    assert keys == sorted(set(keys))
    assert len(keys) == 194 + 17


def test_every_row_can_be_part_of_a_file_name() -> None:
    """Prefixes are not sanitised; a UID has at most 64 characters."""
    for uid, prefix in PREFIXES:
        assert UID(uid).is_valid
        assert re.fullmatch(r"[A-Za-z0-9_]{1,4}", prefix), uid


def test_every_row_is_a_class_with_a_name() -> None:
    """Holds this table against config/data/uid-names.tsv."""
    for uid, _ in PREFIXES:
        name = name_of(uid)
        assert name is not None
        assert "Storage" in name


def test_every_storage_class_of_the_standard_has_a_prefix() -> None:
    """PS3.4 section B.5 as pydicom has it."""
    not_stored = {
        "1.2.840.10008.1.3.10",  # Media Storage Directory, never sent
        "1.2.840.10008.1.20.1",  # Storage Commitment, another service
        "1.2.840.10008.1.20.2",
    }
    missing = {
        uid
        for uid, row in UID_dictionary.items()
        if row[1] == "SOP Class" and "Storage" in row[0] and prefix_of(uid) is None
    }
    assert missing == not_stored
