"""What an SCU may say on an association, as bytes: one conversation per behaviour.

Each is said after the A-ASSOCIATE-AC for `CONTEXTS`. Those of `SAME` get the same
answers from the original and from us; those of `DIFFERENT` do not, on purpose.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.builders import command, uids
from tests.builders.command import c_echo_rq, c_store_rq, command_set, request
from tests.builders.data_set import object_of
from tests.builders.pdu import (
    ProposedContext,
    abort,
    associate_rq,
    fragmented,
    fragments,
    message,
    p_data_tf,
    pdu,
    pdv,
    release_rp,
    release_rq,
)

CT, CT_EXPLICIT, MR, ECHO, DEFLATED = 1, 3, 5, 7, 9
CONTEXTS = (
    ProposedContext(CT),
    ProposedContext(CT_EXPLICIT, transfer_syntaxes=(uids.EXPLICIT_LE,)),
    ProposedContext(MR, uids.MR_IMAGE),
    ProposedContext(ECHO, uids.VERIFICATION),
    ProposedContext(DEFLATED, transfer_syntaxes=(uids.DEFLATED_LE,)),
)
UID = "1.2.3.4.5"
OBJECT = object_of(UID)
BROKEN_OBJECT = OBJECT[:-10]  # the pixel data ends before its length says
MAX_PDU = 16_384  # what the receiver announces by default


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is sent on an open association.

    `released` says whether an A-RELEASE-RQ follows, which cannot be when the receiver
    is left in the middle of something.
    """

    said: bytes
    released: bool = True

    @property
    def wire(self) -> bytes:
        """All bytes, the release included."""
        return self.said + (release_rq() if self.released else b"")


def command_pdv(fragment: bytes, *, context: int = CT, last: bool = True) -> bytes:
    """A fragment of a command set."""
    return pdv(context, fragment, command=True, last=last)


def data_pdv(fragment: bytes, *, context: int = CT, last: bool = True) -> bytes:
    """A fragment of a data set."""
    return pdv(context, fragment, command=False, last=last)


def store(
    data_set: bytes = OBJECT,
    *,
    context: int = CT,
    changes: Mapping[int, command.Value | None] | None = None,
    **arguments: command.Value | None,
) -> bytes:
    """A C-STORE-RQ with its data set; the arguments are those of `c_store_rq()`."""
    return message(
        context,
        c_store_rq(UID, changes=changes, **arguments),  # type: ignore[arg-type]
        data_set,
    )


def without(tag: int) -> bytes:
    """A C-STORE-RQ that lacks an element."""
    return store(changes={tag: None})


def in_pieces(data: bytes, count: int) -> list[bytes]:
    """`data` in `count` even pieces, the last one takes what remains."""
    return fragments(data, -(-len(data) // count // 2) * 2)


def one_pdu_object(uid: str = UID) -> bytes:
    """A whole C-STORE in one PDU of two PDVs."""
    return command_pdv(c_store_rq(uid)) + data_pdv(object_of(uid))


STORE_RQ = c_store_rq(UID)
HALVES = in_pieces(OBJECT, 2)
COMMAND_HALVES = in_pieces(STORE_RQ, 2)

# The original and we say the same. Spec section 6, as far as it has no row in
# DECISIONS.md.
SAME: dict[str, Conversation] = {
    # 6.1 C-ECHO
    "echo": Conversation(message(ECHO, c_echo_rq(7))),
    "echo on a storage context": Conversation(message(CT, c_echo_rq(65_535))),
    "echo of another class": Conversation(
        message(CT, c_echo_rq(0, sop_class_uid="9.9.9"))
    ),
    "echo without a class": Conversation(message(ECHO, c_echo_rq(sop_class_uid=None))),
    "echo that announces a data set": Conversation(
        message(ECHO, c_echo_rq(changes={command.DATA_SET_TYPE: 0}))
    ),
    # 6.2 C-STORE
    "store": Conversation(store()),
    "store in explicit VR": Conversation(
        store(
            object_of(transfer_syntax=uids.EXPLICIT_LE),
            context=CT_EXPLICIT,
        )
    ),
    "store deflated": Conversation(
        store(object_of(transfer_syntax=uids.DEFLATED_LE), context=DEFLATED)
    ),
    "store an empty data set": Conversation(store(b"")),
    "store another class than the context's": Conversation(
        store(sop_class_uid=uids.MR_IMAGE)
    ),
    "store an unknown class": Conversation(store(sop_class_uid="9.9.9")),
    "store another instance than the data set's": Conversation(
        message(CT, c_store_rq("9.8.7"), OBJECT)
    ),
    "store on the verification context": Conversation(store(context=ECHO)),
    "data set on an unknown context": Conversation(
        fragmented(CT, STORE_RQ, command=True) + fragmented(99, OBJECT, command=False),
    ),
    "two objects": Conversation(store(message_id=1) + store(message_id=2)),
    # 6.3 command set
    "no group length": Conversation(store(group_length=None)),
    "wrong group length": Conversation(store(group_length=3)),
    "retired and unknown elements": Conversation(
        store(changes={0x5010: "OLD ", 0x1099: b"\1\2"})
    ),
    "move originator": Conversation(
        store(
            changes={
                command.MOVE_ORIGINATOR_AE_TITLE: "MOVER ",
                command.MOVE_ORIGINATOR_MESSAGE_ID: 77,
            }
        )
    ),
    "no SOP class": Conversation(without(command.AFFECTED_SOP_CLASS_UID)),
    "no SOP instance": Conversation(without(command.AFFECTED_SOP_INSTANCE_UID)),
    "no message id": Conversation(without(command.MESSAGE_ID)),
    "no priority": Conversation(without(command.PRIORITY)),
    "no data set type": Conversation(without(command.DATA_SET_TYPE)),
    "no command field": Conversation(without(command.COMMAND_FIELD)),
    "empty SOP instance": Conversation(
        message(CT, c_store_rq(b""), OBJECT),
    ),
    "empty SOP class": Conversation(store(sop_class_uid=b"")),
    "UID of 64": Conversation(message(CT, c_store_rq("1." + "2" * 62), OBJECT)),
    "UID of 65": Conversation(message(CT, c_store_rq("1." + "2" * 63), OBJECT)),
    "UID of letters": Conversation(message(CT, c_store_rq("a/b c"), OBJECT)),
    "UID with blanks around": Conversation(message(CT, c_store_rq(b" 1.23 "), OBJECT)),
    "no data set announced": Conversation(
        message(CT, c_store_rq(changes={command.DATA_SET_TYPE: 0x0101}))
    ),
    **{
        f"data set type {kind:04x}": Conversation(
            store(changes={command.DATA_SET_TYPE: kind})
        )
        for kind in (0x0001, 0x0102, 0xFFFF)
    },
    "priority high": Conversation(store(changes={command.PRIORITY: 1})),
    "garbage for a command set": Conversation(message(CT, b"\xde\xad\xbe\xef" * 8)),
    "empty command set": Conversation(message(CT, b"")),
    "command on an unknown context": Conversation(message(99, c_echo_rq())),
    "C-FIND": Conversation(
        message(CT, request(command.C_FIND_RQ, data_set=True), OBJECT)
    ),
    "C-FIND without priority": Conversation(
        message(
            CT,
            command_set(
                {
                    command.AFFECTED_SOP_CLASS_UID: uids.PATIENT_ROOT_FIND,
                    command.COMMAND_FIELD: command.C_FIND_RQ,
                    command.MESSAGE_ID: 4,
                    command.DATA_SET_TYPE: 0,
                }
            ),
        )
    ),
    "C-CANCEL": Conversation(
        message(
            CT,
            command_set(
                {
                    command.COMMAND_FIELD: command.C_CANCEL_RQ,
                    command.MESSAGE_ID_RESPONDED_TO: 4,
                    command.DATA_SET_TYPE: 0x0101,
                }
            ),
        )
    ),
    "C-STORE-RSP": Conversation(
        message(
            CT,
            command_set(
                {
                    command.COMMAND_FIELD: command.C_STORE_RSP,
                    command.MESSAGE_ID_RESPONDED_TO: 4,
                    command.DATA_SET_TYPE: 0x0101,
                    command.STATUS: 0,
                }
            ),
        )
    ),
    "unknown command field": Conversation(message(CT, request(0x4321))),
    # 6.4 PDUs and PDVs
    "PDU of exactly the announced size": Conversation(
        store(object_of(pixel_bytes=40_000))
    ),
    "small PDUs": Conversation(
        message(CT, STORE_RQ, object_of(pixel_bytes=2_000), pdu_size=128)
    ),
    "fragmented command set": Conversation(
        fragmented(CT, STORE_RQ, command=True, pdu_size=16)
        + fragmented(CT, OBJECT, command=False)
    ),
    "command fragments in one PDU": Conversation(
        p_data_tf(
            command_pdv(COMMAND_HALVES[0], last=False), command_pdv(COMMAND_HALVES[1])
        )
        + p_data_tf(data_pdv(OBJECT))
    ),
    "data set fragments in one PDU": Conversation(
        p_data_tf(command_pdv(STORE_RQ))
        + p_data_tf(data_pdv(HALVES[0], last=False), data_pdv(HALVES[1]))
    ),
    "command and data set in one PDU": Conversation(p_data_tf(one_pdu_object())),
    "two echoes in one PDU": Conversation(
        p_data_tf(command_pdv(c_echo_rq(1)), command_pdv(c_echo_rq(2)))
    ),
    "empty PDVs before, between and last": Conversation(
        p_data_tf(command_pdv(b"", last=False))
        + p_data_tf(command_pdv(STORE_RQ))
        + p_data_tf(data_pdv(b"", last=False))
        + p_data_tf(data_pdv(OBJECT, last=False))
        + p_data_tf(data_pdv(b""))
    ),
    "upper bits of the message control header": Conversation(
        p_data_tf(pdv(CT, STORE_RQ, command=True, last=True, reserved_bits=0xFC))
        + p_data_tf(pdv(CT, OBJECT, command=False, last=True, reserved_bits=0xFC))
    ),
    "command flag within the data set": Conversation(
        p_data_tf(command_pdv(STORE_RQ)) + p_data_tf(command_pdv(OBJECT))
    ),
    "data set where a command is due": Conversation(p_data_tf(data_pdv(OBJECT))),
    "second A-ASSOCIATE-RQ": Conversation(associate_rq()),
    "A-RELEASE-RP out of order": Conversation(release_rp()),
    # 6.5 release, abort
    "release": Conversation(b""),
    "release within a data set": Conversation(
        p_data_tf(command_pdv(STORE_RQ)) + p_data_tf(data_pdv(OBJECT[:100], last=False))
    ),
    "abort": Conversation(abort(), released=False),
    "abort within a data set": Conversation(
        p_data_tf(command_pdv(STORE_RQ))
        + p_data_tf(data_pdv(OBJECT[:100], last=False))
        + abort(),
        released=False,
    ),
}

# The original aborts, or dies. DECISIONS.md, rows 4 and 6; the A-ABORT of a malformed
# PDU carries the standard's source and reason.
DIFFERENT: dict[str, Conversation] = {
    "broken data set": Conversation(store(BROKEN_OBJECT) + message(CT, c_echo_rq())),
    "data set on another context": Conversation(
        fragmented(CT, STORE_RQ, command=True) + fragmented(MR, OBJECT, command=False)
    ),
    "command and two data set PDVs in one PDU": Conversation(
        p_data_tf(
            command_pdv(STORE_RQ), data_pdv(HALVES[0], last=False), data_pdv(HALVES[1])
        )
    ),
    "two fragments of each in one PDU": Conversation(
        p_data_tf(
            command_pdv(COMMAND_HALVES[0], last=False),
            command_pdv(COMMAND_HALVES[1]),
            data_pdv(HALVES[0], last=False),
            data_pdv(HALVES[1]),
        )
    ),
    "two whole objects in one PDU": Conversation(
        p_data_tf(one_pdu_object("1.2.1"), one_pdu_object("1.2.2"))
    ),
    "two command fragments and a data set in one PDU": Conversation(
        p_data_tf(
            command_pdv(COMMAND_HALVES[0], last=False),
            command_pdv(COMMAND_HALVES[1]),
            data_pdv(OBJECT),
        )
    ),
    "odd fragments": Conversation(
        p_data_tf(command_pdv(STORE_RQ[:33], last=False))
        + p_data_tf(command_pdv(STORE_RQ[33:]))
        + p_data_tf(data_pdv(OBJECT[:65], last=False))
        + p_data_tf(data_pdv(OBJECT[65:]))
    ),
    "PDU beyond the announced size": Conversation(
        p_data_tf(command_pdv(STORE_RQ))
        + p_data_tf(data_pdv(object_of(pixel_bytes=60_000)))
    ),
    "empty P-DATA-TF": Conversation(p_data_tf()),
    "PDV of length 1": Conversation(p_data_tf(b"\0\0\0\1\1\3")),
    "PDV beyond its PDU": Conversation(
        p_data_tf(pdv(CT, STORE_RQ, command=True, last=True, length=len(STORE_RQ) + 9))
    ),
    "unknown PDU type": Conversation(pdu(0x55, b"what")),
}
