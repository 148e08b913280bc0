"""Association configuration files, as `-xf FILE PROFILE` reads them."""

from collections.abc import Iterable
from pathlib import Path

from tests.builders import uids

STORAGE = (
    uids.VERIFICATION,
    uids.CT_IMAGE,
    uids.MR_IMAGE,
    uids.SECONDARY_CAPTURE,
    uids.BASIC_TEXT_SR,
    uids.UNKNOWN_CLASS,
)
TRANSFER_SYNTAXES = (
    uids.EXPLICIT_LE,
    uids.IMPLICIT_LE,
    uids.EXPLICIT_BE,
    uids.DEFLATED_LE,
    uids.JPEG_BASELINE,
    uids.JPEG_EXTENDED,
    uids.JPEG_LOSSLESS_14,
    uids.JPEG_LOSSLESS_SV1,
    uids.JPEG_LS_LOSSLESS,
    uids.JPEG_LS_LOSSY,
    uids.JPEG_2000_LOSSLESS,
    uids.JPEG_2000,
    uids.MPEG2,
    uids.RLE_LOSSLESS,
)


def profile_text(
    abstract_syntaxes: Iterable[str] = STORAGE,
    transfer_syntaxes: Iterable[str] = TRANSFER_SYNTAXES,
) -> str:
    """A file with the one profile `Default`, every class with every transfer syntax."""
    lines = ["[[TransferSyntaxes]]", "[All]"]
    lines += [
        f"TransferSyntax{number} = {uid}"
        for number, uid in enumerate(transfer_syntaxes, 1)
    ]
    lines += ["[[PresentationContexts]]", "[Storage]"]
    lines += [
        f"PresentationContext{number} = {uid}\\All"
        for number, uid in enumerate(abstract_syntaxes, 1)
    ]
    lines += ["[[Profiles]]", "[Default]", "PresentationContexts = Storage"]
    return "\n".join(lines) + "\n"


def profile_options(
    directory: Path,
    abstract_syntaxes: Iterable[str] = STORAGE,
    transfer_syntaxes: Iterable[str] = TRANSFER_SYNTAXES,
) -> list[str]:
    """Write such a file into `directory`, and the options that load it."""
    path = directory / "profile.cfg"
    path.write_text(profile_text(abstract_syntaxes, transfer_syntaxes))
    return ["-xf", str(path), "Default"]
