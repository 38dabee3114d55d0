"""How it is just now, from the newest slots of the series: the last hour would hide it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from contracts.answers import ProviderSeries, SeriesAnswer
    from worker.console.pages.facts import Facts

_SLOTS: Final = 2
"""The newest one may have just begun."""
_LEAST: Final = 20
"""Fewer attempts say nothing."""


def failed(facts: Facts) -> tuple[float, float] | None:
    """Failures of target and legacy in per cent; None: not known."""
    told = facts.known.series
    if told is None:
        return None
    rates = [_failed(told.data.providers.get(name)) for name in (facts.target_id, facts.legacy_id)]
    target, legacy = rates
    return None if target is None or legacy is None else (target, legacy)


def _failed(series: ProviderSeries | None) -> float | None:
    if series is None:
        return None
    errors, accepted = sum(series.errors[-_SLOTS:]), sum(series.accepted[-_SLOTS:])
    total = errors + accepted
    return 100.0 * errors / total if total >= _LEAST else None


def sent_share(series: SeriesAnswer, since: datetime | None) -> tuple[int, int]:
    """First attempts that the percentage assigned to the target, and all of them.

    Args:
        series: over the last hours.
        since: only slots that began after this; None: the newest ones.
    """
    begin = len(_assigned(series, series.target)) - _SLOTS
    if since is not None:
        passed = (since - series.since).total_seconds() / series.slot_s
        begin = max(begin, int(passed) + 1)
    target, legacy = (sum(_assigned(series, name)[max(begin, 0) :]) for name in _both(series))
    return target, target + legacy


def _assigned(series: SeriesAnswer, name: str) -> list[int]:
    found = series.providers.get(name)
    return found.assigned if found else []


def _both(series: SeriesAnswer) -> tuple[str, str]:
    return series.target, series.legacy
