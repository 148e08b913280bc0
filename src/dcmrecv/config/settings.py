"""What the operator asked for, as frozen values that are checked when they are made.

Never parses a command line and never does I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from dcmrecv.errors import ConfigurationError

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"

IMPLEMENTATION_CLASS_UID = "2.25.56546980305533624005151964039017536918"
IMPLEMENTATION_VERSION_NAME = "DCMRECV_PY_010"


class StorageMode(Enum):
    """What happens to a received data set."""

    NORMAL = "normal"
    BIT_PRESERVING = "bit-preserving"
    IGNORE = "ignore"


class FilenameMode(Enum):
    """How the name of a stored file is made; spec section 7.4."""

    DEFAULT = "default"  # PREFIX.SOPINSTANCE
    UNIQUE = "unique"  # PREFIX.X.UID
    SHORT_UNIQUE = "short-unique"  # PREFIX_0123456789abcdef
    SYSTEM_TIME = "system-time"  # YYYYMMDDHHMMSS.FFFFFF.PREFIX


class SubdirectoryMode(Enum):
    """Which directories are made below the output directory; spec section 7.6."""

    NONE = "none"
    SERIES_DATE = "series-date"


class IpVersion(Enum):
    """Which protocol versions the listener takes."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    AUTO = "auto"


class Role(Enum):
    """SCP/SCU role of the requestor that a profile allows; PS3.7 section D.3.3.4."""

    SCU = "SCU"
    SCP = "SCP"
    BOTH = "BOTH"


class PeerCertificate(Enum):
    """Whether a certificate of the peer is asked for and checked."""

    REQUIRE = "require"
    VERIFY = "verify"
    IGNORE = "ignore"


class CrlCheck(Enum):
    """Which certificates of a chain are looked up in revocation lists."""

    NONE = "none"
    LEAF = "leaf"
    CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class ProfileContext:
    """One abstract syntax that a profile accepts.

    `transfer_syntaxes` are in the order in which the acceptor prefers them.
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AssociationProfile:
    """What is negotiated; spec section 4.2. UIDs everywhere."""

    contexts: tuple[ProfileContext, ...]
    roles: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))
    extended_negotiation: Mapping[str, bytes] = field(
        default_factory=lambda: MappingProxyType({})
    )


VERIFICATION_PROFILE = AssociationProfile(
    contexts=(ProfileContext(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),)
)


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name} must be {low}..{high}, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """The listener and what is said on an association."""

    port: int  # 0..65535; 0 lets the system choose
    host: str | None = None  # None: every address of `ip_version`
    ip_version: IpVersion = IpVersion.IPV4
    ae_title: str | None = None  # None: every called AE title is welcome
    max_pdu: int = 16_384  # bytes, as announced in the A-ASSOCIATE-AC
    acse_timeout_s: int = 30
    dimse_timeout_s: int | None = None  # None: wait for ever
    host_lookup: bool = True
    profile_source: tuple[str, str] | None = None  # file, profile; None: Verification
    promiscuous: bool = False
    prefer_uncompressed: bool = False

    def __post_init__(self) -> None:
        _check_range("port", self.port, 0, 65_535)
        _check_range("max_pdu", self.max_pdu, 4_096, 131_072)
        _check_range("acse_timeout_s", self.acse_timeout_s, 1, 2**32 - 1)
        if self.dimse_timeout_s is not None:
            _check_range("dimse_timeout_s", self.dimse_timeout_s, 1, 2**32 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Secure transport, PS3.15 Annex B."""

    key_file: str
    certificate_file: str
    password: str | None = None  # None: ask on the terminal
    der: bool = False
    ca_files: tuple[str, ...] = ()
    ca_directories: tuple[str, ...] = ()
    crl_files: tuple[str, ...] = ()
    crl_check: CrlCheck = CrlCheck.NONE
    profile: str = "bcp195-nd"
    ciphers: tuple[str, ...] = ()
    dh_parameter_file: str | None = None
    peer_certificate: PeerCertificate = PeerCertificate.REQUIRE
    expected_sni: str | None = None
    seed_file: str | None = None  # accepted; the system's generator is used


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where and how objects are stored."""

    output_directory: str = "."
    mode: StorageMode = StorageMode.NORMAL
    filename_mode: FilenameMode = FilenameMode.DEFAULT
    filename_extension: str = ""
    subdirectory_mode: SubdirectoryMode = SubdirectoryMode.NONE

    def __post_init__(self) -> None:
        if (
            self.mode is StorageMode.BIT_PRESERVING
            and self.subdirectory_mode is SubdirectoryMode.SERIES_DATE
        ):
            raise ConfigurationError(
                "--bit-preserving not allowed with --series-date-subdir"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How many workers run. All counts are processes, one association each."""

    max_associations: int = 64
    spare_workers: int = 2  # kept idle and ready, never more than max_associations
    queue_associations: bool = False  # past the limit: wait instead of A-ASSOCIATE-RJ
    drain_timeout_s: int = 30  # after the first SIGTERM or SIGINT

    def __post_init__(self) -> None:
        _check_range("max_associations", self.max_associations, 1, 4_096)
        _check_range("spare_workers", self.spare_workers, 1, 4_096)
        _check_range("drain_timeout_s", self.drain_timeout_s, 0, 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged and where.

    `level` is one of off, fatal, error, warn, info, debug, trace, all.
    """

    level: str = "warn"
    config_file: str | None = None  # instead of `level`
    presentation_contexts: bool = False  # the parameter blocks at level INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that one receiver needs to know."""

    network: NetworkSettings
    tls: TlsSettings | None = None
    storage: StorageSettings = field(default_factory=StorageSettings)
    pool: PoolSettings = field(default_factory=PoolSettings)
    log: LogSettings = field(default_factory=LogSettings)
