"""Every command line option as one declarative table.

Owns the spellings, the help text, and what each option does to `Settings`. Never parses
and never prints: `options` does the one, `help` the other.

Source:
    spec sections 1.4, 1.5 and 11; DECISIONS 1, 3, 9 and 14.
"""

from dataclasses import dataclass
from functools import partial

from dcmrecv.config.settings import (
    CrlCheck,
    FilenameMode,
    IpVersion,
    PeerCertificate,
    StorageMode,
    SubdirectoryMode,
)


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a part of the table and of the help text; `subtitle` may be empty."""

    title: str
    subtitle: str


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    `field` says what is set, as "part.attribute" of `Settings`. Options with the same
    field exclude each other, and the rightmost one counts. An option without values
    sets `choice`, one with values sets what was typed.
    """

    long: str
    short: str  # "" if there is none
    text: str  # the lines of the help text
    field: str = ""
    choice: object = True
    values: int = 0
    bounds: tuple[int, int] | None = None  # the value is an integer in this range
    cut: int | None = None  # a larger integer counts as this one
    repeatable: bool = False  # every occurrence counts
    requires: tuple[str, ...] = ()  # long names, checked in this order
    excludes: tuple[str, ...] = ()
    blamed: str = ""  # the name in messages about `requires`, if it is not `long`
    secret: bool = False  # the value is never printed


_tls = partial(Option, requires=("--enable-tls",))

_SEED = ("--enable-tls", "--seed")
_TLS_TITLE = "transport layer security (TLS) options"

# The original compares 64 bits and keeps 32: `-td 4294967296` is no error.
_SECONDS = (1, 2**64 - 1)
_LARGEST = 2**32 - 1

TABLE: tuple[Heading | Option, ...] = (
    Heading("general options", ""),
    Option("--help", "-h", "print this help text and exit"),
    Option("--version", "", "print version information and exit"),
    Option("--arguments", "", "print expanded command line arguments"),
    Option(
        "--quiet",
        "-q",
        "quiet mode, print no warnings and errors",
        "log.level",
        "fatal",
    ),
    Option(
        "--verbose", "-v", "verbose mode, print processing details", "log.level", "info"
    ),
    Option(
        "--debug", "-d", "debug mode, print debug information", "log.level", "debug"
    ),
    Option(
        "--log-level",
        "-ll",
        "[l]evel: string constant\n"
        "(fatal, error, warn, info, debug, trace)\n"
        "use level l for the logger",
        "log.level",
        values=1,
    ),
    Option(
        "--log-config",
        "-lc",
        "[f]ilename: string\nuse config file f for the logger",
        "log.config_file",
        values=1,
    ),
    Option(
        "--verbose-pc",
        "+v",
        "show presentation contexts in verbose mode",
        "log.presentation_contexts",
    ),
    Heading("network options", "IP protocol version"),
    Option(
        "--ipv4",
        "-i4",
        "listen on IPv4 only (default)",
        "network.ip_version",
        IpVersion.IPV4,
    ),
    Option(
        "--ipv6", "-i6", "listen on IPv6 only", "network.ip_version", IpVersion.IPV6
    ),
    Option(
        "--ip-auto",
        "-i0",
        "listen on both IPv4 and IPv6",
        "network.ip_version",
        IpVersion.AUTO,
    ),
    Heading(
        "network options", "association negotiation profile from configuration file"
    ),
    Option(
        "--config-file",
        "-xf",
        "[f]ilename, [p]rofile: string\nuse profile p from configuration file f",
        "network.profile_source",
        values=2,
    ),
    Heading("network options", "application entity title"),
    # Differs: the original's title has no effect (DECISIONS 9).
    Option(
        "--aetitle",
        "-aet",
        "[a]etitle: string\nrefuse other called AE titles (default: accept any)",
        "network.ae_title",
        values=1,
    ),
    Option(
        "--use-called-aetitle",
        "-uca",
        "always respond with called AE title (default)",
        "network.ae_title",
        None,
    ),
    Heading("network options", "other network options"),
    Option(
        "--acse-timeout",
        "-ta",
        "[s]econds: integer (default: 30)\ntimeout for ACSE messages",
        "network.acse_timeout_s",
        values=1,
        bounds=_SECONDS,
        cut=_LARGEST,
    ),
    Option(
        "--dimse-timeout",
        "-td",
        "[s]econds: integer (default: unlimited)\ntimeout for DIMSE messages",
        "network.dimse_timeout_s",
        values=1,
        bounds=_SECONDS,
        cut=_LARGEST,
    ),
    Option(
        "--max-pdu",
        "-pdu",
        "[n]umber of bytes: integer (4096..131072)\n"
        "set max receive pdu to n bytes (default: 16384)",
        "network.max_pdu",
        values=1,
        bounds=(4_096, 131_072),
    ),
    Option(
        "--disable-host-lookup",
        "-dhl",
        "disable hostname lookup",
        "network.host_lookup",
        False,
    ),
    Heading(_TLS_TITLE, "transport protocol stack"),
    Option(
        "--disable-tls",
        "-tls",
        "use normal TCP/IP connection (default)",
        "transport.tls",
        False,
    ),
    Option(
        "--enable-tls",
        "+tls",
        "[p]rivate key file, [c]ertificate file: string\n"
        "use authenticated secure TLS connection",
        "transport.tls",
        values=2,
    ),
    Heading(_TLS_TITLE, "private key password (only with --enable-tls)"),
    _tls(
        "--std-passwd",
        "+ps",
        "prompt user to type password on stdin (default)",
        "tls.password",
        None,
    ),
    _tls(
        "--use-passwd",
        "+pw",
        "[p]assword: string \nuse specified password",
        "tls.password",
        values=1,
        secret=True,
    ),
    _tls("--null-passwd", "-pw", "use empty string as password", "tls.password", ""),
    Heading(_TLS_TITLE, "key and certificate file format"),
    _tls(
        "--pem-keys",
        "-pem",
        "read keys and certificates as PEM file (default)",
        "tls.der",
        False,
    ),
    _tls("--der-keys", "-der", "read keys and certificates as DER file", "tls.der"),
    Heading(_TLS_TITLE, "certification authority"),
    _tls(
        "--add-cert-file",
        "+cf",
        "[f]ilename: string\nadd certificate file to list of certificates",
        "tls.ca_files",
        values=1,
        repeatable=True,
    ),
    _tls(
        "--add-cert-dir",
        "+cd",
        "[d]irectory: string\nadd certificates in d to list of certificates",
        "tls.ca_directories",
        values=1,
        repeatable=True,
    ),
    _tls(
        "--add-crl-file",
        "+crl",
        "[f]ilename: string\n"
        "add certificate revocation list file\n"
        "(implies --enable-crl-vfy)",
        "tls.crl_files",
        values=1,
        repeatable=True,
    ),
    _tls(
        "--enable-crl-vfy",
        "+crv",
        "enable leaf CRL verification",
        "tls.crl_check",
        CrlCheck.LEAF,
    ),
    _tls(
        "--enable-crl-all",
        "+cra",
        "enable full chain CRL verification",
        "tls.crl_check",
        CrlCheck.CHAIN,
        excludes=("--enable-crl-vfy",),
    ),
    Heading(_TLS_TITLE, "security profile"),
    _tls(
        "--profile-bcp195-nd",
        "+py",
        "Non-downgrading BCP 195 TLS Profile (default)",
        "tls.profile",
        "bcp195-nd",
    ),
    _tls("--profile-bcp195", "+px", "BCP 195 TLS Profile", "tls.profile", "bcp195"),
    _tls(
        "--profile-bcp195-ex",
        "+pz",
        "Extended BCP 195 TLS Profile",
        "tls.profile",
        "bcp195-ex",
    ),
    _tls(
        "--profile-aes",
        "+pa",
        "AES TLS Secure Transport Connection Profile\n(retired)",
        "tls.profile",
        "aes",
        blamed="--profile-basic",  # as the original
    ),
    _tls(
        "--profile-null",
        "+pn",
        "Authenticated unencrypted communication\n(retired, was used in IHE ATNA)",
        "tls.profile",
        "null",
    ),
    _tls(
        "--profile-8996", "+pg", "BCP 195 RFC 8996 TLS Profile", "tls.profile", "8996"
    ),
    _tls(
        "--profile-8996-mod",
        "+pm",
        "Modified BCP 195 RFC 8996 TLS Profile",
        "tls.profile",
        "8996-mod",
    ),
    Option(
        "--list-profiles", "+ph", "show list of supported security profiles and exit"
    ),
    Heading(_TLS_TITLE, "ciphersuite"),
    Option("--list-ciphers", "+cc", "show list of supported TLS ciphersuites and exit"),
    _tls(
        "--cipher",
        "+cs",
        "[c]iphersuite name: string\n"
        "add ciphersuite to list of negotiated suites\n"
        "(not with --profile-bcp195-ex)",
        "tls.ciphers",
        values=1,
        repeatable=True,
        excludes=("--profile-bcp195-ex",),
    ),
    _tls(
        "--dhparam",
        "+dp",
        "[f]ilename: string\nread DH parameters for DH/DSS ciphersuites",
        "tls.dh_parameter_file",
        values=1,
    ),
    Heading(_TLS_TITLE, "server name indication"),
    _tls(
        "--no-sni",
        "",
        "accept any requested server name (default)",
        "tls.expected_sni",
        None,
        excludes=("--expect-sni",),
    ),
    _tls(
        "--expect-sni",
        "",
        "[s]erver name: string\naccept requests for server name s only",
        "tls.expected_sni",
        values=1,
    ),
    # Differs: the system's generator is used, with a warning (DECISIONS 14).
    Heading(_TLS_TITLE, "pseudo random generator (accepted, but without effect)"),
    _tls(
        "--seed",
        "+rs",
        "[f]ilename: string\nseed random generator with contents of f",
        "tls.seed_file",
        values=1,
    ),
    Option(
        "--write-seed",
        "+ws",
        "write back modified seed (only with --seed)",
        requires=_SEED,
    ),
    Option(
        "--write-seed-file",
        "+wf",
        "[f]ilename: string (only with --seed)\nwrite modified seed to file f",
        values=1,
        requires=_SEED,
    ),
    Heading(_TLS_TITLE, "peer authentication"),
    _tls(
        "--require-peer-cert",
        "-rc",
        "verify peer certificate, fail if absent (default)",
        "tls.peer_certificate",
        PeerCertificate.REQUIRE,
    ),
    _tls(
        "--verify-peer-cert",
        "-vc",
        "verify peer certificate if present",
        "tls.peer_certificate",
        PeerCertificate.VERIFY,
    ),
    _tls(
        "--ignore-peer-cert",
        "-ic",
        "don't verify peer certificate",
        "tls.peer_certificate",
        PeerCertificate.IGNORE,
    ),
    Heading("output options", "general"),
    Option(
        "--output-directory",
        "-od",
        '[d]irectory: string (default: ".")\n'
        "write received objects to existing directory d",
        "storage.output_directory",
        values=1,
    ),
    Heading("output options", "subdirectory generation"),
    Option(
        "--no-subdir",
        "-s",
        "do not generate any subdirectories (default)",
        "storage.subdirectory_mode",
        SubdirectoryMode.NONE,
    ),
    Option(
        "--series-date-subdir",
        "+ssd",
        "generate subdirectories from series date",
        "storage.subdirectory_mode",
        SubdirectoryMode.SERIES_DATE,
    ),
    Heading("output options", "filename generation"),
    Option(
        "--default-filenames",
        "+fd",
        "generate filename from instance UID (default)",
        "storage.filename_mode",
        FilenameMode.DEFAULT,
    ),
    Option(
        "--unique-filenames",
        "+fu",
        "generate unique filename based on new UID",
        "storage.filename_mode",
        FilenameMode.UNIQUE,
    ),
    Option(
        "--short-unique-names",
        "+fsu",
        "generate short pseudo-random unique filename",
        "storage.filename_mode",
        FilenameMode.SHORT_UNIQUE,
    ),
    Option(
        "--system-time-names",
        "+fst",
        "generate filename from current system time",
        "storage.filename_mode",
        FilenameMode.SYSTEM_TIME,
    ),
    Option(
        "--filename-extension",
        "-fe",
        "[e]xtension: string (default: none)\nappend e to all generated filenames",
        "storage.filename_extension",
        values=1,
    ),
    Heading("output options", "storage mode"),
    Option(
        "--normal",
        "-B",
        "allow implicit format conversions (default)",
        "storage.mode",
        StorageMode.NORMAL,
    ),
    Option(
        "--bit-preserving",
        "+B",
        "write dataset exactly as received",
        "storage.mode",
        StorageMode.BIT_PRESERVING,
    ),
    Option(
        "--ignore",
        "",
        "ignore dataset, receive but do not store it",
        "storage.mode",
        StorageMode.IGNORE,
    ),
    Heading("extended options", "association negotiation"),
    Option(
        "--promiscuous",
        "",
        "accept every abstract syntax and every transfer syntax",
        "network.promiscuous",
    ),
    Option(
        "--prefer-uncompressed",
        "",
        "prefer native uncompressed transfer syntaxes\n(only with --promiscuous)",
        "network.prefer_uncompressed",
        requires=("--promiscuous",),
    ),
    Heading("extended options", "concurrent associations"),
    Option(
        "--max-associations",
        "",
        "[n]umber: integer (1..4096, default: 64)\n"
        "serve at most n associations at the same time",
        "pool.max_associations",
        values=1,
        bounds=(1, 4_096),
    ),
    Option(
        "--queue-associations",
        "",
        "let further requestors wait, do not refuse them",
        "pool.queue_associations",
    ),
    Option(
        "--spare-workers",
        "",
        "[n]umber: integer (1..4096, default: 2)\n"
        "keep n idle processes ready for associations",
        "pool.spare_workers",
        values=1,
        bounds=(1, 4_096),
    ),
    Option(
        "--drain-timeout",
        "",
        "[s]econds: integer (0..86400, default: 30)\n"
        "when told to end, wait s for open associations",
        "pool.drain_timeout_s",
        values=1,
        bounds=(0, 86_400),
    ),
)

OPTIONS = tuple(entry for entry in TABLE if isinstance(entry, Option))

# A command line with several of these does the first; the rest of it is only checked
# for unknown options and missing values.
EXCLUSIVE = ("--help", "--version", "--list-ciphers", "--list-profiles")

# Which of several broken `requires` and `excludes` is reported, as the original does
# it; observed for every pair of its options.
DEPENDENCY_ORDER = (
    "--std-passwd",
    "--use-passwd",
    "--null-passwd",
    "--pem-keys",
    "--der-keys",
    "--dhparam",
    "--seed",
    "--write-seed",
    "--write-seed-file",
    "--require-peer-cert",
    "--ignore-peer-cert",
    "--verify-peer-cert",
    "--profile-bcp195",
    "--profile-bcp195-nd",
    "--profile-bcp195-ex",
    "--profile-aes",
    "--profile-null",
    "--profile-8996",
    "--profile-8996-mod",
    "--add-cert-file",
    "--add-cert-dir",
    "--add-crl-file",
    "--enable-crl-vfy",
    "--enable-crl-all",
    "--no-sni",
    "--expect-sni",
    "--cipher",
    "--prefer-uncompressed",
)
