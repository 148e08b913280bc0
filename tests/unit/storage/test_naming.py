"""storage.naming: file names and directories. Spec 7.4 to 7.6."""

import re
import time
import uuid
from datetime import datetime

import pytest

from dcmrecv.config.settings import FilenameMode
from dcmrecv.storage.naming import FileNaming, directory_of, prefix_for

KEPT = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -.:@_")


def make(mode: FilenameMode, prefix: bytes = b"CT", extension: str = "") -> str:
    return FileNaming(mode, extension).make(prefix, b"1.2.3").decode()


def test_the_default_name_is_prefix_and_instance() -> None:
    assert make(FilenameMode.DEFAULT) == "CT.1.2.3"
    assert make(FilenameMode.DEFAULT, extension=".dcm") == "CT.1.2.3.dcm"
    assert make(FilenameMode.DEFAULT, prefix=b"") == "UNKNOWN.1.2.3"


def test_a_unique_name_holds_a_new_uid_from_a_random_uuid() -> None:
    name = make(FilenameMode.UNIQUE)
    match = re.fullmatch(r"CT\.X\.2\.25\.([0-9]+)", name)
    assert match
    assert uuid.UUID(int=int(match[1])).version == 4
    assert make(FilenameMode.UNIQUE) != name
    assert make(FilenameMode.UNIQUE, prefix=b"").startswith("UNKNOWN.X.2.25.")


def test_a_short_unique_name_begins_with_the_time() -> None:
    before = int(time.time())
    match = re.fullmatch(
        r"CT_([0-9a-f]{8})[0-9a-f]{8}", make(FilenameMode.SHORT_UNIQUE)
    )
    assert match
    assert before <= int(match[1], 16) <= time.time()
    assert make(FilenameMode.SHORT_UNIQUE, prefix=b"").startswith("XX_")


def test_a_system_time_name_is_local_time_to_the_microsecond() -> None:
    before = datetime.now().strftime("%Y%m%d%H%M%S.%f")
    name = make(FilenameMode.SYSTEM_TIME)
    after = datetime.now().strftime("%Y%m%d%H%M%S.%f")
    match = re.fullmatch(r"([0-9]{14}\.[0-9]{6})\.CT", name)
    assert match
    assert before <= match[1] <= after


@pytest.mark.parametrize("byte", range(256))
def test_every_other_byte_becomes_an_underscore(byte: int) -> None:
    name = FileNaming(FilenameMode.DEFAULT, "").make(b"CT", bytes([byte]))
    assert name == b"CT." + (bytes([byte]) if byte in KEPT else b"_")


def test_no_name_leaves_its_directory() -> None:
    naming = FileNaming(FilenameMode.DEFAULT, "/../x")
    assert naming.make(b"CT", b"../../x") == b"CT..._.._x_.._x"


@pytest.mark.parametrize("mode", list(FilenameMode))
def test_the_extension_is_sanitised_in_every_mode(mode: FilenameMode) -> None:
    assert make(mode, extension="/x*~").endswith("_x__")


@pytest.mark.parametrize(
    ("value", "directory"),
    [
        (b"20200102", "data/2020/01/02/"),
        (b"20200102 ", "data/2020/01/02/"),
        (b"2020.01.02", "data/2020/01/02/"),
        (b"20200102\\20210101", "data/2020/01/02/"),
        (b"20200230", "data/2020/02/30/"),
        (b"18581117", "data/1858/11/17/"),
        (b"99991231", "data/9999/12/31/"),
    ],
)
def test_a_series_date_is_three_directories(value: bytes, directory: str) -> None:
    assert directory_of(value, "DA") == directory
    assert directory_of(value) == directory


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"20200002",
        b"20201302",
        b"20200100",
        b"20200132",
        b"202001",
        b"00000000",
        b"2020-01-02",
        b"2020/1/2",
        b" 20200102",
        b"20200102\0\0",
        b"20200102x",
        b"20200102-",
        b"2020010\xb2",
    ],
)
def test_no_date_is_the_day_of_today(value: bytes | None) -> None:
    before = time.strftime("undef/%Y%m%d/")
    directory = directory_of(value, "DA")
    assert directory in (before, time.strftime("undef/%Y%m%d/"))


def test_a_date_of_another_vr_is_no_date() -> None:
    assert directory_of(b"20200102", "LO").startswith("undef/")


def test_prefixes_are_found_by_bisection() -> None:
    assert prefix_for("1.2.840.10008.5.1.4.1.1.2") == "CT"
    assert prefix_for("1.2.840.10008.5.1.4.1.1.4") == "MR"
    assert prefix_for("9.9") == ""
    assert prefix_for("") == ""
