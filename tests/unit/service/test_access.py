"""Who may open an association, and what a refused one is told."""

import os
from pathlib import Path

import pytest

from dcmrecv.config.settings import (
    AccessSettings,
    NetworkSettings,
    Settings,
)
from dcmrecv.config.users import PASSCODE_BYTES_MAX, add_user
from dcmrecv.errors import ConfigurationError
from dcmrecv.native.slot import SLOT_BYTES_SIZE, WorkerSlot
from dcmrecv.service.access import (
    NO_SEAT,
    AccessPolicy,
    Entrance,
    Refusal,
    Seats,
    TitlePatterns,
    UserFile,
    refused,
)
from dcmrecv.service.wording import Peer
from dcmrecv.ul.items import UserIdentity, UserInformation
from dcmrecv.ul.pdu import AssociationReject, AssociationRequest

HERE = "127.0.0.1"


def request(
    calling: bytes = b"CT1",
    called: bytes = b"ARCHIVE",
    user: UserIdentity | None = None,
) -> AssociationRequest:
    return AssociationRequest(
        calling=calling.ljust(16),
        called=called.ljust(16),
        user=UserInformation(user_identity=user),
    )


def told(
    access: AccessSettings,
    asked: AssociationRequest,
    address: str = HERE,
    ae_title: str | None = None,
) -> tuple[int, int, int] | None:
    """Result, source and reason; None when the request goes on."""
    refusal = AccessPolicy(access, ae_title, print).judge(address, asked)
    if refusal is None:
        return None
    return refusal.reject.result, refusal.reject.source, refusal.reject.reason


# Titles


@pytest.mark.parametrize(
    ("pattern", "title", "accepted"),
    [
        ("CT1", b"CT1             ", True),
        ("CT1", b"  CT1           ", True),
        (" CT1 ", b"CT1", True),
        ("CT1", b"CT1\0\0garbage", True),
        ("CT1", b"ct1", False),
        ("CT1", b"CT12", False),
        ("CT?", b"CT1", True),
        ("CT?", b"CT", False),
        ("CT*", b"CT", True),
        ("CT*", b"XCT", False),
        ("*", b"", True),
        ("*", b"\xff\n", True),
        ("C.1", b"CT1", False),
        ("[CT]", b"C", False),
        ("Ä", "Ä".encode(), True),
    ],
)
def test_a_title_matches_a_pattern(pattern: str, title: bytes, accepted: bool) -> None:
    """PS3.8 section 9.3.2: blanks around a title are not significant."""
    assert (title in TitlePatterns([pattern])) is accepted


def test_a_literal_title_has_no_wildcards() -> None:
    patterns = TitlePatterns(["MR*"], "A*")
    assert b"A*" in patterns and b"MR7" in patterns
    assert b"AB" not in patterns


# The order of questions


def test_without_settings_everybody_is_welcome() -> None:
    assert told(AccessSettings(), request()) is None


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        (AccessSettings(hosts=("10.0.0.0/8",)), (1, 1, 1)),
        (AccessSettings(called=("OTHER",)), (1, 1, 7)),
        (AccessSettings(calling=("OTHER",)), (1, 1, 3)),
        (AccessSettings(hosts=("10.0.0.0/8",), called=("X",)), (1, 1, 1)),
        (AccessSettings(called=("X",), calling=("X",)), (1, 1, 7)),
        (AccessSettings(calling=("MR*", "CT?"), called=("ARCH*",)), None),
    ],
)
def test_each_refusal_has_its_reason(
    access: AccessSettings, expected: tuple[int, int, int] | None
) -> None:
    """PS3.8 Table 9-21."""
    assert told(access, request()) == expected


def test_our_own_title_is_accepted_besides_the_patterns() -> None:
    access = AccessSettings(called=("TEST*",))
    for called, expected in (
        (b"MAIN", None),
        (b"TEST7", None),
        (b"ARCHIVE", (1, 1, 7)),
    ):
        assert told(access, request(called=called), ae_title="MAIN") == expected


# Users


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    add_user(str(path), b"anna", b"secret")
    return path


@pytest.mark.parametrize(
    ("user", "accepted"),
    [
        (UserIdentity(2, 0, b"anna", b"secret"), True),
        (UserIdentity(2, 0, b"anna", b"Secret"), False),
        (UserIdentity(2, 0, b"anna", b""), False),
        (UserIdentity(2, 0, b"anna", b"x" * (PASSCODE_BYTES_MAX + 1)), False),
        (UserIdentity(2, 0, b"bert", b"secret"), False),
        (UserIdentity(1, 0, b"anna"), False),
        (UserIdentity(3, 0, b"ticket"), False),
        (UserIdentity(9, 0, b"anna", b"secret"), False),
        (None, False),
    ],
)
def test_only_a_known_user_with_the_passcode_is_accepted(
    user_file: Path, user: UserIdentity | None, accepted: bool
) -> None:
    """PS3.7 section D.3.3.7."""
    access = AccessSettings(user_file=str(user_file))
    assert told(access, request(user=user)) == (None if accepted else (1, 1, 1))


def test_no_text_about_a_refusal_holds_the_passcode(user_file: Path) -> None:
    policy = AccessPolicy(AccessSettings(user_file=str(user_file)), None, print)
    for name in (b"anna", b"bert\n"):
        asked = request(user=UserIdentity(2, 0, name, b"Passw0rd"))
        refusal = policy.judge(HERE, asked)
        assert refusal is not None
        line = refused(Peer(HERE, "CT1"), refusal)
        assert "Passw0rd" not in line + repr(asked) + repr(refusal)
        assert "\n" not in line


def test_a_changed_file_counts_at_once(user_file: Path) -> None:
    """A passcode that was right before is wrong afterwards, verified or not."""
    users = UserFile(str(user_file), print)
    assert users.knows(b"anna", b"secret")
    assert not users.knows(b"bert", b"word")
    add_user(str(user_file), b"anna", b"changed")
    add_user(str(user_file), b"bert", b"word")
    assert not users.knows(b"anna", b"secret")
    assert users.knows(b"anna", b"changed") and users.knows(b"bert", b"word")


def test_a_file_that_breaks_leaves_the_users_and_is_reported_once(
    user_file: Path,
) -> None:
    reports: list[str] = []
    users = UserFile(str(user_file), reports.append)
    user_file.write_text("nonsense")
    for _ in range(3):
        assert users.knows(b"anna", b"secret")
    assert len(reports) == 1 and "line 1" in reports[0]
    os.unlink(user_file)
    assert users.knows(b"anna", b"secret")
    assert len(reports) == 2


def test_verified_identities_are_forgotten_in_the_end(
    user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcmrecv.service.access._VERIFIED_MAX", 1)
    add_user(str(user_file), b"bert", b"word")
    users = UserFile(str(user_file), print)
    for _ in range(2):
        assert users.knows(b"anna", b"secret") and users.knows(b"bert", b"word")


def test_a_missing_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    access = AccessSettings(user_file=str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="cannot read user file"):
        AccessPolicy(access, None, print)


# Seats


def test_a_host_has_so_many_seats_among_all_workers() -> None:
    memory = bytearray(6 * SLOT_BYTES_SIZE)
    pauses: list[float] = []
    seats = [Seats(WorkerSlot(memory, n), 2, pauses.append) for n in range(6)]
    assert seats[0].take(HERE) and seats[1].take(HERE)
    assert not pauses
    assert not seats[2].take(HERE)
    assert 0.01 < sum(pauses) < 0.2
    assert seats[2].take("127.0.0.2") and seats[3].take("::1") and seats[4].take("::1")
    assert not seats[5].take("::1")
    seats[0].leave()
    assert seats[5].take(HERE)


def test_a_seat_that_gets_free_during_the_pauses_is_taken() -> None:
    """A sender that comes back at once meets its own last connection's end."""
    memory = bytearray(2 * SLOT_BYTES_SIZE)
    first = Seats(WorkerSlot(memory, 0), 1)
    assert first.take(HERE)
    assert Seats(WorkerSlot(memory, 1), 1, lambda pause_s: first.leave()).take(HERE)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "unknown"])
def test_no_address_looks_like_an_empty_seat(address: str) -> None:
    memory = bytearray(2 * SLOT_BYTES_SIZE)
    assert Seats(WorkerSlot(memory, 0), 1).take(address)
    assert not Seats(WorkerSlot(memory, 1), 1, lambda pause_s: None).take(address)


# The entrance


def settings(access: AccessSettings) -> Settings:
    return Settings(network=NetworkSettings(port=0), access=access)


def test_there_is_no_entrance_when_nothing_was_asked_for() -> None:
    slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0)
    assert Entrance.of(settings(AccessSettings()), slot, print) is None


def test_the_entrance_asks_and_seats() -> None:
    memory = bytearray(2 * SLOT_BYTES_SIZE)
    access = AccessSettings(calling=("CT*",), max_per_host=1)
    made = [
        Entrance.of(settings(access), WorkerSlot(memory, number), print)
        for number in range(2)
    ]
    one, two = made
    assert one is not None and two is not None
    assert one.judge(HERE, request()) is None
    assert one.judge(HERE, request(calling=b"MR1")) is not None
    assert one.enter(HERE)
    assert not two.enter(HERE)
    one.leave()
    assert two.enter(HERE)


def test_without_a_limit_everybody_has_a_seat() -> None:
    slot = WorkerSlot(bytearray(SLOT_BYTES_SIZE), 0)
    entrance = Entrance.of(settings(AccessSettings(calling=("*",))), slot, print)
    assert entrance is not None
    assert entrance.enter(HERE)
    entrance.leave()


def test_the_line_about_a_refusal_names_peer_step_and_reason() -> None:
    refusal = Refusal("calling AE title is not accepted", AssociationReject(1, 1, 3))
    assert refused(Peer("10.1.2.3", "CT1"), refusal) == (
        "Refusing Association (calling AE title is not accepted): "
        "CT1 at 10.1.2.3, A-ASSOCIATE-RJ 1,1,3"
    )
    assert "2,3,2" in refused(Peer("10.1.2.3"), NO_SEAT)
