"""config.settings: values that cannot be wrong once they exist."""

import dataclasses

import pytest

from dcmrecv.config import settings
from dcmrecv.errors import ConfigurationError


def test_defaults_are_those_of_the_manual_page() -> None:
    network = settings.NetworkSettings(port=104)
    assert (network.max_pdu, network.acse_timeout_s) == (16_384, 30)
    assert network.dimse_timeout_s is None
    storage = settings.StorageSettings()
    assert storage.output_directory == "."
    assert storage.mode is settings.StorageMode.NORMAL


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", -1),
        ("port", 65_536),
        ("max_pdu", 4_095),
        ("max_pdu", 131_073),
        ("acse_timeout_s", 0),
        ("dimse_timeout_s", 0),
    ],
)
def test_network_values_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{field} must be .* not {value}"):
        settings.NetworkSettings(**{"port": 104, field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_associations", 0), ("spare_workers", 0), ("drain_timeout_s", -1)],
)
def test_pool_values_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=field):
        settings.PoolSettings(**{field: value})


def test_bit_preserving_excludes_series_date_directories() -> None:
    """DECISIONS: `+B` together with `+ssd` stays an error, as documented."""
    with pytest.raises(ConfigurationError, match="--bit-preserving not allowed"):
        settings.StorageSettings(
            mode=settings.StorageMode.BIT_PRESERVING,
            subdirectory_mode=settings.SubdirectoryMode.SERIES_DATE,
        )


def test_settings_cannot_be_changed() -> None:
    whole = settings.Settings(network=settings.NetworkSettings(port=104))
    with pytest.raises(dataclasses.FrozenInstanceError):
        whole.network = settings.NetworkSettings(port=105)  # type: ignore[misc]


def test_our_identity_is_our_own_and_legal() -> None:
    """DECISIONS 1; PS3.5 section 9.1, PS3.7 section D.3.3.2."""
    assert settings.IMPLEMENTATION_CLASS_UID.startswith("2.25.")
    assert len(settings.IMPLEMENTATION_CLASS_UID) <= 64
    assert 1 <= len(settings.IMPLEMENTATION_VERSION_NAME) <= 16


def test_tls_elsewhere_needs_tls() -> None:
    place = settings.ListenAddress("127.0.0.1", 2762, True)
    network = settings.NetworkSettings(port=104, listen=(place,))
    with pytest.raises(ConfigurationError, match="only allowed with --enable-tls"):
        settings.Settings(network=network)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("localhost:104", ("localhost", 104, False)),
        (":104", (None, 104, False)),
        ("*:65535", (None, 65_535, False)),
        ("tls:[::1]:2762", ("::1", 2_762, True)),
        ("tls:10.0.0.1:1", ("10.0.0.1", 1, True)),
    ],
)
def test_a_place_to_listen_is_read(
    text: str, place: tuple[str | None, int, bool]
) -> None:
    assert settings.ListenAddress.parse(text) == settings.ListenAddress(*place)


@pytest.mark.parametrize(
    "text", ["", "104", "localhost:", "a:0", "a:65536", "::1:104", "a:1x", "ssl:a:1"]
)
def test_another_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--listen"):
        settings.ListenAddress.parse(text)


def test_a_name_cannot_be_required_of_certificates_that_nobody_looks_at() -> None:
    with pytest.raises(ConfigurationError, match="--require-cert-name not allowed"):
        settings.TlsSettings(
            key_file="key",
            certificate_file="certificate",
            required_names=("ct1",),
            peer_certificate=settings.PeerCertificate.IGNORE,
        )
