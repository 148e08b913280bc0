"""Certificates, keys and revocation lists for tests, made when they are needed."""

import datetime
import functools
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from dcmrecv.config.settings import TlsSettings

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@functools.cache
def private_key(kind: str, number: int = 0) -> PrivateKey:
    """A key of a kind, "ec" or "rsaBITS"; the same one for the same number."""
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65_537, int(kind.removeprefix("rsa")))


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key and what stands between it and its root."""

    certificate: x509.Certificate
    key: PrivateKey
    above: tuple[x509.Certificate, ...] = ()

    def certificates(self) -> bytes:
        """The chain without its root, in PEM."""
        chain = (self.certificate, *self.above)
        return b"".join(each.public_bytes(PEM) for each in chain)

    def key_bytes(
        self,
        encoding: serialization.Encoding = PEM,
        password: str | bytes | None = None,
        form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    ) -> bytes:
        """The private key, encrypted when there is a password."""
        encryption: serialization.KeySerializationEncryption = (
            serialization.NoEncryption()
        )
        if isinstance(password, str):
            password = password.encode()
        if password is not None:
            encryption = serialization.BestAvailableEncryption(password)
        return self.key.private_bytes(encoding, form, encryption)

    def write(self, directory: Path, name: str = "own") -> tuple[str, str]:
        """Write both into a directory; returns the names of key and certificate."""
        key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
        key.write_bytes(self.key_bytes())
        key.chmod(0o600)
        certificate.write_bytes(self.certificates())
        return str(key), str(certificate)

    def tls_settings(self, directory: Path, **changes: Any) -> TlsSettings:
        """Settings that use these files, written into a directory."""
        key, certificate = self.write(directory)
        return TlsSettings(key_file=key, certificate_file=certificate, **changes)


@dataclass(slots=True)
class Authority:
    """A certification authority, a root or below another one."""

    name: str = "Test CA"
    parent: Self | None = None
    kind: str = "ec"
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        key = private_key(self.kind, hash(self.name))
        issuer = self.parent.identity if self.parent else None
        above = (*(issuer.above if issuer else ()),)
        certificate = _certificate(
            self.name, key, issuer=issuer, days=(-2, 30), is_ca=True
        )
        if self.parent is not None:
            above = (certificate, *above)
        self.identity = Identity(certificate, key, above)

    @property
    def root(self) -> bytes:
        """The certificate that has to be trusted, in PEM."""
        top = self if self.parent is None else self.parent
        return top.identity.certificate.public_bytes(PEM)

    def issue(
        self,
        name: str,
        *,
        kind: str = "ec",
        names: Sequence[str] = (),
        days: tuple[int, int] = (-1, 30),
        number: int = 1,
    ) -> Identity:
        """A certificate for somebody, valid from and until so many days from now."""
        key = private_key(kind, number)
        certificate = _certificate(
            name, key, issuer=self.identity, days=days, names=names
        )
        return Identity(certificate, key, self.identity.above)

    def revocation_list(
        self, *revoked: x509.Certificate, encoding: serialization.Encoding = PEM
    ) -> bytes:
        """A CRL."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.identity.certificate.subject)
            .last_update(NOW - DAY)
            .next_update(NOW + 30 * DAY)
        )
        for certificate in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(NOW - DAY)
                .build()
            )
        return builder.sign(self.identity.key, hashes.SHA256()).public_bytes(encoding)


def dh_parameters(group: str) -> bytes:
    """A group of RFC 7919 in PEM."""
    return subprocess.run(
        [
            *("openssl", "genpkey", "-genparam", "-algorithm", "DH"),
            *("-pkeyopt", f"group:{group}"),
        ],
        capture_output=True,
        check=True,
    ).stdout


def client_context(
    authority: Authority, identity: Identity | None, directory: Path
) -> ssl.SSLContext:
    """A requestor that trusts `authority` and shows `identity`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=authority.root.decode())
    if identity is not None:
        key, certificate = identity.write(directory, "requestor")
        context.load_cert_chain(certificate, key)
    return context


def _certificate(
    name: str,
    key: PrivateKey,
    *,
    issuer: Identity | None,
    days: tuple[int, int],
    names: Sequence[str] = (),
    is_ca: bool = False,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName(list(map(x509.DNSName, names)))
        builder = builder.add_extension(alternatives, critical=False)
    signer = issuer.key if issuer else key
    return builder.sign(signer, hashes.SHA256())
