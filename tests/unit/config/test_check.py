"""The text of --check-config: everything that decides, each with its option."""

import pytest

from dcmrecv.config.check import report
from dcmrecv.config.settings import (
    VERIFICATION_PROFILE,
    AccessSettings,
    AssociationProfile,
    Durability,
    ListenAddress,
    NetworkSettings,
    OnDuplicate,
    PoolSettings,
    ProfileContext,
    Reserve,
    Settings,
    StorageMode,
    StorageSettings,
    TlsSettings,
)
from tests.builders.uids import CT_IMAGE, EXPLICIT_LE, IMPLICIT_LE, MR_IMAGE

NETWORK = NetworkSettings(port=104)


def lines_of(
    settings: Settings,
    profile: AssociationProfile = VERIFICATION_PROFILE,
    users: int | None = None,
) -> dict[str, str]:
    """The text by what stands before the column."""
    text = report(settings, profile, users)
    assert text.endswith("\n")
    assert all(line.isprintable() for line in text.splitlines())
    return {line[:34].strip(): line[34:] for line in text.splitlines()}


def test_without_options_everybody_is_accepted_for_verification() -> None:
    lines = lines_of(Settings(network=NETWORK))
    assert lines["from addresses"] == "every address  (no --accept-host)"
    assert lines["to called AE titles"] == "every title  (no --accept-called)"
    assert lines["from users"] == "everybody  (no --user-file)"
    assert lines["over"] == "plain TCP, port 104  (no --enable-tls)"
    assert lines["of one host"] == "as many  (no --max-associations-per-host)"
    assert lines["silence inside"] == "any time  (--dimse-timeout)"
    assert lines["pace of a message"] == "any  (no --min-rate)"
    assert lines["abstract syntaxes"] == ("1  (no --config-file, no --promiscuous)")
    assert "VerificationSOPClass" in report(
        Settings(network=NETWORK), VERIFICATION_PROFILE, None
    )
    assert lines["in directory"] == ".  (--output-directory)"


def test_every_option_that_narrows_is_named() -> None:
    access = AccessSettings(
        calling=("CT*", "MR1"),
        called=("TEST?",),
        hosts=("10.1.0.0/16",),
        max_per_host=3,
        user_file="users",
        strict=True,
        min_rate=500,
    )
    settings = Settings(
        network=NetworkSettings(port=104, ae_title="MAIN", dimse_timeout_s=60),
        pool=PoolSettings(queue_associations=True),
        access=access,
        storage=StorageSettings(mode=StorageMode.IGNORE),
    )
    lines = lines_of(settings, users=7)
    assert lines["from addresses"] == "10.1.0.0/16  (--accept-host)"
    assert lines["to called AE titles"] == ("TEST?, MAIN  (--accept-called, --aetitle)")
    assert lines["from calling AE titles"] == "CT*, MR1  (--accept-calling)"
    assert lines["from users"] == "7 of users, with their passcode  (--user-file)"
    assert lines["associations at a time"] == "64, others wait  (--max-associations)"
    assert lines["of one host"] == "3  (--max-associations-per-host)"
    assert lines["what is illegal but harmless"] == "refused  (--strict)"
    assert lines["silence inside"] == "60 s  (--dimse-timeout)"
    assert lines["pace of a message"] == "500 bytes per second or more  (--min-rate)"
    assert (
        lines["objects are stored"] == "not at all, answered with Success  (--ignore)"
    )
    assert "in directory" not in lines
    assert "while the disk has" not in lines


@pytest.mark.parametrize(
    ("reserve", "text"),
    [
        (Reserve(size_bytes=5_000), "5000 bytes free  (--reserve)"),
        (Reserve(percent=2.5), "2.5 % free  (--reserve)"),
        (None, "any space  (no --reserve)"),
    ],
)
def test_what_decides_about_an_object_is_named(
    reserve: Reserve | None, text: str
) -> None:
    storage = StorageSettings(
        reserve=reserve,
        max_object_size=1_000,
        on_duplicate=OnDuplicate.REJECT,
        durability=Durability.GROUP,
    )
    lines = lines_of(Settings(network=NETWORK, storage=storage))
    assert lines["while the disk has"] == text
    assert lines["of a data set"] == "1000 bytes at most  (--max-object-size)"
    assert lines["if the file exists"] == "reject  (--on-duplicate)"
    assert lines["answered when safe by"] == "group  (--durability)"
    lines = lines_of(Settings(network=NETWORK))
    assert lines["of a data set"] == "any length  (no --max-object-size)"


def test_tls_and_proxies_are_named() -> None:
    tls = TlsSettings(key_file="key", certificate_file="certificate")
    lines = lines_of(Settings(network=NETWORK, tls=tls))
    assert lines["over"] == "TLS, port 104  (--enable-tls)"
    access = AccessSettings(proxies=("10.9.0.1",))
    lines = lines_of(Settings(network=NETWORK, access=access))
    assert lines["as told by the proxies"] == "10.9.0.1  (--proxy-protocol)"


def test_every_listener_is_named() -> None:
    places = map(ListenAddress.parse, ("tls:[::1]:2762", "*:11112"))
    network = NetworkSettings(port=104, listen=tuple(places))
    tls = TlsSettings(key_file="key", certificate_file="certificate")
    text = report(Settings(network=network, tls=tls), VERIFICATION_PROFILE, None)
    over = [line[34:] for line in text.splitlines() if ", port " in line]
    assert over == [
        "TLS, port 104  (--enable-tls)",
        "TLS, port 2762 of ::1  (--listen)",
        "plain TCP, port 11112  (--listen)",
    ]


def test_our_own_title_alone_is_named_by_its_option() -> None:
    network = NetworkSettings(port=104, ae_title="MAIN")
    assert lines_of(Settings(network=network))["to called AE titles"] == (
        "MAIN  (--aetitle)"
    )


def test_classes_with_the_same_transfer_syntaxes_stand_together() -> None:
    profile = AssociationProfile(
        (
            ProfileContext(CT_IMAGE, (EXPLICIT_LE, IMPLICIT_LE)),
            ProfileContext("9.9.1", (IMPLICIT_LE,)),
            ProfileContext(MR_IMAGE, (EXPLICIT_LE, IMPLICIT_LE)),
        )
    )
    network = NetworkSettings(port=104, profile_source=("a.cfg", "One"))
    text = report(Settings(network=network), profile, None)
    first, second = text.split("abstract syntaxes")[1:]
    assert "2  (--config-file a.cfg One)" in first
    assert first.index("CTImageStorage") < first.index("MRImageStorage")
    assert first.index("LittleEndianExplicit") < first.index("LittleEndianImplicit")
    assert "    9.9.1\n" in second


@pytest.mark.parametrize("source", [None, ("a.cfg", "One")])
def test_promiscuous_comes_behind_a_profile_that_is_given(
    source: tuple[str, str] | None,
) -> None:
    """DECISIONS 3: together with -xf the profile's order comes first."""
    network = NetworkSettings(port=104, promiscuous=True, profile_source=source)
    text = report(Settings(network=network), VERIFICATION_PROFILE, None)
    assert "every one, in every transfer syntax  (--promiscuous)" in text
    assert ("VerificationSOPClass" in text) is (source is not None)
