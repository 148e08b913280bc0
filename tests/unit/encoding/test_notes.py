"""encoding.notes: all are counted, a bounded number kept."""

from dcmrecv.encoding.notes import Notes
from dcmrecv.encoding.scanner import DatasetScanner
from dcmrecv.encoding.vr_table import VrTable
from tests.builders.data_set import Encoding

EXPLICIT = Encoding(explicit=True, byte_order="<")


def test_notes_are_kept_up_to_a_bound_and_counted_beyond() -> None:
    notes = Notes()
    scanner = DatasetScanner(VrTable({}), notes)
    odd = EXPLICIT.element(0x0010_0010, "PN", b"A^B")
    scanner.examine([odd * 40])
    count, found = notes.taken()
    assert count == 40
    assert found == [(1, 0x0010_0010, "PN", 3)] * 32


def test_the_next_data_set_begins_with_none() -> None:
    notes = Notes()
    scanner = DatasetScanner(VrTable({}), notes)
    scanner.examine([EXPLICIT.element(0x0010_0010, "PN", b"A^B")])
    scanner.examine([EXPLICIT.text(0x0010_0010, "PN", "A^B")])
    assert notes.taken() == (0, [])
