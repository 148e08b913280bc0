"""service.data_dictionary: there before it is needed."""

import pytest

from dcmrecv.config.settings import StorageMode
from dcmrecv.encoding.dictionary import default_table
from dcmrecv.service.data_dictionary import load_data_dictionary


@pytest.mark.parametrize(
    ("mode", "loaded"),
    [
        (StorageMode.NORMAL, 1),
        (StorageMode.IGNORE, 1),
        (StorageMode.BIT_PRESERVING, 0),
    ],
)
def test_what_looks_into_data_sets_has_a_dictionary(
    mode: StorageMode, loaded: int
) -> None:
    default_table.cache_clear()
    load_data_dictionary(mode)
    assert default_table.cache_info().currsize == loaded
