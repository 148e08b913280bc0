"""What is checked before the first association, in which order, in which words."""

import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dcmrecv.config.logs import ROOT_LOGGER
from dcmrecv.config.settings import (
    VERIFICATION_PROFILE,
    AccessSettings,
    ListenAddress,
    NetworkSettings,
    Settings,
    StorageSettings,
    TlsSettings,
)
from dcmrecv.errors import ConfigurationError, ExitCode, ListenError
from dcmrecv.server.startup import Prepared, examine, listen, reload
from tests.builders.certificates import Authority
from tests.builders.configuration import CONFIGURATION

CONFIGURING = "configuring service class provider ..."
STARTING = "starting service class provider and listening ..."
VERIFICATION_ONLY = (
    "no configuration file specified, SCP will only support the Verification SOP Class"
)
TLS = TlsSettings(key_file="key", certificate_file="certificate")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged, whatever an earlier test has set up."""
    logger = logging.getLogger(ROOT_LOGGER)
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    logger.handlers[:] = []
    logger.setLevel(logging.DEBUG)
    logger.propagate = True
    yield caplog
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that any machine can serve."""
    return Settings(
        network=NetworkSettings(port=0, host="127.0.0.1"),
        storage=StorageSettings(output_directory=str(tmp_path)),
    )


@pytest.fixture
def profile_file(tmp_path: Path) -> str:
    """An association configuration with the profile Default."""
    path = tmp_path / "storescp.cfg"
    path.write_bytes(CONFIGURATION)
    return str(path)


def prepare(settings: Settings) -> Prepared:
    """Everything from the settings to the open ports."""
    return listen(settings, examine(settings))


def with_network(settings: Settings, **changes: Any) -> Settings:
    """The settings with another network part."""
    return replace(settings, network=replace(settings.network, **changes))


def with_directory(settings: Settings, directory: str) -> Settings:
    """The settings with another output directory."""
    return replace(settings, storage=StorageSettings(output_directory=directory))


def close(prepared: Prepared) -> None:
    """Give the port back."""
    for listener in prepared.listeners:
        listener.close()


def lines(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and message of each record."""
    return [(record.levelname, record.getMessage()) for record in log.records]


def test_without_a_profile_only_verification_is_accepted_with_a_warning(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    """Spec 2.2: the warning stands between the two start lines."""
    prepared = prepare(settings)
    close(prepared)
    assert prepared.profile == VERIFICATION_PROFILE
    assert prepared.settings is settings
    assert lines(log) == [
        ("INFO", CONFIGURING),
        ("WARNING", VERIFICATION_ONLY),
        ("INFO", STARTING),
    ]


def test_promiscuous_needs_no_profile_and_no_warning(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    """DECISIONS 3."""
    close(prepare(with_network(settings, promiscuous=True)))
    assert lines(log) == [("INFO", CONFIGURING), ("INFO", STARTING)]


def test_the_wanted_profile_is_loaded(
    settings: Settings, profile_file: str, log: pytest.LogCaptureFixture
) -> None:
    """Spec 4."""
    source = (profile_file, "default")
    prepared = prepare(with_network(settings, profile_source=source))
    close(prepared)
    assert len(prepared.profile.contexts) > 1
    assert ("WARNING", VERIFICATION_ONLY) not in lines(log)


def test_listeners_are_open(settings: Settings) -> None:
    """A connection waits for the supervisor."""
    prepared = prepare(settings)
    with socket.create_connection(prepared.listeners[0].getsockname(), timeout=10):
        close(prepared)


def test_an_unusable_user_file_is_found_before_anybody_comes(
    settings: Settings, tmp_path: Path
) -> None:
    access = AccessSettings(user_file=str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="cannot read user file") as raised:
        prepare(replace(settings, access=access))
    assert raised.value.exit_code is ExitCode.COMMAND_LINE


@pytest.mark.parametrize("directory", ["none", "file", "none/", "file/"])
def test_output_directory_must_be_a_directory(
    settings: Settings, tmp_path: Path, directory: str
) -> None:
    """Spec 3.2; nothing is created."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError) as raised:
        prepare(with_directory(settings, f"{tmp_path}/{directory}"))
    assert raised.value.exit_code is ExitCode.OUTPUT_DIRECTORY
    assert (
        str(raised.value) == "cannot specify output directory: Directory does not exist"
    )
    assert os.listdir(tmp_path) == ["file"]


def test_output_directory_may_be_a_link_and_may_end_with_slashes(
    settings: Settings, tmp_path: Path
) -> None:
    """Spec 7.3."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    close(prepare(with_directory(settings, f"{tmp_path}/link///")))


def test_empty_output_directory_is_the_current_one(settings: Settings) -> None:
    """Spec 3.2."""
    close(prepare(with_directory(settings, "")))


def test_tls_is_checked_before_any_port_is_opened(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    """Never a plain socket where TLS was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(ConfigurationError, match="000b:0004 Unable") as raised:
            prepare(replace(with_network(settings, port=port), tls=TLS))
    assert raised.value.exit_code is ExitCode.TLS
    assert lines(log)[-1] == ("INFO", STARTING)


def test_own_seed_is_refused_with_one_warning(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    """DECISIONS 14."""
    with pytest.raises(ConfigurationError):
        prepare(replace(settings, tls=replace(TLS, seed_file="seed")))
    warnings = [text for level, text in lines(log) if level == "WARNING"]
    assert len([text for text in warnings if "--seed" in text]) == 1


def test_the_port_speaks_tls_and_other_places_do_what_they_say(
    settings: Settings, tmp_path: Path
) -> None:
    """With `+tls` the parameter's port speaks TLS, as the original's does."""
    places = (
        ListenAddress("127.0.0.1", 0),
        ListenAddress("::1", 0, True),
        ListenAddress("localhost", 0, True),
    )
    own = Authority().issue("server").tls_settings(tmp_path)
    prepared = prepare(with_network(replace(settings, tls=own), listen=places))
    addresses = [listener.getsockname()[0] for listener in prepared.listeners]
    speak_tls = [
        listener.fileno() in prepared.secure_listeners
        for listener in prepared.listeners
    ]
    close(prepared)
    assert addresses == ["127.0.0.1", "127.0.0.1", "::1", "127.0.0.1"]
    assert speak_tls == [True, False, True, True]


def test_nothing_stays_open_when_one_place_cannot_be_had(settings: Settings) -> None:
    """The error names that port."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        places = (ListenAddress("127.0.0.1", 0), ListenAddress("127.0.0.1", port))
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ListenError, match=f"listen on port {port}: "):
            prepare(with_network(settings, listen=places))
        assert len(os.listdir("/proc/self/fd")) == before


def test_reload_reads_profile_and_certificates_again(
    settings: Settings, profile_file: str, tmp_path: Path
) -> None:
    """What cannot be used any more raises, and the old values are as they were."""
    authority = Authority()
    own = authority.issue("server").tls_settings(tmp_path)
    settings = with_network(settings, profile_source=(profile_file, "default"))
    prepared = prepare(replace(settings, tls=own))
    close(prepared)
    Path(profile_file).write_bytes(CONFIGURATION.replace(b"default", b"DEFAULT"))
    again = reload(prepared)
    assert again.profile == prepared.profile
    assert again.tls_context is not prepared.tls_context
    Path(profile_file).write_bytes(b"nonsense")
    with pytest.raises(ConfigurationError) as raised:
        reload(prepared)
    assert raised.value.exit_code is ExitCode.ASSOCIATION_CONFIGURATION
    Path(profile_file).write_bytes(CONFIGURATION)
    Path(own.certificate_file).write_bytes(b"nonsense")
    with pytest.raises(ConfigurationError) as raised:
        reload(prepared)
    assert raised.value.exit_code is ExitCode.TLS


def test_profile_directory_tls_and_port_are_checked_in_this_order(
    settings: Settings, tmp_path: Path
) -> None:
    """Spec 3.1: the first of several mistakes decides."""
    missing = str(tmp_path / "none")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        settings = with_network(settings, port=busy.getsockname()[1])
        settings = replace(with_directory(settings, missing), tls=TLS)
        settings = with_network(settings, profile_source=(missing, "Default"))
        seen = []
        for mended in (
            settings,
            with_network(settings, profile_source=None),
            with_directory(with_network(settings, profile_source=None), str(tmp_path)),
        ):
            with pytest.raises(ConfigurationError) as raised:
                prepare(mended)
            seen.append(raised.value.exit_code)
        with pytest.raises(ListenError) as refused:
            prepare(replace(mended, tls=None))
        seen.append(refused.value.exit_code)
    assert seen == [66, 45, 71, 64]
