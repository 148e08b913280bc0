"""The grammar of the command line. Texts and order as observed with dcmrecv 3.6.7.

What the options themselves are is tested with their table; the cases of the
specification run in tests/integration.
"""

from pathlib import Path

import pytest

from dcmrecv.config.options import log_settings, parse, settings
from dcmrecv.config.settings import (
    CrlCheck,
    FilenameMode,
    IpVersion,
    LogSettings,
    PeerCertificate,
    Reserve,
    Settings,
    StorageMode,
    SubdirectoryMode,
    TlsSettings,
    WriteMode,
)
from dcmrecv.errors import ConfigurationError, ExitCode

TLS = ["+tls", "key", "certificate"]


def words(line: str) -> list[str]:
    """The arguments of a line without quotes."""
    return line.split()


def read(*argv: str, info_enabled: bool = True) -> Settings:
    """The settings of a command line with a port."""
    return settings(parse([*argv, "104"]), info_enabled=info_enabled)


def tls_of(*argv: str) -> TlsSettings:
    """The TLS settings of a command line that turns TLS on."""
    tls = read(*TLS, *argv).tls
    assert tls is not None
    return tls


def mistake(*argv: str, info_enabled: bool = True) -> str:
    """What is wrong with a command line."""
    with pytest.raises(ConfigurationError) as raised:
        settings(parse(argv), info_enabled=info_enabled)
    assert raised.value.exit_code is ExitCode.COMMAND_LINE
    return str(raised.value)


def command_file(folder: Path, content: str | bytes) -> str:
    """The argument that names a new command file."""
    path = folder / "command file"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return f"@{path}"


# Options and parameters, spec section 1.1


def test_only_a_port_gives_every_default() -> None:
    """Spec 1.4."""
    made = read()
    assert (made.network.port, made.tls) == (104, None)
    assert made.log == LogSettings()
    assert made.storage.mode is StorageMode.NORMAL


@pytest.mark.parametrize("argv", [["104", "-s", "-fe", "x"], ["-s", "104", "-fe", "x"]])
def test_port_may_stand_anywhere(argv: list[str]) -> None:
    """Options and the parameter mix."""
    made = settings(parse(argv), info_enabled=False)
    assert (made.network.port, made.storage.filename_extension) == (104, "x")


@pytest.mark.parametrize(
    "word", ["-z", "--", "+B+", "--verb", "--Verbose", "-vd", "+-"]
)
def test_unknown_option_is_named_as_typed(word: str) -> None:
    """No abbreviations, no bundling, case counts."""
    assert mistake(word, "104") == f"Unknown option {word}"


def test_value_after_an_equals_sign_is_no_syntax() -> None:
    """The whole word is looked up."""
    assert mistake("--max-pdu=9", "104") == "Unknown option --max-pdu=9"


@pytest.mark.parametrize("word", ["-", "+", "@", "abc", ""])
def test_other_words_are_parameters(word: str) -> None:
    """A sign alone, or before a digit, makes no option."""
    assert mistake(word) == f"Invalid parameter value {word}"
    assert mistake("104", word) == "Too many parameters"


def test_values_are_taken_verbatim() -> None:
    """Also when they look like options."""
    assert read("-aet", "-v").network.ae_title == "-v"
    assert read("-xf", "--help", "-v").network.profile_source == ("--help", "-v")


@pytest.mark.parametrize("word", ["-xf", "--config-file"])
def test_missing_value_is_named_by_the_long_name(word: str) -> None:
    """One of two values is not enough."""
    assert mistake("104", word, "a") == "Missing value for option --config-file"


def test_mistakes_are_found_from_left_to_right() -> None:
    """Unknown options and missing values come before the number of parameters."""
    assert mistake("1", "2", "-z", "-aet") == "Unknown option -z"
    assert mistake("1", "2", "-aet") == "Missing value for option --aetitle"


def test_missing_parameter_is_the_port() -> None:
    """With options alone."""
    assert mistake("-v") == "Missing parameter port"


def test_rightmost_occurrence_counts_and_only_its_value_is_checked() -> None:
    """Spec 1.1."""
    assert read("-ta", "0", "-ta", "5").network.acse_timeout_s == 5
    assert "underflow" in mistake("-ta", "5", "-ta", "0", "104")


@pytest.mark.parametrize(
    ("argv", "mode"),
    [
        (["+fd", "+fu", "+fsu"], FilenameMode.SHORT_UNIQUE),
        (["+fst", "+fu"], FilenameMode.UNIQUE),
        (["+fu", "+fd"], FilenameMode.DEFAULT),
        (["--system-time-names"], FilenameMode.SYSTEM_TIME),
    ],
)
def test_rightmost_of_exclusive_options_wins(
    argv: list[str], mode: FilenameMode
) -> None:
    """Silently."""
    assert read(*argv).storage.filename_mode is mode


# Exclusive options


def test_no_arguments_ask_for_help(tmp_path: Path) -> None:
    """As does an empty command file."""
    assert parse([]).exclusive == "--help"
    assert parse([command_file(tmp_path, " \n")]).exclusive == "--help"


@pytest.mark.parametrize(
    ("argv", "exclusive"),
    [
        (["--version", "-h"], "--help"),
        (["+cc", "--version", "1", "2"], "--version"),
        (["+ph", "+cc"], "--list-ciphers"),
        (["-ll", "bogus", "--list-profiles"], "--list-profiles"),
        (["104"], ""),
    ],
)
def test_exclusive_options_have_an_order_and_need_no_parameter(
    argv: list[str], exclusive: str
) -> None:
    """Values are not looked at."""
    assert parse(argv).exclusive == exclusive


def test_exclusive_option_does_not_excuse_an_unknown_one() -> None:
    """Nor a missing value."""
    assert mistake("-h", "-z") == "Unknown option -z"
    assert mistake("-h", "-aet") == "Missing value for option --aetitle"


# Integers, spec section 1.2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("+5", 5),
        (" \t\n5", 5),
        ("5x", 5),
        ("5.9", 5),
        ("5-6", 5),
        ("007", 7),
        ("4294967295", 2**32 - 1),
        ("4294967296", 2**32 - 1),
        ("9" * 5_000, 2**32 - 1),
    ],
)
def test_integer_is_read_up_to_the_first_other_character(
    text: str, seconds: int
) -> None:
    """A time-out beyond 32 bits is as good as the longest."""
    assert read("-td", text).network.dimse_timeout_s == seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-1", " (-1)"),
        ("-0", " (-0)"),
        ("abc", " (abc)"),
        ("+ 5", " (+ 5)"),
        ("++5", " (++5)"),
        ("\u0665", " (\u0665)"),
        ("", ""),
        ("0", " (underflow: 0)"),
        ("0x10", " (underflow: 0x10)"),
    ],
)
def test_bad_integer_is_shown(text: str, shown: str) -> None:
    """Spec 1.3; an empty one has nothing to show."""
    expected = f"Invalid value for option --acse-timeout{shown}"
    assert mistake("-ta", text, "104") == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4095", "underflow: 4095"),
        ("131073", "overflow: 131073"),
        ("9" * 5_000, "overflow: " + "9" * 5_000),
    ],
)
def test_integer_out_of_range_is_shown(text: str, shown: str) -> None:
    """Spec 1.3."""
    expected = f"Invalid value for option --max-pdu ({shown})"
    assert mistake("-pdu", text, "104") == expected


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("1", 1),
        ("65535", 65_535),
        ("+104", 104),
        ("104x", 104),
        ("-18446744073709551512", 104),
    ],
)
def test_port_is_read_like_an_integer(text: str, port: int) -> None:
    """A minus sign wraps around as in 64 unsigned bits."""
    assert settings(parse([text]), info_enabled=False).network.port == port


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0", "0 (underflow)"),
        ("-0", "-0 (underflow)"),
        ("0x100", "0x100 (underflow)"),
        ("65536", "65536 (overflow)"),
        ("-1", "-1 (overflow)"),
        ("-" + "9" * 30, "-" + "9" * 30 + " (overflow)"),
    ],
)
def test_bad_port_is_shown(text: str, shown: str) -> None:
    """Spec 1.3."""
    assert mistake(text) == f"Invalid parameter value {shown}"


# The log


@pytest.mark.parametrize(
    ("argv", "level"),
    [
        ([], "warn"),
        (["-q"], "fatal"),
        (["-q", "-v"], "info"),
        (["-v", "-d"], "debug"),
        (["-ll", "TRACE"], "trace"),
        (["-ll", "off", "-ll", "All"], "all"),
    ],
)
def test_log_level(argv: list[str], level: str) -> None:
    """The rightmost one, in any case."""
    assert read(*argv).log.level == level


def test_log_configuration_file_is_passed_on() -> None:
    """Whether it can be used is not for the command line to say."""
    assert read("-lc", "").log.config_file == ""


LOG_MISTAKES = {
    "-ll not_set": "Invalid log level for --log-level option",
    "-ll bogus -v": "--log-level not allowed with --verbose, --debug or --quiet",
    "-q -ll info": "--log-level not allowed with --verbose, --debug or --quiet",
    "-lc f -d": "--log-config not allowed with --verbose, --debug or --quiet",
    "-lc f -ll info": "--log-config not allowed with --log-level",
    "-lc f -ll bogus": "Invalid log level for --log-level option",
}


@pytest.mark.parametrize("line", LOG_MISTAKES)
def test_log_options_that_exclude_each_other(line: str) -> None:
    """Found before anything else is looked at."""
    with pytest.raises(ConfigurationError) as raised:
        log_settings(parse([*words(line), "0"]))
    assert str(raised.value) == LOG_MISTAKES[line]


def test_presentation_contexts_are_shown_only_where_info_is() -> None:
    """Spec 1.4."""
    assert read("+v").log.presentation_contexts
    expected = "--verbose-pc only allowed with verbose mode"
    assert mistake("+v", "-ta", "0", "104", info_enabled=False) == expected


# What else is set


@pytest.mark.parametrize(
    ("argv", "title"),
    [
        ([], None),
        (["-aet", "ME"], "ME"),
        (["-aet", "ME", "-uca"], None),
        (["-uca", "-aet", "ME"], "ME"),
        (["-aet", ""], None),
    ],
)
def test_rightmost_of_title_and_called_title_counts(
    argv: list[str], title: str | None
) -> None:
    """DECISIONS 9; an empty title is none."""
    assert read(*argv).network.ae_title == title


def test_network_options() -> None:
    """Each reaches its field."""
    network = read(*words("-i4 -i0 -ta 7 -td 8 -pdu 4096 -dhl")).network
    assert network.ip_version is IpVersion.AUTO
    assert (network.acse_timeout_s, network.dimse_timeout_s) == (7, 8)
    assert (network.max_pdu, network.host_lookup) == (4_096, False)
    assert read("-i6").network.ip_version is IpVersion.IPV6


def test_last_profile_counts() -> None:
    """Both values of it."""
    network = read("-xf", "a", "b", "-xf", "c", "d").network
    assert network.profile_source == ("c", "d")


def test_output_options() -> None:
    """Each reaches its field."""
    storage = read("-od", "d", "+ssd", "--ignore", "-fe", ".dcm").storage
    assert (storage.output_directory, storage.filename_extension) == ("d", ".dcm")
    assert storage.subdirectory_mode is SubdirectoryMode.SERIES_DATE
    assert storage.mode is StorageMode.IGNORE
    assert read("+B").storage.mode is StorageMode.BIT_PRESERVING


def test_extended_options() -> None:
    """DECISIONS 1 and 3; all neutral by default."""
    made = read(
        *words("--promiscuous --prefer-uncompressed --max-associations 4096"),
        *words("--queue-associations --spare-workers 3 --drain-timeout 0"),
    )
    assert made.network.promiscuous and made.network.prefer_uncompressed
    assert (made.pool.max_associations, made.pool.spare_workers) == (4_096, 3)
    assert (made.pool.queue_associations, made.pool.drain_timeout_s) == (True, 0)


@pytest.mark.parametrize("mode", list(WriteMode))
def test_a_word_is_a_member(mode: WriteMode) -> None:
    """Options of our own that take one of several words."""
    assert read("--write-mode", mode.value).storage.write_mode is mode


def test_sizes_and_shares() -> None:
    """Their grammar is tested with `sizes`."""
    storage = read("--reserve", "5%", "--max-object-size", "2G").storage
    assert (storage.reserve, storage.max_object_size) == (Reserve(percent=5), 2 << 30)
    assert mistake("--reserve", "x", "104") == "Invalid value for option --reserve (x)"


@pytest.mark.parametrize("text", ["", "AUTO", "direct ", "slow"])
def test_any_other_word_is_refused(text: str) -> None:
    """The message says which there are."""
    assert mistake("--write-mode", text, "104") == (
        "Invalid value for option --write-mode "
        f"(not one of auto, buffered, dontcache, direct: {text})"
    )


@pytest.mark.parametrize("text", ["0", "4097"])
def test_number_of_associations_is_bounded(text: str) -> None:
    """1..4096."""
    assert "--max-associations" in mistake("--max-associations", text, "104")


# Dependencies and conflicts


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("+B +ssd", False),
        ("+ssd +B", False),
        ("+B --ignore +ssd", False),
        ("--ignore +B +ssd", False),
        ("+B -B +ssd", True),
        ("+B +ssd -s", True),
        ("+ssd --ignore", True),
    ],
)
def test_bit_preserving_excludes_subdirectories(line: str, allowed: bool) -> None:
    """Spec 1.4: only -B and -s take them back."""
    if allowed:
        read(*words(line))
    else:
        expected = "--bit-preserving not allowed with --series-date-subdir"
        assert mistake(*words(line), "0") == expected


TLS_MISTAKES = {
    "+ps": "--std-passwd only allowed with --enable-tls",
    "-ic +cs x +pw x": "--use-passwd only allowed with --enable-tls",
    "--profile-aes": "--profile-basic only allowed with --enable-tls",
    "+tls k c -tls -pw": "--null-passwd only allowed with --enable-tls",
    "--profile-8996": "--profile-8996 only allowed with --enable-tls",
    "--expect-sni x": "--expect-sni only allowed with --enable-tls",
    "+ws +rs x": "--seed only allowed with --enable-tls",
    "+tls k c +ws": "--write-seed only allowed with --seed",
    "+tls k c +wf x +ws": "--write-seed only allowed with --seed",
    "+tls k c +crv +cra": "--enable-crl-all not allowed with --enable-crl-vfy",
    "+tls k c +pz +cs x": "--cipher not allowed with --profile-bcp195-ex",
    "+tls k c +pz +cs x +cra +crv": (
        "--enable-crl-all not allowed with --enable-crl-vfy"
    ),
    "+tls k c --expect-sni x --no-sni": "--no-sni not allowed with --expect-sni",
    "--prefer-uncompressed": "--prefer-uncompressed only allowed with --promiscuous",
}


@pytest.mark.parametrize("line", TLS_MISTAKES)
def test_broken_dependency_is_named(line: str) -> None:
    """Of several, that one which the original names."""
    assert mistake(*words(line), "104") == TLS_MISTAKES[line]


def test_mistakes_are_found_in_the_order_of_the_original() -> None:
    """Spec 3.1: each line has the mistakes of all lines below it, too."""
    wrong = ["-ta", "0", "-pdu", "1", "+B", "+ssd", "+ps", "0"]
    expected = [
        ("+v", "--verbose-pc only allowed with verbose mode"),
        ("-ta", "Invalid value for option --acse-timeout (underflow: 0)"),
        ("0", ""),
        ("-pdu", "Invalid value for option --max-pdu (underflow: 1)"),
        ("1", ""),
        ("+B", "--bit-preserving not allowed with --series-date-subdir"),
        ("+ssd", ""),
        ("+ps", "Invalid parameter value 0 (underflow)"),
    ]
    line = ["+v", *wrong]
    for word, text in expected:
        if text:
            assert mistake(*line, info_enabled=False) == text
        line.remove(word)


def test_effective_profile_decides_about_ciphers() -> None:
    """Spec 1.4."""
    tls = tls_of("+pz", "+cs", "a", "+py", "+cs", "b")
    assert (tls.profile, tls.ciphers) == ("bcp195-nd", ("a", "b"))


def test_tls_is_off_when_disabled_to_the_right() -> None:
    """And on when enabled again."""
    assert read(*TLS, "-tls").tls is None
    assert read(*TLS, "-tls", "+tls", "a", "b").tls == TlsSettings(
        key_file="a", certificate_file="b"
    )


@pytest.mark.parametrize(
    ("argv", "password"),
    [
        ([], None),
        (["+pw", "x", "+ps"], None),
        (["+pw", ""], ""),
        (["+pw", "x"], "x"),
        (["+pw", "x", "-pw"], ""),
    ],
)
def test_password(argv: list[str], password: str | None) -> None:
    """None: ask on the terminal."""
    assert tls_of(*argv).password == password


def test_tls_options() -> None:
    """Each reaches its field."""
    tls = tls_of(
        *words("-der +cf a +cf b +cd c +crl d +cra +dp e -ic --expect-sni f +rs g"),
        *words("+ws --profile-8996-mod"),
    )
    assert (tls.key_file, tls.certificate_file, tls.der) == ("key", "certificate", True)
    assert (tls.ca_files, tls.ca_directories) == (("a", "b"), ("c",))
    assert (tls.crl_files, tls.crl_check) == (("d",), CrlCheck.CHAIN)
    assert (tls.dh_parameter_file, tls.expected_sni) == ("e", "f")
    assert tls.peer_certificate is PeerCertificate.IGNORE
    assert (tls.seed_file, tls.profile) == ("g", "8996-mod")


def test_revocation_list_implies_the_check_of_the_leaf() -> None:
    """Spec 10.1."""
    assert tls_of("+crl", "a").crl_check is CrlCheck.LEAF
    assert tls_of().crl_check is CrlCheck.NONE


# Command files, spec section 1.7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (" a\tb\r\nc\nd ", ["a", "b", "c", "d"]),
        ("'a b' \"c\nd\"", ["a b", "c\nd"]),
        ('"it\'s" \'say "x"\'', ["it's", 'say "x"']),
        ('ab"cd"ef', ["abcd", "ef"]),
        ("\"\" ''", ["", ""]),
        ("# not a comment", ["#", "not", "a", "comment"]),
        ('a "b c\n', ["a", "b c\n"]),
        ("a'", ["a"]),
        ("a '", ["a"]),
        ("@other", ["@other"]),
        ("a\vb\fc", ["a\vb\fc"]),
        ("\\'a b'", ["\\a b"]),
        (b"\xe9", ["\udce9"]),
    ],
)
def test_command_file_is_cut_into_words(
    tmp_path: Path, content: str | bytes, words: list[str]
) -> None:
    """Checked against the original with random files in tests/parity."""
    shown = parse(["-h", command_file(tmp_path, content)]).arguments
    assert list(shown) == ["--help", *words]


def test_command_files_may_stand_anywhere(tmp_path: Path) -> None:
    """Options, values and the port come from files."""
    argument = command_file(tmp_path, "7 -td 8")
    made = read("-ta", argument)
    assert (made.network.acse_timeout_s, made.network.dimse_timeout_s) == (7, 8)


def test_unreadable_command_file_is_the_first_mistake(tmp_path: Path) -> None:
    """Before unknown options to its left."""
    missing = tmp_path / "none"
    expected = f"Cannot open command file '{missing}'"
    assert mistake("-z", f"@{missing}") == expected
    assert mistake("-h", f"@{missing}") == expected
    assert mistake("@a\0b") == "Cannot open command file 'a\0b'"


def test_directory_is_an_empty_command_file(tmp_path: Path) -> None:
    """As with the original."""
    assert read(f"@{tmp_path}") == read()


# --arguments, spec section 1.6


def test_arguments_are_shown_expanded(tmp_path: Path) -> None:
    """Short names made long, command files read; empty words are only counted."""
    argument = command_file(tmp_path, "-aet 'MY AE' -fe ''")
    text = parse(["-v", argument, "104"]).arguments_text()
    assert text == (
        "calling 'dcmrecv' with 6 arguments: "
        "'--verbose' '--aetitle' 'MY AE' '--filename-extension' '104' "
    )


def test_password_is_never_shown() -> None:
    """Secrets never reach a log."""
    text = parse([*TLS, "+pw", "secret", "104"]).arguments_text()
    assert "'--use-passwd' '***' '104' " in text
    assert "secret" not in text
