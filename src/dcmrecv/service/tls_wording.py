"""What the log says about TLS connections.

Owns texts only. Never logs; what OpenSSL says of a failure is in
`service.tls`.
"""

from typing import Final

from dcmrecv.service.tls import TlsEngine, TlsPeer

TIMED_OUT: Final = "TLS error: handshake timed out"
HANDSHAKE_UNFINISHED: Final = "TLS error: handshake unfinished while others wait"
REQUEST_UNFINISHED: Final = "unfinished while others wait"

_DETAILS: Final = "TLS CONNECTION DETAILS"
_WIDTH: Final = 69


def wrong_peer(peer: TlsPeer | None) -> str:
    """A peer is none of those that `--require-cert-name` allows."""
    if peer is None:
        return "TLS error: peer did not return a certificate"
    return f"TLS error: certificate name not allowed ({shown(peer.subject)})"


def identity(peer: TlsPeer) -> str:
    """Who has proved to be the peer, for a log line."""
    return f"{shown(peer.subject)}, SHA-256 {peer.fingerprint}"


def details_block(engine: TlsEngine) -> str:
    """How a connection is secured, as shown at level DEBUG; spec section 10.4."""
    peer = engine.peer()
    lines = [f"Connection:       {engine.details()}"]
    if peer is None:
        lines.append("Peer certificate: none")
    else:
        lines.append(f"Peer certificate: {shown(peer.subject)}")
        lines.append(f"Peer names:       {', '.join(map(shown, peer.names))}")
        lines.append(f"SHA-256:          {peer.fingerprint}")
    return "\n".join(
        (
            f" BEGIN {_DETAILS} ".center(_WIDTH, "="),
            *lines,
            f" END {_DETAILS} ".center(_WIDTH, "="),
        )
    )


def shown(text: str) -> str:
    """A name out of a certificate, fit for one line of a log."""
    if text.isprintable():
        return text
    return text.encode("unicode_escape").decode("ascii")
