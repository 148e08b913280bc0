"""storage.sinks: each mode has its sink."""

from pathlib import Path

import pytest

from dcmrecv.config.settings import StorageMode, StorageSettings
from dcmrecv.storage.ignore_sink import IgnoreSink
from dcmrecv.storage.normal_sink import NormalSink
from dcmrecv.storage.sink import BitPreservingSink, StoreSink
from dcmrecv.storage.sinks import make_sink


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (StorageMode.NORMAL, NormalSink),
        (StorageMode.BIT_PRESERVING, BitPreservingSink),
        (StorageMode.IGNORE, IgnoreSink),
    ],
)
def test_a_mode_has_its_sink(
    tmp_path: Path, mode: StorageMode, kind: type[StoreSink]
) -> None:
    storage = StorageSettings(output_directory=str(tmp_path), mode=mode)
    assert type(make_sink(storage, "test-1")) is kind
