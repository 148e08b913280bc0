"""Requestors that speak TLS: what becomes of their handshakes."""

import contextlib
import os
import re
import select
import socket
import ssl
import subprocess
from collections.abc import Sequence

from tests.builders import command, pdu
from tests.builders.uids import VERIFICATION
from tests.peers.scu import READ_DEADLINE_S, RawScu

VERSIONS = ("tls1", "tls1_1", "tls1_2", "tls1_3")
_NEW = re.compile(r"^New, .*, Cipher is (\S+)$|^ *Cipher *: (\S+)$", re.MULTILINE)

_TEMPORARY_KEY = re.compile(r"^(?:Server|Peer) Temp Key: (.*)$", re.MULTILINE)


def secured(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    """A connection with its handshake behind it.

    Raises:
        OSError: it was refused.
    """
    plain = socket.create_connection(("127.0.0.1", port), READ_DEADLINE_S)
    try:
        return context.wrap_socket(plain, session=session)
    except BaseException:
        plain.close()
        raise


class TlsScu(RawScu):
    """A RawScu inside TLS."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port)
        self.connection = context.wrap_socket(self.connection)


def fate(port: int, context: ssl.SSLContext) -> str:
    """What becomes of a requestor: "served", an alert's name, or "closed".

    In TLS 1.3 a refusal comes behind the requestor's own part of the handshake, with
    the first thing that it reads.
    """
    try:
        with secured(port, context) as connection:
            connection.sendall(pdu.associate_rq())
            answered = connection.recv(1) in (b"\x02", b"\x03")  # -AC, -RJ
            return "served" if answered else "closed"
    except ssl.SSLError as error:
        return error.reason or "closed"
    except OSError:
        return "closed"


def sni_fate(port: int, context: ssl.SSLContext, name: str) -> str:
    """What becomes of a handshake that asks for a server's name."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), READ_DEADLINE_S) as plain,
            context.wrap_socket(plain, server_hostname=name),
        ):
            return "accepted"
    except ssl.SSLError as error:
        return error.reason or ""


def stall(port: int, said: bytes) -> socket.socket:
    """A connection that says this, and nothing more."""
    connection = socket.create_connection(("127.0.0.1", port), READ_DEADLINE_S)
    connection.sendall(said)
    return connection


def client_hello(context: ssl.SSLContext) -> bytes:
    """The first flight of a handshake."""
    outgoing = ssl.MemoryBIO()
    requestor = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        requestor.do_handshake()
    return outgoing.read()


def _s_client(
    port: int, version: str, *arguments: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", f"-{version}"),
            *("-cipher", "ALL:eNULL:@SECLEVEL=0", *arguments),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=READ_DEADLINE_S,
        check=False,
    )


def served_with_new_keys(port: int) -> bool:
    """Whether two C-ECHO-RQ are answered, before and after a KeyUpdate of TLS 1.3.

    By openssl's s_client, for which a line with K is the order to ask for new keys in
    both directions.
    """
    request = pdu.associate_rq((pdu.ProposedContext(1, VERIFICATION),))
    echo = pdu.message(1, command.c_echo_rq())
    talk = (
        (request, b"\x02\0\0\0"),
        (echo, b"\x04\0\0\0"),
        (b"K\n", b"KEYUPDATE"),
        (echo, b"\x04\0\0\0"),
        (b"K\n", b"KEYUPDATE"),
        (pdu.pdu(5, bytes(4)), b"\x06\0\0\0"),
    )
    with subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as requestor:
        assert requestor.stdin is not None
        assert requestor.stdout is not None
        try:
            for words, answer in talk:
                requestor.stdin.write(words)
                heard = b""
                while answer not in heard:
                    ready = select.select([requestor.stdout], [], [], READ_DEADLINE_S)
                    part = (
                        os.read(requestor.stdout.fileno(), 65_536) if ready[0] else b""
                    )
                    if not part:
                        return False
                    heard += part
        finally:
            requestor.kill()
    return True


def temporary_key(port: int, suite: str) -> str:
    """The key that the receiver makes for one handshake in TLS 1.2: "DH, 2048 bits"."""
    done = _s_client(port, "tls1_2", "-cipher", suite)
    found = _TEMPORARY_KEY.search(done.stdout.decode("utf-8", "replace"))
    return found[1] if found else ""


def negotiated(port: int, version: str, *arguments: str) -> str:
    """The suite that openssl's s_client gets with a version, "" for none."""
    done = _s_client(port, version, *arguments)
    found = _NEW.search(done.stdout.decode("utf-8", "replace"))
    suite = (found[1] or found[2]) if found else "(NONE)"
    return "" if suite in ("(NONE)", "0000") and done.returncode else suite


def suites(port: int, *arguments: str) -> Sequence[str]:
    """The suites for each of VERSIONS."""
    return [negotiated(port, version, *arguments) for version in VERSIONS]
