"""TLS: the same requestors meet the original and ours, and the same happens to them."""

import re
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.builders.certificates import DER, Authority, Identity, client_context
from tests.peers.program import ORIGINAL, OURS, Program, free_port
from tests.peers.scu import READ_DEADLINE_S
from tests.peers.tls import fate, served_with_new_keys, suites

ROOT = Authority("Root", kind="rsa2048")
BELOW = Authority("Below", parent=ROOT, kind="rsa2048")
STRANGER = Authority("Stranger", kind="rsa2048")
SERVER = {kind: ROOT.issue("server", kind=kind) for kind in ("rsa2048", "ec")}

RSA = "rsa2048"
REQUESTORS = {
    "none": None,
    "good": ROOT.issue("good", kind=RSA),
    "untrusted": STRANGER.issue("untrusted", kind=RSA),
    "expired": ROOT.issue("expired", kind=RSA, days=(-20, -10)),
    "revoked": ROOT.issue("revoked", kind=RSA),
    "below": BELOW.issue("below", kind=RSA),
}
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)

# What both log about a handshake that failed; ours also says what is wrong with a
# certificate, and who it was.
REASON = re.compile(
    r"^E: Could not receive association request: (TLS error: [a-z ]*[a-z])", re.M
)


class Files:
    """What the options name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = self.write("root.pem", ROOT.root)
        revoked = REQUESTORS["revoked"]
        assert revoked is not None
        self.leaf_crl = self.write(
            "leaf.crl", ROOT.revocation_list(revoked.certificate)
        )
        self.chain_crl = self.write(
            "chain.crl",
            ROOT.revocation_list(revoked.certificate, BELOW.identity.certificate),
        )
        self.below_crl = self.write("below.crl", BELOW.revocation_list())

    def write(self, name: str, content: bytes) -> str:
        path = self.directory / name
        path.write_bytes(content)
        return str(path)

    def server(self, kind: str) -> tuple[str, ...]:
        return ("+tls", *SERVER[kind].write(self.directory, f"server-{kind}"))

    def requestor(self, identity: Identity | None) -> ssl.SSLContext:
        return client_context(ROOT, identity, self.directory)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def both(stack: ExitStack, *options: str) -> tuple[Program, Program]:
    """The original and ours with the same options."""
    original = stack.enter_context(Program(options, command=ORIGINAL))
    return original, stack.enter_context(Program(options, command=OURS))


def are_alike(original: str, ours: str) -> bool:
    """The original closes before TLS 1.3 requestors have read its alert."""
    return original == ours or (original == "closed" and ours != "served")


@pytest.mark.parametrize("kind", SERVER)
@pytest.mark.parametrize("profile", ["+py", "+px", "+pz", "+pa", "+pn"])
def test_versions_and_suites_of_each_profile(
    files: Files, stack: ExitStack, profile: str, kind: str
) -> None:
    """Spec 10.3, by openssl's s_client."""
    original, ours = both(stack, *files.server(kind), "-ic", profile)
    assert suites(ours.port) == suites(original.port)


@pytest.mark.parametrize(
    "mode",
    ["-rc", "-vc", "-ic", "no CA", "+crv", "leaf +crl", "chain +crl +cra"],
)
def test_what_becomes_of_requestors(files: Files, stack: ExitStack, mode: str) -> None:
    """Spec 10.1: none, good, untrusted, expired, revoked leaf, revoked intermediate."""
    options = {
        "no CA": (),
        "+crv": ("+cf", files.root, "+crv"),
        "leaf +crl": ("+cf", files.root, "+crl", files.leaf_crl),
        "chain +crl +cra": (
            *("+cf", files.root, "+crl", files.chain_crl),
            *("+crl", files.below_crl, "+cra"),
        ),
    }.get(mode, ("+cf", files.root, mode))
    original, ours = both(stack, *files.server(RSA), *options)
    fates: dict[str, list[str]] = {}
    for program in (original, ours):
        for name, identity in REQUESTORS.items():
            for version in VERSIONS:
                context = files.requestor(identity)
                context.minimum_version = context.maximum_version = version
                title = f"{name}, {version.name}"
                fates.setdefault(title, []).append(fate(program.port, context))
    assert {t: seen for t, seen in fates.items() if not are_alike(*seen)} == {}
    refused = sum(seen[0] != "served" for seen in fates.values())
    for program in (original, ours):
        program.wait_for_log("Could not receive association request", times=refused)
    assert REASON.findall(ours.log()) == REASON.findall(original.log())


def test_a_suite_that_was_added_is_used(files: Files, stack: ExitStack) -> None:
    """Spec 10.1, `+cs`, with the warning of 10.2."""
    options = (*files.server(RSA), "-ic", "+cs", "TLS_RSA_WITH_AES_256_CBC_SHA256")
    original, ours = both(stack, *options)
    only = ("-cipher", "AES256-SHA256:@SECLEVEL=0")
    assert suites(ours.port, *only) == suites(original.port, *only)
    assert "uses RSA key transport" in original.log()
    assert "uses RSA key transport" in ours.log()


def test_an_association_outlives_its_keys(files: Files, stack: ExitStack) -> None:
    """RFC 8446 section 4.6.3: a peer may ask for new ones at any time."""
    for program in both(stack, *files.server(RSA), "-ic"):
        assert served_with_new_keys(program.port)


# Files that cannot be used


def refusal(command: Sequence[str], options: Sequence[str], typed: str) -> list[str]:
    """What a receiver says that does not start, without a terminal."""
    done = subprocess.run(
        [*command, *options, str(free_port())],
        input=typed.encode(),
        capture_output=True,
        timeout=READ_DEADLINE_S,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 71
    return done.stderr.decode().splitlines()


@pytest.mark.parametrize(
    ("key", "certificate", "typed"),
    [
        ("none", "good.pem", ""),
        ("words", "good.pem", ""),
        ("good.pem", "good.pem", ""),
        ("locked.key", "good.pem", ""),
        ("locked.key", "good.pem", "wrong\n"),
        ("good.key", "none", ""),
        ("good.key", "words", ""),
        ("good.key", "good.key", ""),
        ("good.key", "good.der", ""),
        ("good.key", "other.pem", ""),
        ("good.key", "ec.pem", ""),
    ],
)
def test_files_that_cannot_be_used(
    files: Files, key: str, certificate: str, typed: str
) -> None:
    """Spec 10.2: the same lines, and exit code 71."""
    good = REQUESTORS["good"]
    assert good is not None
    good.write(files.directory, "good")
    ROOT.issue("other", kind=RSA, number=2).write(files.directory, "other")
    ROOT.issue("ec", kind="ec").write(files.directory, "ec")
    files.write("words", b"words\n")
    files.write("good.der", good.certificate.public_bytes(DER))
    files.write("locked.key", good.key_bytes(password="secret"))
    paths = [str(files.directory / name) for name in (key, certificate)]
    options = ("+tls", *paths)
    assert refusal(OURS, options, typed) == refusal(ORIGINAL, options, typed)
