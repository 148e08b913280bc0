"""Which sink a storage mode has."""

from dcmrecv.config.settings import StorageMode, StorageSettings
from dcmrecv.storage.ignore_sink import IgnoreSink
from dcmrecv.storage.normal_sink import NormalSink
from dcmrecv.storage.sink import BitPreservingSink, StoreSink

_SINKS: dict[StorageMode, type[StoreSink]] = {
    StorageMode.NORMAL: NormalSink,
    StorageMode.BIT_PRESERVING: BitPreservingSink,
    StorageMode.IGNORE: IgnoreSink,
}


def make_sink(storage: StorageSettings, tag: str) -> StoreSink:
    """The sink for a storage mode.

    Args:
        storage: what the operator asked for.
        tag: makes temporary names unique, see `writer`.
    """
    return _SINKS[storage.mode](storage, tag)
