"""Everything that is checked and opened before the first association.

Owns the order of these steps and their messages. Never serves anybody: that is the
supervisor's.

Source:
    spec sections 3.1 and 3.2, steps 6 to 10.
"""

import logging
import os
import socket
import ssl
from dataclasses import dataclass, replace

from dcmrecv.config.logs import APPLICATION_LOGGER, TLS_LOGGER
from dcmrecv.config.profile import load_profile
from dcmrecv.config.settings import (
    VERIFICATION_PROFILE,
    AssociationProfile,
    IpVersion,
    NetworkSettings,
    Settings,
    TlsSettings,
)
from dcmrecv.config.users import read_users
from dcmrecv.errors import ConfigurationError, ExitCode
from dcmrecv.server.listener import open_listeners, open_listeners_on
from dcmrecv.server.tls import TlsLoader
from dcmrecv.service import kernel_tls
from dcmrecv.service.data_dictionary import load_data_dictionary

_application = logging.getLogger(APPLICATION_LOGGER)
_tls = logging.getLogger(TLS_LOGGER)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the supervisor serves with. The listeners belong to who holds this.

    `secure_listeners` are the descriptors of those that speak TLS, with `tls_context`,
    which `tls_loader` has made.
    """

    settings: Settings
    profile: AssociationProfile
    listeners: tuple[socket.socket, ...]
    secure_listeners: frozenset[int] = frozenset()
    tls_context: ssl.SSLContext | None = None
    tls_loader: TlsLoader | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """What the files of a configuration hold. `users` is None without a user file."""

    profile: AssociationProfile
    users: int | None
    tls_context: ssl.SSLContext | None = None
    tls_loader: TlsLoader | None = None


def examine(settings: Settings) -> Examined:
    """Check the settings against the machine.

    Raises:
        ConfigurationError: an unusable association profile (exit code 66), output
            directory (45), TLS configuration (71) or user file (1).

    Source:
        spec section 3.1, steps 6 to 9.
    """
    _application.info("configuring service class provider ...")
    load_data_dictionary(settings.storage.mode)
    profile = _profile(settings.network)
    _check_output_directory(settings.storage.output_directory)
    _application.info("starting service class provider and listening ...")
    users = None
    if settings.access.user_file is not None:
        users = len(read_users(settings.access.user_file))
    loader = context = None
    if settings.tls is not None:
        _warn_of_seed(settings.tls)
        loader = TlsLoader(settings.tls)
        context = loader.load()
        in_kernel = kernel_tls.is_asked_for(context)
        _tls.debug("kernel TLS is %s", "used" if in_kernel else "not used")
    return Examined(profile, users, context, loader)


def listen(settings: Settings, examined: Examined) -> Prepared:
    """Open the ports.

    Raises:
        ListenError: one of them cannot be had (64).

    Source:
        spec section 3.1, step 10.
    """
    listeners, secure = _open_all(settings)
    return Prepared(
        settings,
        examined.profile,
        listeners,
        secure,
        examined.tls_context,
        examined.tls_loader,
    )


def reload(prepared: Prepared) -> Prepared:
    """Read association profile, key, certificates and CRLs again.

    Raises:
        ConfigurationError: one of them cannot be used any more.
    """
    profile = prepared.profile
    if prepared.settings.network.profile_source is not None:
        profile = load_profile(*prepared.settings.network.profile_source)
    context = None
    if prepared.tls_loader is not None:
        context = prepared.tls_loader.load()
    return replace(prepared, profile=profile, tls_context=context)


def _open_all(
    settings: Settings,
) -> tuple[tuple[socket.socket, ...], frozenset[int]]:
    """Open every listener; those with TLS are named by their descriptors, too.

    Raises:
        ListenError: one of them cannot be had; the others are closed again.
    """
    network = settings.network
    listeners = list(open_listeners(network))
    secure = [settings.tls is not None] * len(listeners)
    try:
        for place in network.listen:
            # Who writes an IPv6 address wants IPv6, whatever the parameter's port has.
            numeric_ipv6 = place.host is not None and ":" in place.host
            family = IpVersion.IPV6 if numeric_ipv6 else network.ip_version
            opened = open_listeners_on(place, family)
            listeners += opened
            secure += [place.secure] * len(opened)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return tuple(listeners), frozenset(
        listener.fileno()
        for listener, with_tls in zip(listeners, secure, strict=True)
        if with_tls
    )


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


def _warn_of_seed(tls: TlsSettings) -> None:
    if tls.seed_file is not None:
        # Differs: the original reads the file, and never writes it (DECISIONS 14).
        _tls.warning(
            "--seed, --write-seed and --write-seed-file have no effect: "
            "the system's random generator is used"
        )
