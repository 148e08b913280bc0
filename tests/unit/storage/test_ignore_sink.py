"""storage.ignore_sink: looked at as in normal mode, or not at all; never written."""

from pathlib import Path

import pytest

from dcmrecv.config.settings import StorageMode, StorageSettings
from tests.builders import command, data_set, pdu
from tests.builders.receiving import receiving
from tests.builders.sending import send_in_background
from tests.builders.uids import DEFLATED_LE, EXPLICIT_LE

WHOLE = data_set.object_of(pixel_bytes=3_000_000, transfer_syntax=EXPLICIT_LE)
DEFLATED = data_set.object_of(pixel_bytes=3_000_000, transfer_syntax=DEFLATED_LE)


def ignore(directory: Path, context_id: int, sent: bytes, *, parse: bool) -> int:
    """The status of an ignored object; nothing must be left of it."""
    storage = StorageSettings(
        output_directory=str(directory), mode=StorageMode.IGNORE, parse=parse
    )
    syntaxes = [EXPLICIT_LE, DEFLATED_LE]
    with receiving(storage=storage, transfer_syntaxes=syntaxes) as (peer, own):
        sending = send_in_background(
            peer, pdu.message(context_id, command.c_store_rq(), sent)
        )
        own.run()
        sending.join()
    assert list(directory.iterdir()) == []
    return own.status


@pytest.mark.parametrize(("context_id", "sent"), [(1, WHOLE), (3, DEFLATED)])
@pytest.mark.parametrize("parse", [True, False])
def test_a_whole_data_set_is_welcome(
    tmp_path: Path, context_id: int, sent: bytes, parse: bool
) -> None:
    assert ignore(tmp_path, context_id, sent, parse=parse) == 0


@pytest.mark.parametrize(
    ("context_id", "sent"),
    [
        (1, WHOLE[:-9]),
        (1, b"\xff" * 64),
        (3, DEFLATED[:-9]),
        (3, b"\xff" * 64),
        (3, data_set.deflate(WHOLE[:-9])),
    ],
)
def test_a_broken_data_set_is_noticed_unless_it_shall_not_be(
    tmp_path: Path, context_id: int, sent: bytes
) -> None:
    """`--no-parse` checks the framing alone."""
    assert ignore(tmp_path, context_id, sent, parse=True) == 0xC000
    assert ignore(tmp_path, context_id, sent, parse=False) == 0


@pytest.mark.parametrize("parse", [True, False])
def test_an_empty_data_set_is_ignored_as_the_original_does(
    tmp_path: Path, parse: bool
) -> None:
    """Spec 6.2."""
    assert ignore(tmp_path, 1, b"", parse=parse) == 0
