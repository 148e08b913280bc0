class FlushGroup:
    def __init__(
        self, memory: object | None = None, index: int = 0, lock_fd: int = -1
    ) -> None: ...
