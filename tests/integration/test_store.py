"""What lies on disk after a Success: name, place, permissions, File Meta, bytes.

Spec section 7. Comparisons with the original on the same input: `tests/parity`.
"""

import datetime
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dcmrecv.config.settings import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from tests.builders import uids
from tests.builders.command import OUT_OF_RESOURCES, SUCCESS, c_store_rq
from tests.builders.data_set import (
    PIXEL_DATA,
    SERIES_DATE,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    Encoding,
    encapsulated_object,
    object_of,
    pattern,
)
from tests.builders.part10 import Part10, parse_part10
from tests.builders.pdu import ProposedContext, message, p_data_tf, pdv
from tests.peers.program import Program, files_below, storage_program
from tests.peers.scu import RawScu

NORMAL, BIT_PRESERVING = "--normal", "--bit-preserving"
MEMORY_LIMIT = 64 << 20
IMPLICIT = Encoding.of(uids.IMPLICIT_LE)

SYNTAX_OF_CONTEXT = {
    1: uids.IMPLICIT_LE,
    3: uids.EXPLICIT_LE,
    5: uids.EXPLICIT_BE,
    7: uids.DEFLATED_LE,
    9: uids.JPEG_BASELINE,
    11: uids.RLE_LOSSLESS,
}
CONTEXTS = tuple(
    ProposedContext(context_id, transfer_syntaxes=(syntax,))
    for context_id, syntax in SYNTAX_OF_CONTEXT.items()
)


@pytest.fixture(params=(NORMAL, BIT_PRESERVING))
def mode(request: pytest.FixtureRequest) -> str:
    """Each storage mode that stores."""
    return str(request.param)


def open_files(output: Path) -> dict[str, Part10]:
    """Every file below a directory, taken apart."""
    return {n: parse_part10(content) for n, content in files_below(output).items()}


def sample_of(transfer_syntax: str, uid: str = "1.2.3.4.5") -> bytes:
    """A data set in any of the transfer syntaxes above, some PDUs long."""
    if transfer_syntax in (uids.JPEG_BASELINE, uids.RLE_LOSSLESS):
        return encapsulated_object(uid, fragments=(pattern(40_000), pattern(2), b""))
    return object_of(uid, pixel_bytes=50_000, transfer_syntax=transfer_syntax)


def names_made(
    tmp_path: Path, *options: str, count: int = 1, classes: Iterable[str] = ()
) -> list[str]:
    """The file names of `count` objects of each class, of one class by default."""
    wanted = list(classes) or [uids.CT_IMAGE]
    with storage_program(tmp_path, *options) as program, RawScu(program.port) as scu:
        scu.associate()
        for sop_class_uid in wanted * count:
            response = scu.store(object_of(), sop_class_uid=sop_class_uid)
            assert response.status == SUCCESS
        scu.release()
    return list(files_below(tmp_path / "out"))


@pytest.mark.parametrize(
    "context_id", SYNTAX_OF_CONTEXT, ids=SYNTAX_OF_CONTEXT.values()
)
def test_file_has_the_data_set_and_describes_it(
    tmp_path: Path, mode: str, context_id: int
) -> None:
    """Spec 7.2: preamble, File Meta Information, then the data set to the last byte."""
    syntax = SYNTAX_OF_CONTEXT[context_id]
    data_set = sample_of(syntax)
    with storage_program(tmp_path, mode) as program, RawScu(program.port) as scu:
        scu.associate(CONTEXTS, calling="SENDER 1")
        assert scu.store(data_set, context_id=context_id).status == SUCCESS
        scu.release()
    (part10,) = open_files(tmp_path / "out").values()
    assert part10.preamble == bytes(128)
    assert part10.data_set == data_set
    size, expected = part10.meta.pop(0x00020000), expected_meta(syntax)
    assert size[0] == "UL"
    if mode == BIT_PRESERVING:
        expected[0x00020016] = ("AE", b"SENDER 1")
    assert list(part10.meta.items()) == list(expected.items())


def expected_meta(transfer_syntax: str) -> dict[int, tuple[str, bytes]]:
    """The elements of both modes but the group length, in their order."""

    def uid(value: str) -> tuple[str, bytes]:
        return "UI", value.encode() + b"\0" * (len(value) % 2)

    name = IMPLEMENTATION_VERSION_NAME
    return {
        0x00020001: ("OB", b"\0\1"),
        0x00020002: uid(uids.CT_IMAGE),
        0x00020003: uid("1.2.3.4.5"),
        0x00020010: uid(transfer_syntax),
        0x00020012: uid(IMPLEMENTATION_CLASS_UID),
        0x00020013: ("SH", name.encode() + b" " * (len(name) % 2)),
    }


@pytest.mark.parametrize("calling", ["A", "AB", "SIXTEEN CHARS 16", " LEADING"])
def test_calling_title_stands_in_the_meta_of_bit_preserving_mode(
    tmp_path: Path, calling: str
) -> None:
    """Spec 7.2: even length, padded with a blank."""
    with storage_program(tmp_path, "+B") as program, RawScu(program.port) as scu:
        scu.associate(calling=calling)
        scu.store(object_of())
        scu.release()
    (part10,) = open_files(tmp_path / "out").values()
    assert part10.meta_text(0x00020016).strip() == calling.strip()
    assert len(part10.meta[0x00020016][1]) % 2 == 0


@pytest.mark.parametrize(
    ("head", "sop_class", "sop_instance"),
    [
        ((SOP_CLASS_UID, "9.9.9"), b"9.9.9\0", None),
        ((SOP_INSTANCE_UID, "8.8.8.8"), b"1.2.276.0.7230010.3.1.0.1\0", b"8.8.8.8\0"),
        ((SOP_CLASS_UID, ""), b"", None),
        ((SOP_INSTANCE_UID, ""), b"1.2.276.0.7230010.3.1.0.1\0", b""),
    ],
    ids=["class only", "instance only", "empty class", "empty instance"],
)
@pytest.mark.parametrize("pixel_bytes", [10, 3_000_000], ids=["small", "large"])
def test_meta_of_normal_mode_follows_the_data_set(
    tmp_path: Path,
    head: tuple[int, str],
    sop_class: bytes,
    sop_instance: bytes | None,
    pixel_bytes: int,
) -> None:
    """Spec 7.2: the data set's UIDs in the meta, the command's in the name."""
    data_set = IMPLICIT.text(head[0], "UI", head[1])
    data_set += IMPLICIT.element(PIXEL_DATA, "OW", pattern(pixel_bytes))
    with storage_program(tmp_path, "-B") as program, RawScu(program.port) as scu:
        scu.associate()
        assert scu.store(data_set).status == SUCCESS
        scu.release()
    files = open_files(tmp_path / "out")
    assert list(files) == ["CT.1.2.3.4.5"]
    (part10,) = files.values()
    assert part10.data_set == data_set
    assert part10.meta[0x00020002][1] == sop_class
    if sop_instance is None:  # a new UID is made
        made = part10.meta_text(0x00020003)
        assert re.fullmatch(r"2\.25\.[1-9][0-9]{20,38}", made)
    else:
        assert part10.meta[0x00020003][1] == sop_instance


def test_bit_preserving_mode_takes_every_uid_from_the_command(tmp_path: Path) -> None:
    """Spec 7.2."""
    with storage_program(tmp_path, "+B") as program, RawScu(program.port) as scu:
        scu.associate()
        scu.send(message(1, c_store_rq("7.7"), object_of("8.8")))
        assert scu.read_response().status == SUCCESS
        scu.release()
    part10 = open_files(tmp_path / "out")["CT.7.7"]
    assert part10.meta_text(0x00020003) == "7.7"


def test_bit_preserving_mode_stores_nothing_but_meta_for_an_empty_data_set(
    tmp_path: Path,
) -> None:
    """Spec 6.2."""
    with storage_program(tmp_path, "+B") as program, RawScu(program.port) as scu:
        scu.associate()
        assert scu.store(b"").status == SUCCESS
        scu.release()
    (part10,) = open_files(tmp_path / "out").values()
    assert part10.data_set == b""


def test_ignore_stores_nothing_and_makes_no_directory(tmp_path: Path) -> None:
    """Spec 7.1, with +ssd too."""
    program = storage_program(tmp_path, "--ignore", "+ssd")
    with program, RawScu(program.port) as scu:
        scu.associate()
        data_set = object_of(pixel_bytes=2_000_000, series_date="20200102")
        assert scu.store(data_set).status == SUCCESS
        scu.release()
    assert list((tmp_path / "out").iterdir()) == []


# Names, spec 7.4 and 7.5

HEX_NAME = r"[0-9a-f]{16}"
UNIQUE_UID = r"2\.25\.[1-9][0-9]{20,38}"
TIME = r"[0-9]{14}\.[0-9]{6}"


@pytest.mark.parametrize(
    ("option", "known", "unknown"),
    [
        ("+fd", r"CT\.1\.2\.3\.4\.5", r"UNKNOWN\.1\.2\.3\.4\.5"),
        ("+fu", rf"CT\.X\.{UNIQUE_UID}", rf"UNKNOWN\.X\.{UNIQUE_UID}"),
        ("+fsu", f"CT_{HEX_NAME}", f"XX_{HEX_NAME}"),
        ("+fst", rf"{TIME}\.CT", rf"{TIME}\.UNKNOWN"),
    ],
    ids=["+fd", "+fu", "+fsu", "+fst"],
)
@pytest.mark.parametrize("extension", ["", ".dcm"], ids=["bare", "extension"])
def test_file_name_has_the_form_of_its_mode(
    tmp_path: Path, mode: str, option: str, known: str, unknown: str, extension: str
) -> None:
    """Spec 7.4, for a class with a prefix and one without; `-fe` is appended as is."""
    classes = [uids.CT_IMAGE, uids.UNKNOWN_CLASS]
    names = names_made(tmp_path, mode, option, "-fe", extension, classes=classes)
    assert len(names) == 2
    for form in (known, unknown):
        whole = form + re.escape(extension)
        assert sum(bool(re.fullmatch(whole, name)) for name in names) == 1


@pytest.mark.parametrize("option", ["+fu", "+fsu", "+fst"])
def test_unique_names_never_overwrite(tmp_path: Path, mode: str, option: str) -> None:
    """Two hundred times the same object gives two hundred files."""
    assert len(names_made(tmp_path, mode, option, count=200)) == 200


def test_short_unique_name_begins_with_the_time(tmp_path: Path) -> None:
    """Spec 7.4: eight hexadecimal digits of the unix time."""
    before = int(datetime.datetime.now().timestamp())
    (name,) = names_made(tmp_path, "+fsu")
    assert before <= int(name[3:11], 16) <= int(datetime.datetime.now().timestamp())


def test_time_name_is_local_time(tmp_path: Path) -> None:
    """Spec 7.4."""
    before = datetime.datetime.now()
    (name,) = names_made(tmp_path, "+fst")
    made = datetime.datetime.strptime(name, "%Y%m%d%H%M%S.%f.CT")
    assert before <= made <= datetime.datetime.now()


def test_default_name_is_overwritten_with_a_warning(tmp_path: Path, mode: str) -> None:
    """Spec 7.4."""
    out = tmp_path / "out"
    with storage_program(tmp_path, mode) as program, RawScu(program.port) as scu:
        scu.associate()
        for pixel_bytes in (100, 50):
            data_set = object_of(pixel_bytes=pixel_bytes)
            assert scu.store(data_set).status == SUCCESS
            assert open_files(out)["CT.1.2.3.4.5"].data_set == data_set
        scu.release()
        path = out / "CT.1.2.3.4.5"
        program.wait_for_log(f"W: file already exists, overwriting: {path}\n")
        assert program.log().count("overwriting") == 1


KEPT = re.compile(rb"[A-Za-z0-9 .:@_-]")


def test_every_byte_of_a_uid_is_kept_or_made_an_underscore(tmp_path: Path) -> None:
    """Spec 7.5, for each of the 255 byte values that a UID can have."""
    with storage_program(tmp_path, "+B") as program, RawScu(program.port) as scu:
        scu.associate()
        for value in range(1, 256):
            uid = b"1.%c.2" % value + b"\0"
            scu.send(message(1, c_store_rq(uid), object_of()))
            assert scu.read_response().status == SUCCESS
            kept = KEPT.fullmatch(bytes([value]))
            shown = chr(value) if kept else "_"
            path = tmp_path / "out" / f"CT.1.{shown}.2"
            assert path.is_file(), value
            path.unlink()
        scu.release()
    assert list(files_below(tmp_path)) == ["profile.cfg"]


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        (b"../../x\0", "CT..._.._x"),
        (b"/etc/x", "CT._etc_x"),
        (b"..", "CT..."),
        (b".hidden\0", "CT..hidden"),
        (b"a\nb\r", "CT.a_b"),
    ],
)
def test_hostile_uid_stays_in_the_directory(
    tmp_path: Path, mode: str, uid: bytes, name: str
) -> None:
    """Spec 7.5."""
    with storage_program(tmp_path, mode) as program, RawScu(program.port) as scu:
        scu.associate()
        scu.send(message(1, c_store_rq(uid), object_of()))
        assert scu.read_response().status == SUCCESS
        scu.release()
    assert list(files_below(tmp_path)) == sorted([f"out/{name}", "profile.cfg"])


@pytest.mark.parametrize("option", ["+fd", "+fu", "+fsu", "+fst"])
def test_extension_is_sanitised_too(tmp_path: Path, option: str) -> None:
    """Spec 7.5: `-fe` cannot leave the directory either."""
    (name,) = names_made(tmp_path, option, "-fe", "/../x*~")
    assert name.endswith("_.._x__")


def test_name_too_long_for_the_file_system_is_refused(
    tmp_path: Path, mode: str
) -> None:
    """ENAMETOOLONG is the disk's refusal: A700H, and nothing is left."""
    options = (mode, "-fe", "x" * 250)
    with storage_program(tmp_path, *options) as program, RawScu(program.port) as scu:
        scu.associate()
        response = scu.store(object_of())
        assert response.status == OUT_OF_RESOURCES
        assert response.error_comment
        scu.release()
    assert files_below(tmp_path / "out") == {}


# Directories, spec 7.3 and 7.6


def date_element(value: bytes, vr: str = "DA") -> bytes:
    """(0008,0021) in explicit VR, as it is."""
    return Encoding.of(uids.EXPLICIT_LE).element(SERIES_DATE, vr, value)


DATES = [
    (b"20200102", "data/2020/01/02"),
    (b"20200102  ", "data/2020/01/02"),
    (b"2020.01.02", "data/2020/01/02"),
    (b"20200102\\20210101 ", "data/2020/01/02"),
    (b"20200230", "data/2020/02/30"),
    (b"18581117", "data/1858/11/17"),
    (b"99991231", "data/9999/12/31"),
    (b"20200002", None),
    (b"20201301", None),
    (b"20200100", None),
    (b"20200132", None),
    (b"202001", None),
    (b"00000000", None),
    (b"2020-01-02", None),
    (b"2020/1/2", None),
    (b" 20200102 ", None),
    (b"20200102\0\0", None),
    (b"20200102xx", None),
    (b"20200102- ", None),
    (b"", None),
]


@pytest.fixture(scope="module")
def by_date(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Program, Path]]:
    """A receiver with +ssd, and where it stores."""
    base = tmp_path_factory.mktemp("dates")
    with storage_program(base, "+ssd") as program:
        yield program, base / "out"


def directory_of(
    by_date: tuple[Program, Path], context_id: int, data_set: bytes
) -> str:
    """Where an object is put; it is removed again."""
    program, out = by_date
    with RawScu(program.port) as scu:
        scu.associate(CONTEXTS)
        assert scu.store(data_set, context_id=context_id).status == SUCCESS
        scu.release()
    (name,) = files_below(out)
    (out / name).unlink()
    assert Path(name).name == "CT.1.2.3.4.5"
    return str(Path(name).parent)


def undef() -> set[str]:
    """The directory without a date, a second ago and now."""
    now = datetime.datetime.now()
    days = (now, now - datetime.timedelta(seconds=1))
    return {f"undef/{day:%Y%m%d}" for day in days}


@pytest.mark.parametrize(("value", "directory"), DATES)
def test_series_date_names_the_directory(
    by_date: tuple[Program, Path], value: bytes, directory: str | None
) -> None:
    """Spec 7.6, each row."""
    found = directory_of(by_date, 3, with_date(date_element(value)))
    assert found == directory if directory else found in undef()


def with_date(element: bytes) -> bytes:
    """An object in explicit VR with an element put where (0008,0021) belongs."""
    whole = object_of(transfer_syntax=uids.EXPLICIT_LE)
    at = whole.index(b"\x08\x00\x60\x00CS")
    return whole[:at] + element + whole[at:]


def test_series_date_of_another_vr_is_none(by_date: tuple[Program, Path]) -> None:
    """Spec 7.6: only a DA counts."""
    for vr in ("LO", "UN"):
        assert directory_of(by_date, 3, with_date(date_element(b"20200102", vr))) in (
            undef()
        )


def test_series_date_within_a_sequence_is_none(by_date: tuple[Program, Path]) -> None:
    """Spec 7.6: only the top level counts."""
    encoding = Encoding.of(uids.EXPLICIT_LE)
    inner = encoding.item(date_element(b"20200102"), undefined=True)
    sequence = encoding.sequence(0x00081115, [inner], undefined=True)
    whole = object_of(transfer_syntax=uids.EXPLICIT_LE)
    at = whole.index(b"\x10\x00\x10\x00PN")
    assert directory_of(by_date, 3, whole[:at] + sequence + whole[at:]) in undef()


@pytest.mark.parametrize("context_id", [1, 3, 5, 7])
def test_series_date_is_found_in_every_encoding(
    by_date: tuple[Program, Path], context_id: int
) -> None:
    """Implicit VR takes DA from the dictionary; deflated data is inflated to look."""
    syntax = SYNTAX_OF_CONTEXT[context_id]
    data_set = object_of(
        pixel_bytes=3_000_000, transfer_syntax=syntax, series_date="20210304"
    )
    assert directory_of(by_date, context_id, data_set) == "data/2021/03/04"


def test_series_date_far_into_the_data_set_is_found(
    by_date: tuple[Program, Path],
) -> None:
    """A large element before it: the file is written before its directory is known."""
    encoding = Encoding.of(uids.EXPLICIT_LE)
    early = encoding.element(0x00080001, "OB", pattern(3_000_000))
    whole = object_of(transfer_syntax=uids.EXPLICIT_LE, series_date="20210304")
    assert directory_of(by_date, 3, early + whole) == "data/2021/03/04"


@pytest.mark.parametrize(
    ("given", "logged"),
    [(".", "./"), ("", "./"), ("sub", "sub/"), ("sub//", "sub/"), ("./sub/", "./sub/")],
)
def test_relative_output_directory_stays_relative_in_the_log(
    tmp_path: Path, given: str, logged: str
) -> None:
    """Spec 7.3."""
    (tmp_path / "sub").mkdir()
    program = storage_program(tmp_path, "-v", "-od", given)
    program.directory = tmp_path
    with program, RawScu(program.port) as scu:
        scu.associate()
        assert scu.store(object_of()).status == SUCCESS
        scu.release()
        program.wait_for_log(f"I: Stored received object to file: {logged}CT.1.2.3.4.5")
    assert (tmp_path / given / "CT.1.2.3.4.5").is_file()


@pytest.mark.parametrize(
    ("umask", "file_mode", "directory_mode"),
    [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o000, 0o666, 0o777)],
)
def test_permissions_follow_the_umask(
    tmp_path: Path, umask: int, file_mode: int, directory_mode: int
) -> None:
    """Spec 7.7."""
    out = tmp_path / "out"
    program = storage_program(tmp_path, "+ssd")
    program.before_exec = lambda: os.umask(umask) and None
    with program, RawScu(program.port) as scu:
        scu.associate()
        scu.store(object_of(series_date="20200102"))
        scu.release()
    for path in out.rglob("*"):
        expected = directory_mode if path.is_dir() else file_mode
        assert path.stat().st_mode & 0o777 == expected, path


# Memory


@pytest.mark.parametrize("option", [NORMAL, BIT_PRESERVING, "--ignore"])
def test_huge_object_is_received_in_bounded_memory(tmp_path: Path, option: str) -> None:
    """600 MB, of which neither side holds more than a little at a time."""
    piece = pattern(131_072 - 6)
    pieces = 600_000_000 // len(piece)
    head = object_of(pixel_bytes=0)[:-8]
    head += IMPLICIT.element(PIXEL_DATA, "OW", length=len(piece) * pieces)
    program = storage_program(tmp_path, option, "-pdu", "131072")
    with program, RawScu(program.port) as scu:
        scu.associate()
        scu.send(message(1, c_store_rq()))
        scu.send(p_data_tf(pdv(1, head, command=False, last=False)))
        middle = p_data_tf(pdv(1, piece, command=False, last=False))
        for _ in range(pieces - 1):
            scu.send(middle)
        scu.send(p_data_tf(pdv(1, piece, command=False, last=True)))
        assert scu.read_response(deadline_s=60).status == SUCCESS
        peaks = program.peak_memory_bytes()
        scu.release()
    assert max(peaks.values()) < MEMORY_LIMIT
    for path in (tmp_path / "out").iterdir():
        with path.open("rb") as file:
            file.seek(-len(piece), os.SEEK_END)
            assert file.read() == piece
        assert path.stat().st_size > len(piece) * pieces
        path.unlink()
