"""encoding.dictionary: pydicom's, as the original has it."""

from pathlib import Path

import pytest

from dcmrecv.encoding.dictionary import (
    DICTIONARY_PATH_VARIABLE,
    default_table,
    standard_dictionary,
)


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x0010_0010, "PN"),
        (0x0008_1140, "SQ"),
        (0x0028_0106, "xs"),
        (0x7FE0_0010, "px"),
        (0x0028_3006, "lt"),
        (0x0004_1200, "up"),
        (0x6012_3000, "ox"),
        (0x0020_3102, "CS"),
        (0x0009_1001, None),
    ],
)
def test_a_tag_has_the_vr_of_the_standard(tag: int, vr: str | None) -> None:
    assert default_table().vr_of(tag) == vr


@pytest.mark.parametrize("tag", [0x0008_0202, 0x3002_0101, 0x7FE0_0003])
def test_what_is_younger_than_the_original_is_unknown(tag: int) -> None:
    """Its bytes stay as they are, as the original leaves them."""
    assert tag not in standard_dictionary().tags


def test_tags_that_pydicom_lacks_are_added() -> None:
    assert standard_dictionary().tags[0x0006_0001] == "SQ"


FILE = """# a comment

(0009,"ACME 1.1",01)\tSQ\tAcmeSequence\t1\tPrivate
(0010,0020)\tUI\tPatientID\t1\tDICOM
(6000-60FF,1099)\tUS\tOverlaySomething\t1\tDICOM
(0011-o-0015,"B",02)\tFD\tOdd
(0010,0020)\tUI
(10,0020,3)\tUI\tPatientID
(0010,0020)\tZZ\tPatientID
"""


def test_files_of_dcmtks_format_add_to_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "a.dic").write_text(FILE)
    path = f"{tmp_path}/a.dic:{tmp_path}/b.dic"
    monkeypatch.setenv(DICTIONARY_PATH_VARIABLE, path)
    default_table.cache_clear()
    table = default_table()
    default_table.cache_clear()
    assert table.vr_of(0x0009_1001, b"ACME 1.1") == "SQ"
    assert table.vr_of(0x0010_0020) == "UI"
    assert table.vr_of(0x6012_1099) == "US"
    assert table.vr_of(0x6013_1099) is None
    assert table.vr_of(0x0013_1002, b"B") == "FD"
    assert table.vr_of(0x0010_0010) == "PN"
    assert [record.getMessage() for record in caplog.records] == [
        f"DcmDataDictionary: {tmp_path}/a.dic: too few fields (line 7)",
        f"DcmDataDictionary: {tmp_path}/a.dic: bad Tag field (line 8): (10,0020,3)",
        f"DcmDataDictionary: {tmp_path}/a.dic: bad VR field (line 9): ZZ",
        f"DcmDataDictionary: Cannot open file: {tmp_path}/b.dic",
    ]
