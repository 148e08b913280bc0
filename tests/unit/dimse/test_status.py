"""dimse.status: the codes of the standard."""

from dcmrecv.dimse.status import Status


def test_the_statuses_are_those_of_the_storage_service() -> None:
    """PS3.4 Table B.2-1; PS3.7 Annex C."""
    assert {status.name: status.value for status in Status} == {
        "SUCCESS": 0x0000,
        "DUPLICATE_SOP_INSTANCE": 0x0111,
        "OUT_OF_RESOURCES": 0xA700,
        "CANNOT_UNDERSTAND": 0xC000,
    }
