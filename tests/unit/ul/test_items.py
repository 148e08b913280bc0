"""ul.items: the walk over items, and the user information item."""

import struct

import pytest

from dcmrecv.errors import ProtocolViolation
from dcmrecv.ul.items import (
    AsynchronousOperationsWindow,
    ExtendedNegotiation,
    ItemType,
    ItemWalk,
    RoleSelection,
    UserIdentity,
    UserInformation,
    UserInformationReader,
    encode_extended_negotiation,
    encode_user_information,
    overrun,
    read_text,
    secret_at,
)
from tests.builders import pdu
from tests.builders.uids import CT_IMAGE


def read(*sub_items: bytes) -> UserInformation:
    """What one user information item of these sub-items says."""
    reader = UserInformationReader()
    reader.read(b"".join(sub_items), ItemWalk())
    return reader.finish()


def refusal(*sub_items: bytes) -> str:
    """Why they cannot be read."""
    with pytest.raises(ProtocolViolation) as caught:
        read(*sub_items)
    assert caught.value.abort == (2, 6)  # invalid PDU parameter value, Table 9-26
    return str(caught.value)


def test_items_come_in_the_order_of_the_bytes() -> None:
    data = pdu.item(0x99, b"abc") + pdu.item(0x10, b"") + pdu.item(0x99, b"d")
    walked = list(ItemWalk().split(data))
    assert walked == [(0x99, b"abc"), (0x10, b""), (0x99, b"d")]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_cut_item_header_is_refused(size: int) -> None:
    with pytest.raises(ProtocolViolation, match=f"Got {size} bytes of data"):
        list(ItemWalk().split(pdu.item(0x99, b"") + b"\x10\x00\x00"[:size]))


def test_an_item_longer_than_what_holds_it_is_refused() -> None:
    with pytest.raises(ProtocolViolation, match="with a length field of 4 "):
        list(ItemWalk().split(pdu.item(0x99, b"abc", length=4)))


def test_the_number_of_items_in_a_pdu_is_bounded() -> None:
    """One budget, however the items are nested."""
    walk = ItemWalk()
    some = pdu.item(0x99, b"") * 10_000
    assert len(list(walk.split(some))) == 10_000
    with pytest.raises(ProtocolViolation, match="more than 16384 items"):
        list(walk.split(some))


@pytest.mark.parametrize(
    ("kind", "size", "text"),
    [
        (0x20, 999, "DUL Illegal presentation context. Got 7 bytes of data with a "),
        (0x30, 64, "DUL Illegal subitem. Got 7 bytes of data with a length field of 6"),
        (0x40, 65, "DUL illegal subitem length 65. Maximum allowed size is 64."),
        (0x50, 999, "DUL Illegal user info. Got 7 bytes of data with a length field "),
        (0x99, 999, "DUL Illegal dummy item. Got 7 bytes of data with a length fiel"),
    ],
)
def test_an_overrun_is_told_in_the_words_of_dcmtk(
    kind: int, size: int, text: str
) -> None:
    """Observed with dcmrecv 3.6.7, spec section 5.7."""
    assert overrun(kind, 7, size).startswith(text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"1.2.3", "1.2.3"),
        (b"1.2.3\0", "1.2.3"),
        (b"1.2.3\0\x004", "1.2.3"),
        (b"1.2.3 ", "1.2.3 "),
        (b"", ""),
        (b"1" * 64, "1" * 64),
    ],
)
def test_text_ends_at_a_nul_and_keeps_its_blanks(body: bytes, text: str) -> None:
    assert read_text(body) == text


def test_text_longer_than_64_bytes_is_refused() -> None:
    with pytest.raises(ProtocolViolation, match="illegal subitem length 65"):
        read_text(b"1" * 65)


def test_nothing_is_a_user_information_of_its_own() -> None:
    assert read() == UserInformation()


def test_every_sub_item_is_read() -> None:
    found = read(
        pdu.maximum_length(5_000),
        pdu.implementation_class_uid("1.2.3"),
        pdu.asynchronous_operations_window(5, 6),
        pdu.role_selection("1.2.4", scu=1, scp=0),
        pdu.role_selection("1.2.5", scu=0, scp=1),
        pdu.item(0x55, b"VERSION"),
        pdu.extended_negotiation("1.2.6", b"\1\2\3"),
        pdu.user_identity("me", response_requested=True),
    )
    assert found == UserInformation(
        max_length=5_000,
        implementation_class_uid="1.2.3",
        asynchronous_operations_window=AsynchronousOperationsWindow(5, 6),
        roles=(RoleSelection("1.2.4", 1, 0), RoleSelection("1.2.5", 0, 1)),
        implementation_version_name="VERSION",
        extended_negotiation=(ExtendedNegotiation("1.2.6", b"\1\2\3"),),
        user_identity=UserIdentity(1, 1, b"me"),
    )


def test_unknown_sub_items_are_skipped() -> None:
    """0x57 common extended negotiation has no answer; 0x77 does not exist."""
    common = pdu.item(0x57, b"\0\x03")
    assert read(common, pdu.item(0x77, b"abc")) == UserInformation()


def test_of_a_repeated_sub_item_the_last_counts() -> None:
    """As dcmrecv 3.6.7 does; roles are a list, see the negotiation."""
    found = read(
        pdu.maximum_length(5_000),
        pdu.maximum_length(7_000),
        pdu.implementation_class_uid("1.2"),
        pdu.implementation_class_uid("9.9"),
        pdu.user_identity("me", response_requested=False),
        pdu.user_identity("you", response_requested=False),
    )
    assert (found.max_length, found.implementation_class_uid) == (7_000, "9.9")
    assert found.user_identity == UserIdentity(1, 0, b"you")


def test_a_version_name_is_cut_at_16_characters() -> None:
    long = pdu.item(0x55, b"ABCDEFGHIJKLMNOPQ")
    assert read(long).implementation_version_name == "ABCDEFGHIJKLMNOP"


def test_a_longer_maximum_length_is_read_from_its_first_four_bytes() -> None:
    assert read(pdu.item(0x51, b"\0\0\x40\0\0\0\0\1")).max_length == 16_384


@pytest.mark.parametrize("body", [b"", b"\0\5", b"\0\5\0\6\0\0"])
def test_a_window_of_another_size_is_no_window(body: bytes) -> None:
    assert read(pdu.item(0x53, body)).asynchronous_operations_window is None


def test_a_role_may_have_bytes_behind_it() -> None:
    role = pdu.item(0x54, b"\0\x031.2\1\0\1\1\1")
    assert read(role).roles == (RoleSelection("1.2", 1, 0),)


def test_a_class_with_a_trailing_nul_is_the_class() -> None:
    found = read(pdu.role_selection(CT_IMAGE + "\0", scu=1, scp=1))
    assert found.roles == (RoleSelection(CT_IMAGE, 1, 1),)


@pytest.mark.parametrize(
    ("sub_item", "text"),
    [
        (
            pdu.item(0x51, b"\0\0"),
            "DUL Illegal Max PDU. Got 6 bytes of data. The minimum allowed size is 8.",
        ),
        (
            pdu.item(0x54, b"\0\3"),
            "DUL Illegal SCU-SCP role list. Got 6 bytes of data. "
            "The minimum allowed size is 8.",
        ),
        (
            pdu.item(0x54, b"\0\x191.2.3"),
            "DUL Illegal SCU-SCP role list UID. Got 7 bytes of data with a length "
            "field of 25 (data before length field is not included in length field).",
        ),
        (
            pdu.item(0x56, b"\0"),
            "DUL Illegal extended negotiation. Got 5 bytes of data. "
            "The minimum allowed size is 6.",
        ),
        (
            pdu.item(0x58, b"\2"),
            "DUL user identity rq length 5. Need at least 10 bytes",
        ),
        (
            pdu.item(0x58, b"\2\1\0\4us"),
            "DUL illegal user identify rq length 10. Info claims to be 6 bytes. "
            "Primary field has 4 bytes.",
        ),
        (
            pdu.item(0x58, b"\2\1\0\4user\0\x20pp"),
            "DUL illegal user identify rq length 16. Info claims to be 12 bytes. "
            "Primary field has 4 bytes. Secondary field has 32 bytes.",
        ),
        (pdu.item(0x52, b"1" * 65), "DUL illegal subitem length 65. Maximum allowed "),
        (pdu.item(0x55, b"A" * 65), "DUL illegal subitem length 65. Maximum allowed "),
    ],
)
def test_a_sub_item_that_cannot_be_is_refused_in_the_words_of_dcmtk(
    sub_item: bytes, text: str
) -> None:
    """Observed with dcmrecv 3.6.7."""
    assert refusal(sub_item).startswith(text)


def test_our_own_sub_items_are_in_ascending_order() -> None:
    """PS3.7 section D.3.3 wants no order; this is the one of DCMTK."""
    wire = encode_user_information(
        UserInformation(
            max_length=16_384,
            implementation_class_uid="1.2.3",
            asynchronous_operations_window=AsynchronousOperationsWindow(64, 1),
            roles=(RoleSelection("1.2.4", 1, 0),),
            implementation_version_name="NAME",
            extended_negotiation=(ExtendedNegotiation("1.2.6", b"\1\2\3"),),
        )
    )
    assert wire == (
        b"\x50\x00\x00\x3c"  # user information, 60 bytes
        b"\x51\x00\x00\x04\x00\x00\x40\x00"  # maximum length 16384
        b"\x52\x00\x00\x051.2.3"  # implementation class UID
        b"\x53\x00\x00\x04\x00\x40\x00\x01"  # 64 invoked, 1 performed
        b"\x54\x00\x00\x09\x00\x051.2.4\x01\x00"  # role selection, SCU
        b"\x55\x00\x00\x04NAME"  # implementation version name
        b"\x56\x00\x00\x0a\x00\x051.2.6\x01\x02\x03"  # extended negotiation
    )


def test_a_user_identity_has_both_fields() -> None:
    """PS3.7 Table D.3-14."""
    identity = UserIdentity(2, 1, b"user", b"pass")
    wire = encode_user_information(UserInformation(user_identity=identity))
    assert wire.endswith(b"\x58\x00\x00\x0e\x02\x01\x00\x04user\x00\x04pass")


def test_text_that_is_absent_has_no_sub_item() -> None:
    wire = encode_user_information(UserInformation())
    assert wire == pdu.item(0x50, pdu.maximum_length(0))


def test_an_item_that_does_not_fit_its_length_field_is_not_sent() -> None:
    huge = ExtendedNegotiation("1.2", bytes(65_600))
    with pytest.raises(struct.error):
        encode_extended_negotiation(huge)


def test_item_types_are_those_of_the_standard() -> None:
    """PS3.8 Annex D, PS3.7 Annex D.3.3."""
    assert ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW == 0x53
    assert ItemType.USER_IDENTITY == 0x58


def test_an_identity_response_is_a_sub_item_with_a_length() -> None:
    """PS3.7 Table D.3-15."""
    wire = encode_user_information(UserInformation(identity_response=b"ok"))
    assert wire.endswith(bytes.fromhex("59 00 0004 0002") + b"ok")


@pytest.mark.parametrize("further", [b"", pdu.item(0x55, b"VERSION")])
def test_a_user_identity_begins_what_nobody_may_see(further: bytes) -> None:
    context = pdu.item(0x20, b"\1\0\0\0" + pdu.item(0x30, b"9"))
    before = pdu.item(0x10, b"1.2") + context
    identity = pdu.user_identity("me", response_requested=True)
    inside = pdu.maximum_length(5_000) + identity + further
    items = before + pdu.item(0x50, inside)
    at = secret_at(items)
    assert items[at - 4 : at] == identity[:4]
    harmless = before + pdu.item(0x50, pdu.maximum_length(5_000))
    assert secret_at(harmless) == len(harmless)
    assert secret_at(before) == len(before)
    assert secret_at(b"") == 0


def test_what_stands_behind_a_broken_item_is_not_shown() -> None:
    """It may be a user identity for all we know."""
    broken = pdu.item(0x20, b"secret", length=7)
    assert secret_at(broken) == 4
    assert secret_at(pdu.item(0x10, b"1.2") + b"abc") == 7
    assert secret_at(pdu.item(0x50, pdu.item(0x51, b"secret", length=99))) == 8
