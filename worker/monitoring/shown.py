"""Rounds figures where they leave the worker. They are rounded nowhere else."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from worker.domain.figures.rates import Rate

_MONEY: Final = Decimal("0.000001")


def shown_percent(rate: Rate) -> float | None:
    """A rate in per cent; None: its sample is empty."""
    return None if rate.percent is None else rounded(rate.percent)


def shown_time(value: float | None) -> float | None:
    """Milliseconds; None: not known, or beyond the last bound of the histogram."""
    return round(value, 1) if value is not None and math.isfinite(value) else None


def shown_money(amount: Decimal) -> Decimal:
    """An amount of money, without zeros at its end."""
    return amount.quantize(_MONEY).normalize()


def rounded(value: float) -> float:
    """A share or a difference of shares."""
    return round(value, 3)
