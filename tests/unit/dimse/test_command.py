"""dimse.command: what is served, what is refused, what is answered. Spec 6.1 to 6.3."""

import pytest

from dcmrecv.dimse.command import odd_uids, parse, respond
from tests.builders import command as build
from tests.builders.uids import CT_IMAGE, VERIFICATION

CT = CT_IMAGE.encode()


def test_a_store_request_is_read() -> None:
    assert parse(build.c_store_rq("1.2.3", message_id=65_535)) == (
        "store",
        65_535,
        CT,
        b"1.2.3",
    )


def test_an_echo_request_is_read() -> None:
    assert parse(build.c_echo_rq(7)) == ("echo", 7, VERIFICATION.encode())


@pytest.mark.parametrize("group_length", [None, 0, 4, 0xFFFFFFFF])
def test_the_group_length_does_not_matter(group_length: int | None) -> None:
    assert parse(build.c_store_rq(group_length=group_length))[0] == "store"


@pytest.mark.parametrize(
    "uid",
    [
        " 1.2.3.4 ",
        b"1.2.3.4\0",
        b"1.2.3.4\0\0\0",
        b"  1.2.3.4",
        b"1.2.3.4\0x",
        "\t1.2.3.4\r\n",
    ],
)
def test_padding_is_not_part_of_a_uid(uid: str | bytes) -> None:
    assert parse(build.c_store_rq(uid))[3] == b"1.2.3.4"


def test_the_characters_of_a_uid_are_not_checked() -> None:
    assert parse(build.c_store_rq("../../x"))[3] == b"../../x"


def test_64_characters_are_the_longest_uid() -> None:
    assert parse(build.c_store_rq("1" * 64))[0] == "store"
    assert parse(build.c_store_rq("1" * 65)) == (
        "refused",
        "Command set: impossible value of element (0000,1000)",
    )


@pytest.mark.parametrize(
    "extra",
    [
        {build.MOVE_ORIGINATOR_AE_TITLE: "ME", build.MOVE_ORIGINATOR_MESSAGE_ID: 3},
        {0x5010: b"junk"},
        {0x1099: b""},
    ],
)
def test_other_elements_do_not_matter(extra: dict[int, build.Value]) -> None:
    assert parse(build.c_store_rq(changes=extra))[0] == "store"


@pytest.mark.parametrize("data_set_type", [0, 1, 0x0102, 0xFFFF])
def test_every_data_set_type_but_one_announces_a_data_set(data_set_type: int) -> None:
    """PS3.7 section 9.3.1.1: only 0101H means that none follows."""
    changes = {build.DATA_SET_TYPE: data_set_type}
    assert parse(build.c_store_rq(changes=changes))[0] == "store"


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        (build.AFFECTED_SOP_CLASS_UID, "0002"),
        (build.COMMAND_FIELD, "0100"),
        (build.MESSAGE_ID, "0110"),
        (build.PRIORITY, "0700"),
        (build.DATA_SET_TYPE, "0800"),
        (build.AFFECTED_SOP_INSTANCE_UID, "1000"),
    ],
)
def test_a_store_request_without_a_mandatory_element_is_refused(
    tag: int, name: str
) -> None:
    assert parse(build.c_store_rq(changes={tag: None})) == (
        "refused",
        f"Command set lacks element (0000,{name})",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {build.DATA_SET_TYPE: build.NO_DATA_SET},
        {build.AFFECTED_SOP_INSTANCE_UID: b"  "},
    ],
)
def test_a_store_request_with_an_impossible_value_is_refused(
    changes: dict[int, build.Value | None],
) -> None:
    result, text = parse(build.c_store_rq(changes=changes))
    assert result == "refused"
    assert "impossible value" in text


def test_an_empty_sop_class_is_read() -> None:
    """Observed: only an empty SOP Instance UID is refused."""
    changes = {build.AFFECTED_SOP_CLASS_UID: b""}
    assert parse(build.c_store_rq(changes=changes))[:3] == ("store", 9, b"")


def test_an_echo_request_with_a_data_set_is_refused() -> None:
    assert parse(build.c_echo_rq(changes={build.DATA_SET_TYPE: 0}))[0] == "refused"


def test_another_command_is_refused_in_the_words_of_the_original() -> None:
    assert parse(build.request(build.C_FIND_RQ)) == (
        "refused",
        "cannot handle this kind of DIMSE command (0x0020), we are a Storage SCP only",
    )


@pytest.mark.parametrize("cut", range(1, 90))
def test_a_cut_command_set_is_refused(cut: int) -> None:
    assert parse(build.c_store_rq()[:-cut])[0] == "refused"


def test_a_length_near_the_end_of_its_range_does_not_wrap() -> None:
    broken = build.c_store_rq() + b"\0\0\2\0\xf8\xff\xff\xff"
    assert parse(broken)[1].startswith("Malformed command set at offset")


def response(wire: bytes) -> dict[int, bytes]:
    return build.parse_command_set(wire[12:])


def test_a_store_response_echoes_ids_and_uids_in_one_pdu() -> None:
    """PS3.7 section 9.3.1.2; spec 6.2."""
    request = build.c_store_rq("1.2.3", message_id=513)
    wire = respond(request, 0, b"", 5, 16_384)
    assert wire[:2] == b"\x04\x00"
    assert wire[10:12] == b"\x05\x03"
    assert response(wire) == {
        0x0000: len(wire[12:][12:]).to_bytes(4, "little"),
        0x0002: CT + b"\0",
        0x0100: b"\x01\x80",
        0x0120: b"\x01\x02",
        0x0800: b"\x01\x01",
        0x0900: b"\x00\x00",
        0x1000: b"1.2.3\0",
    }


def test_a_failure_carries_an_error_comment_of_64_characters_at_most() -> None:
    wire = respond(build.c_store_rq(), 0xA700, b"x" * 100, 1, 16_384)
    assert response(wire)[0x0902] == b"x" * 64
    wire = respond(build.c_store_rq(), 0xA700, b"odd", 1, 16_384)
    assert response(wire)[0x0902] == b"odd "


def test_an_echo_response_has_no_instance() -> None:
    wire = respond(build.c_echo_rq(7), 0, b"", 1, 0)
    assert sorted(response(wire)) == [0, 0x0002, 0x0100, 0x0120, 0x0800, 0x0900]


@pytest.mark.parametrize("peer_max_pdu", [1, 8, 10, 60, 119])
def test_an_answer_never_exceeds_what_the_peer_can_take(peer_max_pdu: int) -> None:
    """PS3.8 section D.1: the peer's maximum length bounds our P-DATA-TF PDUs."""
    request = build.c_store_rq()
    whole = respond(request, 0, b"", 1, 0)[12:]
    wire = respond(request, 0, b"", 1, peer_max_pdu)
    joined = b""
    while wire:
        length = int.from_bytes(wire[2:6], "big")
        assert length <= max(peer_max_pdu, 8)
        pdu, wire = wire[: 6 + length], wire[6 + length :]
        assert pdu[11] == (0x01 if wire else 0x03)
        joined += pdu[12:]
    assert joined == whole


@pytest.mark.parametrize(
    ("uid", "odd"),
    [
        (b"1.2.3\0", 0),
        (b"1.20", 0),
        (b"0.0\0", 0),
        (b"1" * 64, 0),
        (b"1.2.3", 0),
        (b"1.2\0\0", 1),
        (b"1.2.3 ", 1),
        (b" 1.2.3", 1),
        (b"1.02\0", 1),
        (b"1..2", 1),
        (b".1.2", 1),
        (b"1.2.", 1),
        (b"1.a2", 1),
        (b"", 1),
        (b"1" * 64 + b"\0\0", 1),
    ],
)
def test_a_uid_that_is_none_by_the_standard_is_counted(uid: bytes, odd: int) -> None:
    """PS3.5 section 9.1 and Table 6.2-1; one NUL pads to an even length."""
    assert odd_uids(build.c_store_rq(b"1.2\0", sop_class_uid=uid)) == odd


def test_both_uids_are_looked_at_and_of_an_echo_the_only_one() -> None:
    both = build.c_store_rq(b"1.2 ", sop_class_uid=b" 1.2")
    assert odd_uids(both) == 2
    assert odd_uids(build.c_echo_rq(1)) == 0
    assert odd_uids(both[:-1]) == 0
