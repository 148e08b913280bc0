from collections.abc import Mapping, Sequence

class VrTable:
    def __init__(
        self,
        tags: Mapping[int, str],
        repeaters: Sequence[tuple[range, range, str]] = (),
        private_tags: Mapping[tuple[bytes, int], str] | None = None,
        special: Sequence[tuple[range, range, str]] = (),
    ) -> None: ...
    def vr_of(self, tag: int, creator: bytes | None = None) -> str | None: ...
