from typing import Final

from dcmrecv.config.loglines import Lines

PLACE: Final = "\0"

class Journal:
    def __init__(self, descriptor: int, text: bytes) -> None: ...
    def write(self, message_id: int, path: bytes) -> bool: ...

def journal_of(lines: Lines) -> Journal | None: ...
