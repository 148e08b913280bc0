"""encoding.transfer_syntax: what the walk over a data set depends on. PS3.5 Annex A."""

import pytest

from dcmrecv.encoding.transfer_syntax import TransferSyntax, transfer_syntax_of


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        ("1.2.840.10008.1.2", TransferSyntax(explicit_vr=False)),
        ("1.2.840.10008.1.2.1", TransferSyntax()),
        ("1.2.840.10008.1.2.1.99", TransferSyntax(deflated=True)),
        ("1.2.840.10008.1.2.2", TransferSyntax(big_endian=True)),
        ("1.2.840.10008.1.2.4.50", TransferSyntax(encapsulated=True)),
        ("1.2.840.10008.1.2.5", TransferSyntax(encapsulated=True)),
        ("1.2.840.10008.1.2.4.95", TransferSyntax(deflated=True)),
    ],
)
def test_known_syntaxes(uid: str, expected: TransferSyntax) -> None:
    assert transfer_syntax_of(uid) == expected


def test_an_unknown_syntax_counts_as_encapsulated_explicit_little_endian() -> None:
    """PS3.5 section A.4: the rule for all encapsulated syntaxes, also future ones."""
    assert transfer_syntax_of("1.2.3") == TransferSyntax(encapsulated=True)
