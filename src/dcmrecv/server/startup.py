"""Everything that is checked and opened before the first association.

Owns the order of these steps and their messages. Never serves anybody: that is the
supervisor's.

Source:
    spec sections 3.1 and 3.2, steps 6 to 10.
"""

import logging
import os
import socket
from dataclasses import dataclass

from dcmrecv.config.logs import APPLICATION_LOGGER, TLS_LOGGER
from dcmrecv.config.profile import load_profile
from dcmrecv.config.settings import (
    VERIFICATION_PROFILE,
    AssociationProfile,
    NetworkSettings,
    Settings,
    TlsSettings,
)
from dcmrecv.errors import ConfigurationError, ExitCode
from dcmrecv.server.listener import open_listeners

_application = logging.getLogger(APPLICATION_LOGGER)
_tls = logging.getLogger(TLS_LOGGER)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the supervisor needs to serve. The listeners belong to who holds this."""

    settings: Settings
    profile: AssociationProfile
    listeners: tuple[socket.socket, ...]


def prepare(settings: Settings) -> Prepared:
    """Check the settings against the machine, and listen.

    Raises:
        ConfigurationError: an unusable association profile (exit code 66), output
            directory (45) or TLS configuration (71).
        ListenError: the port cannot be had (64).

    Source:
        spec section 3.1, steps 6 to 10.
    """
    _application.info("configuring service class provider ...")
    profile = _profile(settings.network)
    _check_output_directory(settings.storage.output_directory)
    _application.info("starting service class provider and listening ...")
    if settings.tls is not None:
        _check_tls(settings.tls)
    return Prepared(settings, profile, open_listeners(settings.network))


def _profile(network: NetworkSettings) -> AssociationProfile:
    if network.profile_source is not None:
        return load_profile(*network.profile_source)
    if not network.promiscuous:
        _application.warning(
            "no configuration file specified, "
            "SCP will only support the Verification SOP Class"
        )
    return VERIFICATION_PROFILE


def _check_output_directory(name: str) -> None:
    """Raise if objects cannot be stored there; "" is the current directory."""
    if not os.path.isdir(name or "."):
        problem = "Directory does not exist"
    elif not os.access(name or ".", os.W_OK):
        problem = "Directory is not writable"
    else:
        return
    raise ConfigurationError(
        f"cannot specify output directory: {problem}", ExitCode.OUTPUT_DIRECTORY
    )


def _check_tls(tls: TlsSettings) -> None:
    """Refuse to start: nobody who asks for TLS may get a plain socket."""
    if tls.seed_file is not None:
        # Differs: the original reads the file, and never writes it (DECISIONS 14).
        _tls.warning(
            "--seed, --write-seed and --write-seed-file have no effect: "
            "the system's random generator is used"
        )
    raise ConfigurationError(
        "cannot start SCP with TLS: TLS is not available in this version of dcmrecv",
        ExitCode.TLS,
    )
