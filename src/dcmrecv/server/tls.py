"""From TlsSettings to an ssl.SSLContext.

Owns the files: which are read, in which order, and the words for what is wrong with
them. Never a connection. Secrets stay here: no message and no line of the log shows
one.

Source:
    spec sections 10.1 to 10.3.
"""

import contextlib
import getpass
import logging
import os
import re
import ssl
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from dcmrecv.config.ciphersuites import (
    CIPHERSUITES,
    PROFILES,
    UNSUPPORTED,
    SecurityProfile,
    is_encrypted,
    openssl_cipher_list,
    uses_key_transport,
)
from dcmrecv.config.logs import TLS_LOGGER
from dcmrecv.config.settings import CrlCheck, KernelTls, PeerCertificate, TlsSettings
from dcmrecv.errors import ConfigurationError, ExitCode
from dcmrecv.server.pem import (
    dh_prime_bits,
    first_block,
    is_certificate,
    memory_file,
    private_key_label,
    rsa_key_bits,
    to_pem,
)
from dcmrecv.service import kernel_tls

logger = logging.getLogger(TLS_LOGGER)

PROMPT: Final = "Enter PEM pass phrase:"
_NOT_TYPED: Final = "1400006b: processing error"

_SHORT_KEY_BITS: Final = 2_048  # RFC 7525 section 4.3 asks for at least as many

_VERIFY: Final = {
    PeerCertificate.REQUIRE: ssl.CERT_REQUIRED,
    PeerCertificate.VERIFY: ssl.CERT_OPTIONAL,
    PeerCertificate.IGNORE: ssl.CERT_NONE,
}
_CRL_FLAGS: Final = {
    CrlCheck.NONE: ssl.VerifyFlags(0),
    CrlCheck.LEAF: ssl.VERIFY_CRL_CHECK_LEAF,
    CrlCheck.CHAIN: ssl.VERIFY_CRL_CHECK_CHAIN,
}

_ASKED_MAX: Final = 2  # times, when standard input has no line
_PASSWORD_BYTES_MAX: Final = 1_025  # what Python takes, and the end of the line

_CERTIFICATE_BEGINS: Final = re.compile(
    rb"^-----BEGIN [A-Z0-9 ]*CERTIFICATE-----", re.M
)

# Names that OpenSSL looks for in a directory of certificates; openssl-rehash(1).
_HASHED_NAME: Final = re.compile(r"[0-9a-f]{8}\.r?[0-9]+")

# The group ffdhe2048 of RFC 7919 appendix A.1, for DHE without `--dhparam`.
_FFDHE_2048: Final = b"""\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""

# Of a key that nobody has: with it a good key is told from a bad certificate, since
# the first thing that OpenSSL finds wrong is that the two do not belong together.
_STRANGER: Final = b"""\
-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUN1QpmtpV9St0RCV8j3rR73ChitMwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAgFw0yNjExMjIyMDQwMDJaGA8yMTI2MTAyOTIwNDAwMlow
DDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABA0kje8dZ1C1
v40oW4PBLhuzBbQd7hOtVq5MeR27oVb2ZUuju9yQekQIe9QF3lVfAkV3ksoLerIS
eDdx7MxaJ+KjUzBRMB0GA1UdDgQWBBRPUukBSgX4d28gcRG6bZdCDn7TmDAfBgNV
HSMEGDAWgBRPUukBSgX4d28gcRG6bZdCDn7TmDAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIQCJgZsxHqVsmMTzMOyHZouYf//QVBdod5YbuJAZeosQ
ugIgFIW2J3HiL4DUkPBiXMrb3Pj6gkxrfON3qBtXeGVsu34=
-----END CERTIFICATE-----
"""
_MISMATCHES: Final = {
    "NO_CERTIFICATE_ASSIGNED",
    "KEY_VALUES_MISMATCH",
    "KEY_TYPE_MISMATCH",
}

# The numbers of the parts of OpenSSL 3 that a loader meets; openssl/err.h.
_LIBRARIES: Final = {"EVP": 6, "PEM": 9, "X509": 11, "ASN1": 13, "SSL": 20}
_LIBRARY_SHIFT: Final = 23
_REASON_MASK: Final = 0x7FFFFF
_SYSTEM_ERROR: Final = 0x80000000


class TlsLoader:
    """Makes contexts out of the same settings, again and again.

    A password is asked for by the first load() only, and what that could use has to be
    usable ever after.
    """

    def __init__(
        self, settings: TlsSettings, ask: Callable[[], bytes] | None = None
    ) -> None:
        self._settings = settings
        self._ask = ask or _ask
        self._password: bytes | None = None
        if settings.password is not None:
            self._password = os.fsencode(settings.password)
        self._may_ask = True
        wanted = settings.kernel is KernelTls.AUTO
        self._in_kernel = wanted and kernel_tls.is_available()
        # Of the optional files, those that are in the last context, and in the next.
        self._used: frozenset[str] = frozenset()
        self._usable: set[str] = set()

    def load(self) -> ssl.SSLContext:
        """Read every file and make a context.

        Its keys for session tickets are made here, so that everybody who inherits it
        by a fork resumes what another one began, and nobody what belongs to an older
        context.

        Raises:
            ConfigurationError: key, certificate or ciphersuite cannot be used, or a
                file that was part of the last context (71).
        """
        self._usable = set()
        settings = self._settings
        profile = PROFILES[settings.profile]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(f"ALL:eNULL:@SECLEVEL={profile.security_level}")
        context.minimum_version = profile.oldest
        context.maximum_version = profile.newest
        context.options |= ssl.OP_NO_RENEGOTIATION
        self._load_trusted(context)
        self._load_own(context)
        context.verify_flags |= _CRL_FLAGS[settings.crl_check]
        context.verify_mode = _VERIFY[settings.peer_certificate]
        _check_suites(settings.ciphers, profile)
        context.set_ciphers(openssl_cipher_list(profile, settings.ciphers))
        self._load_dh_parameters(context, profile)
        if settings.expected_sni is not None:
            context.sni_callback = _name_check(settings.expected_sni)
        if self._in_kernel:
            kernel_tls.ask_for(context)
        self._used = frozenset(self._usable)
        self._may_ask = False
        return context

    def _do_without(self, name: str, kind: str, error: str | None = None) -> None:
        """Go on without an optional file.

        Raises:
            ConfigurationError: the last context had it: whoever reads it again while
                it is written, say, must not trust others than before.
        """
        details = () if error is None else (error,)
        message = f"unable to load {kind} file '{name}'"
        if name in self._used:
            raise ConfigurationError(message, ExitCode.TLS, details=details)
        for line in details:
            logger.error("%s", line)
        logger.warning("%s, ignoring", message)

    # Whom to trust

    def _load_trusted(self, context: ssl.SSLContext) -> None:
        der = self._settings.der
        for name in self._settings.ca_files:
            try:
                with _as_pem(name, "CERTIFICATE" if der else None) as path:
                    context.load_verify_locations(cafile=path)
                self._usable.add(name)
            except (OSError, ValueError) as error:
                self._do_without(name, "certificate", openssl_error(error))
        for name in self._settings.ca_directories:
            if der:
                self._load_der_directory(context, name)
            else:
                with contextlib.suppress(OSError, ValueError):
                    context.load_verify_locations(capath=name)
        for name in self._settings.crl_files:
            try:
                with _as_pem(name, "X509 CRL" if der else None) as path:
                    context.load_verify_locations(cafile=path)
                self._usable.add(name)
            except (OSError, ValueError) as error:
                self._do_without(name, "CRL", _crl_error(error))

    def _load_der_directory(self, context: ssl.SSLContext, name: str) -> None:
        """OpenSSL looks into a directory when it needs to; Python has that for PEM."""
        with contextlib.suppress(OSError):
            for path in sorted(Path(name).iterdir()):
                if not _HASHED_NAME.fullmatch(path.name):
                    continue
                label = "X509 CRL" if ".r" in path.name else "CERTIFICATE"
                try:
                    with _as_pem(str(path), label) as pem:
                        context.load_verify_locations(cafile=pem)
                    self._usable.add(str(path))
                except (OSError, ValueError) as error:
                    if str(path) in self._used:
                        self._do_without(str(path), label, openssl_error(error))

    # Who we are

    def _load_own(self, context: ssl.SSLContext) -> None:
        key, certificate = self._settings.key_file, self._settings.certificate_file
        with self._key() as key_path:
            try:
                with _as_pem(
                    certificate, "CERTIFICATE" if self._settings.der else None
                ) as path:
                    self._look_at_certificate(Path(path).read_bytes())
                    context.load_cert_chain(path, key_path, self._give_password)
            except (OSError, ValueError) as error:
                raise _unusable(
                    f"000b:0006 Private key '{key}' and certificate '{certificate}' "
                    "do not match",
                    error,
                ) from error

    @contextlib.contextmanager
    def _key(self) -> Iterator[str]:
        """The name of a file with the private key in PEM, known to be usable."""
        name = self._settings.key_file
        with contextlib.ExitStack() as stack:
            try:
                label = None
                if self._settings.der:
                    label = private_key_label(Path(name).read_bytes())
                    if label is None:
                        raise ValueError("1e08010c: unsupported")
                path = stack.enter_context(_as_pem(name, label))
                stranger = stack.enter_context(memory_file(_STRANGER))
                scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                scratch.set_ciphers("ALL:@SECLEVEL=0")
                try:
                    scratch.load_cert_chain(stranger, path, self._give_password)
                except ssl.SSLError as error:
                    if error.reason not in _MISMATCHES:
                        raise ValueError(_what_is_wrong_with_key(path)) from error
            except (OSError, ValueError) as error:
                raise _unusable(
                    f"000b:0004 Unable to load private TLS key from '{name}'", error
                ) from error
            if os.stat(name).st_mode & stat.S_IROTH:
                logger.warning("private key file '%s' can be read by everybody", name)
            yield path

    def _give_password(self) -> bytes:
        if self._password is None:
            if not self._may_ask:
                # Nobody sits there any more, and many may be waiting.
                raise ValueError(_NOT_TYPED)
            self._password = self._ask()
        return self._password

    def _look_at_certificate(self, pem: bytes) -> None:
        """Warn of a short key.

        Raises:
            ValueError: there is none; Python's own words for that are others.
        """
        if not _CERTIFICATE_BEGINS.search(pem):
            raise ValueError("0480006c: no start line")
        certificate = first_block(pem, "CERTIFICATE")
        bits = rsa_key_bits(certificate) if certificate else None
        if bits is not None and bits < _SHORT_KEY_BITS:
            logger.warning(
                "Key length of RSA public key too short: RFC 7525 recommends at least "
                "2048 bits for RSA keys, but the key in certificate file '%s' is only "
                "%d bits.",
                self._settings.certificate_file,
                bits,
            )

    # What else there is

    def _load_dh_parameters(
        self, context: ssl.SSLContext, profile: SecurityProfile
    ) -> None:
        name = self._settings.dh_parameter_file
        if name is not None:
            if _load_dh_file(context, name, profile):
                self._usable.add(name)
                return
            self._do_without(name, "temporary DH parameter")
        with memory_file(_FFDHE_2048) as path:
            context.load_dh_params(path)


def openssl_error(error: Exception) -> str:
    """A failure of OpenSSL as the original shows it; spec section 10.2."""
    if isinstance(error, ssl.SSLError):
        number = (_LIBRARIES.get(error.library or "", 0) << _LIBRARY_SHIFT) | (
            int(error.args[0]) & _REASON_MASK
        )
        reason = error.reason or "PEM lib"
        return f"OpenSSL error {number:08x}: {reason.lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"OpenSSL error {_SYSTEM_ERROR | error.errno:08x}: OpenSSL error"
    return f"OpenSSL error {error}" if str(error) else "OpenSSL error"


def _crl_error(error: Exception) -> str:
    """The same for a CRL, for which the original asks another part of OpenSSL."""
    if isinstance(error, FileNotFoundError):
        return "OpenSSL error 10000080: no such file"
    return openssl_error(error)


def _ask() -> bytes:
    """Ask on the terminal or, without one, read a line of standard input.

    Raises:
        ValueError: there is no line.
        OSError: it cannot be read.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return _read_password()
    try:
        return getpass.getpass(PROMPT).encode()
    except (EOFError, UnicodeError) as error:
        raise ValueError(_NOT_TYPED) from error


def _read_password() -> bytes:
    for _ in range(_ASKED_MAX):
        print(PROMPT, end="", file=sys.stderr, flush=True)
        with open(0, "rb", buffering=0, closefd=False) as typed:
            line = typed.readline(_PASSWORD_BYTES_MAX)
        print(file=sys.stderr, flush=True)
        if line:
            return line.removesuffix(b"\n")
    raise ValueError(_NOT_TYPED)


def _unusable(message: str, error: Exception) -> ConfigurationError:
    """As the original has it, which says no more of what does not match."""
    mismatch = isinstance(error, ssl.SSLError) and error.reason in _MISMATCHES
    details = () if mismatch else (openssl_error(error),)
    return ConfigurationError(message, ExitCode.TLS, details=details)


def _what_is_wrong_with_key(path: str) -> str:
    """Python does not tell; the number and the text are OpenSSL's."""
    text = Path(path).read_bytes()
    if b"ENCRYPTED" in text:
        return "1c800064: bad decrypt"
    return "1e08010c: unsupported"


@contextlib.contextmanager
def _as_pem(name: str, label: str | None) -> Iterator[str]:
    """The name of a PEM file: `name` itself, or with a label what is DER in it.

    Raises:
        OSError: no such file.
        ValueError: it is no DER.
    """
    if label is None:
        yield name
        return
    der = Path(name).read_bytes()
    if not label.endswith("KEY") and not is_certificate(der):
        is_sequence = der[:1] == b"\x30"
        raise ValueError(
            "0688010a: nested asn1 error" if is_sequence else "068000a8: wrong tag"
        )
    with memory_file(to_pem(der, label)) as path:
        yield path


def _check_suites(suites: tuple[str, ...], profile: SecurityProfile) -> None:
    """What `--cipher` adds must be known, and must not undo the profile.

    Raises:
        ConfigurationError: as spec section 10.2 has it.
    """
    for suite in suites:
        if suite in UNSUPPORTED:
            logger.critical(
                "Ciphersuite '%s' not supported by the OpenSSL library used to "
                "compile this application.",
                suite,
            )
            raise ConfigurationError(
                f"000b:0003 Unknown or invalid ciphersuite: {suite}", ExitCode.TLS
            )
        if suite not in CIPHERSUITES:
            raise ConfigurationError(
                "0001:0007 Illegal call, perhaps wrong parameters", ExitCode.TLS
            )
        if profile.encrypted and not is_encrypted(suite):
            logger.critical(
                "Unencrypted ciphersuite '%s' not permitted with security profile '%s'",
                suite,
                profile.title,
            )
            raise ConfigurationError(
                "000b:000a Ciphersuite not allowed in current DICOM security profile",
                ExitCode.TLS,
            )
        if uses_key_transport(suite) and not profile.old_suites_welcome:
            logger.warning(
                "Ciphersuite '%s' uses RSA key transport. RFC 7525 recommends that "
                "such cipher suites should not be used.",
                suite,
            )


def _load_dh_file(context: ssl.SSLContext, name: str, profile: SecurityProfile) -> bool:
    """Use DH parameters of a file; False: they cannot be used."""
    try:
        block = first_block(Path(name).read_bytes(), "DH PARAMETERS")
        bits = dh_prime_bits(block) if block else None
        if bits is not None and bits < _SHORT_KEY_BITS:
            logger.warning(
                "Key length of Diffie-Hellman parameter file too short: RFC 7525 "
                "recommends at least 2048 bits, but the key in file '%s' is only "
                "%d bits.",
                name,
                bits,
            )
            if profile.short_dh_refused:
                bits = None
        if bits is not None:
            context.load_dh_params(name)
            return True
    except (OSError, ValueError):
        return False
    return False


def _name_check(
    expected: str,
) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]:
    """For `--expect-sni`: a peer that asks for nobody in particular is welcome."""

    def check(_: ssl.SSLObject, asked: str | None, __: ssl.SSLContext) -> int | None:
        if asked is None or asked == expected:
            return None
        logger.error(
            "SNI failure: client requested server '%s', my name is '%s'.",
            asked.encode("unicode_escape").decode("ascii"),
            expected,
        )
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    return check
