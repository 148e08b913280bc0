"""The same association configuration files for DCMTK's dcmrecv 3.6.7 and for us.

Whether the original takes a file is seen without opening a port: with an output
directory that does not exist it ends with 45 after reading the file, or with 66 because
of it.
"""

import os
import random
import struct
import subprocess
from collections.abc import Sequence
from itertools import combinations, pairwise, product
from pathlib import Path

import pytest

from dcmrecv.config import uids as uids_module
from dcmrecv.config.profile import load_profile
from dcmrecv.config.settings import AssociationProfile, Role
from dcmrecv.config.uids import uid_of
from dcmrecv.errors import ConfigurationError, ExitCode
from tests.builders import pdu, uids
from tests.builders.configuration import (
    CONFIGURATION,
    MALFORMED,
    OTHER_MEANING,
    SAME_MEANING,
    changed,
    context_list,
)
from tests.builders.pdu import ProposedContext
from tests.peers.program import ORIGINAL, Program
from tests.peers.scu import AssociateAccept, RawScu

DEADLINE_S = 60.0
DCMTK_FILE = "/etc/dcmtk/storescp.cfg"

ROLE_ANSWERED = {Role.SCU: (1, 0), Role.SCP: (0, 1), Role.BOTH: (1, 1)}

Outcome = tuple[int, bytes]


def outcome_of_original(path: str, profile: str, directory: Path) -> Outcome:
    """Exit code and log; code 0 if the file was taken."""
    options = ["-od", str(directory / "none"), "-xf", path, profile, "11112"]
    run = subprocess.run(
        [*ORIGINAL, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=DEADLINE_S,
        check=False,
    )
    if run.returncode == ExitCode.OUTPUT_DIRECTORY:
        return 0, b""
    return run.returncode, run.stderr


def outcome_of_ours(path: str, profile: str) -> Outcome:
    """What our program would end with and log; every line of a text has the prefix."""
    try:
        load_profile(path, profile)
    except ConfigurationError as error:
        lines = [f"E: {part}" for text in error.details for part in text.split("\n")]
        lines += [f"F: {part}" for part in str(error).split("\n")]
        return error.exit_code, os.fsencode("\n".join(lines) + "\n")
    return 0, b""


def outcomes(
    directory: Path, content: bytes, profile: str = "Default"
) -> tuple[Outcome, Outcome]:
    path = directory / "a.cfg"
    path.write_bytes(content)
    return (
        outcome_of_ours(str(path), profile),
        outcome_of_original(str(path), profile, directory),
    )


@pytest.mark.parametrize("content", [c for c, _ in MALFORMED.values()], ids=MALFORMED)
def test_malformed_file_is_refused_in_the_same_words(
    tmp_path: Path, content: bytes
) -> None:
    """Spec section 4.4."""
    ours, original = outcomes(tmp_path, content)
    assert original[0] == ExitCode.ASSOCIATION_CONFIGURATION
    assert ours == original


@pytest.mark.parametrize("seed", range(5))
def test_damaged_file_has_the_same_outcome(tmp_path: Path, seed: int) -> None:
    """A good file with random damage, a dozen for each seed."""
    chance = random.Random(seed)
    for _ in range(12):
        content = damaged(chance)
        profile = chance.choice(["default", "EchoOnly", "third", " "])
        ours, original = outcomes(tmp_path, content, profile)
        assert ours == original, content


def damaged(chance: random.Random) -> bytes:
    pieces = [b"\n", b"\r\n", b" ", b"\0", b"#", b"[", b"]", b"=", b"\\", b"x", b"1.2"]
    pieces += [b"\n ", b"\n#", b"\n[[Profiles]]\n", b"\n[Plain]\n", b"\xe9", b"\v"]
    pieces += [b"\nRole3 = 1.2\\SCU", b"\n[Third]\nPresentationContexts = echo\n", b""]
    content = CONFIGURATION
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(content))
        gone = chance.choice([0, 0, 1, 5, 25])
        content = content[:at] + chance.choice(pieces) + content[at + gone :]
    return content


@pytest.mark.parametrize(
    ("file", "profile"),
    [
        ("", ""),
        ("", "Default"),
        ("none.cfg", ""),
        ("none.cfg", "Default"),
        ("a.cfg", ""),
        ("a.cfg", " "),
        ("a.cfg", "nosuch"),
        ("a.cfg", "Groß"),
        ("a.cfg", "de fault\t"),
        (".", "Default"),
    ],
)
def test_file_and_profile_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, profile: str
) -> None:
    """Spec section 3.2."""
    monkeypatch.chdir(tmp_path)
    Path("a.cfg").write_bytes(CONFIGURATION)
    assert outcome_of_ours(file, profile) == outcome_of_original(
        file, profile, tmp_path
    )


def test_repeated_abstract_syntax(tmp_path: Path) -> None:
    """Only the profile that is asked for must be fit for an acceptor."""
    content = changed(
        b"[[SCPSCU", b"PresentationContext2 = 1.2.840.10008.1.1\\Plain\n[[SCPSCU"
    )
    for profile in ("Default", "echo only"):
        ours, original = outcomes(tmp_path, content, profile)
        assert ours == original
    assert original[0] == ExitCode.ASSOCIATION_CONFIGURATION


def test_the_129th_context_is_refused_by_the_original_only(tmp_path: Path) -> None:
    """A difference on purpose: later versions of DCMTK take longer lists as well."""
    for number, accepted_by_original in ((128, True), (129, False)):
        content = changed(b"[[SCPSCU", b"[Many]\n" + context_list(number) + b"[[SCPSCU")
        ours, original = outcomes(tmp_path, content)
        assert ours == (0, b"")
        assert (original == (0, b"")) is accepted_by_original


def test_every_name_of_the_original_means_the_same_uid(tmp_path: Path) -> None:
    """One profile for each name: the role list has the name, the context list the UID.

    The original takes the file only if each name is the UID that we say it is.
    """
    names = [name for name, _ in uids_module._names()[:436]]
    names += ["LocalEndianExplicit", "OppositeEndianExplicit"]
    lines = ["[[TransferSyntaxes]]", "[T]", "TransferSyntax1 = 1.2"]
    lines.append("[[PresentationContexts]]")
    for number, name in enumerate(names):
        lines += [f"[P{number}]", f"PresentationContext1 = {uid_of(name)}\\T"]
    lines.append("[[SCPSCURoleSelection]]")
    for number, name in enumerate(names):
        lines += [f"[R{number}]", f"Role1 = {name}\\SCU"]
    lines.append("[[Profiles]]")
    for number in range(len(names)):
        lines += [f"[{number}]", f"PresentationContexts = P{number}"]
        lines.append(f"SCPSCURoleSelection = R{number}")
    ours, original = outcomes(tmp_path, "\n".join(lines).encode(), "0")
    assert ours == original == (0, b"")


WELL_FORMED = SAME_MEANING | OTHER_MEANING


@pytest.mark.parametrize("content", WELL_FORMED.values(), ids=WELL_FORMED)
def test_well_formed_file_means_the_same(tmp_path: Path, content: bytes) -> None:
    """Negotiates with the original and compares with what we have read."""
    path = tmp_path / "a.cfg"
    path.write_bytes(content)
    profile = load_profile(str(path), "Default")
    contexts = proposal([uids.VERIFICATION, uids.CT_IMAGE, uids.MR_IMAGE])
    assert answer_of_original(str(path), contexts) == expected(profile, contexts)


@pytest.mark.parametrize("name", ["Default", "AllDICOM"])
def test_profile_of_dcmtk_means_the_same(name: str) -> None:
    """The file of Debian's package: two classes, each two neighbours of the list."""
    profile = load_profile(DCMTK_FILE, name)
    assert len(profile.contexts) == 128
    by_class = {context.abstract_syntax: context for context in profile.contexts}
    syntaxes = by_class[uids.CT_IMAGE].transfer_syntaxes
    offers = [(later, first) for first, later in pairwise(syntaxes)]
    contexts = numbered([uids.CT_IMAGE, uids.BASIC_TEXT_SR], offers)
    answer = answer_of_original(DCMTK_FILE, contexts, name)
    assert answer == expected(profile, contexts)


@pytest.mark.parametrize("name", ["Default", "AllDICOM"])
def test_our_storescp_cfg_answers_every_offer_as_the_one_of_dcmtk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """No class is missing, and what is offered of theirs is preferred as in theirs.

    So a sender that offers what 3.6.7 knows gets the same answer from both.
    """
    monkeypatch.chdir(tmp_path)
    ours = {
        context.abstract_syntax: context.transfer_syntaxes
        for context in load_profile("storescp.cfg", name).contexts
    }
    for context in load_profile(DCMTK_FILE, name).contexts:
        known = ours[context.abstract_syntax]
        theirs = context.transfer_syntaxes
        assert tuple(uid for uid in known if uid in theirs) == theirs


def proposal(abstract_syntaxes: Sequence[str]) -> list[ProposedContext]:
    """Every class with one and with each two of some transfer syntaxes."""
    syntaxes = [
        uids.RLE_LOSSLESS,
        uids.IMPLICIT_LE,
        uids.JPEG_BASELINE,
        uids.EXPLICIT_LE,
        uids.EXPLICIT_BE,
    ]
    offers = [*combinations(syntaxes, 1), *combinations(syntaxes, 2)]
    return numbered(abstract_syntaxes, offers)


def numbered(
    abstract_syntaxes: Sequence[str], offers: Sequence[tuple[str, ...]]
) -> list[ProposedContext]:
    """Every class with every offer, with odd context ids."""
    pairs = product(abstract_syntaxes, offers)
    return [
        ProposedContext(2 * number + 1, uid, offer)
        for number, (uid, offer) in enumerate(pairs)
    ]


Answer = tuple[dict[int, tuple[int, str]], dict[str, tuple[int, int]], dict[str, bytes]]


def answer_of_original(
    path: str, contexts: Sequence[ProposedContext], profile: str = "Default"
) -> Answer:
    """Contexts, roles and extended negotiation of the A-ASSOCIATE-AC."""
    request = pdu.associate_rq(
        contexts,
        user_items=[
            pdu.role_selection(uid, scu=1, scp=1)
            for uid in sorted({context.abstract_syntax for context in contexts})
        ],
    )
    with (
        Program(["-xf", path, profile], command=ORIGINAL) as original,
        RawScu(original.port) as scu,
    ):
        answer = scu.request_association(request)
        scu.release()
    assert isinstance(answer, AssociateAccept)
    roles: dict[str, tuple[int, int]] = {}
    negotiation: dict[str, bytes] = {}
    for kind, body in answer.user_items:
        if kind in (0x54, 0x56):
            (size,) = struct.unpack_from(">H", body)
            uid, rest = body[2 : 2 + size].decode(), body[2 + size :]
            if kind == 0x54:
                roles[uid] = (rest[0], rest[1])
            else:
                negotiation[uid] = rest
    return answer.contexts, roles, negotiation


def expected(
    profile: AssociationProfile, contexts: Sequence[ProposedContext]
) -> Answer:
    """The same by the rules of spec sections 5.1, 5.3 and 5.4."""
    lists = {c.abstract_syntax: c.transfer_syntaxes for c in profile.contexts}
    results: dict[int, tuple[int, str]] = {}
    for context in contexts:
        accepted = lists.get(context.abstract_syntax)
        if accepted is None:
            results[context.id] = (3, uids.IMPLICIT_LE)
            continue
        common = [uid for uid in accepted if uid in context.transfer_syntaxes]
        results[context.id] = (0, common[0]) if common else (4, uids.IMPLICIT_LE)
    roles = {uid: ROLE_ANSWERED[role] for uid, role in profile.roles.items()}
    return results, roles, dict(profile.extended_negotiation)
