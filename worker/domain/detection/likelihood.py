"""Likelihood ratios of what was counted, as sums of logarithms (nats).

Rules: pure; counts may be fractions, then gains are expected ones. The gain of an alternative is
what one tick adds to the logarithm of its likelihood ratio; a tick that says nothing gains None.
The theory and its sources are in the head of `evidence`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

Logs = tuple[float, ...]
TOLERATED: Final = 1.5
"""Risk of the target over that of legacy that nobody acts on."""
WORSE: Final[Logs] = (2.0, 3.0, 5.0, 10.0, 25.0, 50.0)
HIGHER: Final[Logs] = (1.6, 2.4, 4.0, 8.0, 16.0)
LOWER: Final[Logs] = (0.04, 0.1, 0.2, 0.4, 0.6)
_SMALLEST: Final = 0.000_5
_HEADROOM: Final = math.log(100.0)
"""How far above its level a detector is followed: trouble that is over must be seen to be over."""


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Eligible outcomes of one provider that became known, and the events among them."""

    events: float = 0
    total: float = 0


NOTHING: Final = EventCounts()


def strength(logs: Sequence[float]) -> float:
    """Logarithm of the mean of the likelihood ratios."""
    top = max(logs)
    return top + math.log(math.fsum([math.exp(log - top) for log in logs]) / len(logs))


def reaches(logs: Logs, wanted: float) -> bool:
    """Whether the strength does. It is never above the highest, which is cheaper to tell."""
    return max(logs) >= wanted and strength(logs) >= wanted


def detected(logs: Logs, gains: Logs | None, top: float) -> Logs:
    """One tick of an e-detector: from 1 where it fell below, bounded above."""
    if gains is None:
        return logs
    highest = top + _HEADROOM
    raised = [
        (log if log > 0.0 else 0.0) + gain  # noqa: FURB136 - simulations spend their time here
        for log, gain in zip(logs, gains, strict=True)
    ]
    return tuple(raised if max(raised) < highest else [min(log, highest) for log in raised])


def plus(logs: Logs, gains: Logs | None) -> Logs:
    """One tick of an e-process."""
    if gains is None:
        return logs
    return tuple([log + gain for log, gain in zip(logs, gains, strict=True)])


def ratio_gains(target: EventCounts, legacy: EventCounts, ratios: tuple[float, ...]) -> Logs | None:
    """Gain of each ratio of risks over `TOLERATED`, nats; None: the tick says nothing.

    Counts may be fractions: then these are expected gains.
    """
    events = target.events + legacy.events
    if not events or not target.total or not legacy.total:
        return None
    share = target.total / (target.total + legacy.total)
    base = 1.0 - share + share * TOLERATED
    ours = target.events
    return tuple([
        events * math.log(base / (1.0 - share + share * ratio)) + ours * log
        for ratio, log in _over_tolerated(ratios)
    ])  # fmt: skip


@cache
def _over_tolerated(ratios: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    return tuple((ratio, math.log(ratio / TOLERATED)) for ratio in ratios)


def rate_gains(seen: EventCounts, bound: float, factors: tuple[float, ...]) -> Logs | None:
    """Gain of each rate `bound * factor` over the bound, nats; None: nothing was seen."""
    if not seen.total:
        return None
    events, good = seen.events, seen.total - seen.events
    return tuple([
        events * on_event + good * otherwise for on_event, otherwise in _odds(bound, factors)
    ])  # fmt: skip


@cache
def _odds(bound: float, factors: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """Logarithms of q/p0 and (1-q)/(1-p0); an alternative that is no probability gains nothing."""
    p0 = min(max(bound, _SMALLEST), 1.0 - _SMALLEST)
    return tuple(
        (math.log(factor), math.log((1.0 - p0 * factor) / (1.0 - p0)))
        if p0 * factor < 1.0
        else (0.0, 0.0)
        for factor in factors
    )
