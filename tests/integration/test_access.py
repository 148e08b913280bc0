"""Who may open an association: the real program and real senders."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from dcmrecv.config.users import add_user
from tests.builders import pdu, proxy
from tests.peers.program import Program
from tests.peers.scu import AssociateAccept, AssociateReject, PeerGone, RawScu
from tests.peers.senders import echoscu, run_tool
from tests.peers.waiting import wait_until

RESPONSE_ITEM = 0x59
VERBOSE = ("-v", "--promiscuous")


def answer_to(
    program: Program, *user_items: bytes, calling: str = "CT1", called: str = "ARCHIVE"
) -> AssociateAccept | AssociateReject:
    """What a request is told; an accepted association is released."""
    with RawScu(program.port) as scu:
        request = pdu.associate_rq(
            calling=calling, called=called, user_items=user_items
        )
        answer = scu.request_association(request)
        if isinstance(answer, AssociateAccept):
            scu.release()
    return answer


def refusals(program: Program) -> list[str]:
    return [line for line in program.log_lines() if "Refusing Association" in line]


def test_titles_are_matched_for_every_association() -> None:
    """The same bytes again are answered the same; other titles are looked at anew."""
    options = ("--accept-calling", "CT*", "--accept-called", "ARCHIVE", "-aet", "MAIN")
    with Program([*VERBOSE, *options]) as program:
        for _ in range(2):
            for called in ("ARCHIVE", "MAIN"):
                done = echoscu(program.port, "-aet", "CT1", "-aec", called)
                assert done.returncode == 0, done.stdout
            assert answer_to(program, calling="MR1") == AssociateReject(1, 1, 3)
            assert answer_to(program, called="OTHER") == AssociateReject(1, 1, 7)
        done = echoscu(program.port, "-aet", "MR1", "-aec", "MAIN")
        assert "Calling AE Title Not Recognized" in done.stdout
    assert len(refusals(program)) == 5
    assert (
        "I: Refusing Association (calling AE title is not accepted): "
        "MR1 at 127.0.0.1, A-ASSOCIATE-RJ 1,1,3"
    ) in refusals(program)
    assert "Served 4 associations (5 refused" in program.log()


@pytest.mark.parametrize("option", ["127.0.0.2", "127.0.0.0/8"])
def test_an_address_is_accepted_or_refused(option: str) -> None:
    with Program([*VERBOSE, "--accept-host", option]) as program:
        answer = answer_to(program)
        if "/" in option:
            assert isinstance(answer, AssociateAccept)
        else:
            assert answer == AssociateReject(1, 1, 1)
            assert "(address is not accepted)" in refusals(program)[0]


def test_a_silent_peer_of_a_refused_address_does_not_wait_with_the_others() -> None:
    with (
        Program([*VERBOSE, "--accept-host", "10.0.0.0/8"]) as program,
        RawScu(program.port) as scu,
    ):
        scu.send(pdu.associate_rq()[:20])
        assert scu.ending() == "closed"
    assert "(address is not accepted): 127.0.0.1" in program.log()


def test_a_dual_stack_listener_sees_ipv4_addresses_as_such() -> None:
    with Program([*VERBOSE, "-i0", "--accept-host", "127.0.0.1"]) as program:
        assert isinstance(answer_to(program), AssociateAccept)


def test_users_need_their_passcode(tmp_path: Path) -> None:
    """DCMTK's storescu names the user and wants a positive response."""
    path = tmp_path / "users"
    add_user(str(path), b"anna", b"Passw0rd")
    options = ["-d", "--promiscuous", "--ignore", "--user-file", str(path)]
    right = pdu.user_identity("anna", "Passw0rd", response_requested=True)
    quiet = pdu.user_identity("anna", "Passw0rd", response_requested=False)
    wrong = pdu.user_identity("anna", "Passw1rd", response_requested=True)
    with Program(options) as program:
        for _ in range(2):
            answer = answer_to(program, right)
            assert isinstance(answer, AssociateAccept)
            assert answer.user_item(RESPONSE_ITEM) == b"\0\0"
            assert answer_to(program, wrong) == AssociateReject(1, 1, 1)
        answer = answer_to(program, quiet)
        assert isinstance(answer, AssociateAccept)
        assert answer.user_item(RESPONSE_ITEM) is None
        assert answer_to(program) == AssociateReject(1, 1, 1)

        # Another passcode counts at once, for the bytes that were accepted before, too.
        add_user(str(path), b"anna", b"Passw1rd")
        assert answer_to(program, right) == AssociateReject(1, 1, 1)
        assert isinstance(answer_to(program, wrong), AssociateAccept)
    log = program.log()
    assert "(no user identity): CT1 at 127.0.0.1" in log
    assert "(unknown user or wrong passcode, user anna)" in log
    for secret in (b"Passw0rd", b"Passw1rd"):
        assert secret.decode() not in log
        assert secret.hex(" ").replace(" ", "  ") not in log


def test_storescu_with_a_user_is_accepted(tmp_path: Path) -> None:
    """The client of the field, positive response included."""
    path = tmp_path / "users"
    add_user(str(path), b"anna", b"Passw0rd")
    with Program([*VERBOSE, "--ignore", "--user-file", str(path)]) as program:
        for passcode, code in (("Passw0rd", 0), ("wrong", 1)):
            done = run_tool(
                [
                    *("/usr/bin/storescu", "-usr", "anna", "-pwd", passcode, "-rsp"),
                    *("127.0.0.1", str(program.port), str(sample_file(tmp_path))),
                ]
            )
            assert (done.returncode == 0) is (code == 0), done.stdout


def sample_file(directory: Path) -> Path:
    """A file that storescu sends."""
    text = directory / "dump"
    text.write_text(
        "(0008,0016) UI [1.2.840.10008.5.1.4.1.1.2]\n(0008,0018) UI [1.2.3.4]\n"
    )
    path = directory / "sample.dcm"
    done = run_tool(["/usr/bin/dump2dcm", "-q", str(text), str(path)])
    assert done.returncode == 0, done.stdout
    return path


def test_a_host_has_its_number_of_associations() -> None:
    """A-ASSOCIATE-RJ 2,3,2, until one of them is over."""
    with Program([*VERBOSE, "--max-associations-per-host", "2"]) as program:
        with RawScu(program.port) as one, RawScu(program.port) as two:
            one.associate()
            two.associate()
            assert answer_to(program) == AssociateReject(2, 3, 2)
            one.release()

            def is_accepted() -> bool:
                return isinstance(answer_to(program), AssociateAccept)

            wait_until(is_accepted, "a seat")
            with RawScu(program.port) as three:
                three.associate()
                two.abort()
                wait_until(is_accepted, "a seat after an abort")
                three.release()
        # One after the other they all have a seat.
        for _ in range(5):
            assert isinstance(answer_to(program), AssociateAccept)
    assert "(too many associations of this host): CT1 at 127.0.0.1" in program.log()


def test_a_seat_is_free_after_its_worker_was_killed() -> None:
    with Program([*VERBOSE, "--max-associations-per-host", "1"]) as program:
        with RawScu(program.port) as scu:
            scu.associate()
            for worker in program.processes()[1:]:
                os.kill(worker, signal.SIGKILL)
            assert scu.is_closed()

        def is_accepted() -> bool:
            try:
                return isinstance(answer_to(program), AssociateAccept)
            except PeerGone:  # the next worker died before it had looked
                return False

        wait_until(is_accepted, "an association after the kill")


# Behind a proxy


def say(program: Program, wire: bytes, source: str = "127.0.0.1") -> str:
    """What becomes of these bytes, from an address of this machine."""
    with RawScu(program.port, source=source) as scu:
        with contextlib.suppress(PeerGone):
            scu.send(wire)
        try:
            return f"PDU type {scu.read_pdu().kind}"
        except PeerGone:
            return "closed"


ACCEPTED, REJECTED, ABORTED = "PDU type 2", "PDU type 3", "PDU type 7"


def test_a_proxy_speaks_for_the_peer() -> None:
    """Only from the named addresses, and for every question about addresses."""
    options = [*VERBOSE, "-dhl", "--proxy-protocol", "127.0.0.7"]
    options += ["--accept-host", "192.0.2.0/24", "--accept-host", "2001:db8::/32"]
    options += ["--accept-host", "127.0.0.1"]
    request = pdu.associate_rq(calling="CT1")
    with Program(options) as program:
        for source in ("192.0.2.7", "2001:db8::7"):
            wire = proxy.proxied(source) + request
            assert say(program, wire, "127.0.0.7") == ACCEPTED
            assert f"Association Received {source}: CT1 -> ANY" in program.log()
        assert (
            say(program, proxy.proxied("10.1.2.3") + request, "127.0.0.7") == REJECTED
        )
        assert "(address is not accepted): CT1 at 10.1.2.3" in program.log()
        # The proxy itself is none of those that are accepted.
        assert say(program, proxy.local() + request, "127.0.0.7") == REJECTED
        assert say(program, request, "127.0.0.7") == "closed"
        assert "127.0.0.7: proxy did not send a header of version 2" in program.log()
        # Others are no proxies.
        assert say(program, request) == ACCEPTED
        assert say(program, proxy.proxied("192.0.2.7") + request) == ABORTED


def test_a_header_in_pieces_is_waited_for() -> None:
    """The first piece alone sends the connection into the waiting room."""
    options = [*VERBOSE, "--proxy-protocol", "127.0.0.7", "-dhl"]
    wire = proxy.proxied("192.0.2.7") + pdu.associate_rq()
    with Program(options) as program, RawScu(program.port, source="127.0.0.7") as scu:
        scu.trickle(wire, piece=9)
        assert scu.read_pdu().kind == pdu.A_ASSOCIATE_AC
        assert scu.echo().status == 0
        scu.release()
    assert "Association Received 192.0.2.7" in program.log()


def test_the_hosts_behind_a_proxy_have_their_own_limits() -> None:
    options = [*VERBOSE, "--proxy-protocol", "127.0.0.7", "-dhl"]
    options += ["--max-associations-per-host", "1"]
    with Program(options) as program, RawScu(program.port, source="127.0.0.7") as one:
        request = pdu.associate_rq()
        answer = one.request_association(proxy.proxied("192.0.2.7") + request)
        assert isinstance(answer, AssociateAccept)
        for source, expected in (("192.0.2.7", REJECTED), ("192.0.2.8", ACCEPTED)):
            wire = proxy.proxied(source) + request
            assert say(program, wire, "127.0.0.7") == expected
        one.release()
