"""The exception tree and the process exit codes.

    DcmrecvError
        ConfigurationError        the operator asked for something impossible
        ListenError               a listening socket could not be had
        WorkerBootError           a worker process could not start
        AssociationError          the association ends, the process does not
            ProtocolViolation     the peer broke PS3.7 or PS3.8
            PeerClosed            the transport connection ended
            PeerAborted           A-ABORT received
            AssociationTimeout    no progress within the ACSE or DIMSE time-out
            TransportError        a system call on the connection failed
            TlsError              the TLS handshake or a record of it failed

Never imports anything of ours.
"""

from enum import IntEnum
from typing import Literal


class ExitCode(IntEnum):
    """Exit codes of the process, as observed with DCMTK's dcmrecv 3.6.7."""

    SUCCESS = 0
    COMMAND_LINE = 1
    WORKER_BOOT = 3
    OUTPUT_DIRECTORY = 45
    LISTEN = 64
    ASSOCIATION_CONFIGURATION = 66
    TLS = 71


class DcmrecvError(Exception):
    """Base of every error that dcmrecv raises on purpose."""


class ConfigurationError(DcmrecvError):
    """The settings cannot be used.

    Attributes:
        exit_code: what the process ends with.
        details: lines logged at level ERROR before the message itself.
    """

    def __init__(
        self,
        message: str,
        exit_code: ExitCode = ExitCode.COMMAND_LINE,
        details: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.details = details


class ListenError(DcmrecvError):
    """No listening socket on the wanted address.

    Attributes:
        details: lines logged at level ERROR before the message itself.
    """

    exit_code = ExitCode.LISTEN

    def __init__(self, message: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.details = details


class WorkerBootError(DcmrecvError):
    """A worker process could not start; starting another would not help."""

    exit_code = ExitCode.WORKER_BOOT


class AssociationError(DcmrecvError):
    """The association cannot go on.

    Attributes:
        abort: source and reason of the A-ABORT to send (PS3.8 Table 9-26), or None
            when the peer cannot hear us any more.
    """

    def __init__(self, message: str, abort: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.abort = abort


class ProtocolViolation(AssociationError):
    """The peer sent something that PS3.7 or PS3.8 does not allow."""


class PeerClosed(AssociationError):
    """The peer closed the transport connection."""


class PeerAborted(AssociationError):
    """The peer sent an A-ABORT."""


class AssociationTimeout(AssociationError):
    """The peer made no progress.

    Attributes:
        phase: which time-out passed.
    """

    def __init__(self, message: str, phase: Literal["ACSE", "DIMSE"]) -> None:
        super().__init__(message, abort=(0, 0))
        self.phase = phase


class TransportError(AssociationError):
    """A system call on the connection failed; the cause is chained."""


class TlsError(AssociationError):
    """TLS failed; the message begins with "TLS error: " and says why."""
