"""The acceptor's part of the upper layer state table, as data; pure.

Owns which action an event has in a state, and which state follows. Never carries an
action out. States that only a requestor reaches, or who asks for release himself, are
left out: a receiver never does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from dcmrecv.ul.pdu import PduType


class _Named(Enum):
    """Members are single, so the fast hash of their identity will do."""

    __hash__ = object.__hash__


class State(_Named):
    """States of an acceptor; PS3.8 section 9.2.1."""

    STA1 = "idle"
    STA2 = "transport connection open, awaiting A-ASSOCIATE-RQ"
    STA3 = "awaiting local A-ASSOCIATE response"
    STA6 = "association established"
    STA8 = "awaiting local A-RELEASE response"
    STA13 = "awaiting transport connection close"


class Event(_Named):
    """Events that an acceptor meets; PS3.8 Table 9-10."""

    CONNECTION_INDICATION = "transport connection indication"
    ASSOCIATE_RQ = "A-ASSOCIATE-RQ PDU received"
    ASSOCIATE_AC = "A-ASSOCIATE-AC PDU received"
    ASSOCIATE_RJ = "A-ASSOCIATE-RJ PDU received"
    ACCEPT = "A-ASSOCIATE response primitive (accept)"
    REJECT = "A-ASSOCIATE response primitive (reject)"
    P_DATA_TF = "P-DATA-TF PDU received"
    RELEASE_RQ = "A-RELEASE-RQ PDU received"
    RELEASE_RP = "A-RELEASE-RP PDU received"
    RELEASE_RESPONSE = "A-RELEASE response primitive"
    ABORT_REQUEST = "A-ABORT request primitive"
    ABORT = "A-ABORT PDU received"
    CONNECTION_CLOSED = "transport connection closed"
    ARTIM_EXPIRED = "ARTIM timer expired"
    INVALID_PDU = "unrecognized or invalid PDU received"


class Action(_Named):
    """Actions of an acceptor; PS3.8 Tables 9-6 to 9-9."""

    AE_5 = "accept the transport connection; start ARTIM"
    AE_6 = "stop ARTIM; indicate the request, or send A-ASSOCIATE-RJ; start ARTIM"
    AE_7 = "send A-ASSOCIATE-AC"
    AE_8 = "send A-ASSOCIATE-RJ; start ARTIM"
    DT_2 = "indicate P-DATA"
    AR_2 = "indicate A-RELEASE"
    AR_4 = "send A-RELEASE-RP; start ARTIM"
    AR_5 = "stop ARTIM; the association is over"
    AA_1 = "send A-ABORT; start or restart ARTIM"
    AA_2 = "stop ARTIM; close the transport connection"
    AA_3 = "indicate the abort; close the transport connection"
    AA_4 = "indicate A-P-ABORT"
    AA_5 = "stop ARTIM; there was no association"
    AA_6 = "ignore the PDU"
    AA_7 = "send A-ABORT"
    AA_8 = "send A-ABORT (service provider); indicate A-P-ABORT; start ARTIM"


@dataclass(frozen=True, slots=True)
class Transition:
    """What to do, and the state afterwards."""

    action: Action
    state: State


_NEXT_STATE = {
    Action.AE_5: State.STA2,
    Action.AE_6: State.STA3,  # STA13 when the service provider itself rejects
    Action.AE_7: State.STA6,
    Action.AE_8: State.STA13,
    Action.DT_2: State.STA6,
    Action.AR_2: State.STA8,
    Action.AR_4: State.STA13,
    Action.AR_5: State.STA1,
    Action.AA_1: State.STA13,
    Action.AA_2: State.STA1,
    Action.AA_3: State.STA1,
    Action.AA_4: State.STA1,
    Action.AA_5: State.STA1,
    Action.AA_6: State.STA13,
    Action.AA_7: State.STA13,
    Action.AA_8: State.STA13,
}

_ACTIONS = {
    State.STA1: {Event.CONNECTION_INDICATION: Action.AE_5},
    State.STA2: {
        Event.ASSOCIATE_RQ: Action.AE_6,
        Event.ASSOCIATE_AC: Action.AA_1,
        Event.ASSOCIATE_RJ: Action.AA_1,
        Event.P_DATA_TF: Action.AA_1,
        Event.RELEASE_RQ: Action.AA_1,
        Event.RELEASE_RP: Action.AA_1,
        Event.ABORT: Action.AA_2,
        Event.CONNECTION_CLOSED: Action.AA_5,
        Event.ARTIM_EXPIRED: Action.AA_2,
        Event.INVALID_PDU: Action.AA_1,
    },
    State.STA3: {
        Event.ASSOCIATE_RQ: Action.AA_8,
        Event.ASSOCIATE_AC: Action.AA_8,
        Event.ASSOCIATE_RJ: Action.AA_8,
        Event.ACCEPT: Action.AE_7,
        Event.REJECT: Action.AE_8,
        Event.P_DATA_TF: Action.AA_8,
        Event.RELEASE_RQ: Action.AA_8,
        Event.RELEASE_RP: Action.AA_8,
        Event.ABORT_REQUEST: Action.AA_1,
        Event.ABORT: Action.AA_3,
        Event.CONNECTION_CLOSED: Action.AA_4,
        Event.INVALID_PDU: Action.AA_8,
    },
    State.STA6: {
        Event.ASSOCIATE_RQ: Action.AA_8,
        Event.ASSOCIATE_AC: Action.AA_8,
        Event.ASSOCIATE_RJ: Action.AA_8,
        Event.P_DATA_TF: Action.DT_2,
        Event.RELEASE_RQ: Action.AR_2,
        Event.RELEASE_RP: Action.AA_8,
        Event.ABORT_REQUEST: Action.AA_1,
        Event.ABORT: Action.AA_3,
        Event.CONNECTION_CLOSED: Action.AA_4,
        Event.INVALID_PDU: Action.AA_8,
    },
    State.STA8: {
        Event.ASSOCIATE_RQ: Action.AA_8,
        Event.ASSOCIATE_AC: Action.AA_8,
        Event.ASSOCIATE_RJ: Action.AA_8,
        Event.P_DATA_TF: Action.AA_8,
        Event.RELEASE_RQ: Action.AA_8,
        Event.RELEASE_RP: Action.AA_8,
        Event.RELEASE_RESPONSE: Action.AR_4,
        Event.ABORT_REQUEST: Action.AA_1,
        Event.ABORT: Action.AA_3,
        Event.CONNECTION_CLOSED: Action.AA_4,
        Event.INVALID_PDU: Action.AA_8,
    },
    State.STA13: {
        Event.ASSOCIATE_RQ: Action.AA_7,
        Event.ASSOCIATE_AC: Action.AA_6,
        Event.ASSOCIATE_RJ: Action.AA_6,
        Event.P_DATA_TF: Action.AA_6,
        Event.RELEASE_RQ: Action.AA_6,
        Event.RELEASE_RP: Action.AA_6,
        Event.ABORT: Action.AA_2,
        Event.CONNECTION_CLOSED: Action.AR_5,
        Event.ARTIM_EXPIRED: Action.AA_2,
        Event.INVALID_PDU: Action.AA_7,
    },
}

_TRANSITIONS = {
    state: {
        event: Transition(action, _NEXT_STATE[action])
        for event, action in actions.items()
    }
    for state, actions in _ACTIONS.items()
}

_PDU_EVENTS: Mapping[int, Event] = {
    PduType.ASSOCIATE_RQ: Event.ASSOCIATE_RQ,
    PduType.ASSOCIATE_AC: Event.ASSOCIATE_AC,
    PduType.ASSOCIATE_RJ: Event.ASSOCIATE_RJ,
    PduType.P_DATA_TF: Event.P_DATA_TF,
    PduType.RELEASE_RQ: Event.RELEASE_RQ,
    PduType.RELEASE_RP: Event.RELEASE_RP,
    PduType.ABORT: Event.ABORT,
}


def pdu_event(kind: int) -> Event:
    """The event that a received PDU is, by its type byte; PS3.8 section 9.3.1."""
    return _PDU_EVENTS.get(kind, Event.INVALID_PDU)


def transition(state: State, event: Event) -> Transition:
    """What an acceptor does about an event.

    Args:
        state: before the event.
        event: one that the state table has for this state.

    Raises:
        KeyError: the event cannot happen in this state, which is a fault of ours.

    Source:
        PS3.8 section 9.2.3, Table 9-10.
    """
    return _TRANSITIONS[state][event]
