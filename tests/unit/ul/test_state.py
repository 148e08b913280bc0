"""ul.state: what an acceptor does about an event, and the state afterwards."""

import pytest

from dcmrecv.ul.state import Action, Event, State, Transition, pdu_event, transition

RECEIVED_PDUS = (
    Event.ASSOCIATE_RQ,
    Event.ASSOCIATE_AC,
    Event.ASSOCIATE_RJ,
    Event.P_DATA_TF,
    Event.RELEASE_RQ,
    Event.RELEASE_RP,
    Event.ABORT,
    Event.INVALID_PDU,
)

# PS3.8 Table 9-10, the columns of an acceptor. One row for each received PDU, in the
# order above, then the events that are no PDU.
TABLE = {
    State.STA2: "AE-6 AA-1 AA-1 AA-1 AA-1 AA-1 AA-2 AA-1",
    State.STA3: "AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-3 AA-8",
    State.STA6: "AA-8 AA-8 AA-8 DT-2 AR-2 AA-8 AA-3 AA-8",
    State.STA8: "AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-3 AA-8",
    State.STA13: "AA-7 AA-6 AA-6 AA-6 AA-6 AA-6 AA-2 AA-7",
}
OTHER_EVENTS = {
    (State.STA1, Event.CONNECTION_INDICATION): ("AE-5", State.STA2),
    (State.STA2, Event.CONNECTION_CLOSED): ("AA-5", State.STA1),
    (State.STA2, Event.ARTIM_EXPIRED): ("AA-2", State.STA1),
    (State.STA3, Event.ACCEPT): ("AE-7", State.STA6),
    (State.STA3, Event.REJECT): ("AE-8", State.STA13),
    (State.STA3, Event.ABORT_REQUEST): ("AA-1", State.STA13),
    (State.STA3, Event.CONNECTION_CLOSED): ("AA-4", State.STA1),
    (State.STA6, Event.ABORT_REQUEST): ("AA-1", State.STA13),
    (State.STA6, Event.CONNECTION_CLOSED): ("AA-4", State.STA1),
    (State.STA8, Event.RELEASE_RESPONSE): ("AR-4", State.STA13),
    (State.STA8, Event.ABORT_REQUEST): ("AA-1", State.STA13),
    (State.STA8, Event.CONNECTION_CLOSED): ("AA-4", State.STA1),
    (State.STA13, Event.CONNECTION_CLOSED): ("AR-5", State.STA1),
    (State.STA13, Event.ARTIM_EXPIRED): ("AA-2", State.STA1),
}


def action(name: str) -> Action:
    return Action[name.replace("-", "_")]


@pytest.mark.parametrize("state", TABLE)
def test_a_received_pdu_has_the_action_of_table_9_10(state: State) -> None:
    found = [transition(state, event).action for event in RECEIVED_PDUS]
    assert found == [action(name) for name in TABLE[state].split()]


@pytest.mark.parametrize(("state", "event"), OTHER_EVENTS)
def test_other_events_have_the_action_of_table_9_10(state: State, event: Event) -> None:
    name, next_state = OTHER_EVENTS[state, event]
    assert transition(state, event) == Transition(action(name), next_state)


@pytest.mark.parametrize(
    ("state", "event", "next_state"),
    [
        (State.STA2, Event.ASSOCIATE_RQ, State.STA3),
        (State.STA2, Event.INVALID_PDU, State.STA13),
        (State.STA2, Event.ABORT, State.STA1),
        (State.STA3, Event.ABORT, State.STA1),
        (State.STA6, Event.P_DATA_TF, State.STA6),
        (State.STA6, Event.RELEASE_RQ, State.STA8),
        (State.STA6, Event.INVALID_PDU, State.STA13),
        (State.STA13, Event.P_DATA_TF, State.STA13),
        (State.STA13, Event.ASSOCIATE_RQ, State.STA13),
        (State.STA13, Event.ABORT, State.STA1),
    ],
)
def test_an_action_leads_to_its_state(
    state: State, event: Event, next_state: State
) -> None:
    """PS3.8 Tables 9-6 to 9-9."""
    assert transition(state, event).state is next_state


def test_an_event_that_cannot_happen_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        transition(State.STA6, Event.ACCEPT)


def test_every_action_is_used() -> None:
    """An alias among the enum's members would be one action too few."""
    assert len(Action) == 16


@pytest.mark.parametrize(("kind", "event"), list(enumerate(RECEIVED_PDUS[:-1], 1)))
def test_a_pdu_type_is_its_event(kind: int, event: Event) -> None:
    assert pdu_event(kind) is event


@pytest.mark.parametrize("kind", [0x00, 0x08, 0x16, 0x47, 0xFF])
def test_another_type_is_an_invalid_pdu(kind: int) -> None:
    assert pdu_event(kind) is Event.INVALID_PDU
