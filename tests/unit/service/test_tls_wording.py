"""What the log says about TLS connections."""

from dcmrecv.service import tls_wording
from dcmrecv.service.tls import TlsPeer

PEER = TlsPeer("CN=ct1,O=Hospital", "ab" * 32, ("ct1",))


def test_a_peer_is_named_by_subject_and_fingerprint() -> None:
    assert tls_wording.identity(PEER) == f"CN=ct1,O=Hospital, SHA-256 {'ab' * 32}"


def test_a_certificate_cannot_forge_a_line_of_the_log() -> None:
    forged = TlsPeer("CN=a\nF: fire", "00", ("a\nF: fire",))
    assert tls_wording.identity(forged) == "CN=a\\nF: fire, SHA-256 00"
    assert "\n" not in tls_wording.wrong_peer(forged)


def test_a_peer_that_is_not_wanted_is_named() -> None:
    assert tls_wording.wrong_peer(PEER) == (
        "TLS error: certificate name not allowed (CN=ct1,O=Hospital)"
    )
    assert tls_wording.wrong_peer(None) == (
        "TLS error: peer did not return a certificate"
    )
