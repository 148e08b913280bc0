"""Contexts out of files; what is wrong with a file, in the original's words."""

import logging
import os
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from dcmrecv.config.logs import TLS_LOGGER
from dcmrecv.config.settings import CrlCheck, PeerCertificate, TlsSettings
from dcmrecv.errors import ConfigurationError, ExitCode
from dcmrecv.server.tls import TlsLoader
from tests.builders.certificates import DER, PEM, Authority, Identity, dh_parameters

ROOT = Authority("Root")
SERVER = ROOT.issue("server")
TRADITIONAL = PrivateFormat.TraditionalOpenSSL


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged about TLS."""
    logger = logging.getLogger(TLS_LOGGER)
    logger.addHandler(caplog.handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield caplog
    logger.setLevel(level)
    logger.removeHandler(caplog.handler)


@pytest.fixture
def own(tmp_path: Path) -> TlsSettings:
    """Settings that load."""
    return SERVER.tls_settings(tmp_path)


def lines(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text, each once whatever loggers there are."""
    return list(dict.fromkeys((r.levelname, r.getMessage()) for r in log.records))


def failure(settings: TlsSettings) -> ConfigurationError:
    """Why these settings cannot be used."""
    with pytest.raises(ConfigurationError) as raised:
        TlsLoader(settings).load()
    assert raised.value.exit_code is ExitCode.TLS
    return raised.value


def written(path: Path, content: bytes) -> str:
    """The name of a new file."""
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


def test_usual_settings_give_the_usual_context(
    own: TlsSettings, log: pytest.LogCaptureFixture
) -> None:
    context = TlsLoader(own).load()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.security_level == 1
    assert lines(log) == []


@pytest.mark.parametrize("mode", PeerCertificate)
def test_peer_certificates_are_asked_for_as_told(
    own: TlsSettings, mode: PeerCertificate
) -> None:
    context = TlsLoader(replace(own, peer_certificate=mode)).load()
    assert (
        context.verify_mode
        is {
            PeerCertificate.REQUIRE: ssl.CERT_REQUIRED,
            PeerCertificate.VERIFY: ssl.CERT_OPTIONAL,
            PeerCertificate.IGNORE: ssl.CERT_NONE,
        }[mode]
    )


# Key and certificate


@pytest.mark.parametrize("kind", ["ec", "rsa2048"])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, TRADITIONAL], ids=str)
@pytest.mark.parametrize("der", [False, True], ids=["pem", "der"])
@pytest.mark.parametrize("password", [None, "secret"])
def test_keys_of_every_form_load(
    tmp_path: Path, kind: str, form: PrivateFormat, der: bool, password: str | None
) -> None:
    if der and password and form is TRADITIONAL:
        form = PrivateFormat.PKCS8  # there is no such thing
    identity = ROOT.issue("server", kind=kind)
    key = identity.key_bytes(DER if der else PEM, password, form)
    certificate = identity.certificates()
    if der:
        certificate = identity.certificate.public_bytes(DER)
    settings = TlsSettings(
        key_file=written(tmp_path / "key", key),
        certificate_file=written(tmp_path / "certificate", certificate),
        password=password,
        der=der,
    )
    TlsLoader(settings).load()


def test_a_missing_key_is_the_first_thing_that_is_said(own: TlsSettings) -> None:
    """Spec 10.2: the key is looked at before the certificate."""
    error = failure(replace(own, key_file="none", certificate_file="none"))
    assert str(error) == "000b:0004 Unable to load private TLS key from 'none'"
    assert error.details == ("OpenSSL error 80000002: OpenSSL error",)


@pytest.mark.parametrize("content", [b"", b"words", SERVER.certificates()])
@pytest.mark.parametrize("der", [False, True], ids=["pem", "der"])
def test_what_is_no_key_is_no_key(
    own: TlsSettings, tmp_path: Path, content: bytes, der: bool
) -> None:
    key = written(tmp_path / "bad", content)
    error = failure(replace(own, key_file=key, der=der))
    assert str(error) == f"000b:0004 Unable to load private TLS key from '{key}'"
    assert error.details == ("OpenSSL error 1e08010c: unsupported",)


@pytest.mark.parametrize("password", ["sesame", "", "x" * 2_000])
def test_a_wrong_password_is_not_shown(
    own: TlsSettings, tmp_path: Path, password: str
) -> None:
    key = written(tmp_path / "locked", SERVER.key_bytes(password="secret"))
    error = failure(replace(own, key_file=key, password=password))
    assert str(error) == f"000b:0004 Unable to load private TLS key from '{key}'"
    shown = "".join((str(error), *error.details))
    assert not password or password not in shown


def test_a_password_that_was_typed_is_asked_for_once(
    own: TlsSettings, tmp_path: Path
) -> None:
    """However often the files are read again."""
    key = written(tmp_path / "locked", SERVER.key_bytes(password="secret"))
    asked = []

    def ask() -> bytes:
        asked.append("?")
        return b"secret"

    loader = TlsLoader(replace(own, key_file=key), ask)
    loader.load()
    loader.load()
    assert asked == ["?"]


def test_a_password_is_not_asked_for_later(own: TlsSettings) -> None:
    """A key that is encrypted now, and was not when somebody could be asked."""
    loader = TlsLoader(own, lambda: b"secret")
    loader.load()
    written(Path(own.key_file), SERVER.key_bytes(password="secret"))
    with pytest.raises(ConfigurationError, match="000b:0004"):
        loader.load()


def test_nobody_to_ask_is_a_wrong_password(own: TlsSettings, tmp_path: Path) -> None:
    """Spec 10.1: standard input at its end."""
    key = written(tmp_path / "locked", SERVER.key_bytes(password="secret"))

    def ask() -> bytes:
        raise ValueError("1400006b: processing error")

    with pytest.raises(ConfigurationError, match="000b:0004") as raised:
        TlsLoader(replace(own, key_file=key), ask).load()
    assert raised.value.details == ("OpenSSL error 1400006b: processing error",)


def test_a_password_need_not_be_text(own: TlsSettings, tmp_path: Path) -> None:
    """On the command line it is whatever bytes the shell passes on."""
    password = b"\xe9\xff"
    key = written(tmp_path / "locked", SERVER.key_bytes(password=password))
    settings = replace(own, key_file=key, password=os.fsdecode(password))
    TlsLoader(settings).load()
    TlsLoader(replace(settings, password=None), lambda: password).load()
    error = failure(replace(settings, password=os.fsdecode(b"\xe8")))
    assert error.details == ("OpenSSL error 1c800064: bad decrypt",)


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (None, "80000002: OpenSSL error"),
        (b"", "0480006c: no start line"),
        (SERVER.key_bytes(), "0480006c: no start line"),
    ],
)
def test_what_is_no_certificate_does_not_match(
    own: TlsSettings, tmp_path: Path, content: bytes | None, detail: str
) -> None:
    """Spec 10.2."""
    name = "none" if content is None else written(tmp_path / "bad", content)
    error = failure(replace(own, certificate_file=name))
    assert str(error) == (
        f"000b:0006 Private key '{own.key_file}' and certificate '{name}' do not match"
    )
    assert error.details == (f"OpenSSL error {detail}",)


@pytest.mark.parametrize("kind", ["ec", "rsa2048"])
def test_key_and_certificate_must_belong_together(
    own: TlsSettings, tmp_path: Path, kind: str
) -> None:
    other = ROOT.issue("other", kind=kind, number=9)
    name = written(tmp_path / "other", other.certificates())
    error = failure(replace(own, certificate_file=name))
    assert str(error).startswith("000b:0006 Private key")
    assert error.details == ()


def test_a_key_that_everybody_can_read_gets_a_warning(
    own: TlsSettings, log: pytest.LogCaptureFixture
) -> None:
    Path(own.key_file).chmod(0o644)
    TlsLoader(own).load()
    assert lines(log) == [
        ("WARNING", f"private key file '{own.key_file}' can be read by everybody")
    ]


def test_a_short_key_gets_a_warning(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Spec 10.2."""
    settings = ROOT.issue("weak", kind="rsa1024").tls_settings(tmp_path)
    TlsLoader(settings).load()
    ((level, text),) = lines(log)
    assert level == "WARNING"
    assert text.startswith("Key length of RSA public key too short: RFC 7525")
    assert text.endswith(f"'{settings.certificate_file}' is only 1024 bits.")


# Whom to trust


def trusted(context: ssl.SSLContext) -> tuple[int, int]:
    """How many certificates and CRLs are loaded."""
    stats = context.cert_store_stats()
    return stats["x509"], stats["crl"]


@pytest.mark.parametrize("der", [False, True], ids=["pem", "der"])
def test_authorities_and_crls_load(tmp_path: Path, der: bool) -> None:
    own = der_settings(tmp_path) if der else SERVER.tls_settings(tmp_path)
    files = [
        written(tmp_path / name, content)
        for name, content in (
            ("ca", certificate_bytes(ROOT.identity, der)),
            ("other", certificate_bytes(Authority("Other").identity, der)),
            ("crl", ROOT.revocation_list(encoding=DER if der else PEM)),
        )
    ]
    settings = replace(
        own, ca_files=tuple(files[:2]), crl_files=(files[2],), crl_check=CrlCheck.LEAF
    )
    context = TlsLoader(settings).load()
    assert trusted(context) == (2, 1)
    assert context.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF


def der_settings(directory: Path) -> TlsSettings:
    """Own files in DER."""
    return TlsSettings(
        key_file=written(directory / "key.der", SERVER.key_bytes(DER)),
        certificate_file=written(
            directory / "own.der", SERVER.certificate.public_bytes(DER)
        ),
        der=True,
    )


def certificate_bytes(identity: Identity, der: bool) -> bytes:
    """One certificate."""
    return identity.certificate.public_bytes(DER if der else PEM)


def test_a_hashed_directory_in_der_is_read(tmp_path: Path) -> None:
    """Python's OpenSSL would look for PEM there."""
    directory = tmp_path / "ca"
    directory.mkdir()
    written(directory / "0123abcd.0", ROOT.identity.certificate.public_bytes(DER))
    written(directory / "0123abcd.r0", ROOT.revocation_list(encoding=DER))
    written(directory / "readme", b"words")
    written(directory / "0123abcd.1", b"words")
    settings = replace(der_settings(tmp_path), ca_directories=(str(directory), "none"))
    assert trusted(TlsLoader(settings).load()) == (1, 1)


def test_what_cannot_be_trusted_is_ignored_with_a_warning(
    own: TlsSettings, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Spec 10.1; a missing directory is not even mentioned."""
    bad = written(tmp_path / "bad", b"words")
    settings = replace(
        own, ca_files=("none", bad), ca_directories=("none",), crl_files=("none", bad)
    )
    TlsLoader(settings).load()
    assert lines(log) == [
        ("ERROR", "OpenSSL error 80000002: OpenSSL error"),
        ("WARNING", "unable to load certificate file 'none', ignoring"),
        ("ERROR", "OpenSSL error 05800088: no certificate or crl found"),
        ("WARNING", f"unable to load certificate file '{bad}', ignoring"),
        ("ERROR", "OpenSSL error 10000080: no such file"),
        ("WARNING", "unable to load CRL file 'none', ignoring"),
        ("WARNING", f"unable to load CRL file '{bad}', ignoring"),
    ]


def test_what_could_be_used_once_must_be_usable_again(
    own: TlsSettings, tmp_path: Path
) -> None:
    """Of a file that is being written while it is read again, less would be trusted."""
    files = {
        "ca.pem": ROOT.root,
        "crl.pem": ROOT.revocation_list(),
        "dh.pem": dh_parameters("ffdhe2048"),
    }
    names = {name: written(tmp_path / name, files[name]) for name in files}
    settings = replace(
        own,
        ca_files=(names["ca.pem"], "none"),
        crl_files=(names["crl.pem"],),
        dh_parameter_file=names["dh.pem"],
    )
    loader = TlsLoader(settings)
    assert trusted(loader.load()) == (1, 1)
    for name, path in names.items():
        written(Path(path), files[name][:100])
        with pytest.raises(ConfigurationError, match="unable to load ") as raised:
            loader.load()
        assert path in str(raised.value)
        written(Path(path), files[name])
    assert trusted(loader.load()) == (1, 1)


def test_what_could_be_used_in_a_directory_in_der_must_be_usable_again(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "ca"
    directory.mkdir()
    crl = directory / "0123abcd.r0"
    written(crl, ROOT.revocation_list(encoding=DER))
    loader = TlsLoader(
        replace(der_settings(tmp_path), ca_directories=(str(directory),))
    )
    loader.load()
    written(crl, b"words")
    with pytest.raises(ConfigurationError, match="unable to load X509 CRL file"):
        loader.load()
    crl.unlink()
    assert trusted(loader.load()) == (0, 0)


# Ciphersuites


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ("BOGUS", "0001:0007 Illegal call, perhaps wrong parameters"),
        ("AES128-SHA", "0001:0007 Illegal call, perhaps wrong parameters"),
        ("TLS_AES_128_GCM_SHA256", "0001:0007 Illegal call, perhaps wrong parameters"),
        (
            "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
            "000b:0003 Unknown or invalid ciphersuite: TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        ),
        (
            "TLS_RSA_WITH_NULL_SHA",
            "000b:000a Ciphersuite not allowed in current DICOM security profile",
        ),
    ],
)
def test_a_suite_that_cannot_be_added(
    own: TlsSettings, suite: str, message: str
) -> None:
    """Spec 10.2."""
    assert str(failure(replace(own, ciphers=(suite,)))) == message


@pytest.mark.parametrize(
    ("profile", "warned"), [("bcp195-nd", True), ("bcp195", True), ("null", False)]
)
def test_key_transport_by_rsa_gets_a_warning(
    own: TlsSettings, profile: str, warned: bool, log: pytest.LogCaptureFixture
) -> None:
    """Spec 10.2."""
    suite = "TLS_RSA_WITH_AES_256_CBC_SHA"
    TlsLoader(replace(own, profile=profile, ciphers=(suite,))).load()
    text = (
        f"Ciphersuite '{suite}' uses RSA key transport. RFC 7525 recommends that such "
        "cipher suites should not be used."
    )
    assert lines(log) == [("WARNING", text)] * warned


# DH parameters


def test_missing_dh_parameters_are_ignored_with_a_warning(
    own: TlsSettings, log: pytest.LogCaptureFixture
) -> None:
    TlsLoader(replace(own, dh_parameter_file="none")).load()
    assert lines(log) == [
        ("WARNING", "unable to load temporary DH parameter file 'none', ignoring")
    ]


# Server name indication


def test_only_the_expected_name_may_be_asked_for(own: TlsSettings) -> None:
    """Of DCMTK 3.6.8: who asks for no name is welcome."""
    check = TlsLoader(replace(own, expected_sni="pacs")).load().sni_callback
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    engine = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    assert check is not None
    assert check(engine, "pacs", context) is None
    assert check(engine, None, context) is None
    unknown = ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    assert check(engine, "other", context) == unknown
