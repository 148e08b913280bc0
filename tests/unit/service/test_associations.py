"""service.associations: a request that comes again is served as it was before.

Who comes again with the same A-ASSOCIATE-RQ takes a shorter way through the service.
Nothing that the peer or the operator sees may tell which way it was.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from dcmrecv.config.settings import (
    AccessSettings,
    AssociationProfile,
    NetworkSettings,
    ProfileContext,
    Role,
    Settings,
)
from dcmrecv.errors import PeerClosed, ProtocolViolation
from dcmrecv.native.fault import FaultCode
from dcmrecv.service.access import Entrance, Refusal
from dcmrecv.service.receiver import Outcome
from dcmrecv.ul.pdu import AssociationRequest
from tests.builders import pdu
from tests.builders.pdu import ProposedContext
from tests.builders.serving import (
    Interruption,
    Lines,
    ScriptedReceiver,
    Served,
    Step,
    logged,
    serving_with,
    settings_of,
)
from tests.builders.uids import CT_IMAGE, IMPLICIT_LE, UNKNOWN_CLASS, VERIFICATION
from tests.peers.scu import RawScu

PROFILE = AssociationProfile(
    (
        ProfileContext(VERIFICATION, (IMPLICIT_LE,)),
        ProfileContext(CT_IMAGE, (IMPLICIT_LE,)),
    ),
    roles={VERIFICATION: Role.SCP},
)
CONTEXTS = (ProposedContext(1, CT_IMAGE), ProposedContext(3, UNKNOWN_CLASS))
ROUTINE = pdu.associate_rq(CONTEXTS, calling="ME", called="YOU")
TIMES = 3


@dataclass(frozen=True)
class Seen:
    """What an association looked like from outside."""

    answer: bytes
    ending: str
    lines: Sequence[str]


def visit(served: Served, wire: bytes, lines: Lines) -> Seen:
    """Ask for an association, and wait for its end."""
    before = served.served
    lines.lines.clear()
    with RawScu(served.port) as scu:
        scu.send(wire)
        answer = scu.read_pdu()
        ending = scu.ending() if answer.kind == pdu.A_ASSOCIATE_AC else "rejected"
    served.wait_for(before + 1)
    return Seen(bytes([answer.kind]) + answer.body, ending, tuple(lines.lines))


@pytest.mark.parametrize("level", [logging.WARNING, logging.INFO, logging.DEBUG])
@pytest.mark.parametrize(
    "script",
    [
        (Outcome.RELEASE_RQ,),
        (Outcome.STORED, Outcome.ECHOED, Outcome.RELEASE_RQ),
        (Outcome.INTERRUPTED, Outcome.RELEASE_RQ),
        (ProtocolViolation("what it was", abort=(2, 6)),),
        (Outcome.STORED, PeerClosed("gone")),
        (ZeroDivisionError("a bug"),),
    ],
    ids=["release", "messages", "interruption", "violation", "close", "bug"],
)
def test_the_same_request_is_served_the_same_way(
    script: Sequence[Step], level: int
) -> None:
    """Where something went wrong, a line names the peer each time."""
    receiver = ScriptedReceiver(
        script,
        status=0xA700,
        fault_text="no space",
        violation=(FaultCode.PDU_LENGTH, 20_000, 16_384),
    )
    interrupts = Interruption([False] * TIMES)
    with (
        logged(level) as lines,
        serving_with(
            settings_of(host_lookup=False),
            receiver,
            profile=PROFILE,
            interrupts=interrupts,
        ) as served,
    ):
        first, *later = (visit(served, ROUTINE, lines) for _ in range(TIMES))
    assert first.answer[0] == pdu.A_ASSOCIATE_AC
    assert later == [first] * (TIMES - 1)
    begun = receiver.begun[0] | {"fd": 0}
    assert begun == begun | receiver.begun[-1] | {"fd": 0}
    assert len(receiver.begun) == receiver.ended == TIMES
    assert served.slot.get("associations") == TIMES
    told = [line for line in first.lines if line[0] == "E"]
    assert not told or any("ME at 127.0.0.1" in line for line in told)


@pytest.mark.parametrize(
    ("wire", "told"),
    [
        (pdu.associate_rq(CONTEXTS, max_pdu=4_097), "W: ASSOC: PDV send length"),
        (
            pdu.associate_rq(
                CONTEXTS, user_items=[pdu.role_selection(CT_IMAGE, scu=0, scp=0)]
            ),
            "W: DULFSM: both role fields are 0",
        ),
        (
            pdu.associate_rq([*CONTEXTS, ProposedContext(5, VERIFICATION)]),
            "E: ASSOC: SCP/SCU role selection failed",
        ),
    ],
    ids=["odd length", "no role", "wrong role"],
)
def test_what_has_to_be_said_is_said_each_time(wire: bytes, told: str) -> None:
    with (
        logged(logging.WARNING) as lines,
        serving_with(settings_of(), ScriptedReceiver(), profile=PROFILE) as served,
    ):
        seen = [visit(served, wire, lines) for _ in range(TIMES)]
    assert seen == [seen[0]] * TIMES
    assert any(line.startswith(told) for line in seen[0].lines)


def test_what_is_rejected_is_rejected_each_time() -> None:
    receiver = ScriptedReceiver()
    wire = pdu.associate_rq(CONTEXTS[1:])
    with (
        logged(logging.INFO) as lines,
        serving_with(settings_of(), receiver, profile=PROFILE) as served,
    ):
        seen = [visit(served, wire, lines) for _ in range(TIMES)]
    assert seen == [seen[0]] * TIMES
    assert (seen[0].ending, receiver.begun) == ("rejected", [])
    assert served.slot.get("refused") == TIMES


def test_a_known_request_is_refused_when_the_disk_is_full() -> None:
    receiver = ScriptedReceiver()
    with (
        logged(logging.WARNING) as lines,
        serving_with(settings_of(), receiver, profile=PROFILE) as served,
    ):
        assert visit(served, ROUTINE, lines).ending == "release"
        receiver.has_room = False
        refused = visit(served, ROUTINE, lines)
        receiver.has_room = True
        assert visit(served, ROUTINE, lines).ending == "release"
    assert refused.answer[-3:] == b"\2\3\1"
    assert len(refused.lines) == 1


def test_a_known_request_does_not_open_the_door_to_anybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer is remembered, not the permission."""
    judged: list[str] = []
    judge = Entrance.judge

    def noted(
        self: Entrance, address: str, request: AssociationRequest
    ) -> Refusal | None:
        judged.append(address)
        return judge(self, address, request)

    monkeypatch.setattr(Entrance, "judge", noted)
    settings = Settings(
        network=NetworkSettings(port=0), access=AccessSettings(calling=("ME",))
    )
    with (
        logged(logging.WARNING) as lines,
        serving_with(settings, ScriptedReceiver(), profile=PROFILE) as served,
    ):
        for _ in range(TIMES):
            assert visit(served, ROUTINE, lines).ending == "release"
    assert judged == ["127.0.0.1"] * TIMES


def test_messages_right_behind_a_known_request_are_not_lost() -> None:
    """With them it is not the same bytes any more."""
    receiver = ScriptedReceiver()
    with (
        logged(logging.WARNING) as lines,
        serving_with(settings_of(), receiver, profile=PROFILE) as served,
    ):
        visit(served, ROUTINE, lines)
        visit(served, ROUTINE + pdu.release_rq(), lines)
    assert [begun["received"] for begun in receiver.begun] == [b"", pdu.release_rq()]
