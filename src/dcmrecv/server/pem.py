"""Key and certificate files in both formats: PEM and DER.

Owns the way from DER to the PEM that Python's `ssl` wants, and the few facts that are
read out of DER. Never decrypts a key and never makes a context.

Source:
    ITU-T X.690 (DER); RFC 8017 appendix A.1.2, RFC 5915, RFC 5208 (private keys);
    RFC 5280 (certificates); PKCS #3 (DH parameters); RFC 7468 (PEM).
"""

import base64
import contextlib
import os
import re
from collections.abc import Iterator
from typing import Final

_INTEGER: Final = 0x02
_BIT_STRING: Final = 0x03
_OCTET_STRING: Final = 0x04
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0  # [0] of a TBSCertificate

_LINE: Final = 64
_RSA: Final = bytes.fromhex("06092a864886f70d010101")  # rsaEncryption
_BLOCK: Final = re.compile(
    rb"-----BEGIN ([A-Z0-9 .]+)-----\s(.*?)-----END \1-----", re.DOTALL
)

# Nothing of what is read here is larger.
_ELEMENTS_MAX: Final = 16

_Element = tuple[int, bytes]


def to_pem(der: bytes, label: str) -> bytes:
    """Wrap DER as PEM."""
    text = base64.b64encode(der)
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    first, last = f"-----BEGIN {label}-----", f"-----END {label}-----"
    return b"\n".join((first.encode(), *lines, last.encode(), b""))


def first_block(pem: bytes, label: str) -> bytes | None:
    """The DER of the first block of a kind; `label` is the end of its name."""
    for match in _BLOCK.finditer(pem):
        if match[1].endswith(label.encode()):
            with contextlib.suppress(ValueError):
                return base64.b64decode(match[2], validate=False)
    return None


def private_key_label(der: bytes) -> str | None:
    """Which PEM block a private key in DER belongs into; None: it is no such key."""
    kinds = [kind for kind, _ in _elements_within(der)]
    if kinds[:2] == [_SEQUENCE, _OCTET_STRING]:
        return "ENCRYPTED PRIVATE KEY"
    if kinds[:2] == [_INTEGER, _SEQUENCE]:
        return "PRIVATE KEY"
    if kinds[:2] == [_INTEGER, _OCTET_STRING]:
        return "EC PRIVATE KEY"
    if kinds[:9] == [_INTEGER] * 9:
        return "RSA PRIVATE KEY"
    if kinds == [_INTEGER] * 6:
        return "DSA PRIVATE KEY"
    return None


def is_certificate(der: bytes) -> bool:
    """Whether DER has the shape of a signed thing: a certificate or a CRL."""
    kinds = [kind for kind, _ in _elements_within(der)]
    return kinds == [_SEQUENCE, _SEQUENCE, _BIT_STRING]


def rsa_key_bits(certificate: bytes) -> int | None:
    """How long the RSA public key of a certificate in DER is; None: it has none."""
    signed = _elements_within(certificate)
    facts = _elements(signed[0][1]) if signed else []
    if facts and facts[0][0] == _VERSION:
        del facts[0]
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
    if len(facts) < 6:
        return None
    key = _elements(facts[5][1])
    if len(key) < 2 or not key[0][1].startswith(_RSA):
        return None
    return _first_integer_bits(key[1][1][1:])  # behind the count of unused bits


def dh_prime_bits(parameters: bytes) -> int | None:
    """How long the prime of DH parameters in DER is."""
    return _first_integer_bits(parameters)


@contextlib.contextmanager
def memory_file(content: bytes) -> Iterator[str]:
    """The name of a file that has no name on any disk, for functions that want one."""
    descriptor = os.memfd_create("dcmrecv-tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _first_integer_bits(der: bytes) -> int | None:
    elements = _elements_within(der)
    if not elements or elements[0][0] != _INTEGER:
        return None
    return int.from_bytes(elements[0][1], "big").bit_length()


def _elements_within(der: bytes) -> list[_Element]:
    """The elements of the one sequence that `der` begins with."""
    outer = _elements(der)
    return _elements(outer[0][1]) if outer and outer[0][0] == _SEQUENCE else []


def _elements(der: bytes) -> list[_Element]:
    """Tags and contents, as far as `der` makes sense."""
    elements: list[_Element] = []
    at = 0
    while at + 2 <= len(der) and len(elements) < _ELEMENTS_MAX:
        kind, length = der[at], der[at + 1]
        at += 2
        if length >= 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        if length > len(der) - at:
            break
        elements.append((kind, der[at : at + length]))
        at += length
    return elements
