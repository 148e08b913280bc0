"""Symbolic UID names: config/uids.py."""

import subprocess
import sys

import pytest
from pydicom.uid import UID, UID_dictionary

from dcmrecv.config import uids
from dcmrecv.config.uids import name_of, uid_of


@pytest.mark.parametrize(
    ("name", "uid"),
    [
        ("VerificationSOPClass", "1.2.840.10008.1.1"),
        ("CTImageStorage", "1.2.840.10008.5.1.4.1.1.2"),
        ("LittleEndianImplicit", "1.2.840.10008.1.2"),
        ("JPEGExtended:Process2+4", "1.2.840.10008.1.2.4.51"),
        ("MPEG2MainProfile@MainLevel", "1.2.840.10008.1.2.4.100"),
        ("RETIRED_StandaloneOverlayStorage", "1.2.840.10008.5.1.4.1.1.8"),
        ("LDAP_dicomAETitle", "1.2.840.10008.15.0.3.7"),
    ],
)
def test_name_and_uid_lead_to_each_other(name: str, uid: str) -> None:
    """Any kind of UID has a name, not only SOP classes and transfer syntaxes."""
    assert uid_of(name) == uid
    assert name_of(uid) == name


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("RFC2557MIMEEncapsulation", "RETIRED_RFC2557MIMEEncapsulation"),
        ("XMLEncoding", "RETIRED_XMLEncoding"),
        ("SRI24FrameOfReferenc", "SRI24FrameOfReference"),
        ("ImplantationPlanSRDocumentStorage", "ImplantationPlanSRStorage"),
        (
            "StandardRoboticCoordinateSystemFrameOfReference",
            "StandardRoboticArmCoordinateSystemFrameOfReference",
        ),
    ],
)
def test_renamed_uid_keeps_its_first_name_and_takes_the_later(
    first: str, later: str
) -> None:
    """A file written for DCMTK 3.6.7 works, and one written for 3.7.0 as well."""
    uid = uid_of(first)
    assert uid is not None
    assert uid_of(later) == uid
    assert name_of(uid) == first


@pytest.mark.parametrize(
    ("name", "uid"),
    [
        ("HighThroughputJPEG2000ImageCompression", "1.2.840.10008.1.2.4.203"),
        ("JPEGXL", "1.2.840.10008.1.2.4.112"),
        ("DeflatedImageFrameCompression", "1.2.840.10008.1.2.8.1"),
        ("InventoryStorage", "1.2.840.10008.5.1.4.1.1.201.1"),
    ],
)
def test_names_of_later_versions_are_known(name: str, uid: str) -> None:
    """DCMTK 3.6.7 knows none of these."""
    assert uid_of(name) == uid
    assert name_of(uid) == name


def test_names_for_the_byte_order_of_the_machine_are_understood_but_never_shown() -> (
    None
):
    """The original takes them in a profile and logs =LittleEndianExplicit."""
    explicit = {"little": "1.2.840.10008.1.2.1", "big": "1.2.840.10008.1.2.2"}
    local = explicit[sys.byteorder]
    opposite = explicit["big" if sys.byteorder == "little" else "little"]
    assert uid_of("LocalEndianExplicit") == local
    assert uid_of("OppositeEndianExplicit") == opposite
    assert name_of("1.2.840.10008.1.2.1") == "LittleEndianExplicit"
    assert name_of("1.2.840.10008.1.2.2") == "BigEndianExplicit"


@pytest.mark.parametrize("name", ["", "ctimagestorage", "CTImageStorage ", "1.2.840"])
def test_unknown_name_has_no_uid(name: str) -> None:
    """Case and blanks count."""
    assert uid_of(name) is None


@pytest.mark.parametrize("uid", ["", "9.9.1", "1.2.840.10008.1.2 ", "#"])
def test_unknown_uid_has_no_name(uid: str) -> None:
    """The caller shows the UID itself then."""
    assert name_of(uid) is None


def test_table_holds_the_names_of_both_generations_once() -> None:
    """436 names of 3.6.7 and 46 later ones; a name in two rows would hide a UID."""
    names = [name for name, _ in uids._names()]
    assert len(names) == len(set(names)) == 436 + 46


def test_every_uid_of_the_table_is_one() -> None:
    """A typing mistake in a UID would go unnoticed until somebody sends that class."""
    for name, uid in uids._names():
        assert UID(uid).is_valid, name


def test_every_transfer_syntax_of_the_standard_has_a_name() -> None:
    """PS3.6 Annex A as pydicom has it, except what was only ever a draft."""
    missing = {
        uid
        for uid, row in UID_dictionary.items()
        if row[1] == "Transfer Syntax" and name_of(uid) is None
    }
    # Papyrus 3 was never in the standard.
    assert missing == {"1.2.840.10008.1.20"}


def test_import_reads_no_table() -> None:
    """Programs that never show a name do not pay for the table."""
    script = (
        "import dcmrecv.config.uids as uids; "
        "assert uids._names.cache_info().currsize == 0; "
        "uids.name_of('1.2'); uids.uid_of('x'); "
        "assert uids._names.cache_info().misses == 1"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
