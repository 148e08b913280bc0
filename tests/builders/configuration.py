"""Association configuration files: one good one, and what can be done to it.

`CONFIGURATION` has every supersection. `SAME_MEANING` are other spellings of it,
`OTHER_MEANING` are well formed but say something else, and `MALFORMED` are refused with
the text beside each. tests/parity holds all of them against the original.
"""

CONFIGURATION = rb"""[[TransferSyntaxes]]
[Plain]
TransferSyntax1 = LittleEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[Packed]
TransferSyntax1 = JPEGBaseline
TransferSyntax2 = RLELossless
[[PresentationContexts]]
[Storage]
PresentationContext1 = VerificationSOPClass\Plain
PresentationContext2 = CTImageStorage\Packed
PresentationContext3 = MRImageStorage\Packed
[Echo]
PresentationContext1 = VerificationSOPClass\Plain
[[SCPSCURoleSelection]]
[Roles]
Role1 = CTImageStorage\SCU
Role2 = MRImageStorage\BOTH
[[ExtendedNegotiation]]
[Levels]
ExtendedNegotiation1 = CTImageStorage\0102aF
[[Profiles]]
[Default]
PresentationContexts = Storage
SCPSCURoleSelection = Roles
ExtendedNegotiation = Levels
[EchoOnly]
PresentationContexts = Echo
"""


def changed(old: bytes, new: bytes, configuration: bytes = CONFIGURATION) -> bytes:
    """The configuration with the first `old` replaced.

    Raises:
        ValueError: there is no `old`; the case would not test what it says.
    """
    if old not in configuration:
        raise ValueError(f"{old!r} is not in the configuration")
    return configuration.replace(old, new, 1)


def context_list(number: int) -> bytes:
    """A section body with as many presentation contexts, of made-up classes."""
    lines = (
        rb"PresentationContext%d = 1.2.%d\Plain" % (n, n) for n in range(1, number + 1)
    )
    return b"\n".join(lines) + b"\n"


def _reversed_supersections() -> bytes:
    head, *parts = CONFIGURATION.split(b"[[")
    return head + b"".join(b"[[" + part for part in reversed(parts))


_FIRST_SYNTAX = b"TransferSyntax1 = LittleEndianExplicit\n"
_SECOND_SYNTAX = b"TransferSyntax2 = LittleEndianImplicit\n"
_CT = rb"PresentationContext2 = CTImageStorage\Packed"

SAME_MEANING: dict[str, bytes] = {
    "as it is": CONFIGURATION,
    "no line end at the end": CONFIGURATION.removesuffix(b"\n"),
    "CR": CONFIGURATION.replace(b"\n", b"\r"),
    "CR LF": CONFIGURATION.replace(b"\n", b"\r\n"),
    "NUL for a blank": CONFIGURATION.replace(b" ", b"\0"),
    "TAB for a blank": CONFIGURATION.replace(b" ", b"\t"),
    "no blank": CONFIGURATION.replace(b" ", b""),
    "empty lines": CONFIGURATION.replace(b"\n", b"\n\n"),
    "comment lines": b"# a\n" + CONFIGURATION.replace(b"\n", b"\n#b = \\c ]\n"),
    "comment at the end": CONFIGURATION + b"# last",
    "blanks in names": CONFIGURATION.replace(b"[Plain]", b" [ Pl\tain ]"),
    "blanks in keys": CONFIGURATION.replace(b"Syntax1", b" Sy\nntax 1"),
    "other characters in names": CONFIGURATION.replace(
        b"[Plain]", b"[P.l/a:i*n\xff\xe9]"
    ),
    "other characters in keys": CONFIGURATION.replace(b"Role1", b"R(o)l+e;1"),
    "lower case": changed(b"[[TransferSyntaxes]]", b"[[transfersyntaxes]]"),
    "lower case keys": CONFIGURATION.replace(
        b"PresentationContext", b"presentationcontext"
    ),
    "lower case references": CONFIGURATION.replace(rb"\Packed", rb"\packed"),
    "blanks in references": CONFIGURATION.replace(rb"\Packed", b"\\ Pa\tck\v ed "),
    "lower case role": changed(rb"\BOTH", rb"\both"),
    "three brackets": changed(b"[[Profiles]]", b"[[[Profiles]]]"),
    "blanks between brackets": changed(b"[[Profiles]]", b"[ [Profiles] x\n ]"),
    "bracket in a name": changed(b"[Roles]", b"[Ro[les]"),
    "bracket in a key": changed(b"Role1", b"Ro[le]1"),
    "supersections backwards": _reversed_supersections(),
    "entries backwards": changed(
        _FIRST_SYNTAX + _SECOND_SYNTAX, _SECOND_SYNTAX + _FIRST_SYNTAX
    ),
    "entry behind a gap": changed(
        _SECOND_SYNTAX, _SECOND_SYNTAX + b"TransferSyntax4 = BigEndianExplicit\n"
    ),
    "number with a zero": changed(
        _SECOND_SYNTAX, _SECOND_SYNTAX + b"TransferSyntax03 = BigEndianExplicit\n"
    ),
    "repeated key": changed(
        _FIRST_SYNTAX, _FIRST_SYNTAX + b"TransferSyntax1 = BigEndianExplicit\n"
    ),
    "divided section": changed(
        _SECOND_SYNTAX, b"[Plain]\nTransferSyntax1 = LittleEndianImplicit\n"
    ),
    "repeated supersection": CONFIGURATION
    + b"[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = JPEGLSLossy\n",
    "key before any section": b"Role1 = x\n" + CONFIGURATION,
    "section before any supersection": b"[Plain]\nTransferSyntax1 = x\n"
    + CONFIGURATION,
    "key before the first section": changed(
        b"[Plain]", b"TransferSyntax1 = BigEndianExplicit\n[Plain]"
    ),
    "key of the supersection before": changed(
        b"[Storage]", b"TransferSyntax3 = BigEndianExplicit\n[Storage]"
    ),
    "unknown supersection": b"[[Other]]\n[Plain]\nRole1 = x\n" + CONFIGURATION,
    "unknown key": changed(_FIRST_SYNTAX, b"Comment = x\n" + _FIRST_SYNTAX),
    "unused empty list": changed(b"[Packed]", b"[Empty]\n[Packed]"),
    "value on the next line": changed(
        b"= LittleEndianImplicit", b"=\n\n \n  LittleEndianImplicit"
    ),
    "value after a comment": changed(
        b"= LittleEndianImplicit", b"=\n# c\n LittleEndianImplicit"
    ),
    "value with an equals sign": changed(b"= JPEGBaseline", b"= =JPEGBaseline"),
    "numeric UID": changed(b"RLELossless", b"1.2.840.10008.1.2.5"),
    "unfinished heading at the end": CONFIGURATION + b"[[Other",
}

OTHER_MEANING: dict[str, bytes] = {
    "no roles": changed(b"SCPSCURoleSelection = Roles\n", b""),
    "no extended negotiation": changed(b"ExtendedNegotiation = Levels\n", b""),
    "optional supersections missing": changed(
        CONFIGURATION[
            CONFIGURATION.index(b"[[SCPSCU") : CONFIGURATION.index(b"[[Profiles")
        ],
        b"",
        changed(b"SCPSCURoleSelection = Roles\nExtendedNegotiation = Levels\n", b""),
    ),
    "role SCP": changed(rb"\SCU", rb"\SCP"),
    "repeated transfer syntax": changed(
        _SECOND_SYNTAX, _SECOND_SYNTAX + b"TransferSyntax3 = LittleEndianExplicit\n"
    ),
    "turned preference": changed(
        b"1 = JPEGBaseline\nTransferSyntax2 = RLELossless",
        b"1 = RLELossless\nTransferSyntax2 = JPEGBaseline",
    ),
    "gap": changed(
        b"PresentationContext2 ",
        b"PresentationContext22 ",
        changed(b"SCPSCURoleSelection = Roles\nExtendedNegotiation = Levels\n", b""),
    ),
    "indented comment ends a list": changed(
        _SECOND_SYNTAX, b"[Rest]\n # x\nTransferSyntax1 = LittleEndianImplicit\n"
    ),
    "key without an equals sign": changed(
        _SECOND_SYNTAX,
        b"TransferSyntax2 LittleEndianImplicit\nTransferSyntax3 = BigEndianExplicit\n",
    ),
    "long UID": changed(_SECOND_SYNTAX, b"TransferSyntax2 = " + b"1." * 20 + b"1\n"),
    "dots": changed(b"RLELossless", b"...", changed(b"JPEGBaseline", b"RLELossless")),
    "1023 bytes of extended negotiation": changed(b"0102aF", b"0F" * 1023),
}

MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "cannot find section [[TRANSFERSYNTAXES]] in config file"),
    "junk": (
        b"\x00\x01\xffPK",
        "cannot find section [[TRANSFERSYNTAXES]] in config file",
    ),
    "byte order mark": (
        b"\xef\xbb\xbf" + CONFIGURATION,
        "cannot find section [[TRANSFERSYNTAXES]] in config file",
    ),
    "UTF-16": (
        CONFIGURATION.decode().encode("utf-16"),
        "cannot find section [[TRANSFERSYNTAXES]] in config file",
    ),
    "no transfer syntaxes": (
        changed(b"[[TransferSyntaxes]]", b"[[T]]"),
        "cannot find section [[TRANSFERSYNTAXES]] in config file",
    ),
    "no presentation contexts": (
        changed(b"[[PresentationContexts]]", b"[[P]]"),
        "cannot find section [[PRESENTATIONCONTEXTS]] in config file",
    ),
    "no profiles": (
        changed(b"[[Profiles]]", b"[Profiles]"),
        "cannot find section [[PROFILES]] in config file",
    ),
    "unknown transfer syntax": (
        changed(b"RLELossless", b"RleLossless"),
        "not a valid transfer syntax UID: RleLossless",
    ),
    "transfer syntax with a letter": (
        changed(b"RLELossless", b"1.2.x"),
        "not a valid transfer syntax UID: 1.2.x",
    ),
    "transfer syntax without a value": (
        changed(b"= RLELossless", b"="),
        "not a valid transfer syntax UID: ",
    ),
    "trailing blank": (
        changed(b"RLELossless", b"RLELossless "),
        "not a valid transfer syntax UID: RLELossless ",
    ),
    "trailing comment": (
        changed(b"RLELossless", b"RLELossless # packed"),
        "not a valid transfer syntax UID: RLELossless # packed",
    ),
    "numeric UID behind an equals sign": (
        changed(b"RLELossless", b"=1.2"),
        "not a valid transfer syntax UID: =1.2",
    ),
    "two equals signs": (
        changed(b"= RLELossless", b"= ==RLELossless"),
        "not a valid transfer syntax UID: ==RLELossless",
    ),
    "continuation line": (
        changed(b"\nTransferSyntax2 = RLE", b" \n \n  TransferSyntax2 = RLE"),
        "not a valid transfer syntax UID: JPEGBaseline \nTransferSyntax2 = RLELossless",
    ),
    "bytes that are no UTF-8": (
        changed(b"RLELossless", b"\xe9\xff"),
        "not a valid transfer syntax UID: \udce9\udcff",
    ),
    "unknown abstract syntax": (
        changed(b"CTImageStorage", b"CTimageStorage"),
        "not a valid abstract syntax UID: CTimageStorage",
    ),
    "blank before the backslash": (
        changed(_CT, rb"PresentationContext2 = CTImageStorage \Packed"),
        "not a valid abstract syntax UID: CTImageStorage ",
    ),
    "no abstract syntax": (
        changed(_CT, rb"PresentationContext2 = \Packed"),
        "Illegal call, perhaps wrong parameters",
    ),
    "context list without a name": (
        changed(b"[Echo]", b"[]"),
        "Illegal call, perhaps wrong parameters",
    ),
    "context without a backslash": (
        changed(_CT, b"PresentationContext2 = CTImageStorage"),
        "syntax error: missing '\\' in entry PRESENTATIONCONTEXT2 in config file",
    ),
    "key at the end of the file": (
        CONFIGURATION + b"[Third]\nPresentationContexts",
        "presentation context key undefined: ",
    ),
    "key without an equals sign": (
        changed(b"TransferSyntax1 = JPEG", b"TransferSyntax1 JPEG"),
        "transfer syntax key undefined: PACKED",
    ),
    "list that is not there": (
        changed(_CT, rb"PresentationContext2 = CTImageStorage\Any Thing"),
        "transfer syntax key undefined: ANYTHING",
    ),
    "no list": (
        changed(_CT, b"PresentationContext2 = CTImageStorage\\"),
        "transfer syntax key undefined: ",
    ),
    "empty list": (
        changed(b"TransferSyntax1 = JPEGBaseline\n", b""),
        "transfer syntax key undefined: PACKED",
    ),
    "reference with a dot": (
        changed(b"[Packed]", b"[Pac.ked]").replace(rb"\Packed", rb"\Pac.ked"),
        "transfer syntax key undefined: PAC.KED",
    ),
    "reference beyond ASCII": (
        changed(rb"\Packed", "\\Gepäckt".encode()),
        "transfer syntax key undefined: GEPäCKT",
    ),
    "role without a backslash": (
        changed(rb"Role2 = MRImageStorage\BOTH", b"Role2 = MRImageStorage"),
        "syntax error: missing '\\' in entry ROLE2 in config file",
    ),
    "unknown role": (
        changed(rb"\BOTH", rb"\ALL"),
        "syntax error: unknown role key in entry ROLE2 in config file",
    ),
    "blank before a role": (
        changed(rb"\BOTH", rb"\ BOTH"),
        "syntax error: unknown role key in entry ROLE2 in config file",
    ),
    "role of an unknown class": (
        changed(rb"Role1 = CTImageStorage", b"Role1 = CT"),
        "not a valid abstract syntax UID: CT",
    ),
    "role of no class": (
        changed(rb"Role1 = CTImageStorage", b"Role1 = "),
        "not a valid abstract syntax UID: ",
    ),
    "two roles of one class": (
        changed(rb"Role2 = MRImageStorage", b"Role2 = 1.2.840.10008.5.1.4.1.1.2"),
        "role selection defined twice for abstract syntax UID: "
        "1.2.840.10008.5.1.4.1.1.2",
    ),
    "role of a class that is not accepted": (
        changed(rb"Role2 = MRImageStorage", b"Role2 = UltrasoundImageStorage"),
        "abstract syntax defined in role selection list 'ROLES' but not in "
        "presentation context list 'STORAGE': 1.2.840.10008.5.1.4.1.1.6.1",
    ),
    "extended negotiation without a backslash": (
        changed(rb"\0102aF", b""),
        "syntax error: missing '\\' in entry EXTENDEDNEGOTIATION1 in config file",
    ),
    "odd number of hex digits": (
        changed(rb"\0102aF", rb"\010"),
        "parse error in extended negotiation data in entry EXTENDEDNEGOTIATION1 "
        "in config file",
    ),
    "no hex digit": (
        changed(rb"\0102aF", rb"\01 2"),
        "parse error in extended negotiation data in entry EXTENDEDNEGOTIATION1 "
        "in config file",
    ),
    "sign among hex digits": (
        changed(rb"\0102aF", rb"\+1"),
        "parse error in extended negotiation data in entry EXTENDEDNEGOTIATION1 "
        "in config file",
    ),
    "no extended negotiation data": (
        changed(rb"\0102aF", b"\\"),
        "Illegal call, perhaps wrong parameters",
    ),
    "1024 bytes of extended negotiation": (
        changed(b"0102aF", b"00" * 1024),
        "extended negotiation data too long, cannot handle > 1024 bytes in entry "
        "EXTENDEDNEGOTIATION1 in config file",
    ),
    "extended negotiation of an unknown class": (
        changed(rb"CTImageStorage\0102aF", rb"CT\0102aF"),
        "not a valid abstract syntax UID: CT",
    ),
    "two extended negotiations of one class": (
        changed(
            rb"CTImageStorage\0102aF",
            b"CTImageStorage\\00\nExtendedNegotiation2 = =CTImageStorage\\01",
        ),
        "extended negotiation defined twice for abstract syntax UID: =CTImageStorage",
    ),
    "extended negotiation of a class that is not accepted": (
        changed(rb"CTImageStorage\0102aF", rb"1.2\0102aF"),
        "abstract syntax defined in role selection list 'LEVELS' but not in "
        "presentation context list 'STORAGE': 1.2",
    ),
    "profile without contexts": (
        changed(b"PresentationContexts = Storage\n", b""),
        "no PRESENTATIONCONTEXTS  entry in section DEFAULT in config file",
    ),
    "error in a profile that is not wanted": (
        changed(b"PresentationContexts = Echo\n", b""),
        "no PRESENTATIONCONTEXTS  entry in section ECHOONLY in config file",
    ),
    "profile of an unknown list": (
        changed(b"= Storage", b"= Sto rage.1"),
        "presentation context key undefined: STORAGE.1",
    ),
    "profile of an unknown role list": (
        changed(b"= Roles", b"= Rolls"),
        "role selection key undefined: ROLLS",
    ),
    "profile of no role list": (
        changed(b"= Roles", b"= "),
        "role selection key undefined: ",
    ),
    "profile of an unknown negotiation list": (
        changed(b"= Levels", b"= None"),
        "extended negotiation key undefined: NONE",
    ),
    "two profiles of one name": (
        changed(b"[EchoOnly]", b"[de fault]"),
        "two profiles defined for key: ECHO",
    ),
    "trailing blank does not matter to a reference, a comment does": (
        changed(b"= Storage", b"= Storage  # all"),
        "presentation context key undefined: STORAGE#ALL",
    ),
}
