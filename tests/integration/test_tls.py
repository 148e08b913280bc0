"""TLS from the outside: real requestors, several processes, files that change."""

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import ssl
import termios
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pynetdicom
import pytest

from dcmrecv.server.tls import PROMPT
from dcmrecv.service import kernel_tls
from tests.builders import pdu
from tests.builders.certificates import (
    DER,
    Authority,
    Identity,
    client_context,
    dh_parameters,
)
from tests.builders.pdu import ProposedContext
from tests.builders.profile import profile_options
from tests.builders.proxy import proxied
from tests.builders.samples import one_of_each_transfer_syntax
from tests.builders.tls_ways import KERNEL_TLS
from tests.builders.uids import VERIFICATION
from tests.peers.program import Program, data_sets_below, free_port
from tests.peers.scu import PeerGone, RawScu
from tests.peers.senders import echoscu, storescu
from tests.peers.tls import (
    TlsScu,
    client_hello,
    fate,
    secured,
    served_with_new_keys,
    sni_fate,
    stall,
    suites,
    temporary_key,
)
from tests.peers.waiting import wait_until

ROOT = Authority("Root", kind="rsa2048")
SERVER = ROOT.issue("server", kind="rsa2048")
NEXT = ROOT.issue("next server", kind="rsa2048", number=2)
CT = ROOT.issue("ct1", kind="rsa2048", names=["ct1.hospital.org"], number=3)
DATA_SET = bytes(100_000)
ECHO_REQUEST = pdu.associate_rq((ProposedContext(1, VERIFICATION),))
STALLED = 500


@dataclass(slots=True)
class Pki:
    """Files, options and requestors of one test."""

    directory: Path
    kernel_tls: str

    def write(self, name: str, content: bytes) -> str:
        path = self.directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return str(path)

    @property
    def root(self) -> str:
        return self.write("root.pem", ROOT.root)

    def own(self, identity: Identity = SERVER) -> tuple[str, ...]:
        """Key and certificate of the receiver, and whom it trusts."""
        return (
            *("+tls", *identity.write(self.directory, "server"), "+cf", self.root),
            *("--kernel-tls", self.kernel_tls),
        )

    def tool(self, identity: Identity | None = CT) -> tuple[str, ...]:
        """Options of DCMTK's senders."""
        if identity is None:
            return ("--anonymous-tls", "+cf", self.root)
        return ("+tls", *identity.write(self.directory, "tool"), "+cf", self.root)

    def requestor(self, identity: Identity | None = CT) -> ssl.SSLContext:
        return client_context(ROOT, identity, self.directory)


@pytest.fixture(params=KERNEL_TLS, ids="kernel-{}".format)
def pki(request: pytest.FixtureRequest, tmp_path: Path) -> Pki:
    directory = tmp_path / "pki"
    directory.mkdir()
    return Pki(directory, request.param)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    directory = tmp_path / "out"
    directory.mkdir()
    return directory


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def stored(out: Path) -> list[bytes]:
    return list(data_sets_below(out).values())


# Requestors of other people


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz", "+pa", "+pn"])
def test_dcmtk_s_sender_stores_with_every_profile(
    pki: Pki, out: Path, tmp_path: Path, profile: str
) -> None:
    """The same profile on both sides; the files are those that come without TLS."""
    samples = one_of_each_transfer_syntax()
    plain = tmp_path / "plain"
    plain.mkdir()
    usual = ("--promiscuous", "+B", "-od")
    with Program((*usual, str(plain))) as program:
        assert storescu(program.port, samples, tmp_path).returncode == 0
    with Program((*usual, str(out), *pki.own(), profile)) as program:
        sent = storescu(program.port, samples, tmp_path, *pki.tool(), profile)
        assert sent.returncode == 0, sent.stdout
    assert data_sets_below(out) == data_sets_below(plain) != {}
    assert program.exit_code == 0


def test_pynetdicom_is_served(pki: Pki) -> None:
    with Program(pki.own()) as program:
        entity = pynetdicom.AE("PYNETDICOM")
        entity.add_requested_context(VERIFICATION)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 15
        association = entity.associate(
            "127.0.0.1", program.port, tls_args=(pki.requestor(), "archive")
        )
        assert association.is_established
        status = association.send_c_echo()
        association.release()
    assert status is not None
    assert status.Status == 0


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("--profile-8996", "ECDHE-RSA-AES256-GCM-SHA384"),
        ("--profile-8996-mod", "ECDHE-RSA-AES256-GCM-SHA384"),
    ],
)
def test_profiles_of_later_versions(pki: Pki, profile: str, expected: str) -> None:
    """Spec 11: TLS 1.2 and 1.3, no DHE."""
    with Program((*pki.own(), "-ic", profile)) as program:
        assert suites(program.port) == ["", "", expected, "TLS_AES_256_GCM_SHA384"]
        dhe = ("-cipher", "DHE-RSA-AES256-GCM-SHA384")
        assert suites(program.port, *dhe)[2] == ""
        chacha = ("-cipher", "ECDHE-RSA-CHACHA20-POLY1305")
        assert bool(suites(program.port, *chacha)[2]) == ("mod" in profile)


@pytest.mark.parametrize(
    ("group", "expected"),
    [(None, "DH, 2048 bits"), ("ffdhe3072", "DH, 3072 bits")],
)
def test_dh_parameters_take_effect(pki: Pki, group: str | None, expected: str) -> None:
    """`+dp`, and what there is without it."""
    options = [*pki.own(), "-ic"]
    if group is not None:
        options += ["+dp", pki.write("dh.pem", dh_parameters(group))]
    with Program(options) as program:
        suite = "DHE-RSA-AES256-GCM-SHA384"
        assert temporary_key(program.port, suite) == expected


# Kernel TLS


def test_the_kernel_has_the_keys_if_asked_and_able(pki: Pki) -> None:
    with Program((*pki.own(), "-d")) as program:
        assert fate(program.port, pki.requestor()) == "served"
    in_kernel = pki.kernel_tls == "auto"
    word = "used" if in_kernel else "not used"
    assert program.log().count(f"D: kernel TLS is {word}\n") == 1
    assert (" bits, kernel TLS\n" in program.log()) == in_kernel


def test_where_there_is_none_to_be_had_it_may_be_asked_for(pki: Pki) -> None:
    with Program((*pki.own(), "--kernel-tls", "auto", "-d")) as program:
        assert fate(program.port, pki.requestor()) == "served"
    word = "used" if kernel_tls.is_available() else "not used"
    assert f"D: kernel TLS is {word}\n" in program.log()


def test_a_suite_that_the_kernel_has_not_is_served(pki: Pki, out: Path) -> None:
    options = ("+px", "+cs", "TLS_RSA_WITH_AES_128_CBC_SHA", "--promiscuous", "+B")
    context = pki.requestor()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    with (
        Program((*pki.own(), *options, "-od", str(out), "-d")) as program,
        TlsScu(program.port, context) as scu,
    ):
        scu.associate()
        assert scu.store(DATA_SET).status == 0
        scu.release()
    assert stored(out) == [DATA_SET]
    assert "AES128-SHA, 128 bits\n" in program.log()


def test_an_association_outlives_its_keys_unless_the_kernel_has_them(pki: Pki) -> None:
    """RFC 8446 section 4.6.3: a peer may ask for new ones at any time."""
    in_kernel = pki.kernel_tls == "auto"
    with Program((*pki.own(), "-ic")) as program:
        assert served_with_new_keys(program.port) != in_kernel
    complaint = "TLS error: kernel TLS cannot change its keys"
    assert (complaint in program.log()) == in_kernel


# Who is welcome


def test_a_requestor_without_tls_is_refused_and_the_next_one_served(pki: Pki) -> None:
    """Spec 10.1."""
    with Program(pki.own()) as program:
        assert echoscu(program.port).returncode != 0
        assert echoscu(program.port, *pki.tool()).returncode == 0
    assert "E: Could not receive association request: TLS error: " in program.log()
    assert "wrong version number" in program.log()


def test_tls_on_a_plain_port_is_refused(pki: Pki) -> None:
    """Spec 10.1."""
    with Program(()) as program:
        assert echoscu(program.port, *pki.tool()).returncode != 0
        assert echoscu(program.port).returncode == 0
    assert "Unrecognized PDU type: 16" in program.log()


def test_the_peer_s_certificate_stands_in_the_line_about_its_association(
    pki: Pki,
) -> None:
    with Program((*pki.own(), "-v")) as program:
        assert echoscu(program.port, *pki.tool()).returncode == 0
    assert re.search(
        r"^I: Association Received localhost: ECHOSCU -> ANY-SCP "
        r"\(CN=ct1, SHA-256 [0-9a-f]{64}\)$",
        program.log(),
        re.MULTILINE,
    )


def test_a_certificate_s_name_may_be_required(pki: Pki) -> None:
    with Program((*pki.own(), "--require-cert-name", "*.hospital.org")) as program:
        assert fate(program.port, pki.requestor()) == "served"
        other = ROOT.issue("mr1", kind="rsa2048", names=["mr1.clinic.org"])
        assert fate(program.port, pki.requestor(other)) != "served"
    assert "TLS error: certificate name not allowed (CN=mr1)" in program.log()


def test_another_server_s_name_may_not_be_asked_for(pki: Pki) -> None:
    """Of DCMTK 3.6.8, `--expect-sni`."""
    with Program((*pki.own(), "--expect-sni", "archive")) as program:
        assert sni_fate(program.port, pki.requestor(), "archive") == "accepted"
        assert sni_fate(program.port, pki.requestor(), "other") != "accepted"
        assert fate(program.port, pki.requestor()) == "served"
    assert (
        "E: SNI failure: client requested server 'other', my name is 'archive'."
        in program.log()
    )


# Secrets


def test_a_password_is_shown_nowhere(pki: Pki) -> None:
    """Not in the log, not by `--arguments`, not in the process list."""
    key = pki.write("locked.key", SERVER.key_bytes(password="open-sesame"))
    _, _, certificate, *trust = pki.own()
    options = ("+tls", key, certificate, *trust, "+pw", "open-sesame")
    with Program((*options, "--arguments", "-d")) as program:
        assert fate(program.port, pki.requestor()) == "served"
        for pid in program.processes():
            assert b"open-sesame" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert "open-sesame" not in program.log() + program.output()
    assert "BEGIN TLS CONNECTION DETAILS" in program.log()


def void(_: object) -> None:
    """For a call in a lambda that is there for its effect."""


def test_a_password_can_come_from_standard_input(pki: Pki, tmp_path: Path) -> None:
    """Spec 10.1, `+ps` without a terminal."""
    key = pki.write("locked.key", SERVER.key_bytes(password="open-sesame"))
    _, _, certificate, *trust = pki.own()
    typed = tmp_path / "typed"
    typed.write_text("open-sesame\n")
    with Program(
        ("+tls", key, certificate, *trust, "+ps"),
        before_exec=lambda: void(os.dup2(os.open(typed, os.O_RDONLY), 0)),
    ) as program:
        assert fate(program.port, pki.requestor()) == "served"
    warning, asked, *_ = program.log_lines()
    assert warning.startswith("W: no configuration file specified")
    assert asked == PROMPT


def test_a_password_can_be_typed(pki: Pki) -> None:
    """Spec 10.1, `+ps`: asked for on the terminal, once, and not shown there."""
    key = pki.write("locked.key", SERVER.key_bytes(password="open-sesame"))
    _, _, certificate, *trust = pki.own()
    ours, terminal = os.openpty()

    def read_until(end: bytes) -> bytes:
        shown = b""
        while not shown.endswith(end):
            assert select.select([ours], [], [], 15)[0], shown
            shown += os.read(ours, 1_024)
        return shown

    def answer() -> bytes:
        shown = read_until(PROMPT.encode())
        os.write(ours, b"open-sesame\n")
        return shown + read_until(b"\n")  # which is shown all the same

    def sit_down() -> None:
        """Make it the terminal of the new session."""
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    with ThreadPoolExecutor(1) as user:
        shown = user.submit(answer)
        options = ("+tls", key, certificate, *trust, "+ps", "--arguments", "-d")
        with Program(options, before_exec=sit_down) as program:
            assert fate(program.port, pki.requestor()) == "served"
            assert shown.result(15).strip() == PROMPT.encode()
    assert "open-sesame" not in program.log() + program.output()
    for descriptor in (ours, terminal):
        os.close(descriptor)


# Processes


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_is_resumed_by_another_worker(pki: Pki, version: str) -> None:
    """The keys for tickets are those of the context, which all workers inherit."""
    with Program((*pki.own(), "--spare-workers", "2"), deadline_s=30) as program:
        context = pki.requestor()
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        with secured(program.port, context) as first:
            # While the first worker is busy with it, another one serves the second.
            # Tickets of TLS 1.3 come behind the handshake, with the answer.
            first.sendall(ECHO_REQUEST)
            assert first.recv(1) == b"\x02"
            with secured(program.port, context, first.session) as second:
                assert second.session_reused
                second.sendall(ECHO_REQUEST)
                assert second.recv(1) == b"\x02"


@pytest.mark.parametrize("said", ["nothing", "half", "everything"])
def test_stalled_handshakes_keep_nobody_waiting(
    pki: Pki, stack: ExitStack, out: Path, said: str
) -> None:
    """500 of them, while one association goes on and new ones are made."""
    context = pki.requestor()
    hello = client_hello(context)
    words = {"nothing": b"", "half": hello[:50], "everything": hello}[said]
    options = (
        *pki.own(),
        "--max-associations",
        "8",
        "-ta",
        "60",
        "+B",
        "-od",
        str(out),
    )
    program = stack.enter_context(Program((*options, "--promiscuous")))
    busy = stack.enter_context(TlsScu(program.port, context))
    busy.associate()
    for _ in range(STALLED):
        stack.enter_context(stall(program.port, words))
    for number in range(10):
        assert busy.store(DATA_SET, f"1.2.{number}").status == 0
        with TlsScu(program.port, context) as scu:
            scu.associate()
            assert scu.store(DATA_SET, f"1.3.{number}").status == 0
            scu.release()
    busy.release()
    assert len(stored(out)) == 20
    # They are nobody's business when the receiver ends.
    assert program.stop() == 0


def test_a_handshake_has_its_time_only(pki: Pki, stack: ExitStack) -> None:
    """DECISIONS 13."""
    program = stack.enter_context(Program((*pki.own(), "-ta", "1")))
    hello = client_hello(pki.requestor())
    for said in (b"", hello[:50], hello):
        connection = stack.enter_context(stall(program.port, said))
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65_536):
                pass
    assert "TLS error: handshake timed out" in program.log()


def test_past_the_limit_tls_requestors_get_an_alert(pki: Pki) -> None:
    """They have not shaken hands yet: no A-ASSOCIATE-RJ can reach them."""
    with Program((*pki.own(), "--max-associations", "1")) as program:
        context = pki.requestor()
        with TlsScu(program.port, context) as scu:
            scu.request_association(ECHO_REQUEST)
            assert fate(program.port, context) == "TLSV1_ALERT_INTERNAL_ERROR"
        wait_until(lambda: fate(program.port, context) == "served", "a free worker")


def test_a_proxy_s_header_stands_before_the_handshake(pki: Pki) -> None:
    """Read by the worker, or by the waiting room when the handshake comes late."""
    options = (*pki.own(), "--proxy-protocol", "127.0.0.1", "-v", "-dhl")
    with Program(options) as program:
        for pause in (False, True):
            with contextlib.ExitStack() as stack:
                plain = stack.enter_context(
                    socket.create_connection(("127.0.0.1", program.port), 15)
                )
                plain.sendall(proxied("192.0.2.7"))
                if pause:  # another connection is served before this one goes on
                    other = stack.enter_context(
                        socket.create_connection(("127.0.0.1", program.port), 15)
                    )
                    other.sendall(proxied("192.0.2.8"))
                    stack.enter_context(pki.requestor().wrap_socket(other))
                inside = stack.enter_context(pki.requestor().wrap_socket(plain))
                inside.sendall(ECHO_REQUEST)
                assert inside.recv(1) == b"\x02"
        program.wait_for_log("Association Received 192.0.2.7: ", times=2)


# Several listeners


def test_one_process_listens_in_several_places(pki: Pki, stack: ExitStack) -> None:
    plain, ipv6, both = free_port(), free_port(), free_port()
    options = (
        *("--listen", f"127.0.0.1:{plain}", "--listen", f"tls:[::1]:{ipv6}"),
        *("--listen", f"localhost:{both}", *pki.own()),
    )
    program = stack.enter_context(Program(options))
    request = ECHO_REQUEST
    for port in (plain, both):
        with RawScu(port) as scu:
            scu.request_association(request)
            scu.release()
    assert fate(program.port, pki.requestor()) == "served"
    with (
        socket.create_connection(("::1", ipv6), 15) as connection,
        pki.requestor().wrap_socket(connection) as inside,
    ):
        inside.sendall(request)
        assert inside.recv(1) == b"\x02"
    assert program.stop() == 0, program.log()


def test_both_protocols_in_another_place(stack: ExitStack) -> None:
    other = free_port()
    program = stack.enter_context(Program(("-i0", "--listen", f"*:{other}")))
    for port in (program.port, other):
        for host in ("127.0.0.1", "::1"):
            with RawScu(port, host) as scu:
                scu.request_association(ECHO_REQUEST)
                scu.release()


# Reloading


def shows(port: int, context: ssl.SSLContext, certificate: bytes) -> bool:
    """Is this what the receiver shows?

    For a moment after a reload an idle worker that has not left yet may take one more
    connection.
    """
    with secured(port, context) as connection:
        return connection.getpeercert(binary_form=True) == certificate


def test_certificates_change_under_load_without_a_failed_object(
    pki: Pki, out: Path
) -> None:
    options = (*pki.own(), "--reload", "-v", "--promiscuous", "+B", "-od", str(out))
    context = pki.requestor()
    errors: list[BaseException] = []
    sent: list[str] = []
    over = threading.Event()

    def send(sender: int) -> None:
        number = 0
        try:
            while not over.is_set():
                with TlsScu(program.port, context) as scu:
                    scu.associate()
                    for _ in range(3):
                        number += 1
                        uid = f"1.{sender}.{number}"
                        assert scu.store(DATA_SET, uid).status == 0
                        sent.append(uid)
                    scu.release()
        except BaseException as error:
            errors.append(error)

    with Program(options) as program:
        senders = [threading.Thread(target=send, args=(n,)) for n in (1, 2)]
        for sender in senders:
            sender.start()
        for turn, identity in enumerate((NEXT, SERVER, NEXT), 1):
            identity.write(pki.directory, "server")
            program.process.send_signal(signal.SIGHUP)
            program.wait_for_log("Reloaded certificates", times=turn)
            wanted = identity.certificate.public_bytes(DER)
            wait_until(
                lambda wanted=wanted: shows(program.port, context, wanted),
                "the new certificate",
            )
        over.set()
        for sender in senders:
            sender.join(20)
    assert errors == []
    assert len(sent) == len(set(sent)) == len(stored(out)) > 0


def test_a_running_association_outlives_a_reload(pki: Pki, out: Path) -> None:
    options = (*pki.own(), "--reload", "-v", "--promiscuous", "+B", "-od", str(out))
    with Program(options) as program, TlsScu(program.port, pki.requestor()) as scu:
        scu.associate()
        NEXT.write(pki.directory, "server")
        program.process.send_signal(signal.SIGHUP)
        program.wait_for_log("Reloaded certificates")
        wanted = NEXT.certificate.public_bytes(DER)
        wait_until(
            lambda: shows(program.port, pki.requestor(), wanted), "the new certificate"
        )
        assert scu.store(DATA_SET).status == 0
        scu.release()
    assert program.exit_code == 0


def test_a_bad_file_changes_nothing_and_is_named(pki: Pki) -> None:
    """Be it our own certificate or a list of others that is only half written."""
    crl = pki.write("crl.pem", ROOT.revocation_list())
    own = pki.own()
    with Program((*own, "+crl", crl, "--reload")) as program:
        for turn, (name, complaint) in enumerate(
            (
                (own[2], f"and certificate '{own[2]}' do not match"),
                (own[4], f"unable to load certificate file '{own[4]}'"),
                (crl, f"unable to load CRL file '{crl}'"),
            ),
            1,
        ):
            file = Path(name)
            before = file.read_bytes()
            file.write_bytes(before[: len(before) // 2])
            program.process.send_signal(signal.SIGHUP)
            program.wait_for_log("Not reloaded, going on as before", times=turn)
            assert complaint in program.log()
            ours = SERVER.certificate.public_bytes(DER)
            assert shows(program.port, pki.requestor(), ours)
            file.write_bytes(before)
            assert fate(program.port, pki.requestor()) == "served"
    assert program.exit_code == 0


def test_a_revoked_peer_is_refused_after_a_reload(pki: Pki) -> None:
    """Even one that could resume its session."""
    crl = pki.write("crl.pem", ROOT.revocation_list())
    with Program((*pki.own(), "+crl", crl, "--reload", "-v")) as program:
        context = pki.requestor()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with secured(program.port, context) as first:
            session = first.session
        pki.write("crl.pem", ROOT.revocation_list(CT.certificate))
        program.process.send_signal(signal.SIGHUP)
        program.wait_for_log("Reloaded certificates")
        wait_until(
            lambda: fate(program.port, context) == "SSLV3_ALERT_CERTIFICATE_REVOKED",
            "the refusal",
        )
        with pytest.raises(ssl.SSLError, match="REVOKED"):
            secured(program.port, context, session)


def test_the_association_profile_is_read_again(tmp_path: Path) -> None:
    """Without TLS, too."""
    source = tmp_path / "profile.cfg"
    words = profile_options(tmp_path)
    source.write_text(Path(words[1]).read_text())
    options = ("-xf", str(source), words[2], "--reload", "-v")
    with Program(options) as program:
        with RawScu(program.port) as scu:
            scu.associate()
            scu.release()
        source.write_text(
            source.read_text().replace("1.2.840.10008.5.1.4.1.1.2\\", "1.2.3\\")
        )
        program.process.send_signal(signal.SIGHUP)
        program.wait_for_log("Reloaded")

        def is_refused() -> bool:
            with RawScu(program.port) as scu, contextlib.suppress(PeerGone):
                try:
                    scu.associate()
                except ValueError:
                    return True
                scu.release()
            return False

        wait_until(is_refused, "the new profile")


def test_without_the_option_sighup_ends_the_receiver() -> None:
    with Program(()) as program:
        assert program.stop(signal.SIGHUP) == 0
