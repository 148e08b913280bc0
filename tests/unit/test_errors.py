"""errors: what each error carries to whoever handles it."""

import pytest

from dcmrecv import errors


def test_a_configuration_error_is_a_command_line_error_unless_said_otherwise() -> None:
    assert errors.ConfigurationError("x").exit_code == 1
    error = errors.ConfigurationError("x", errors.ExitCode.TLS, ("detail",))
    assert (error.exit_code, error.details, str(error)) == (71, ("detail",), "x")


def test_exit_codes_are_those_of_the_original() -> None:
    """Spec 3.2."""
    codes = errors.ExitCode
    assert codes.OUTPUT_DIRECTORY == 45
    assert errors.ListenError("x").exit_code == codes.LISTEN == 64
    assert codes.ASSOCIATION_CONFIGURATION == 66
    assert errors.WorkerBootError("x").exit_code == 3


@pytest.mark.parametrize(
    "kind",
    [
        errors.ProtocolViolation,
        errors.PeerClosed,
        errors.PeerAborted,
        errors.TransportError,
    ],
)
def test_association_errors_say_nothing_to_the_peer_by_default(
    kind: type[errors.AssociationError],
) -> None:
    assert kind("x").abort is None
    assert isinstance(kind("x"), errors.DcmrecvError)


def test_a_timeout_aborts_as_service_user_and_names_its_phase() -> None:
    error = errors.AssociationTimeout("x", "DIMSE")
    assert error.abort == (0, 0)
    assert error.phase == "DIMSE"
