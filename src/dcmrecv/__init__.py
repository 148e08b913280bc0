"""dcmrecv: a DICOM Storage SCP (receiver).

Importing the package has no cost and no effect; `Receiver` and `Settings` are loaded
when they are first asked for (PEP 562).
"""

import importlib

__version__ = "0.1.0"

_EXPORTS = {
    "Receiver": "dcmrecv.api",
    "Settings": "dcmrecv.config.settings",
}

__all__ = ["Receiver", "Settings", "__version__"]


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
