"""The data dictionary: loaded once, before the first worker is forked."""

from dcmrecv.config.settings import StorageMode
from dcmrecv.encoding.dictionary import default_table


def load_data_dictionary(mode: StorageMode) -> None:
    """Load what a storage mode needs; what is wrong with its files is logged."""
    if mode is not StorageMode.BIT_PRESERVING:
        default_table()
