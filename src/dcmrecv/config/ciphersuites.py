"""TLS ciphersuites and security profiles, as DCMTK names them.

Owns which suites and protocol versions belong to a profile, and the names of a suite in
IANA's and in OpenSSL's spelling. Never makes a context: `server.tls` does.

Source:
    spec sections 10.3, 10.4 and 11; PS3.15 Annex B; the IANA TLS parameters registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ssl import TLSVersion
from types import MappingProxyType
from typing import Final

# From the weakest to the strongest; the strongest that both sides know is taken. The
# order is that of the original.
OPENSSL_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TLS_RSA_WITH_NULL_SHA": "NULL-SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
        "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA": "CAMELLIA128-SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
        "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA": "CAMELLIA256-SHA",
        "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
        "TLS_RSA_WITH_AES_256_CBC_SHA256": "AES256-SHA256",
        "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_DHE_DSS_WITH_AES_128_CBC_SHA": "DHE-DSS-AES128-SHA",
        "TLS_DHE_DSS_WITH_CAMELLIA_128_CBC_SHA": "DHE-DSS-CAMELLIA128-SHA",
        "TLS_DHE_RSA_WITH_AES_128_CBC_SHA": "DHE-RSA-AES128-SHA",
        "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA": "DHE-RSA-CAMELLIA128-SHA",
        "TLS_DHE_DSS_WITH_AES_128_CBC_SHA256": "DHE-DSS-AES128-SHA256",
        "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256": "DHE-RSA-AES128-SHA256",
        "TLS_DHE_DSS_WITH_AES_128_GCM_SHA256": "DHE-DSS-AES128-GCM-SHA256",
        "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256": "DHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384": "ECDHE-ECDSA-AES256-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384": "ECDHE-RSA-AES256-SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": (
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        ),
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_DHE_DSS_WITH_AES_256_CBC_SHA": "DHE-DSS-AES256-SHA",
        "TLS_DHE_RSA_WITH_AES_256_CBC_SHA": "DHE-RSA-AES256-SHA",
        "TLS_DHE_DSS_WITH_CAMELLIA_256_CBC_SHA": "DHE-DSS-CAMELLIA256-SHA",
        "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA": "DHE-RSA-CAMELLIA256-SHA",
        "TLS_DHE_DSS_WITH_AES_256_CBC_SHA256": "DHE-DSS-AES256-SHA256",
        "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256": "DHE-RSA-AES256-SHA256",
        "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "DHE-RSA-CHACHA20-POLY1305",
        "TLS_DHE_DSS_WITH_AES_256_GCM_SHA384": "DHE-DSS-AES256-GCM-SHA384",
        "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384": "DHE-RSA-AES256-GCM-SHA384",
    }
)

# What `--cipher` takes.
CIPHERSUITES: Final = tuple(OPENSSL_NAMES)

# Known by name, but not to today's OpenSSL: 3DES and static ECDH.
UNSUPPORTED: Final = frozenset(
    {"TLS_RSA_WITH_3DES_EDE_CBC_SHA"}
    | {
        f"TLS_ECDH_{authentication}_WITH_AES_{cipher}"
        for authentication in ("ECDSA", "RSA")
        for cipher in (
            "128_CBC_SHA",
            "128_CBC_SHA256",
            "128_GCM_SHA256",
            "256_CBC_SHA",
            "256_CBC_SHA384",
            "256_GCM_SHA384",
        )
    }
)

# The modified profile's suites that `--cipher` does not take, with OpenSSL's names.
_CCM: Final = (
    "ECDHE-ECDSA-AES256-CCM8",
    "ECDHE-ECDSA-AES256-CCM",
    "ECDHE-ECDSA-AES128-CCM8",
    "ECDHE-ECDSA-AES128-CCM",
)

# OpenSSL's security levels: 1 asks for 80 bits, 0 for nothing. TLS 1.0 and 1.1, and
# suites without encryption, need the latter.
_USUAL_LEVEL: Final = 1
_NO_LEVEL: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityProfile:
    """A Secure Transport Connection Profile; PS3.15 Annex B.

    `suites` are those of TLS 1.2 and older, `others` the same in OpenSSL's spelling;
    those of TLS 1.3 are OpenSSL's own three.
    """

    title: str
    suites: tuple[str, ...]
    others: tuple[str, ...] = ()
    oldest: TLSVersion = TLSVersion.TLSv1_2
    newest: TLSVersion = TLSVersion.TLSv1_3
    security_level: int = _USUAL_LEVEL
    encrypted: bool = True  # a suite without encryption may not be added
    old_suites_welcome: bool = False  # no warning about key transport by RSA
    short_dh_refused: bool = False  # DH parameters below 2048 bits are not used


_ECDHE_RSA: Final = (
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
)
_ECDHE_ECDSA: Final = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
)
_BCP_195: Final = (
    *_ECDHE_RSA,
    "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
)

# The oldest version that the library has; TLS 1.0 to 1.2 by name are deprecated in
# Python, this is not, and OP_NO_SSLv3 is set by default.
_OLDEST: Final = TLSVersion.MINIMUM_SUPPORTED

# By the value of `TlsSettings.profile`.
PROFILES: Final[Mapping[str, SecurityProfile]] = MappingProxyType(
    {
        "bcp195-nd": SecurityProfile(
            title="Non-downgrading BCP 195 TLS Profile", suites=_BCP_195
        ),
        "bcp195": SecurityProfile(
            title="BCP 195 TLS Profile",
            suites=(*_BCP_195, "TLS_RSA_WITH_AES_128_CBC_SHA"),
            oldest=_OLDEST,
            security_level=_NO_LEVEL,
        ),
        "bcp195-ex": SecurityProfile(
            title="Extended BCP 195 TLS Profile",
            suites=(*_BCP_195, *_ECDHE_ECDSA),
            newest=TLSVersion.TLSv1_2,
            short_dh_refused=True,
        ),
        "aes": SecurityProfile(
            title="AES TLS Secure Transport Connection Profile",
            suites=("TLS_RSA_WITH_AES_128_CBC_SHA",),
            oldest=_OLDEST,
            newest=TLSVersion.TLSv1_2,
            security_level=_NO_LEVEL,
            old_suites_welcome=True,
        ),
        "null": SecurityProfile(
            title="Authenticated unencrypted communication",
            suites=("TLS_RSA_WITH_NULL_SHA",),
            oldest=_OLDEST,
            newest=TLSVersion.TLSv1_2,
            security_level=_NO_LEVEL,
            encrypted=False,
            old_suites_welcome=True,
        ),
        "8996": SecurityProfile(
            title="BCP 195 RFC 8996 TLS Profile", suites=(*_ECDHE_RSA, *_ECDHE_ECDSA)
        ),
        "8996-mod": SecurityProfile(
            title="Modified BCP 195 RFC 8996 TLS Profile",
            suites=(
                *_ECDHE_RSA,
                *_ECDHE_ECDSA,
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            ),
            others=_CCM,
        ),
    }
)


def is_encrypted(suite: str) -> bool:
    """Whether a ciphersuite of `CIPHERSUITES` hides what it carries."""
    return "_WITH_NULL_" not in suite


def uses_key_transport(suite: str) -> bool:
    """Whether whoever gets the key later can read what was sent before."""
    return suite.startswith("TLS_RSA_WITH_")


def openssl_cipher_list(profile: SecurityProfile, added: tuple[str, ...]) -> str:
    """What OpenSSL wants to know about TLS 1.2 and older, the strongest suite first."""
    wanted = {*profile.suites, *added}
    strongest_first = [
        OPENSSL_NAMES[suite] for suite in reversed(CIPHERSUITES) if suite in wanted
    ]
    names = (*strongest_first, *profile.others, f"@SECLEVEL={profile.security_level}")
    return ":".join(names)
