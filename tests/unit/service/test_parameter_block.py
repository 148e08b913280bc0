"""service.parameter_block: what a request and its answer say, line by line."""

import pytest

from dcmrecv.config.settings import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    AssociationProfile,
    ProfileContext,
)
from dcmrecv.service import parameter_block
from dcmrecv.ul.negotiation import (
    NegotiationPolicy,
    negotiate,
)
from dcmrecv.ul.pdu import AssociationRequest, decode
from tests.builders import pdu
from tests.builders.pdu import ProposedContext
from tests.builders.uids import (
    CT_IMAGE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    MR_IMAGE,
    UNKNOWN_CLASS,
    VERIFICATION,
)

POLICY = NegotiationPolicy(
    profile=AssociationProfile(
        (
            ProfileContext(VERIFICATION, (IMPLICIT_LE,)),
            ProfileContext(CT_IMAGE, (EXPLICIT_LE,)),
        )
    )
)


def request_of(wire: bytes) -> AssociationRequest:
    request = decode(wire)
    assert isinstance(request, AssociationRequest)
    return request


def block_lines(block: str) -> list[str]:
    return block.splitlines()


def test_a_request_block_shows_everything() -> None:
    wire = pdu.associate_rq(
        [
            ProposedContext(1, CT_IMAGE, (EXPLICIT_LE, "1.2.3")),
            ProposedContext(3, UNKNOWN_CLASS),
        ],
        called=" STORE",
        calling="MODALITY",
        max_pdu=32_768,
        user_items=[
            pdu.item(0x55, b"VERSION"),
            pdu.role_selection(CT_IMAGE, scu=1, scp=1),
            pdu.extended_negotiation(CT_IMAGE, b"\x02\xab"),
            pdu.extended_negotiation("1.2.3", b""),
            pdu.user_identity("me", response_requested=False),
        ],
    )
    assert block_lines(parameter_block.request_block(request_of(wire), 16_384)) == [
        "====================== BEGIN A-ASSOCIATE-RQ =====================",
        f"Our Implementation Class UID:      {IMPLEMENTATION_CLASS_UID}",
        f"Our Implementation Version Name:   {IMPLEMENTATION_VERSION_NAME}",
        "Their Implementation Class UID:    1.2.3.4.5.6",
        "Their Implementation Version Name: VERSION",
        "Application Context Name:    1.2.840.10008.3.1.1.1",
        "Calling Application Name:    MODALITY",
        "Called Application Name:      STORE",
        "Responding Application Name: ",
        "Our Max PDU Receive Size:    16384",
        "Their Max PDU Receive Size:  32768",
        "Presentation Contexts:",
        "  Context ID:        1 (Proposed)",
        "    Abstract Syntax: =CTImageStorage",
        "    Proposed SCP/SCU Role: SCP/SCU",
        "    Proposed Transfer Syntax(es):",
        "      =LittleEndianExplicit",
        "      1.2.3",
        "  Context ID:        3 (Proposed)",
        f"    Abstract Syntax: {UNKNOWN_CLASS}",
        "    Proposed SCP/SCU Role: Default",
        "    Proposed Transfer Syntax(es):",
        "      =LittleEndianImplicit",
        "Requested Extended Negotiation:",
        "  =CTImageStorage (1.2.840.10008.5.1.4.1.1.2)",
        "    [0x02, 0xab]",
        "  =Unknown-UID (1.2.3)",
        "    []",
        "Accepted Extended Negotiation:  none",
        "Requested User Identity Negotiation:",
        "  Authentication mode 1: Username",
        "  Username: [me]",
        "  Positive Response requested: No",
        "User Identity Negotiation Response:  none",
        "======================= END A-ASSOCIATE-RQ ======================",
    ]


def test_a_block_does_not_grow_with_what_a_peer_thinks_up() -> None:
    most = parameter_block.NEGOTIATIONS_MAX
    long = pdu.extended_negotiation("1.2.3", bytes(5_000))
    wire = pdu.associate_rq(further_items=[pdu.item(0x50, long)] * (most + 1))
    lines = block_lines(parameter_block.request_block(request_of(wire), 16_384))
    shown = ", ".join(["0x00"] * parameter_block.INFORMATION_BYTES_MAX)
    assert lines.count(f"    [{shown}, and 4744 bytes]") == most
    assert "  and 1 more" in lines


def test_an_accept_block_shows_the_answers() -> None:
    wire = pdu.associate_rq(
        [
            ProposedContext(1, CT_IMAGE, (EXPLICIT_LE,)),
            ProposedContext(3, CT_IMAGE, (IMPLICIT_LE,)),
            ProposedContext(5, MR_IMAGE),
        ],
        called="STORE",
    )
    request = request_of(wire)
    block = parameter_block.answer_block(request, 4_096, negotiate(request, POLICY))
    lines = block_lines(block)
    assert lines[0] == (
        "====================== BEGIN A-ASSOCIATE-AC ====================="
    )
    assert lines[8:] == [
        "Responding Application Name: STORE",
        "Our Max PDU Receive Size:    4096",
        "Their Max PDU Receive Size:  16384",
        "Presentation Contexts:",
        "  Context ID:        1 (Accepted)",
        "    Abstract Syntax: =CTImageStorage",
        "    Proposed SCP/SCU Role: Default",
        "    Accepted SCP/SCU Role: Default",
        "    Accepted Transfer Syntax: =LittleEndianExplicit",
        "  Context ID:        3 (Transfer Syntaxes Not Supported)",
        "    Abstract Syntax: =CTImageStorage",
        "    Proposed SCP/SCU Role: Default",
        "    Accepted SCP/SCU Role: Default",
        "  Context ID:        5 (Abstract Syntax Not Supported)",
        "    Abstract Syntax: =MRImageStorage",
        "    Proposed SCP/SCU Role: Default",
        "    Accepted SCP/SCU Role: Default",
        "Requested Extended Negotiation: none",
        "Accepted Extended Negotiation:  none",
        "Requested User Identity Negotiation: none",
        "User Identity Negotiation Response:  none",
        "======================= END A-ASSOCIATE-AC ======================",
    ]


def test_a_reject_block_has_its_own_frame() -> None:
    request = request_of(pdu.associate_rq([ProposedContext(1, MR_IMAGE)]))
    block = parameter_block.answer_block(request, 16_384, negotiate(request, POLICY))
    lines = block_lines(block)
    assert lines[0].strip("= ") == "BEGIN A-ASSOCIATE-RJ"
    assert lines[-1].strip("= ") == "END A-ASSOCIATE-RJ"
    assert "  Context ID:        1 (Abstract Syntax Not Supported)" in lines


def test_a_repeated_context_id_is_shown_answered_once() -> None:
    wire = pdu.associate_rq(
        [ProposedContext(1, CT_IMAGE, (EXPLICIT_LE,)), ProposedContext(1, VERIFICATION)]
    )
    request = request_of(wire)
    block = parameter_block.answer_block(request, 16_384, negotiate(request, POLICY))
    shown = [line for line in block_lines(block) if "Context ID" in line]
    assert [line.split("(")[1] for line in shown] == ["Accepted)", "Proposed)"]


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (2, ["mode 2: Username/Password", "Username: [a]", "Password: [not shown]"]),
        (3, ["mode 3: Kerberos", "Kerberos Service Ticket (not dumped) length: 3"]),
        (4, ["mode 4: SAML", "SAML Assertion (not dumped) length: 3"]),
        (5, ["mode 5: JWT", "JSON Web Token (not dumped) length: 3"]),
        (
            6,
            [
                "mode: Unknown ",
                "First value (not dumped), length: 3",
                "Second Value (not dumped), length: 2",
            ],
        ),
    ],
)
def test_a_user_identity_is_shown_by_its_kind(kind: int, lines: list[str]) -> None:
    identity = pdu.item(0x58, bytes([kind, 1]) + b"\0\3a\0x\0\2b\n")
    request = request_of(pdu.associate_rq(user_items=[identity]))
    shown = block_lines(parameter_block.request_block(request, 16_384))
    start = shown.index("Requested User Identity Negotiation:") + 1
    assert shown[start : start + len(lines) + 1] == [
        f"  Authentication {lines[0]}",
        *(f"  {line}" for line in lines[1:]),
        "  Positive Response requested: Yes",
    ]
