"""What the operator asked for, as frozen values that are checked when they are made.

Never parses a command line and never does I/O.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from dcmrecv.config.ciphersuites import PROFILES
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


class WriteMode(Enum):
    """How the bytes of larger objects get into a file."""

    AUTO = "auto"  # whatever is the cheapest at the moment
    BUFFERED = "buffered"  # through the page cache
    DONTCACHE = "dontcache"  # through it, but not kept there (RWF_DONTCACHE)
    DIRECT = "direct"  # around it (O_DIRECT)


class Durability(Enum):
    """What Success promises of an object after the machine has lost its power."""

    CLOSE = "close"  # nothing: the system writes when it likes
    DATA = "data"  # its bytes are on disk; its name may not be
    FULL = "full"  # bytes and name
    GROUP = "group"  # the same; one flush for all that are finished by then


class OnDuplicate(Enum):
    """What happens to an object whose file is there already."""

    OVERWRITE = "overwrite"  # the newer one replaces the older one
    KEEP = "keep"  # the newer one is dropped, with Success
    VERIFY = "verify"  # the same: dropped with Success; another one: both stay
    VERSION = "version"  # both stay
    REJECT = "reject"  # the newer one is refused


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


class KernelTls(Enum):
    """Whether the kernel decrypts and encrypts, where it can."""

    AUTO = "auto"
    OFF = "off"


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


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen besides the port that is the program's parameter."""

    host: str | None  # None: every address of `NetworkSettings.ip_version`
    port: int  # 0..65535; 0 lets the system choose
    secure: bool = False  # TLS

    def __post_init__(self) -> None:
        _check_range("port", self.port, 0, 65_535)

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """Read `[tls:]HOST:PORT`; HOST may be empty, `*`, or an IPv6 one in brackets.

        Raises:
            ConfigurationError: it is something else.
        """
        rest = text.removeprefix("tls:")
        host, colon, port = rest.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if (
            not colon
            or not (port.isascii() and port.isdecimal() and len(port) <= 5)
            or not 1 <= int(port) <= 65_535
            or (not bracketed and ":" in host)
        ):
            raise ConfigurationError(
                f"Invalid value for option --listen ({text}: not [tls:]HOST:PORT)"
            )
        if bracketed:
            host = host[1:-1]
        return cls(
            None if host in ("", "*") else host, int(port), text.startswith("tls:")
        )


def _check_network(option: str, text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from error


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
    listen: tuple[ListenAddress, ...] = ()
    reload: bool = False  # SIGHUP: read certificates and profile again, go on

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
    required_names: tuple[str, ...] = ()  # one of these patterns fits the peer's
    expected_sni: str | None = None
    seed_file: str | None = None  # accepted; the system's generator is used
    kernel: KernelTls = KernelTls.OFF

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            allowed = ", ".join(PROFILES)
            raise ConfigurationError(
                f"TLS profile must be one of {allowed}, not {self.profile}"
            )
        if self.required_names and self.peer_certificate is PeerCertificate.IGNORE:
            raise ConfigurationError(
                "--require-cert-name not allowed with --ignore-peer-cert"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """How much of the output directory's file system stays free; one of the two."""

    size_bytes: int = 0
    percent: float = 0.0  # of bytes and of inodes

    def __post_init__(self) -> None:
        if (self.size_bytes > 0) == (self.percent > 0):
            raise ConfigurationError("a reserve is a size or a percentage")

    def __str__(self) -> str:
        if self.percent > 0:
            return f"{self.percent:g} % free"
        return f"{self.size_bytes} bytes free"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where and how objects are stored."""

    output_directory: str = "."
    mode: StorageMode = StorageMode.NORMAL
    filename_mode: FilenameMode = FilenameMode.DEFAULT
    filename_extension: str = ""
    subdirectory_mode: SubdirectoryMode = SubdirectoryMode.NONE
    write_mode: WriteMode = WriteMode.AUTO
    on_duplicate: OnDuplicate = OnDuplicate.OVERWRITE
    durability: Durability = Durability.CLOSE
    reserve: Reserve | None = None
    max_object_size: int | None = None  # bytes of a data set
    parse: bool = True  # ignored objects are checked as stored ones are

    def __post_init__(self) -> None:
        if (
            self.mode is StorageMode.BIT_PRESERVING
            and self.subdirectory_mode is SubdirectoryMode.SERIES_DATE
        ):
            raise ConfigurationError(
                "--bit-preserving not allowed with --series-date-subdir"
            )
        if not self.parse and self.mode is not StorageMode.IGNORE:
            raise ConfigurationError("--no-parse only allowed with --ignore")


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
class AccessSettings:
    """Who may open an association, and how he has to behave. Empty: everybody may.

    In the patterns of AE titles `*` stands for any characters and `?` for one.
    """

    calling: tuple[str, ...] = ()  # patterns
    called: tuple[str, ...] = ()  # patterns; besides NetworkSettings.ae_title
    hosts: tuple[str, ...] = ()  # IP addresses and networks
    max_per_host: int | None = None  # associations at the same time; None: no limit
    user_file: str | None = None  # None: no user identity is asked for
    strict: bool = False  # what is illegal but harmless ends the association
    proxies: tuple[str, ...] = ()  # IP addresses and networks; PROXY protocol
    min_rate: int | None = None  # bytes per second inside a message; None: any

    def __post_init__(self) -> None:
        if self.max_per_host is not None:
            _check_range("max_per_host", self.max_per_host, 1, 4_096)
        if self.min_rate is not None:
            _check_range("min_rate", self.min_rate, 1, 2**32 - 1)
        for option, networks in (
            ("--accept-host", self.hosts),
            ("--proxy-protocol", self.proxies),
        ):
            for network in networks:
                _check_network(option, network)


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
    access: AccessSettings = field(default_factory=AccessSettings)

    def __post_init__(self) -> None:
        if self.tls is None and any(place.secure for place in self.network.listen):
            raise ConfigurationError("--listen tls:... only allowed with --enable-tls")
