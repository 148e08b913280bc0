"""ul.pdata: P-DATA-TF framing, whole and in pieces. PS3.8 section 9.3.5, Annex E."""

import pytest

from dcmrecv.native.buffer import AlignedBuffer
from dcmrecv.native.fault import FaultCode
from dcmrecv.ul.pdata import PDataReader
from tests.builders import pdu


def reader(window: int = 65_536) -> PDataReader:
    own = PDataReader(AlignedBuffer(window))
    own.accept([1, 3])
    return own


def command(data: bytes = b"cc", context_id: int = 1) -> bytes:
    return pdu.pdv(context_id, data, command=True, last=True)


def data(piece: bytes, *, last: bool, context_id: int = 1) -> bytes:
    return pdu.pdv(context_id, piece, command=False, last=last)


def test_a_message_in_two_pdus_is_a_command_set_and_a_data_set() -> None:
    wire = pdu.p_data_tf(command()) + pdu.p_data_tf(data(b"abcd", last=True))
    assert reader().feed(wire) == [
        ("command", 1, b"cc"),
        ("data", b"abcd"),
        ("data set",),
    ]


def test_several_pdvs_in_one_pdu_are_read_in_order() -> None:
    """DECISIONS row 6: the original aborts or crashes here."""
    wire = pdu.p_data_tf(
        pdu.pdv(1, b"c", command=True, last=False),
        command(b"d"),
        data(b"ab", last=False),
        data(b"", last=False),
        data(b"cde", last=True),
        command(b"e", 3),
    )
    assert reader().feed(wire) == [
        ("command", 1, b"cd"),
        ("data", b"abcde"),
        ("data set",),
        ("command", 3, b"e"),
    ]


def test_an_empty_pdu_is_read_over() -> None:
    wire = pdu.p_data_tf() + pdu.p_data_tf(command())
    assert reader().feed(wire) == [("command", 1, b"cc")]


def test_empty_pdus_without_end_are_a_fault() -> None:
    events = reader().feed(pdu.p_data_tf() * 70_000)
    assert [event[:2] for event in events] == [("fault", FaultCode.PDV_LENGTH)]


def test_reserved_bits_of_the_message_control_header_do_not_matter() -> None:
    wire = pdu.p_data_tf(pdu.pdv(1, b"cc", command=True, last=True, reserved_bits=0xFC))
    assert reader().feed(wire) == [("command", 1, b"cc")]


def test_a_full_window_is_handed_over_before_the_next_byte_lands() -> None:
    wire = pdu.p_data_tf(command()) + pdu.p_data_tf(data(bytes(10_000), last=True))
    events = reader(window=4_096).feed(wire)
    assert [len(event[1]) for event in events if event[0] == "data"] == [
        4_096,
        4_096,
        1_808,
    ]


def test_a_release_request_ends_a_message_half_way() -> None:
    wire = pdu.p_data_tf(command()) + pdu.p_data_tf(data(b"ab", last=False))
    assert reader().feed(wire + pdu.release_rq())[-1] == ("release",)


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (pdu.p_data_tf(command(context_id=5)), FaultCode.PDV_CONTEXT),
        (pdu.p_data_tf(data(b"ab", last=True)), FaultCode.PDV_KIND),
        (pdu.p_data_tf(command(), command()), FaultCode.PDV_KIND),
        (
            pdu.p_data_tf(command(), data(b"ab", last=True, context_id=3)),
            FaultCode.CONTEXT_DIFFERS,
        ),
        (pdu.p_data_tf(b"\0\0\0\1\1\3"), FaultCode.PDV_LENGTH),
        (pdu.p_data_tf(b"\0\0\0\0\1\3"), FaultCode.PDV_LENGTH),
        (pdu.p_data_tf(b"\xff\xff\xff\xff\1\3"), FaultCode.PDV_LENGTH),
        (pdu.p_data_tf(b"\0\0\0\7\1\3abcd"), FaultCode.PDV_LENGTH),
        (pdu.pdu(4, b"", length=5), FaultCode.PDV_LENGTH),
        (pdu.pdu(4, b"", length=1), FaultCode.PDV_LENGTH),
        (pdu.p_data_tf(command(), b"abc"), FaultCode.PDV_LENGTH),
        (pdu.pdu(4, b"", length=1_048_577), FaultCode.PDU_LENGTH),
        (pdu.pdu(5, b"", length=5), FaultCode.PDU_LENGTH),
        (pdu.pdu(1, bytes(68)), FaultCode.UNEXPECTED_PDU),
        (pdu.release_rp(), FaultCode.UNEXPECTED_PDU),
        (pdu.pdu(0, b""), FaultCode.UNRECOGNIZED_PDU),
        (pdu.pdu(8, b""), FaultCode.UNRECOGNIZED_PDU),
        (pdu.abort(2, 1), FaultCode.PEER_ABORTED),
        (
            pdu.fragmented(1, bytes(20_000), command=True, pdu_size=4_096),
            FaultCode.COMMAND_LENGTH,
        ),
    ],
)
def test_what_no_message_can_be_made_of_is_a_fault(wire: bytes, code: int) -> None:
    events = reader().feed(wire)
    assert events[-1][:2] == ("fault", code)


def test_a_pdu_of_the_announced_length_is_not_too_long() -> None:
    wire = pdu.p_data_tf(command(bytes(16_378)))
    assert reader().feed(wire[:6]) == []
    assert len(wire) == 6 + 16_384


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (pdu.p_data_tf(command(bytes(16_379)))[:6], FaultCode.PDU_LENGTH),
        (pdu.p_data_tf(), FaultCode.PDV_LENGTH),
        (pdu.p_data_tf(command(b"odd")), FaultCode.PDV_LENGTH),
    ],
)
def test_what_is_odd_is_a_fault_for_a_strict_reader_only(
    wire: bytes, code: int
) -> None:
    """Longer than announced, without a PDV, and a fragment of odd length."""
    assert "fault" not in {event[0] for event in reader().feed(wire)}
    strict = reader()
    strict.forbid_oddities()
    assert strict.feed(wire)[-1][:2] == ("fault", code)


def test_the_longest_pdu_that_is_read_has_a_mebibyte() -> None:
    """Far more than announced; its bytes are read as they come."""
    long = data(bytes(1_048_570), last=True)
    events = reader().feed(pdu.p_data_tf(command()) + pdu.p_data_tf(long))
    assert sum(len(event[1]) for event in events if event[0] == "data") == 1_048_570
    assert events[-1] == ("data set",)
