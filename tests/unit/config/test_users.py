"""The file of users: what is written is read, and nothing else."""

import os
import stat
from pathlib import Path

import pytest

from dcmrecv.config.users import (
    FILE_BYTES_MAX,
    NAME_BYTES_MAX,
    PASSCODE_BYTES_MAX,
    PasscodeHash,
    add_user,
    check_name,
    read_users,
)
from dcmrecv.errors import ConfigurationError

# RFC 7914 section 12, the third test vector, with the parameters of that section.
VECTOR = PasscodeHash(
    log2_n=14,
    r=8,
    p=1,
    salt=b"SodiumChloride",
    key=bytes.fromhex(
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    ),
)


def test_a_hash_is_scrypt() -> None:
    """RFC 7914 section 12."""
    assert VECTOR.matches(b"pleaseletmein")
    assert not VECTOR.matches(b"pleaseletmeim")
    assert PasscodeHash.parse(str(VECTOR)) == VECTOR


def test_the_same_passcode_has_another_hash_each_time() -> None:
    one, two = PasscodeHash.of(b"same"), PasscodeHash.of(b"same")
    assert one.key != two.key
    assert one.matches(b"same") and two.matches(b"same")
    assert not one.matches(b"Same")


@pytest.mark.parametrize(
    "cost",
    [
        "ln=0,r=8,p=1",
        "ln=14,r=0,p=1",
        "ln=14,r=8,p=0",
        "ln=14,r=8,p=17",
        "ln=16,r=8,p=1",
        "ln=16,r=1,p=1",
        "ln=99,r=99,p=1",
    ],
)
def test_a_hash_that_costs_too_much_or_nothing_is_refused(cost: str) -> None:
    """A worker has 64 MiB for everything; RFC 7914 section 6 for N and r."""
    text = str(VECTOR).replace("ln=14,r=8,p=1", cost)
    with pytest.raises(ValueError, match="hash"):
        PasscodeHash.parse(text)


@pytest.mark.parametrize("text", ["", "secret", "$scrypt$", "$apr1$aa$bbbb"])
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a hash"):
        PasscodeHash.parse(text)


def test_users_are_added_and_read(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add_user(str(path), b"anna", b"one")
    add_user(str(path), "bärbel".encode(), b"two")
    users = read_users(str(path))
    assert set(users) == {b"anna", "bärbel".encode()}
    assert users[b"anna"].matches(b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"one" not in path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["users"]


def test_a_changed_passcode_replaces_the_line_and_leaves_the_others(
    tmp_path: Path,
) -> None:
    path = tmp_path / "users"
    path.write_bytes(b"# the night shift\n\nanna:" + str(VECTOR).encode())
    path.chmod(0o640)
    add_user(str(path), b"bert", b"three")
    add_user(str(path), b"bert", b"four")
    lines = path.read_bytes().splitlines()
    assert lines[:3] == [b"# the night shift", b"", b"anna:" + str(VECTOR).encode()]
    assert len(lines) == 4
    assert read_users(str(path))[b"bert"].matches(b"four")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_followed(tmp_path: Path) -> None:
    """A configuration that is managed by links stays so."""
    (tmp_path / "link").symlink_to("target")
    add_user(str(tmp_path / "link"), b"anna", b"one")
    assert (tmp_path / "link").is_symlink()
    assert read_users(str(tmp_path / "target")).keys() == {b"anna"}


@pytest.mark.parametrize(
    "name",
    [b"", b"a:b", b"a\nb", b"#a", b" a", b"a ", b"\xff", b"a" * (NAME_BYTES_MAX + 1)],
)
def test_an_impossible_name_is_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(ConfigurationError, match="user name"):
        check_name(name)
    with pytest.raises(ConfigurationError, match="user name"):
        add_user(str(tmp_path / "users"), name, b"passcode")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("passcode", [b"", bytes(PASSCODE_BYTES_MAX + 1)])
def test_an_impossible_passcode_is_refused(tmp_path: Path, passcode: bytes) -> None:
    with pytest.raises(ConfigurationError, match="passcode must have"):
        add_user(str(tmp_path / "users"), b"anna", passcode)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"anna\n", "line 1: not a hash"),
        (b"# a comment\nanna:secret\n", "line 2: not a hash"),
        (b"anna:\xff\n", "line 1: "),
        (b":" + str(VECTOR).encode(), "line 1: user name"),
        (b"#" * (FILE_BYTES_MAX + 1), "larger than"),
    ],
)
def test_a_file_that_is_none_is_refused_as_a_whole(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    """Half of the users would be worse than none, and a passcode in clear is a slip."""
    path = tmp_path / "users"
    path.write_bytes(content)
    for use in (read_users, lambda name: add_user(name, b"bert", b"passcode")):
        with pytest.raises(ConfigurationError, match=complaint):
            use(str(path))
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_read_or_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_users(str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="null"):
        read_users("a\0b")
    with pytest.raises(ConfigurationError, match="cannot write user file"):
        add_user(os.fspath(tmp_path / "missing" / "users"), b"anna", b"passcode")
