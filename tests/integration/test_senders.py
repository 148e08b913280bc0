"""Senders of the field send pydicom's test files; each arrives whole, none is lost.

DCMTK's storescu and dcmsend and pynetdicom, over eight associations at once and over
one, in every storage mode, naming mode and subdirectory mode. Compared element by
element with what was sent, in bit preserving mode byte by byte where the sender passes
on the bytes of its file.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.builders import uids
from tests.builders.part10 import (
    MEDIA_STORAGE_SOP_INSTANCE_UID,
    TRANSFER_SYNTAX_UID,
    differences,
    read_data_set,
    read_part10,
)
from tests.builders.samples import (
    Sample,
    distinct_copies,
    one_of_each_transfer_syntax,
    sendable_files,
)
from tests.peers.program import Program, storage_program
from tests.peers.senders import dcmsend, echoscu, pynetdicom_send, storescu
from tests.peers.waiting import wait_until

NAMING = {
    "+fd": r"[A-Za-z0-9]+\.[0-9.]+",
    "+fu": r"[A-Za-z0-9]+\.X\.[0-9.]+",
    "+fsu": r"[A-Za-z0-9]+_[0-9a-f]{16}",
    "+fst": r"[0-9]{14}\.[0-9]{6}\.[A-Za-z0-9]+",
}
STORING = [("-B", naming, sub) for naming in NAMING for sub in ("-s", "+ssd")] + [
    ("+B", naming, "-s") for naming in NAMING
]
ASSOCIATIONS = 8


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Every sendable file of pydicom, each with a SOP Instance UID of its own."""
    return distinct_copies(tmp_path_factory.mktemp("samples"))


def receiver_of(samples: Sequence[Sample], tmp_path: Path, *options: str) -> Program:
    """A receiver that accepts what the samples need, and stores into "out"."""
    classes = sorted({sample.sop_class_uid for sample in samples})
    return storage_program(
        tmp_path, *options, abstract_syntaxes=[uids.VERIFICATION, *classes]
    )


def files_by_uid(output: Path) -> dict[str, Path]:
    """Every file below a directory by the UID in its File Meta Information."""
    paths = [path for path in output.rglob("*") if path.is_file()]
    files = {
        read_part10(path).meta_text(MEDIA_STORAGE_SOP_INSTANCE_UID): path
        for path in paths
    }
    assert len(files) == len(paths)
    return files


def assert_all_stored(samples: Sequence[Sample], output: Path) -> None:
    """Each sample is there with every element as it was sent, and nothing else is."""
    files = files_by_uid(output)
    assert set(files) == {sample.sop_instance_uid for sample in samples}
    for sample in samples:
        assert differences(sample.path, files[sample.sop_instance_uid]) == []


def send_in_parallel(
    program: Program, samples: Sequence[Sample], scratch: Path
) -> None:
    """Eight senders at once, each with an eighth of the files, all successful."""

    def send(number: int) -> tuple[int, str]:
        part = samples[number::ASSOCIATIONS]
        if number % 2:
            done = dcmsend(program.port, part)
        else:
            folder = scratch / f"sender-{number}"
            folder.mkdir()
            done = storescu(program.port, part, folder)
        return done.returncode, done.stdout

    with ThreadPoolExecutor(ASSOCIATIONS) as senders:
        for code, output in senders.map(send, range(ASSOCIATIONS)):
            assert code == 0, output


@pytest.mark.parametrize(("mode", "naming", "subdirectory"), STORING)
def test_eight_senders_at_once_lose_nothing(
    samples: tuple[Sample, ...],
    tmp_path: Path,
    mode: str,
    naming: str,
    subdirectory: str,
) -> None:
    """Every sendable test file, in every storage, naming and subdirectory mode."""
    out = tmp_path / "out"
    with receiver_of(samples, tmp_path, mode, naming, subdirectory) as program:
        send_in_parallel(program, samples, tmp_path)
    assert_all_stored(samples, out)
    for uid, path in files_by_uid(out).items():
        assert re.fullmatch(NAMING[naming], path.name)
        if naming == "+fd":
            assert path.name.endswith(f".{uid}")
        folder = str(path.parent.relative_to(out))
        if subdirectory == "-s":
            assert folder == "."
        else:
            assert re.fullmatch(expected_folder(path), folder)


def expected_folder(path: Path) -> str:
    """A pattern of the directory by the Series Date that a file has; spec 7.6."""
    date = str(read_data_set(path).get("SeriesDate") or "")
    if re.fullmatch(r"\d{8}", date) and date[4:6] != "00":
        return f"data/{date[:4]}/{date[4:6]}/{date[6:]}"
    return r"undef/\d{8}"


def test_ignore_mode_takes_everything_and_stores_nothing(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    """All senders see Success, the directory stays empty."""
    with receiver_of(samples, tmp_path, "--ignore") as program:
        send_in_parallel(program, samples, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("mode", ["-B", "+B"])
@pytest.mark.parametrize("sender", ["storescu", "dcmsend"])
def test_one_association_after_the_other(
    samples: tuple[Sample, ...], tmp_path: Path, sender: str, mode: str
) -> None:
    """All files by one sender; storescu needs one association, dcmsend some."""
    with receiver_of(samples, tmp_path, mode) as program:
        if sender == "storescu":
            done = storescu(program.port, samples, tmp_path)
        else:
            done = dcmsend(program.port, samples)
        assert done.returncode == 0, done.stdout
    assert_all_stored(samples, tmp_path / "out")


@pytest.mark.parametrize("pdu_size", ["4096", "131072"])
def test_storescu_with_other_pdu_sizes(
    samples: tuple[Sample, ...], tmp_path: Path, pdu_size: str
) -> None:
    """The smallest and the largest PDU that DCMTK's tools know."""
    with receiver_of(samples, tmp_path, "+B", "-pdu", pdu_size) as program:
        done = storescu(
            program.port,
            samples,
            tmp_path,
            "-pdu",
            pdu_size,
            "--max-send-pdu",
            pdu_size,
        )
        assert done.returncode == 0, done.stdout
    assert_all_stored(samples, tmp_path / "out")


def test_pynetdicom_in_bit_preserving_mode_byte_by_byte(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    """pynetdicom passes on the bytes of its files: they have to be the same."""
    with receiver_of(samples, tmp_path, "+B") as program:
        statuses = pynetdicom_send(program.port, samples)
    assert set(statuses.values()) == {0}
    files = files_by_uid(tmp_path / "out")
    assert set(files) == {sample.sop_instance_uid for sample in samples}
    for sample in samples:
        part10 = read_part10(files[sample.sop_instance_uid])
        assert part10.data_set == sample.data_set
        assert part10.meta_text(TRANSFER_SYNTAX_UID) == sample.transfer_syntax


def test_pynetdicom_in_normal_mode_in_every_transfer_syntax(tmp_path: Path) -> None:
    """One file of each transfer syntax that there is."""
    folder = tmp_path / "samples"
    folder.mkdir()
    chosen = distinct_copies(folder, one_of_each_transfer_syntax())
    with receiver_of(chosen, tmp_path, "-B") as program:
        assert set(pynetdicom_send(program.port, chosen).values()) == {0}
    assert_all_stored(chosen, tmp_path / "out")


def test_the_samples_have_every_transfer_syntax_that_matters() -> None:
    """The tests above are worth what their files are."""
    found = {sample.transfer_syntax for sample in sendable_files()}
    assert len(sendable_files()) >= 160
    assert found >= {
        uids.IMPLICIT_LE,
        uids.EXPLICIT_LE,
        uids.EXPLICIT_BE,
        uids.DEFLATED_LE,
        uids.JPEG_BASELINE,
        uids.JPEG_EXTENDED,
        uids.JPEG_LOSSLESS_SV1,
        uids.JPEG_LS_LOSSLESS,
        uids.JPEG_LS_LOSSY,
        uids.JPEG_2000_LOSSLESS,
        uids.JPEG_2000,
        uids.RLE_LOSSLESS,
    }


def test_the_shipped_default_profile_serves_storescu_and_dcmsend(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    """`-xf storescp.cfg Default` without a file of that name: the package's own."""
    out = tmp_path / "out"
    out.mkdir()
    arguments = ["-xf", "storescp.cfg", "Default", "-od", str(out)]
    with Program(arguments, directory=tmp_path) as program:
        done = dcmsend(program.port, samples)
        assert done.returncode == 0, done.stdout
    assert_all_stored(samples, out)


def test_promiscuous_takes_everything(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    """`--promiscuous`: every class and transfer syntax, as the sender offers it."""
    out = tmp_path / "out"
    out.mkdir()
    with Program(["--promiscuous", "-od", str(out)]) as program:
        done = storescu(program.port, samples, tmp_path)
        assert done.returncode == 0, done.stdout
    assert_all_stored(samples, out)


def test_echoscu_is_served_without_any_option() -> None:
    """The first thing a newcomer tries."""
    with Program(["-v"]) as program:
        done = echoscu(program.port)
        assert done.returncode == 0, done.stdout
        program.wait_for_log("I: Received Association Release Request")
    assert program.exit_code == 0


def test_abort_by_the_sender_is_logged(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    """storescu --abort ends its association with an A-ABORT, after the last answer."""
    with receiver_of(samples, tmp_path, "-v") as program:
        done = storescu(program.port, samples[:3], tmp_path, "--abort")
        assert done.returncode == 0, done.stdout
        program.wait_for_log("I: Received Association Abort Request")
    wait_until(lambda: len(list((tmp_path / "out").iterdir())) == 3, "three files")
    assert_all_stored(samples[:3], tmp_path / "out")
