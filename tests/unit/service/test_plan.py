"""The accepted presentation contexts; what files make of them is in test_receiver."""

import pytest

from dcmrecv.config.settings import StorageMode
from dcmrecv.service.plan import AcceptedContext, AssociationPlan
from tests.builders.uids import CT_IMAGE, EXPLICIT_LE, IMPLICIT_LE

CONTEXTS = (
    AcceptedContext(1, CT_IMAGE, IMPLICIT_LE),
    AcceptedContext(255, CT_IMAGE, EXPLICIT_LE),
)


@pytest.mark.parametrize("mode", StorageMode)
def test_a_plan_holds_what_was_accepted(mode: StorageMode) -> None:
    plan = AssociationPlan(iter(CONTEXTS), "MODALITY", mode)
    assert plan.contexts == CONTEXTS
    assert plan.calling_ae_title == "MODALITY"


def test_there_may_be_nothing_to_receive() -> None:
    assert AssociationPlan((), "MODALITY", StorageMode.NORMAL).contexts == ()


def test_a_transfer_syntax_that_no_file_could_name_is_refused() -> None:
    syntax = "1." + "2" * 60_000
    with pytest.raises(ValueError, match="transfer syntax too long"):
        AssociationPlan([AcceptedContext(1, CT_IMAGE, syntax)], "A", StorageMode.NORMAL)


def test_only_the_octet_of_a_context_id_has_room() -> None:
    with pytest.raises(OverflowError):
        AssociationPlan(
            [AcceptedContext(256, CT_IMAGE, IMPLICIT_LE)], "A", StorageMode.NORMAL
        )
