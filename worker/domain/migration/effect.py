"""Says in words what a move moves, the same on every screen that asks a person to confirm it.

Rules: pure. Figures have two significant digits and are said to be rough, because they come from
the traffic of the last hour. Users and branches with an override do not move.
"""

from __future__ import annotations

import math
from typing import Final

from worker.domain.migration.phases import FULL_SHARE
from worker.domain.migration.provider_names import plain_name

_DIGITS: Final = 2
_SEVERAL: Final = 1.5
"""From here on a count is rounded to more than 1."""
_NAMES: Final = {"africastalking": "Africa's Talking", "legacy": "Legacy"}


def display_name(provider: str) -> str:
    """A provider's name for people; an id that has none of its own stays as it is."""
    return _NAMES.get(plain_name(provider), provider)


def effect(before: int, after: int, per_hour: float | None, target: str, legacy: str) -> str | None:
    """Say how many messages an hour move, and where to.

    Args:
        before: the target's share, per cent.
        after: the same after the move.
        per_hour: messages an hour of both providers; None: not known, or none came.
        target: provider id.
        legacy: provider id.

    Returns:
        None: the share does not change, so no message moves.
    """
    if before == after:
        return None
    moved, to = abs(after - before), display_name(target if after > before else legacy)
    if not per_hour:
        return f"{moved} % of the messages move to {to}; none came in the last hour"
    count = per_hour * moved / FULL_SHARE
    verb = "messages an hour move" if count >= _SEVERAL else "message an hour moves"
    return f"{about(count)} {verb} to {to}"


def about(count: float) -> str:
    """A count with two significant digits, and that it is a rough one."""
    if count < 1:
        return "fewer than 1"
    places = _DIGITS - 1 - math.floor(math.log10(count))
    return f"about {round(count, min(places, 0)):,.0f}"
