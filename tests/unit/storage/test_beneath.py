"""storage.beneath: links in the output directory lead nowhere else."""

from pathlib import Path

import pytest

from dcmrecv.config.settings import StorageMode, StorageSettings, SubdirectoryMode
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving

SENT = data_set.object_of(series_date="20200102")
NAME = "CT.1.2.3.4.5"

STORED = (0, "")
LEADS_OUT = (
    (0xA700, "Cannot create file: symbolic link out of the directory"),
    (0xA700, "Cannot create file: Not a directory"),  # without openat2(2)
)


def store(directory: Path) -> tuple[int, str]:
    """The status of an object with a series date, and the comment on it."""
    storage = StorageSettings(
        output_directory=str(directory),
        mode=StorageMode.NORMAL,
        subdirectory_mode=SubdirectoryMode.SERIES_DATE,
    )
    with receiving(storage=storage) as (peer, receiver):
        peer.sendall(pdu.message(1, command.c_store_rq(), SENT))
        receiver.run()
        return receiver.status, receiver.fault_text


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory where a link might lead."""
    directory = tmp_path / "outside"
    (directory / "2020" / "01" / "02").mkdir(parents=True)
    (directory / "01" / "02").mkdir(parents=True)
    (directory / "02").mkdir()
    return directory


@pytest.mark.parametrize(
    "name", ["data", "data/2020", "data/2020/01", "data/2020/01/02"]
)
@pytest.mark.parametrize("relative", [False, True])
def test_a_planted_link_is_not_followed_out(
    tmp_path: Path, outside: Path, name: str, relative: bool
) -> None:
    """Whichever part of the path it stands for, whether there is something or not."""
    out = tmp_path / "out"
    link = out / name
    link.parent.mkdir(parents=True)
    up = "../" * len(link.parent.relative_to(tmp_path).parts)
    link.symlink_to(f"{up}outside" if relative else outside)
    before = sorted(outside.rglob("*"))
    assert link.is_dir()
    assert store(out) in LEADS_OUT
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    assert store(out) in LEADS_OUT
    assert sorted(outside.rglob("*")) == before
    assert not (tmp_path / "nowhere").exists()
    link.unlink()
    assert store(out) == STORED


def test_a_link_in_place_of_the_file_is_replaced(tmp_path: Path) -> None:
    """What it leads to stays as it is."""
    out = tmp_path / "out"
    directory = out / "data" / "2020" / "01" / "02"
    directory.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    (directory / NAME).symlink_to(precious)
    assert store(out) == STORED
    assert precious.read_bytes() == b"precious"
    assert not (directory / NAME).is_symlink()
    assert (directory / NAME).read_bytes().endswith(SENT)


def test_an_output_directory_that_is_a_link_is_followed(
    tmp_path: Path, outside: Path
) -> None:
    """The operator wants it so."""
    link = tmp_path / "link"
    link.symlink_to(outside)
    assert store(link) == STORED
    assert (outside / "data" / "2020" / "01" / "02" / NAME).is_file()
