"""Numbers and durations as people read them.

Rules: what is not known is `–`, never zero. Numbers have thousands separators, percentages a blank
before the sign, and durations at most two units.
"""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

UNKNOWN: Final = "–"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_SECONDS_UNTIL: Final = 2 * _MINUTE
"""Below this, a duration is said in seconds."""
_HOURS_UNTIL: Final = 2 * _DAY
"""Below this, a duration is said in hours and minutes."""
_JUST_S: Final = 2.5
_MONEY_DIGITS: Final = ((100, 0), (1, 2), (Decimal("0.001"), 4))
"""Least amount, and its digits after the point."""
_MOST_DIGITS: Final = 6


def count(number: float | None) -> str:
    """A whole number: `4,505`."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def about(number: float) -> str:
    """A number to two significant digits: `4,500`."""
    if number < 1:
        return "0" if number <= 0 else "under 1"
    digits = max(len(f"{number:.0f}") - 2, 0)
    return f"{round(number, -digits):,.0f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A rate in per cent: `98.9 %`."""
    return UNKNOWN if value is None else f"{value:.{digits}f} %"


def plain(value: float) -> str:
    """A number without needless zeros: `13.2`, `5`."""
    return f"{value:.1f}".removesuffix(".0")


def milliseconds(value: float | None) -> str:
    """A response time without its unit: `632`."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def money(amount: Decimal, currency: str) -> str:
    """Money, with as many digits as its size needs: `USD 545`, `USD 1.20`, `USD 0.0063`."""
    size = abs(amount)
    digits = next((digits for least, digits in _MONEY_DIGITS if size >= least), _MOST_DIGITS)
    digits = digits if size else 2
    return f"{currency} {amount:,.{digits}f}"


def duration(seconds: float) -> str:
    """How long: `40 s`, `12 min`, `3 h 12 min`, `5 days`."""
    if seconds < _SECONDS_UNTIL:
        return f"{max(seconds, 0):.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < _HOURS_UNTIL:
        hours, minutes = divmod(round(seconds / _MINUTE), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{seconds / _DAY:.0f} days"


def age(seconds: float) -> str:
    """An age: `just now`, `4 s ago`."""
    return "just now" if seconds < _JUST_S else f"{duration(seconds)} ago"


def utc(moment: datetime) -> str:
    """A time for machines and for tooltips: `2026-03-01T12:16:40Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def clock(moment: datetime, *, seconds: bool = False) -> str:
    """A time of day in UTC, which the browser turns into its own zone: `12:16 UTC`."""
    in_utc = moment.astimezone(UTC)
    return f"{in_utc:%H:%M:%S} UTC" if seconds else f"{in_utc:%H:%M} UTC"
