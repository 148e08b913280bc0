"""What one entry of the table of options is. Never an option itself."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a part of the table and of the help text; `subtitle` may be empty."""

    title: str
    subtitle: str


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    `field` says what is set, as "part.attribute" of `Settings`. Options with the same
    field exclude each other, and the rightmost one counts. An option without values
    sets `choice`, one with values sets what was typed.
    """

    long: str
    short: str  # "" if there is none
    text: str  # the lines of the help text
    field: str = ""
    choice: object = True
    values: int = 0
    bounds: tuple[int, int] | None = None  # the value is an integer in this range
    words: type[Enum] | None = None  # the value is the value of one of its members
    reads: Callable[[str], object] | None = None  # makes of the value what is set
    cut: int | None = None  # a larger integer counts as this one
    repeatable: bool = False  # every occurrence counts
    requires: tuple[str, ...] = ()  # long names, checked in this order
    excludes: tuple[str, ...] = ()
    blamed: str = ""  # the name in messages about `requires`, if it is not `long`
    secret: bool = False  # the value is never printed
