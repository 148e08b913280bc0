"""Transfer syntaxes: how a data set is encoded. PS3.5 section 10 and Annex A."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """What the encoding of a data set depends on."""

    explicit_vr: bool = True
    big_endian: bool = False
    encapsulated: bool = False
    deflated: bool = False


_NATIVE = {
    "1.2.840.10008.1.2": TransferSyntax(explicit_vr=False),
    "1.2.840.10008.1.2.1": TransferSyntax(),
    "1.2.840.10008.1.2.1.99": TransferSyntax(deflated=True),
    "1.2.840.10008.1.2.2": TransferSyntax(big_endian=True),
    "1.2.840.10008.1.2.7.1": TransferSyntax(),  # SMPTE ST 2110: no pixel data inside
    "1.2.840.10008.1.2.7.2": TransferSyntax(),
    "1.2.840.10008.1.2.7.3": TransferSyntax(),
    "1.2.840.10008.1.2.4.94": TransferSyntax(),  # JPIP: pixel data by reference
    "1.2.840.10008.1.2.4.95": TransferSyntax(deflated=True),
    "1.2.840.10008.1.2.4.204": TransferSyntax(),
    "1.2.840.10008.1.2.4.205": TransferSyntax(deflated=True),
}

# PS3.5 Annex A.4: every other syntax is Explicit VR Little Endian with encapsulation.
_ENCAPSULATED = TransferSyntax(encapsulated=True)


def transfer_syntax_of(uid: str) -> TransferSyntax:
    """How a transfer syntax encodes; an unknown one counts as encapsulated.

    Source: PS3.5 Annex A; PS3.6 Table A-1.
    """
    return _NATIVE.get(uid, _ENCAPSULATED)
