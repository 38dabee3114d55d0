"""What a change of the share does to the messages, in words for people.

Rules: pure. Numbers are said to two significant digits with `about`, because they are those of the
last hour. Who is fixed to a provider by an override does not move with the share and is named
apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGITS: Final = 2
_FULL: Final = 100.0
_SEVERAL: Final = 1.5
"""From here on a number is rounded to more than 1."""


@dataclass(frozen=True, slots=True)
class Names:
    """What people call the providers."""

    target: str
    legacy: str


def about(number: float) -> str:
    """A number to two significant digits: `about 4,500`."""
    if number < 1:
        return "less than one"
    digits = max(math.floor(math.log10(number)) + 1 - _DIGITS, 0)
    return f"about {round(number, -digits):,.0f}"


def moving(per_hour: float, before: int, after: int) -> float:
    """How many messages an hour another provider gets than before."""
    return per_hour * abs(after - before) / _FULL


def movement(per_hour: float | None, before: int, after: int, names: Names) -> str:
    """What moves: `about 1,250 messages an hour move to Africa's Talking`."""
    if before == after:
        return "no message moves"
    to = names.target if after > before else names.legacy
    if not per_hour:
        return f"no message came lately; what comes moves to {to}"
    moved = moving(per_hour, before, after)
    verb = "messages an hour move" if moved >= _SEVERAL else "message an hour moves"
    return f"{about(moved)} {verb} to {to}"


def fixed(users: int, branches: int) -> str:
    """Who is fixed: `12 users and 2 branches`; empty: nobody."""
    return " and ".join(_counted(users, branches))


def _counted(users: int, branches: int) -> Iterator[str]:
    if users:
        yield f"{users:,} user{'' if users == 1 else 's'}"
    if branches:
        yield f"{branches:,} branch{'' if branches == 1 else 'es'}"
