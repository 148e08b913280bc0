"""Users and their passcodes: the file of `--user-file`, and how it is written.

One line for each user, `NAME:HASH`; empty lines and lines that begin with `#` do not
count. A hash is `$scrypt$ln=13,r=8,p=4$SALT$KEY`, salt and key in base64 without
padding. Owns hashing and the file. Never asks for a passcode and never decides about an
association.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from dcmrecv.errors import ConfigurationError

NAME_BYTES_MAX: Final = 256
PASSCODE_BYTES_MAX: Final = 1_024
USERS_MAX: Final = 10_000
FILE_BYTES_MAX: Final = 4 * 2**20

# Cost of a new hash, RFC 7914: 2**13 blocks of 128 * 8 bytes are 8 MiB, and four passes
# over them take 100 ms.
_LOG2_N: Final = 13
_R: Final = 8
_P: Final = 4
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32

# What a hash in the file may cost at most: a worker has 64 MiB for everything.
_MEMORY_BYTES_MAX: Final = 16 * 2**20
_P_MAX: Final = 16
_FIELD_BYTES_MAX: Final = 64

_HASH = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)


@dataclass(frozen=True, slots=True)
class PasscodeHash:
    """A salted hash of a passcode; RFC 7914."""

    log2_n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    @classmethod
    def of(cls, passcode: bytes) -> Self:
        """A new hash, with a salt of its own."""
        salt = secrets.token_bytes(_SALT_BYTES)
        key = _scrypt(passcode, salt, _LOG2_N, _R, _P, _KEY_BYTES)
        return cls(_LOG2_N, _R, _P, salt, key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str()` wrote.

        Raises:
            ValueError: it is none, or costs more than a worker may spend.
        """
        match = _HASH.fullmatch(text)
        if match is None:
            raise ValueError("not a hash")
        log2_n, r, p = (int(match[number]) for number in (1, 2, 3))
        # RFC 7914 section 6: n is below 2**(16 * r).
        if not (r >= 1 and 1 <= log2_n < 16 * r and 1 <= p <= _P_MAX):
            raise ValueError("impossible cost of a hash")
        if 128 * r << log2_n > _MEMORY_BYTES_MAX:
            raise ValueError("hash needs more than 16 MiB")
        return cls(log2_n, r, p, _from_base64(match[4]), _from_base64(match[5]))

    def __str__(self) -> str:
        """As it stands in the file."""
        cost = f"ln={self.log2_n},r={self.r},p={self.p}"
        return f"$scrypt${cost}${_to_base64(self.salt)}${_to_base64(self.key)}"

    def matches(self, passcode: bytes) -> bool:
        """Is this the passcode? Takes as long for a wrong one as for the right one."""
        found = _scrypt(passcode, self.salt, self.log2_n, self.r, self.p, len(self.key))
        return hmac.compare_digest(found, self.key)


def _scrypt(
    passcode: bytes, salt: bytes, log2_n: int, r: int, p: int, size: int
) -> bytes:
    return hashlib.scrypt(
        passcode,
        salt=salt,
        n=1 << log2_n,
        r=r,
        p=p,
        maxmem=_MEMORY_BYTES_MAX + 2**20,
        dklen=size,
    )


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


def _from_base64(text: str) -> bytes:
    data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if len(data) > _FIELD_BYTES_MAX:
        raise ValueError("not a hash")
    return data


def check_name(name: bytes) -> None:
    """Raise if a user cannot be called so.

    Raises:
        ConfigurationError: empty, too long, not UTF-8, or with a character that means
            something in the file.
    """
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise ConfigurationError("user name is not UTF-8") from None
    if not 0 < len(name) <= NAME_BYTES_MAX:
        raise ConfigurationError(f"user name must have 1 to {NAME_BYTES_MAX} bytes")
    if ":" in text or not text.isprintable() or text[0] == "#" or text.strip() != text:
        raise ConfigurationError(
            "user name must not begin with # or with a blank, end with a blank, or "
            "contain a colon or a control character"
        )


def read_users(path: str) -> Mapping[bytes, PasscodeHash]:
    """Every user of a file, by name.

    Raises:
        ConfigurationError: the file cannot be read, or a line of it is none of ours.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"cannot read user file {path}: {reason}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigurationError(f"user file {path} is larger than {FILE_BYTES_MAX}")
    users: dict[bytes, PasscodeHash] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        name, _, passcode_hash = line.partition(b":")
        try:
            check_name(name)
            users[name] = PasscodeHash.parse(passcode_hash.decode("ascii").rstrip())
        except (ConfigurationError, ValueError) as error:
            raise ConfigurationError(
                f"user file {path}, line {number}: {error}"
            ) from error
        if len(users) > USERS_MAX:
            raise ConfigurationError(f"user file {path}: more than {USERS_MAX} users")
    return MappingProxyType(users)


def add_user(path: str, name: bytes, passcode: bytes) -> None:
    """Add a user to a file, or change the passcode; the file is made when missing.

    The new file, readable for its owner only unless it was there before, takes the
    place of the old one in one step. Other lines stay as they are.

    Raises:
        ConfigurationError: an impossible name or passcode, or the file is none of ours
            or cannot be written.
    """
    check_name(name)
    if not 0 < len(passcode) <= PASSCODE_BYTES_MAX:
        raise ConfigurationError(
            f"passcode must have 1 to {PASSCODE_BYTES_MAX} bytes, not {len(passcode)}"
        )
    lines: list[bytes] = []
    if os.path.exists(path):
        read_users(path)
        lines = Path(path).read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if line.partition(b":")[0] != name]
    if kept and not kept[-1].endswith(b"\n"):
        kept[-1] += b"\n"
    added = name + b":" + str(PasscodeHash.of(passcode)).encode("ascii") + b"\n"
    try:
        _replace(path, b"".join([*kept, added]))
    except OSError as error:
        raise ConfigurationError(
            f"cannot write user file {path}: {error.strerror}"
        ) from error


def _replace(path: str, content: bytes) -> None:
    # Where a link points to, not the link.
    target = Path(path).resolve()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".dcmrecv-users")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if target.exists():
                status = target.stat()
                os.fchmod(stream.fileno(), status.st_mode & 0o777)
                os.fchown(stream.fileno(), status.st_uid, status.st_gid)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
