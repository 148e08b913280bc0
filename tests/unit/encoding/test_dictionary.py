"""encoding.dictionary: pydicom's, as the original has it."""

from pathlib import Path

import pytest

from dcmrecv.encoding.dictionary import (
    DICTIONARY_PATH_VARIABLE,
    Dictionary,
    add_file,
    default_table,
    standard_dictionary,
)
from dcmrecv.errors import ConfigurationError


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


def test_a_range_counts_where_no_line_names_the_tag(tmp_path: Path) -> None:
    """And a narrow one before a wide one, in whatever order they come."""
    found = standard_dictionary()
    path = tmp_path / "ranges.dic"
    path.write_text(
        "(0008-u-00FF,0000-u-FFFF)\tUL\tEverything\n"
        "(0012-u-0013,4440-u-4450)\tUS\tNarrow\n"
        "(0012-u-0013,4440-u-4450)\tSS\tTheSame\n"
        "(0011,0020-u-0021)\tUI\tCreator\n"
        '(0009,"ACME",00-u-FF)\tSL\tBlock\n'
        '(0009,"ACME",20)\tSQ\tOne\n'
        "(0010-0009,0030)\tUS\tUpsideDown\n"
    )
    add_file(found, str(path))
    table = found.table()
    assert table.vr_of(0x0010_0020) == "LO"
    assert table.vr_of(0x0010_0021) == "LO"
    assert table.vr_of(0x0011_1001) == table.vr_of(0x0010_FFFF) == "UL"
    assert table.vr_of(0x0013_4445) == "SS"
    assert table.vr_of(0x0011_0020) == "UI"
    assert table.vr_of(0x0011_0022) == "LO"
    assert table.vr_of(0x0009_1021, b"ACME") == "SL"
    assert table.vr_of(0x0009_1020, b"ACME") == "SQ"


def test_a_dictionary_without_end_is_a_mistake_of_the_configuration(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = Dictionary(tags=dict.fromkeys(range(20_000), "LO"))
    with pytest.raises(ConfigurationError, match="DCMDICTPATH: too many tags"):
        found.table()
    path = tmp_path / "large.dic"
    path.write_text('(0009-o-0FFF,"ACME",00-u-FF)\tSL\tEverywhere\n')
    add_file(found, str(path))
    assert found.private_tags == {}
    assert [record.getMessage() for record in caplog.records] == [
        f"DcmDataDictionary: {path}: range too large (line 1)"
    ]
