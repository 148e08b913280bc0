"""The command line program: arguments -> `Settings` -> `Supervisor` -> exit code.

Owns what is printed and with which exit code the process ends. Never touches sockets,
PDUs or files.
"""

import contextlib
import getpass
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from dcmrecv.config import logs, options
from dcmrecv.config.check import report
from dcmrecv.config.help import HEADER, TEXTS, error_text
from dcmrecv.config.option_table import SECRETS
from dcmrecv.config.users import add_user
from dcmrecv.errors import ConfigurationError, ExitCode, ListenError
from dcmrecv.server.process_list import hide_values
from dcmrecv.server.startup import examine
from dcmrecv.server.supervisor import Supervisor

_STDOUT = 1
_STDERR = 2

_root = logging.getLogger(logs.ROOT_LOGGER)
_application = logging.getLogger(logs.APPLICATION_LOGGER)
_network = logging.getLogger(logs.NETWORK_LOGGER)


def main(argv: Sequence[str]) -> int:
    """Run the program.

    Args:
        argv: the arguments without the program's name.

    Returns:
        The exit code of the process.

    Source:
        spec section 3.1 for the order of the steps, 3.2 for the exit codes.
    """
    hide_values(SECRETS)
    try:
        invocation = options.parse(argv)
        if invocation.exclusive == "--add-user":
            return _add_user(*invocation.values("--add-user"))
        if invocation.exclusive:
            _print(_STDOUT, TEXTS[invocation.exclusive]())
            return ExitCode.SUCCESS
        logs.configure(options.log_settings(invocation))
    except ConfigurationError as error:
        _print(_STDERR, error_text(str(error)))
        return error.exit_code

    if invocation.given("--arguments"):
        _log_at_any_level(f"{invocation.arguments_text()}\n")
    try:
        settings = options.settings(
            invocation, info_enabled=_application.isEnabledFor(logging.INFO)
        )
    except ConfigurationError as error:
        if _root.isEnabledFor(logging.ERROR):  # quiet mode hides mistakes from here on
            _print(_STDERR, error_text(str(error)))
        return error.exit_code

    _application.debug("%s\n", HEADER)
    try:
        examined = examine(settings)
        if invocation.given("--check-config"):
            _print(_STDOUT, report(settings, examined.profile, examined.users))
            return ExitCode.SUCCESS
        return Supervisor(settings, examined).run()
    except (ConfigurationError, ListenError) as error:
        for detail in error.details:
            _network.error("%s", detail)
        _application.critical("%s", error)
        return error.exit_code


def _add_user(path: str, name: str) -> int:
    if sys.stdin.isatty():
        passcode = getpass.getpass(f"Passcode of {name}: ").encode()
        if getpass.getpass("Once more: ").encode() != passcode:
            raise ConfigurationError("the two passcodes differ")
    else:
        passcode = sys.stdin.buffer.readline().rstrip(b"\r\n")
    add_user(path, os.fsencode(name), passcode)
    return ExitCode.SUCCESS


def entry_point() -> NoReturn:
    """The console script."""
    # Until the supervisor handles SIGINT, it ends the process without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))


def _print(descriptor: int, text: str) -> None:
    """Write a text in the file system's encoding, since it may quote arguments."""
    # A reader that has gone away or a full disk is no reason for another exit code.
    with (
        contextlib.suppress(OSError),
        open(
            descriptor,
            "w",
            encoding=sys.getfilesystemencoding(),
            errors=sys.getfilesystemencodeerrors(),
            closefd=False,
        ) as stream,
    ):
        stream.write(text)


def _log_at_any_level(message: str) -> None:
    """Log at INFO whatever the level is; the appenders' thresholds still count."""
    _root.handle(
        _root.makeRecord(_root.name, logging.INFO, __file__, 0, message, (), None)
    )
