"""Any bytes are a command that we serve or a reason why not."""

from hypothesis import given
from hypothesis import strategies as st

from dcmrecv.dimse.command import parse
from tests.builders import command as build

uids = st.text(alphabet="0123456789.", min_size=1, max_size=64)


@given(uids, uids, st.integers(0, 65_535))
def test_what_is_sent_is_read(
    sop_class: str, sop_instance: str, message_id: int
) -> None:
    request = build.c_store_rq(
        sop_instance, sop_class_uid=sop_class, message_id=message_id
    )
    assert parse(request) == (
        "store",
        message_id,
        sop_class.encode(),
        sop_instance.encode(),
    )


@given(st.binary(max_size=600))
def test_garbage_is_refused_with_a_reason(garbage: bytes) -> None:
    kind, *rest = parse(garbage)
    assert kind == "refused"
    assert rest[0]


@given(st.data())
def test_a_damaged_request_is_read_or_refused(data: st.DataObject) -> None:
    request = bytearray(build.c_store_rq())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(request) - 1))
        request[at] = data.draw(st.integers(0, 255))
    assert parse(bytes(request))[0] in ("store", "echo", "refused")
