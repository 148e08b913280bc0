"""Sizes and shares as an operator writes them: `512M`, `10G`, `5%`.

Owns the grammar of such values. Never knows which option has one.
"""

import re

from dcmrecv.config.settings import Reserve

_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,19})([KMGT]?)")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")

SIZE_MAX = 1 << 62


def parse_size(text: str) -> int:
    """Bytes; K, M, G and T are powers of 1,024.

    Raises:
        ValueError: it is no size, 0, or more than 2**62.
    """
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _FACTORS[match[2]] if match else 0
    if not 0 < size <= SIZE_MAX:
        raise ValueError(text)
    return size


def parse_reserve(text: str) -> Reserve:
    """A size, or a percentage above 0 and below 100.

    Raises:
        ValueError: it is neither.
    """
    match = _PERCENT.fullmatch(text)
    if match is None:
        return Reserve(size_bytes=parse_size(text))
    if not 0 < float(match[1]) < 100:
        raise ValueError(text)
    return Reserve(percent=float(match[1]))
