"""The same A-ASSOCIATE-RQs to DCMTK's dcmrecv 3.6.7 and to our negotiation.

Compared are the bytes of the answer, with the original's implementation identity in
place of ours, and the parameter blocks of the log. What differs on purpose is not here:
the asynchronous operations window, a title given by `-aet`, and requests that the
original leaves without an answer; see `tests/unit/ul/test_negotiation.py`.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from dcmrecv.config.profile import load_profile
from dcmrecv.config.settings import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    VERIFICATION_PROFILE,
    AssociationProfile,
)
from dcmrecv.service import parameter_block, wording
from dcmrecv.ul.negotiation import (
    REJECT_NO_CONTEXT,
    Negotiation,
    NegotiationPolicy,
    negotiate,
)
from dcmrecv.ul.pdu import AssociationAccept, AssociationRequest, decode, encode
from tests.builders import pdu
from tests.builders.pdu import ProposedContext, associate_rq, role_selection
from tests.builders.uids import (
    CT_IMAGE,
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    JPEG_2000,
    JPEG_LOSSLESS_SV1,
    MR_IMAGE,
    SECONDARY_CAPTURE,
    UNKNOWN_CLASS,
    VERIFICATION,
)
from tests.peers.program import ORIGINAL, Program
from tests.peers.scu import RawScu

ORIGINAL_CLASS_UID = "1.2.276.0.7230010.3.0.3.6.7"
ORIGINAL_VERSION_NAME = "OFFIS_DCMTK_367"

CONFIGURATION = r"""
[[TransferSyntaxes]]
[Native]
TransferSyntax1 = LittleEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[[PresentationContexts]]
[Storage]
PresentationContext1 = VerificationSOPClass\Native
PresentationContext2 = CTImageStorage\Native
PresentationContext3 = MRImageStorage\Native
PresentationContext4 = SecondaryCaptureImageStorage\Native
[[SCPSCURoleSelection]]
[Roles]
Role1 = CTImageStorage\SCU
Role2 = MRImageStorage\SCP
Role3 = SecondaryCaptureImageStorage\BOTH
[[ExtendedNegotiation]]
[Extended]
ExtendedNegotiation1 = MRImageStorage\0203010401
ExtendedNegotiation2 = CTImageStorage\00112233445566778899aabbccddeeff0102
[[Profiles]]
[Plain]
PresentationContexts = Storage
[Roles]
PresentationContexts = Storage
SCPSCURoleSelection = Roles
[Both]
PresentationContexts = Storage
SCPSCURoleSelection = Roles
ExtendedNegotiation = Extended
"""

CT = ProposedContext(1, CT_IMAGE)
MR = ProposedContext(3, MR_IMAGE, (IMPLICIT_LE, EXPLICIT_LE))
SC = ProposedContext(5, SECONDARY_CAPTURE, (EXPLICIT_LE,))
UNKNOWN = ProposedContext(7, UNKNOWN_CLASS)
WRONG_SYNTAX = ProposedContext(9, CT_IMAGE, (JPEG_2000, EXPLICIT_BE))
EVERYTHING = (CT, MR, SC, UNKNOWN, WRONG_SYNTAX, ProposedContext(11, VERIFICATION))
ROLE_BYTES = ((1, 0), (0, 1), (1, 1), (0, 0), (2, 1), (1, 2), (2, 2))


def name_of_version(name: bytes) -> bytes:
    return pdu.item(0x55, name)


def identity(kind: int, primary: bytes, secondary: bytes = b"", want: int = 1) -> bytes:
    """User identity sub-item. PS3.7 section D.3.3.7."""
    fields = [len(value).to_bytes(2, "big") + value for value in (primary, secondary)]
    return pdu.item(0x58, bytes([kind, want]) + b"".join(fields))


def context_item(*sub_items: bytes) -> bytes:
    return pdu.item(0x20, b"\1\0\0\0" + b"".join(sub_items))


ABSTRACT = pdu.item(0x30, CT_IMAGE.encode())
TRANSFER = pdu.item(0x40, IMPLICIT_LE.encode())

# Spec sections 5.1, 5.2, 5.4 and 5.5: a profile without roles.
PLAIN = {
    "everything": associate_rq(EVERYTHING),
    "the profile's order": associate_rq(
        [ProposedContext(1, CT_IMAGE, (IMPLICIT_LE, EXPLICIT_BE, EXPLICIT_LE))]
    ),
    "a class several times": associate_rq(
        [ProposedContext(i, CT_IMAGE, (s,)) for i, s in ((5, IMPLICIT_LE), (3, "1.2"))]
    ),
    "even ids": associate_rq([ProposedContext(i, CT_IMAGE) for i in (0, 2, 254, 255)]),
    "128 contexts": associate_rq(ProposedContext(i) for i in range(1, 256, 2)),
    "one id, last accepted": associate_rq(
        [replace(UNKNOWN, id=1), ProposedContext(1, MR_IMAGE, (EXPLICIT_LE,)), SC]
    ),
    "one id, last refused": associate_rq([CT, replace(UNKNOWN, id=1), MR]),
    "one id, nothing left": associate_rq([CT, replace(UNKNOWN, id=1)]),
    "one id, two syntaxes": associate_rq(
        [CT, ProposedContext(1, CT_IMAGE, (EXPLICIT_LE,))]
    ),
    "trailing NUL": associate_rq(
        [ProposedContext(1, CT_IMAGE + "\0", (IMPLICIT_LE + "\0",))],
        application_context="1.2.840.10008.3.1.1.1\0",
    ),
    "trailing blank": associate_rq(
        [
            ProposedContext(1, CT_IMAGE + " "),
            ProposedContext(3, MR_IMAGE, (IMPLICIT_LE + " ", EXPLICIT_LE)),
            ProposedContext(5, "", ("", IMPLICIT_LE)),
        ]
    ),
    "no abstract syntax": associate_rq([MR], further_items=[context_item(TRANSFER)]),
    "two abstract syntaxes": associate_rq(
        [MR], further_items=[context_item(pdu.item(0x30, b"1.2"), ABSTRACT, TRANSFER)]
    ),
    "transfer syntax first": associate_rq(
        [], further_items=[context_item(TRANSFER, pdu.item(0x99, b"z"), ABSTRACT)]
    ),
    "no context": associate_rq([]),
    "nothing accepted": associate_rq([UNKNOWN, WRONG_SYNTAX]),
    "no application context": associate_rq([CT], application_context=None),
    "another application context": associate_rq([CT], application_context="1.2"),
    "two application contexts": associate_rq(
        [CT],
        application_context="1.2",
        further_items=[pdu.item(0x10, b"1.2.840.10008.3.1.1.1")],
    ),
    "fixed part only": associate_rq([], application_context=None, max_pdu=None),
    "protocol version 0": associate_rq([CT], protocol_version=0),
    "protocol version 2": associate_rq([CT], protocol_version=2),
    "protocol version 3": associate_rq([CT], protocol_version=3),
    "no user information": associate_rq([CT], max_pdu=None),
    "two user informations": associate_rq(
        [CT], further_items=[pdu.item(0x50, pdu.maximum_length(6_000))]
    ),
    "no limit": associate_rq([CT], max_pdu=0),
    "largest limit": associate_rq([CT], max_pdu=2**32 - 1),
    "blanks in titles": associate_rq([CT], called="  CALLED", calling=" A B"),
    "NUL in titles": associate_rq([CT], called=b"A\0B", calling=b"CD\0\0\0\0"),
    "full titles": associate_rq([CT], called="C" * 16, calling="D" * 16),
    "blank titles, nothing accepted": associate_rq([], called="", calling=""),
    "long version name": associate_rq(
        [CT], user_items=[name_of_version(b"ABCDEFGHIJKLMNOPQRS")]
    ),
    "odd version name": associate_rq([CT], user_items=[name_of_version(b" A \0B")]),
    "unknown items": associate_rq(
        [CT],
        user_items=[pdu.item(0x77, b"abc"), pdu.item(0x57, b"\0\3abc\0\0")],
        further_items=[pdu.item(0x99, b"abc")],
    ),
    "roles without a profile's": associate_rq(
        EVERYTHING,
        user_items=[
            role_selection(CT_IMAGE, scu=0, scp=1),
            role_selection(MR_IMAGE, scu=0, scp=0),
        ],
    ),
    "extended negotiation": associate_rq(
        [CT],
        user_items=[
            pdu.extended_negotiation(CT_IMAGE, b"\1\2\3"),
            pdu.extended_negotiation(UNKNOWN_CLASS, b""),
            pdu.extended_negotiation(CT_IMAGE, bytes(40)),
        ],
    ),
    "user name": associate_rq([CT], user_items=[identity(1, b"me", want=0)]),
    "pass phrase": associate_rq([CT], user_items=[identity(2, b"me", b"secret")]),
    "Kerberos": associate_rq([CT], user_items=[identity(3, bytes(300))]),
    "SAML": associate_rq([CT], user_items=[identity(4, b"<a/>")]),
    "JWT": associate_rq([CT], user_items=[identity(5, b"a.b.c", want=0)]),
    "unknown identity": associate_rq([CT], user_items=[identity(6, b"me")]),
    "identity twice": associate_rq(
        [CT], user_items=[identity(1, b"me"), identity(2, b"you", b"\0x")]
    ),
}

# Spec section 5.3: profiles with roles, with and without extended negotiation.
ROLES = {
    "no roles": associate_rq(EVERYTHING),
    **{
        f"roles {scu},{scp}": associate_rq(
            EVERYTHING,
            user_items=[
                role_selection(uid, scu=scu, scp=scp)
                for uid in (CT_IMAGE, MR_IMAGE, SECONDARY_CAPTURE, VERIFICATION)
            ],
        )
        for scu, scp in ROLE_BYTES
    },
    "two contexts, one class": associate_rq(
        [CT, replace(CT, id=3), replace(MR, id=5)],
        user_items=[role_selection(CT_IMAGE, scu=0, scp=1)],
    ),
    "roles twice": associate_rq(
        [CT],
        user_items=[
            role_selection(CT_IMAGE, scu=1, scp=0),
            role_selection(CT_IMAGE, scu=0, scp=1),
        ],
    ),
    "role of an absent class": associate_rq(
        [CT], user_items=[role_selection(UNKNOWN_CLASS, scu=1, scp=1)]
    ),
    "role of a refused context": associate_rq(
        [WRONG_SYNTAX, SC], user_items=[role_selection(CT_IMAGE, scu=1, scp=1)]
    ),
    "one id, two roles": associate_rq(
        [CT, replace(SC, id=1)],
        user_items=[
            role_selection(CT_IMAGE, scu=1, scp=0),
            role_selection(SECONDARY_CAPTURE, scu=0, scp=1),
        ],
    ),
    "role refused, nothing left": associate_rq([MR]),
}

# Spec section 4.3: the original's own configuration.
SHIPPED = {
    "the first of 21": associate_rq(
        [
            ProposedContext(
                1,
                CT_IMAGE,
                (IMPLICIT_LE, EXPLICIT_LE, DEFLATED_LE, JPEG_LOSSLESS_SV1, JPEG_2000),
            )
        ]
    ),
    "verification": associate_rq([ProposedContext(1, VERIFICATION)]),
}

CASES = {
    "Plain": PLAIN,
    "Roles": ROLES,
    "Both": ROLES,
    "Default": SHIPPED,
    "": {name: PLAIN[name] for name in ("everything", "no abstract syntax")},
}


def is_like(line: str, ours: str) -> bool:
    """Is a line of our block one of the original's, but for who says it?"""
    for own, original in (
        (IMPLEMENTATION_CLASS_UID, ORIGINAL_CLASS_UID),
        (IMPLEMENTATION_VERSION_NAME, ORIGINAL_VERSION_NAME),
    ):
        if ours.startswith("Our Implementation"):
            ours = ours.replace(own, original)
    if ours == "  Password: [not shown]":  # Differs: DCMTK shows it
        return line.startswith("I:   Password: [")
    return line == f"I: {ours}"


class Contest:
    """The original and our negotiation under one profile."""

    def __init__(self, program: Program, profile: AssociationProfile) -> None:
        self.program = program
        self.policy = NegotiationPolicy(profile=profile)

    def answer_of_original(self, wire: bytes) -> tuple[bytes, list[str]]:
        """The whole PDU, and what was logged about it."""
        before = len(self.program.log_lines())
        with RawScu(self.program.port) as scu:
            scu.send(wire)
            answer = scu.read_pdu()
            scu.send(pdu.abort())
            assert scu.is_closed()
        return pdu.pdu(answer.kind, answer.body), self.program.log_lines()[before:]

    def answer_of_ours(self, wire: bytes) -> tuple[AssociationRequest, Negotiation]:
        request = decode(wire)
        assert isinstance(request, AssociationRequest)
        return request, negotiate(request, self.policy)


@pytest.fixture(scope="module")
def contest(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Contest]:
    """The profile by its name; "" is the one without a file."""
    name = request.param
    directory = tmp_path_factory.mktemp("negotiation")
    path = directory / "profiles.cfg"
    path.write_text(CONFIGURATION)
    file = "/etc/dcmtk/storescp.cfg" if name == "Default" else str(path)
    options = ["-v", "+v", "-dhl", "-ta", "2", *(["-xf", file, name] if name else [])]
    profile = load_profile(file, name) if name else VERIFICATION_PROFILE
    with Program(options, command=ORIGINAL, directory=directory) as program:
        yield Contest(program, profile)


def with_identity_of_the_original(negotiation: Negotiation) -> bytes:
    answer = negotiation.answer
    if isinstance(answer, AssociationAccept):
        answer = replace(
            answer,
            user=replace(
                answer.user,
                implementation_class_uid=ORIGINAL_CLASS_UID,
                implementation_version_name=ORIGINAL_VERSION_NAME,
            ),
        )
    return encode(answer)


@pytest.mark.parametrize(
    ("contest", "wire"),
    [
        pytest.param(profile, wire, id=f"{profile}: {name}")
        for profile, cases in CASES.items()
        for name, wire in cases.items()
    ],
    indirect=["contest"],
)
def test_the_answer_is_the_originals(contest: Contest, wire: bytes) -> None:
    """Byte by byte, and so are the notes and parameter blocks of the log."""
    answer, log = contest.answer_of_original(wire)
    request, negotiation = contest.answer_of_ours(wire)
    assert with_identity_of_the_original(negotiation).hex(" ") == answer.hex(" ")
    if not request.supports_version_1:
        return
    blocks = [parameter_block.request_block(request, 16_384)]
    if isinstance(negotiation.answer, AssociationAccept) or (
        negotiation.answer == REJECT_NO_CONTEXT
    ):
        blocks.append(parameter_block.answer_block(request, 16_384, negotiation))
    for block in blocks:
        lines = block.splitlines()
        starts = [n for n, line in enumerate(log) if line == f"I: {lines[0]}"]
        assert len(starts) == 1
        found = log[starts[0] : starts[0] + len(lines)]
        unlike = [
            (theirs, own)
            for theirs, own in zip(found, lines, strict=True)
            if not is_like(theirs, own)
        ]
        assert unlike == []
    notes = [wording.NOTES[note] for note in negotiation.notes]
    assert [line[3:] for line in log if line[3:] in wording.NOTES.values()] == notes
