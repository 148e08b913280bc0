"""The suites of each profile, as this machine's OpenSSL understands them."""

import ssl

import pytest

from dcmrecv.config.ciphersuites import (
    CIPHERSUITES,
    OPENSSL_NAMES,
    PROFILES,
    UNSUPPORTED,
    is_encrypted,
    openssl_cipher_list,
    uses_key_transport,
)
from dcmrecv.config.option_table import OPTIONS


def known_to_openssl(cipher_list: str) -> list[str]:
    """The suites of TLS 1.2 and older that OpenSSL takes, in its order."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(cipher_list)
    return [
        str(cipher["name"])
        for cipher in context.get_ciphers()
        if not str(cipher["name"]).startswith("TLS_")
    ]


@pytest.mark.parametrize("suite", CIPHERSUITES)
def test_every_suite_is_known_to_openssl_under_its_name(suite: str) -> None:
    """Spec 10.3: what `--list-ciphers` shows can be used."""
    assert known_to_openssl(f"{OPENSSL_NAMES[suite]}:@SECLEVEL=0") == [
        OPENSSL_NAMES[suite]
    ]


def test_what_is_called_unsupported_is_not_known_under_any_name() -> None:
    assert len(UNSUPPORTED) == 13
    assert not UNSUPPORTED & set(CIPHERSUITES)


@pytest.mark.parametrize(
    ("profile", "names"),
    [
        (
            "bcp195-nd",
            "DHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 "
            "DHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256",
        ),
        (
            "bcp195",
            "DHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 "
            "DHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 AES128-SHA",
        ),
        (
            "bcp195-ex",
            "DHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 "
            "ECDHE-ECDSA-AES256-GCM-SHA384 DHE-RSA-AES128-GCM-SHA256 "
            "ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
        ("aes", "AES128-SHA"),
        ("null", "NULL-SHA"),
        (
            "8996",
            "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES256-GCM-SHA384 "
            "ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
        (
            "8996-mod",
            "ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES256-GCM-SHA384 "
            "ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-CHACHA20-POLY1305 "
            "ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-GCM-SHA256 "
            "ECDHE-ECDSA-AES256-CCM8 ECDHE-ECDSA-AES256-CCM "
            "ECDHE-ECDSA-AES128-CCM8 ECDHE-ECDSA-AES128-CCM",
        ),
    ],
)
def test_each_profile_has_its_suites_the_strongest_first(
    profile: str, names: str
) -> None:
    """Spec 10.3; the order is that in which dcmrecv 3.6.7 answers s_client."""
    assert known_to_openssl(openssl_cipher_list(PROFILES[profile], ())) == names.split()


def test_an_added_suite_takes_its_place_by_strength() -> None:
    """Spec 10.1, `--cipher`."""
    added = ("TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256")
    names = known_to_openssl(openssl_cipher_list(PROFILES["bcp195-nd"], added))
    assert len(names) == 6
    assert names[-1] == "AES128-SHA"
    assert names[1] == "DHE-RSA-AES256-SHA256"


def test_only_profiles_that_need_it_weaken_the_security_level() -> None:
    """TLS 1.0, and suites without encryption."""
    weak = {name for name, each in PROFILES.items() if each.security_level == 0}
    assert weak == {"bcp195", "aes", "null"}
    for name, profile in PROFILES.items():
        assert openssl_cipher_list(profile, ()).endswith(
            f"@SECLEVEL={int(name not in weak)}"
        )


def test_every_profile_has_an_option_and_the_reverse() -> None:
    chosen = {option.choice for option in OPTIONS if option.field == "tls.profile"}
    assert chosen == set(PROFILES)


def test_titles_are_those_of_the_help_text() -> None:
    for option in OPTIONS:
        if option.field == "tls.profile":
            title = PROFILES[str(option.choice)].title
            assert option.text.startswith(title)


@pytest.mark.parametrize(
    ("suite", "encrypted", "key_transport"),
    [
        ("TLS_RSA_WITH_NULL_SHA", False, True),
        ("TLS_RSA_WITH_AES_128_CBC_SHA", True, True),
        ("TLS_DHE_RSA_WITH_AES_128_CBC_SHA", True, False),
    ],
)
def test_weak_suites_are_told_by_their_names(
    suite: str, encrypted: bool, key_transport: bool
) -> None:
    assert is_encrypted(suite) == encrypted
    assert uses_key_transport(suite) == key_transport
