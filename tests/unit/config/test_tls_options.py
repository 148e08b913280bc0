"""The TLS options: what each sets; tests of the table hold for them, too."""

import dataclasses

from dcmrecv.config.option import Option
from dcmrecv.config.options import parse, settings
from dcmrecv.config.settings import (
    CrlCheck,
    PeerCertificate,
    TlsSettings,
)
from dcmrecv.config.tls_options import EXTENDED_TLS_OPTIONS, TLS_OPTIONS

ENTRIES = [e for e in (*TLS_OPTIONS, *EXTENDED_TLS_OPTIONS) if isinstance(e, Option)]


def tls(*words: str) -> TlsSettings:
    """What a command line says about TLS."""
    line = ["+tls", "key", "certificate", *words, "104"]
    found = settings(parse(line), info_enabled=False).tls
    assert found is not None
    return found


def test_every_field_of_the_settings_has_an_option() -> None:
    fields = {field.name for field in dataclasses.fields(TlsSettings)}
    set_by_options = {
        entry.field.removeprefix("tls.")
        for entry in ENTRIES
        if entry.field.startswith("tls.")
    }
    assert fields == set_by_options | {"key_file", "certificate_file"}


def test_what_may_come_several_times_is_collected() -> None:
    found = tls(
        *("+cf", "a", "+cf", "b", "+cd", "c", "+crl", "d"),
        *("--require-cert-name", "x", "--require-cert-name", "*.y"),
    )
    assert found.ca_files == ("a", "b")
    assert found.ca_directories == ("c",)
    assert found.crl_files == ("d",)
    assert found.crl_check is CrlCheck.LEAF
    assert found.required_names == ("x", "*.y")


def test_the_usual_values_are_the_original_s() -> None:
    """Spec 10.1."""
    found = tls()
    assert found.peer_certificate is PeerCertificate.REQUIRE
    assert (found.profile, found.password, found.der) == ("bcp195-nd", None, False)


def test_only_the_password_is_secret() -> None:
    assert [entry.long for entry in ENTRIES if entry.secret] == ["--use-passwd"]
