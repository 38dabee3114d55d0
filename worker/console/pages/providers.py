"""The section "Providers, last hour": both side by side, with intervals.

Rules: a provider without traffic has no figures, and then each is `–`. Differences are the target's
against legacy's, in words that say which of the two is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from worker.console import formats
from worker.console.charts import compared
from worker.console.charts.compared import Interval
from worker.console.pages.parts import Tone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from markupsafe import Markup

    from contracts.health import (
        ComparisonMetric,
        CostSavings,
        ProviderHealth,
        Rate,
        RateDifference,
    )
    from worker.console.pages.facts import Facts

CLOSED: Final = "closed"
"""A breaker that lets calls through."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of one provider."""

    text: str
    small: str = ""
    """Its interval."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of both providers."""

    name: str
    cells: tuple[Cell, Cell]
    """Of target and legacy."""
    chart: Markup | None = None
    """Both intervals on one axis."""
    text: str = ""
    """The difference in words."""
    tone: Tone = Tone.UNKNOWN
    title: str = ""
    """More about the difference."""


@dataclass(frozen=True, slots=True)
class Providers:
    """The section."""

    target: str
    legacy: str
    rows: tuple[Row, ...]
    """Empty: nothing is known."""
    remarks: tuple[str, ...]
    """What is out of bounds or not known, as the worker words it."""


def providers(facts: Facts) -> Providers:
    """Both providers over the last hour."""
    told = facts.known.comparison
    target = told.data.providers.get(facts.target_id) if told else None
    legacy = told.data.providers.get(facts.legacy_id) if told else None
    if told is None or target is None or legacy is None:
        return Providers(facts.target, facts.legacy, (), ())
    rows = (*_rows(told.data, target, legacy, facts), _breakers(facts))
    remarks = tuple(
        f"{name}: {remark}"
        for name, each in ((facts.target, target), (facts.legacy, legacy))
        for remark in (*each.issues, *each.missing)
    )
    return Providers(facts.target, facts.legacy, rows, remarks)


def _rows(
    metric: ComparisonMetric, target: ProviderHealth, legacy: ProviderHealth, facts: Facts
) -> Iterator[Row]:
    apart, sides = metric.difference, (target, legacy)
    names = (facts.target, facts.legacy)
    yield Row("Attempts", pair(lambda side: Cell(formats.count(side.attempts)), sides))
    success = (target.success_rate, legacy.success_rate)
    yield _rate("Success", names, success, apart.success_rate)
    delivery = (target.delivery_rate, legacy.delivery_rate)
    yield _rate("Delivered", names, delivery, apart.delivery_rate)
    yield _response(sides, apart.p95_ms)
    yield _cost(metric, sides)


def pair(
    make: Callable[[ProviderHealth], Cell], sides: tuple[ProviderHealth, ProviderHealth]
) -> tuple[Cell, Cell]:
    """A figure of target and legacy."""
    return make(sides[0]), make(sides[1])


def _rate(
    name: str,
    names: tuple[str, str],
    rates: tuple[Rate | None, Rate | None],
    apart: RateDifference | None,
) -> Row:
    title = ""
    if apart is not None:
        interval = f"{apart.low:+.1f} to {apart.high:+.1f}"
        title = f"{apart.points:+.1f} points against {names[1]}, 95 % interval {interval}"
    intervals = [_interval(rate) for rate in rates]
    chart = compared.whiskers(name.lower(), names, *intervals)
    return Row(name, (rate_cell(rates[0]), rate_cell(rates[1])), chart=chart, title=title)


def rate_cell(rate: Rate | None) -> Cell:
    """A rate with its interval."""
    if rate is None or rate.percent is None:
        return Cell(formats.UNKNOWN)
    if rate.low is None or rate.high is None:
        return Cell(formats.percent(rate.percent))
    return Cell(formats.percent(rate.percent), f"{rate.low:.1f}–{rate.high:.1f}")


def _interval(rate: Rate | None) -> Interval | None:
    if rate is None or rate.percent is None or rate.low is None or rate.high is None:
        return None
    return Interval(rate.low, rate.percent, rate.high)


def _response(sides: tuple[ProviderHealth, ProviderHealth], apart: float | None) -> Row:
    cells = pair(lambda side: _times(side.p50_ms, side.p95_ms), sides)
    if apart is None:
        return Row("Response p50 / p95", cells)
    if not round(apart):
        return Row("Response p50 / p95", cells, text="equal")
    word, tone = ("faster", Tone.OK) if apart < 0 else ("slower", Tone.WARN)
    text = f"{formats.count(abs(apart))} ms {word}"
    return Row("Response p50 / p95", cells, text=text, tone=tone, title="p95 against legacy's")


def _times(p50_ms: float | None, p95_ms: float | None) -> Cell:
    if p50_ms is None and p95_ms is None:
        return Cell(formats.UNKNOWN)
    return Cell(f"{formats.milliseconds(p50_ms)} / {formats.milliseconds(p95_ms)} ms")


def _cost(metric: ComparisonMetric, sides: tuple[ProviderHealth, ProviderHealth]) -> Row:
    name, cells = "Cost, delivered message", pair(_cost_cell, sides)
    if metric.savings is None:
        return Row(name, cells, title=metric.savings_unknown or "")
    text, tone = _saved(metric.savings, metric.hours)
    return Row(name, cells, text=text, tone=tone)


def _cost_cell(side: ProviderHealth) -> Cell:
    costs = [
        formats.money(cost.per_delivered, currency)
        for currency, cost in side.cost.items()
        if cost.per_delivered is not None
    ]
    return Cell(" + ".join(costs) or formats.UNKNOWN)


def _saved(savings: CostSavings, hours: float) -> tuple[str, Tone]:
    """What is saved a day, at what the period saved."""
    a_day = savings.actual * 24 / Decimal(str(hours))
    amount = formats.money(abs(a_day), savings.currency)
    if not a_day:
        return "", Tone.UNKNOWN
    if a_day > 0:
        return f"saves {amount} a day", Tone.OK
    return f"costs {amount} more a day", Tone.WARN


def _breakers(facts: Facts) -> Row:
    states = (_breaker(facts, facts.target_id), _breaker(facts, facts.legacy_id))
    return Row("Circuit breaker", states)


def _breaker(facts: Facts, ident: str) -> Cell:
    replicas = (facts.status.replicas if facts.status else None) or []
    states = [each.breakers.get(ident, CLOSED) for each in replicas]
    other = [state for state in states if state != CLOSED]
    if not states:
        return Cell(formats.UNKNOWN)
    if not other:
        return Cell(CLOSED)
    word = max(set(other), key=other.count).replace("-", " ")
    return Cell(word if len(other) == len(states) else f"{word} on {len(other)} of {len(states)}")
