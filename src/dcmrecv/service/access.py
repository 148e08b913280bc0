"""Who may open an association: a pure decision about values, and what it needs to know.

Owns the order of the questions, the A-ASSOCIATE-RJ for each, and the seats of a host.
Never a socket and never a log; a passcode never leaves this module.

The order is: address, called AE title, calling AE title, user identity, number of
associations of the host. An address that is not accepted gets an A-ASSOCIATE-RJ and not
just a closed connection, because its operator should see what is wrong.

Source:
    PS3.8 Table 9-21 for the reasons; PS3.7 section D.3.3.7 for user identities. The
    standard has no reason for a refused address or user identity: 1,1,1, rejected
    permanently by the service user, no reason given.
"""

import hashlib
import ipaddress
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from dcmrecv.config.settings import AccessSettings, Settings
from dcmrecv.config.users import PASSCODE_BYTES_MAX, PasscodeHash, read_users
from dcmrecv.errors import ConfigurationError
from dcmrecv.native.slot import WorkerSlot
from dcmrecv.service.networks import Networks
from dcmrecv.service.wording import Peer, printable
from dcmrecv.ul.items import UserIdentity
from dcmrecv.ul.negotiation import REJECT_CALLED_AE_TITLE, REJECT_LOCAL_LIMIT
from dcmrecv.ul.pdu import AssociationReject, AssociationRequest

REJECT_WITHOUT_REASON: Final = AssociationReject(1, 1, 1)
REJECT_CALLING_AE_TITLE: Final = AssociationReject(1, 1, 3)

# User identity types of PS3.7 Table D.3-14 that we can verify.
USER_NAME: Final = 1
USER_NAME_AND_PASSCODE: Final = 2

# Identities that were verified in this process, so that a sender with an association
# for each object does not pay 100 ms for each.
_VERIFIED_MAX: Final = 256

# A host at its limit may just be closing its last connection: look again after each of
# these pauses. They also slow down who asks again and again.
_SEAT_PAUSES_S: Final = (0.002, 0.004, 0.008, 0.016, 0.032)

_SHOWN_BYTES_MAX: Final = 64  # of a user name in the log


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an association is not accepted, for the log, and what the peer is told."""

    reason: str
    reject: AssociationReject


NO_SEAT: Final = Refusal("too many associations of this host", REJECT_LOCAL_LIMIT)


def accepted_hosts(settings: AccessSettings) -> Callable[[str], bool]:
    """Is an address welcome, whatever it will ask for?"""
    if not settings.hosts:
        return lambda address: True
    return Networks(settings.hosts).__contains__


class TitlePatterns:
    """AE titles that are accepted: `*` is any characters, `?` one, case counts."""

    def __init__(self, patterns: Sequence[str], literal: str | None = None) -> None:
        """Accept what one of the patterns says, and the `literal` title."""
        expressions = [_expression(pattern.strip(" ")) for pattern in patterns]
        if literal is not None:
            expressions.append(re.escape(literal.strip(" ")))
        self._matches = re.compile("|".join(expressions), re.DOTALL).fullmatch

    def __contains__(self, title: bytes) -> bool:
        """Is a title as sent accepted? Blanks around it are not significant.

        Source:
            PS3.8 section 9.3.2.
        """
        text = title.partition(b"\0")[0].strip(b" ").decode("utf-8", "surrogateescape")
        return self._matches(text) is not None


def _expression(pattern: str) -> str:
    wild = {"*": ".*", "?": "."}
    return "".join(wild.get(character) or re.escape(character) for character in pattern)


class UserFile:
    """The users of a file, read again whenever it has changed.

    A file that cannot be read any more leaves the users as they were.
    """

    def __init__(self, path: str, report: Callable[[str], None]) -> None:
        """Read the file.

        Args:
            path: of the file.
            report: is told later on, when a change has made the file unreadable.

        Raises:
            ConfigurationError: it cannot be read now.
        """
        self._path = path
        self._report = report
        self._signature = self._sign()
        self._users: Mapping[bytes, PasscodeHash] = read_users(path)
        self._key = secrets.token_bytes(32)
        self._verified: dict[bytes, None] = {}
        # Who asks for a user that does not exist waits as long as for any other.
        self._nobody = PasscodeHash.of(self._key)

    def knows(self, name: bytes, passcode: bytes) -> bool:
        """Is there such a user, with this passcode?"""
        self._refresh()
        user = self._users.get(name)
        if len(passcode) > PASSCODE_BYTES_MAX:
            return False
        if user is None:
            self._nobody.matches(passcode)
            return False
        proof = hashlib.blake2b(
            b"\0".join((user.key, user.salt, passcode)), key=self._key
        ).digest()
        if proof in self._verified:
            return True
        if not user.matches(passcode):
            return False
        if len(self._verified) >= _VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]
        self._verified[proof] = None
        return True

    def _refresh(self) -> None:
        signature = self._sign()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._users = read_users(self._path)
        except ConfigurationError as error:
            self._report(f"{error}; the users stay as they were")

    def _sign(self) -> tuple[int, ...]:
        try:
            status = os.stat(self._path)
        except OSError:
            return ()
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Seats:
    """How many associations of a host are served, by all workers together.

    Args:
        slot: this worker's, in the memory that all workers share.
        most: of one host at the same time.
        sleep: pauses; seconds.
    """

    def __init__(
        self,
        slot: WorkerSlot,
        most: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._slot = slot
        self._most = most
        self._sleep = sleep

    def take(self, address: str) -> bool:
        """Count an association of this host, unless there are enough of them."""
        high, low = _words(address)
        for pause_s in _SEAT_PAUSES_S:
            if self._slot.take_seat(high, low, self._most):
                return True
            # Two that come at the same moment see each other: not both shall go.
            self._sleep(pause_s * (0.5 + secrets.randbelow(1_000) / 1_000))
        return self._slot.take_seat(high, low, self._most)

    def leave(self) -> None:
        """The association of this worker, if it was counted, is over."""
        self._slot.leave_seat()


def _words(address: str) -> tuple[int, int]:
    """An address as two words of 64 bits; IPv4 as in an IPv4-mapped IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
        number = int(parsed) or 1  # 0 is the empty seat
    except ValueError:
        return 1, 0
    if parsed.version == 4:
        number |= 0xFFFF << 32
    return number >> 64, number & 2**64 - 1


class AccessPolicy:
    """What the operator accepts.

    Args:
        settings: the operator's.
        ae_title: of NetworkSettings, accepted besides the patterns of called titles.
        report: told when the user file has become unreadable.

    Raises:
        ConfigurationError: the user file cannot be used.
    """

    def __init__(
        self,
        settings: AccessSettings,
        ae_title: str | None,
        report: Callable[[str], None],
    ) -> None:
        called, calling = settings.called, settings.calling
        self._accepts_host = accepted_hosts(settings)
        self._called = TitlePatterns(called, ae_title) if called else None
        self._calling = TitlePatterns(calling) if calling else None
        path = settings.user_file
        self._users = None if path is None else UserFile(path, report)

    def judge(self, address: str, request: AssociationRequest) -> Refusal | None:
        """Decide about an association request of protocol version 1.

        Args:
            address: the peer's, numeric.
            request: as decoded; nothing in it is trusted.

        Returns:
            None when it may go on to the negotiation.
        """
        if not self._accepts_host(address):
            return Refusal("address is not accepted", REJECT_WITHOUT_REASON)
        if self._called is not None and request.called not in self._called:
            reason = "called AE title is not accepted"
            return Refusal(reason, REJECT_CALLED_AE_TITLE)
        if self._calling is not None and request.calling not in self._calling:
            reason = "calling AE title is not accepted"
            return Refusal(reason, REJECT_CALLING_AE_TITLE)
        if self._users is None:
            return None
        problem = _identity_problem(request.user.user_identity, self._users)
        return Refusal(problem, REJECT_WITHOUT_REASON) if problem else None


def _identity_problem(identity: UserIdentity | None, users: UserFile) -> str:
    if identity is None:
        return "no user identity"
    if identity.type == USER_NAME:
        return "user name without passcode"
    if identity.type != USER_NAME_AND_PASSCODE:
        return f"user identity of type {identity.type}"
    if not users.knows(identity.primary, identity.secondary):
        name = printable(identity.primary[:_SHOWN_BYTES_MAX].decode("latin-1"))
        return f"unknown user or wrong passcode, user {name}"
    return ""


def refused(peer: Peer, refusal: Refusal) -> str:
    """The line in the log about a refusal."""
    told = refusal.reject
    return (
        f"Refusing Association ({refusal.reason}): {peer}, "
        f"A-ASSOCIATE-RJ {told.result},{told.source},{told.reason}"
    )


def refused_unread(address: str, reason: str, reject: bytes) -> str:
    """The line about a request that nobody has read; `reject` is the whole PDU."""
    return refused(Peer(address), Refusal(reason, AssociationReject(*reject[-3:])))


class Entrance:
    """All that stands between a request and its negotiation, in one worker."""

    def __init__(self, policy: AccessPolicy, seats: Seats | None) -> None:
        self._policy = policy
        self._seats = seats

    @classmethod
    def of(
        cls, settings: Settings, slot: WorkerSlot, report: Callable[[str], None]
    ) -> Self | None:
        """What the settings ask for; None when everybody may come in.

        Raises:
            ConfigurationError: the user file cannot be used.
        """
        access = settings.access
        most = access.max_per_host
        asks = access.hosts or access.called or access.calling or access.user_file
        if not asks and most is None:
            return None
        return cls(
            AccessPolicy(access, settings.network.ae_title, report),
            None if most is None else Seats(slot, most),
        )

    def judge(self, address: str, request: AssociationRequest) -> Refusal | None:
        """As AccessPolicy.judge()."""
        return self._policy.judge(address, request)

    def enter(self, address: str) -> bool:
        """The request would be accepted; is there a seat for its host?"""
        return self._seats is None or self._seats.take(address)

    def leave(self) -> None:
        """The association, if there was one, is over."""
        if self._seats is not None:
            self._seats.leave()
