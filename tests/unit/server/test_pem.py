"""DER and PEM, on files of openssl's kinds."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import (
    NoEncryption,
    PrivateFormat,
)

from dcmrecv.server.pem import (
    dh_prime_bits,
    first_block,
    is_certificate,
    memory_file,
    private_key_label,
    rsa_key_bits,
    to_pem,
)
from tests.builders.certificates import DER, PEM, Authority, Identity

TRADITIONAL = PrivateFormat.TraditionalOpenSSL


@pytest.fixture(scope="module")
def rsa_identity() -> Identity:
    return Authority().issue("server", kind="rsa2048")


@pytest.fixture(scope="module")
def ec_identity() -> Identity:
    return Authority().issue("server", kind="ec")


def test_pem_has_lines_of_64_characters(ec_identity: Identity) -> None:
    """RFC 7468 section 2; the same bytes as another program's."""
    der = ec_identity.certificate.public_bytes(DER)
    assert to_pem(der, "CERTIFICATE") == ec_identity.certificate.public_bytes(PEM)
    assert first_block(to_pem(der, "CERTIFICATE"), "CERTIFICATE") == der


def test_the_first_block_of_the_wanted_kind_is_found(ec_identity: Identity) -> None:
    der = ec_identity.certificate.public_bytes(DER)
    text = b"words\n" + ec_identity.key_bytes() + to_pem(der, "CERTIFICATE") + b"more"
    assert first_block(text, "CERTIFICATE") == der
    assert first_block(text, "X509 CRL") is None
    assert first_block(b"", "CERTIFICATE") is None


@pytest.mark.parametrize(
    ("kind", "form", "password", "label"),
    [
        ("rsa2048", PrivateFormat.PKCS8, None, "PRIVATE KEY"),
        ("rsa2048", TRADITIONAL, None, "RSA PRIVATE KEY"),
        ("rsa2048", PrivateFormat.PKCS8, "secret", "ENCRYPTED PRIVATE KEY"),
        ("ec", PrivateFormat.PKCS8, None, "PRIVATE KEY"),
        ("ec", TRADITIONAL, None, "EC PRIVATE KEY"),
    ],
)
def test_a_private_key_says_what_it_is(
    kind: str, form: PrivateFormat, password: str | None, label: str
) -> None:
    der = Authority().issue("server", kind=kind).key_bytes(DER, password, form)
    assert private_key_label(der) == label


def test_a_dsa_key_says_so() -> None:
    key = dsa.generate_private_key(1_024)
    der = key.private_bytes(DER, TRADITIONAL, NoEncryption())
    assert private_key_label(der) == "DSA PRIVATE KEY"


def test_what_is_no_private_key_says_so(ec_identity: Identity) -> None:
    der = ec_identity.certificate.public_bytes(DER)
    for other in (b"", b"\x30", b"\x30\x84\xff\xff\xff\xff\x02", der, der[:40]):
        assert private_key_label(other) is None


def test_a_certificate_and_a_crl_are_signed_things(ec_identity: Identity) -> None:
    assert is_certificate(ec_identity.certificate.public_bytes(DER))
    assert is_certificate(Authority().revocation_list(encoding=DER))
    assert not is_certificate(ec_identity.key_bytes(DER))
    assert not is_certificate(b"")


@pytest.mark.parametrize("bits", [1_024, 2_048])
def test_the_length_of_an_rsa_key_is_read_from_its_certificate(bits: int) -> None:
    certificate = Authority().issue("server", kind=f"rsa{bits}").certificate
    assert rsa_key_bits(certificate.public_bytes(DER)) == bits


def test_what_has_no_rsa_key_has_no_length(ec_identity: Identity) -> None:
    der = ec_identity.certificate.public_bytes(DER)
    assert rsa_key_bits(der) is None
    for size in range(0, len(der), 7):
        assert rsa_key_bits(der[:size]) is None


def test_the_length_of_a_prime_is_read_from_dh_parameters() -> None:
    der = bytes.fromhex(
        "3007"  # DHParameter, PKCS #3 section 9
        "020200c5"  # prime
        "020102"  # base
    )
    assert dh_prime_bits(der) == 8
    assert dh_prime_bits(b"") is None


def test_a_memory_file_is_read_by_name_and_then_gone() -> None:
    with memory_file(b"content") as name:
        assert Path(name).read_bytes() == b"content"
    assert not Path(name).exists()
