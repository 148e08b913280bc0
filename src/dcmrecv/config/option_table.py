"""Every command line option as one declarative table.

Owns the spellings, the help text, and what each option does to `Settings`; those about
access stand in `access_options`. Never parses and never prints: `options` does the one,
`help` the other.

Source:
    spec sections 1.4, 1.5 and 11; DECISIONS 1, 3, 9 and 14.
"""

from types import MappingProxyType

from dcmrecv.config.access_options import ACCESS_OPTIONS
from dcmrecv.config.option import Heading, Option
from dcmrecv.config.settings import (
    Durability,
    FilenameMode,
    IpVersion,
    OnDuplicate,
    StorageMode,
    SubdirectoryMode,
    WriteMode,
)
from dcmrecv.config.sizes import parse_reserve, parse_size
from dcmrecv.config.tls_options import EXTENDED_TLS_OPTIONS, TLS_OPTIONS

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
    *TLS_OPTIONS,
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
    Heading("extended options", "storage mode"),
    Option(
        "--no-parse",
        "",
        "do not look into ignored datasets\n(only with --ignore)",
        "storage.parse",
        False,
        requires=("--ignore",),
    ),
    Heading("extended options", "listening"),
    Option(
        "--listen",
        "",
        "[a]ddress: string, [tls:]host:port\n"
        "listen there, too; tls: only with --enable-tls",
        "network.listen",
        values=1,
        repeatable=True,
    ),
    Option(
        "--reload",
        "",
        "when told to by SIGHUP, read certificates, CRLs\n"
        "and association profile again, and do not end",
        "network.reload",
    ),
    *EXTENDED_TLS_OPTIONS,
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
    Heading("extended options", "storage"),
    Option(
        "--write-mode",
        "",
        "[m]ode: auto, buffered, dontcache, direct (default: auto)\n"
        "how objects of more than 64 KiB are written",
        "storage.write_mode",
        values=1,
        words=WriteMode,
    ),
    Option(
        "--durability",
        "",
        "[w]hat: close, data, full, group (default: close)\n"
        "what is on disk before an object is acknowledged",
        "storage.durability",
        values=1,
        words=Durability,
    ),
    Option(
        "--on-duplicate",
        "",
        "[w]hat: overwrite, keep, verify, version, reject\n"
        "(default: overwrite)\n"
        "what to do with an object whose file exists",
        "storage.on_duplicate",
        values=1,
        words=OnDuplicate,
    ),
    Option(
        "--reserve",
        "",
        "[r]eserve: size (K, M, G, T) or percentage\n"
        "refuse objects when less of the disk is free",
        "storage.reserve",
        values=1,
        reads=parse_reserve,
    ),
    Option(
        "--max-object-size",
        "",
        "[s]ize: bytes (K, M, G, T)\nrefuse larger data sets",
        "storage.max_object_size",
        values=1,
        reads=parse_size,
    ),
    *ACCESS_OPTIONS,
)

# Options of the original's manual page that its programs, too, have only with an old
# OpenSSL, and what to say of them.
LACKING = MappingProxyType(
    dict.fromkeys(("--profile-basic", "+pb"), " (this OpenSSL has no 3DES)")
)

OPTIONS = tuple(entry for entry in TABLE if isinstance(entry, Option))

# What stands behind these names is nobody else's business.
SECRETS = frozenset(
    name for option in OPTIONS if option.secret for name in (option.long, option.short)
)

# A command line with several of these does the first; the rest of it is only checked
# for unknown options and missing values.
EXCLUSIVE = (
    "--help",
    "--version",
    "--list-ciphers",
    "--list-profiles",
    "--add-user",
)

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
    "--require-cert-name",
    "--kernel-tls",
    "--prefer-uncompressed",
    "--no-parse",
)
