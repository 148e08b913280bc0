"""The options about TLS, a part of `option_table`.

Source:
    spec sections 1.4, 10.1 and 11; DECISIONS 1 and 14.
"""

from functools import partial

from dcmrecv.config.option import Heading, Option
from dcmrecv.config.settings import CrlCheck, KernelTls, PeerCertificate

_tls = partial(Option, requires=("--enable-tls",))

_SEED = ("--enable-tls", "--seed")
_TLS_TITLE = "transport layer security (TLS) options"

TLS_OPTIONS: tuple[Heading | Option, ...] = (
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
)

# Our own.
EXTENDED_TLS_OPTIONS: tuple[Heading | Option, ...] = (
    Heading("extended options", "peer authentication"),
    _tls(
        "--require-cert-name",
        "",
        "[p]attern: string, for example *.hospital.org\n"
        "refuse peers without such a certificate's name",
        "tls.required_names",
        values=1,
        repeatable=True,
        excludes=("--ignore-peer-cert",),
    ),
    Heading("extended options", "decryption"),
    _tls(
        "--kernel-tls",
        "",
        "[w]hen: auto, off (default: off)\n"
        "let the kernel decrypt and encrypt where it can",
        "tls.kernel",
        values=1,
        words=KernelTls,
    ),
)
