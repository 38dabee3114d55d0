"""The view "Planner": a form, and the plan it leads to.

Rules: pure and total. The plan is that of `sms-worker plan`, from the same code. Beside each median
stands the value that nine of ten runs do not exceed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from worker.console import formats, wording
from worker.console.steering.shapes import bounded
from worker.domain.detection.forecast import NINE_OF_TEN, quantile, total
from worker.domain.detection.ladder import PARTS
from worker.domain.detection.plan import FEW, USUAL, shares_in
from worker.domain.detection.signals import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from worker.domain.detection.forecast import Rung
    from worker.domain.detection.obstacles import Obstacle
    from worker.domain.detection.plan import Climb, Plan

RATES: Final = {
    "failed": Signal.FAILED,
    "slow": Signal.SLOW,
    "undelivered": Signal.UNDELIVERED,
}
"""Signal by the field of its rate."""
_LONGEST: Final = 40
_MOST_A_DAY: Final = 1e9
_MOST_DAYS: Final = 3_650.0
_MOST_RATE: Final = 99.0
_SHORT: Final = 10.0
_PARTS: Final = ("all of them", "half of them", "a tenth of them")


@dataclass(frozen=True, slots=True)
class Question:
    """What to plan for."""

    per_day: float | None
    """Messages a day; None: from the history."""
    days: float | None
    ladder: tuple[int, ...] | None
    rates: Mapping[Signal, float]
    """Rates that were given, 0 to 1."""
    no_reports: bool
    from_history: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What the form says: a question, or what is wrong with it."""

    question: Question | None
    problems: Mapping[str, str]
    """By field."""


@dataclass(frozen=True, slots=True)
class RungRow:
    """One share of a ladder."""

    share: str
    phase: str
    messages: tuple[str, str]
    """Median, and nine of ten."""
    days: tuple[str, str]
    longest: str
    """What lasts longest, or what cannot be proved."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """A ladder and its forecast."""

    title: str
    rungs: tuple[RungRow, ...]
    total: tuple[str, str] | None
    refused: tuple[str, ...]
    """What refuses it at these rates."""


@dataclass(frozen=True, slots=True)
class Harm:
    """Customers who lose a message before the loss is stopped."""

    name: str
    customers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanView:
    """The plan."""

    assumed: str
    verdict: str
    is_good: bool
    few: bool
    """Whether so few messages prove little."""
    ladders: tuple[Ladder, ...]
    harm: tuple[Harm, ...]
    parts: tuple[str, ...] = _PARTS


def read_form(form: Mapping[str, str]) -> Reading:
    """Read the form."""
    problems: dict[str, str] = {}
    from_history = form.get("from_history") == "on"
    per_day = _number(form, "per_day", 1.0, _MOST_A_DAY, problems)
    if per_day is None and not from_history and "per_day" not in problems:
        problems["per_day"] = "expected messages a day, or the last days; got neither"
    days = _number(form, "days", 0.04, _MOST_DAYS, problems)
    rates = {
        signal: rate / 100.0
        for field, signal in RATES.items()
        if (rate := _number(form, field, 0.0, _MOST_RATE, problems)) is not None
    }
    ladder = _ladder(form.get("ladder", "").strip(), problems)
    if problems:
        return Reading(None, problems)
    no_reports = form.get("no_reports") == "on"
    return Reading(Question(per_day, days, ladder, rates, no_reports, from_history), {})


def plan_view(plan: Plan) -> PlanView:
    """The plan in words and figures."""
    rates = ", ".join(
        f"{100.0 * rate:.3g} % {wording.signal(str(signal)).lower()}"
        for signal, rate in plan.traffic.rates.items()
    )
    days = plan.past_days
    since = f" of the last {days} day{'' if days == 1 else 's'}" if days else ""
    return PlanView(
        assumed=f"{plan.traffic.per_day:,.0f} messages a day{since}; {rates}. Africa's Talking "
        "does as well as Legacy; a worse one takes longer.",
        verdict=_verdict(plan),
        is_good=plan.found and plan.possible,
        few=plan.traffic.per_day < FEW,
        ladders=tuple(map(_climb, plan.climbs)),
        harm=tuple(_harm(plan)),
    )


def usual() -> Mapping[str, str]:
    """What the rates are if nobody says otherwise, in per cent, by field."""
    return {field: f"{100.0 * USUAL[signal]:g}" for field, signal in RATES.items()}


def _verdict(plan: Plan) -> str:
    if not plan.found:
        return "No ladder can be recommended: these flags refuse every one."
    if plan.within is None:
        return "No time limit was given."
    asked = f"Within {plan.within:,.4g} days in 9 of 10 cases"
    return f"{asked}: yes." if plan.in_time else f"{asked}: no. This is the fastest there is."


def _climb(climb: Climb) -> Ladder:
    spent = total(climb.rungs)
    return Ladder(
        title=f"{climb.name.capitalize()}: {', '.join(map(str, climb.shares))} %",
        rungs=tuple(map(_rung, climb.rungs)),
        total=_both(spent, _days) if spent else None,
        refused=tuple(_refused(climb.obstacles)),
    )


def _rung(rung: Rung) -> RungRow:
    unproved = ", ".join(wording.signal(str(each.signal)).lower() for each in rung.unproved)
    nothing = (formats.UNKNOWN, formats.UNKNOWN)
    return RungRow(
        share=f"{rung.share} %",
        phase=wording.phase(str(rung.phase)),
        messages=nothing if rung.unproved else _both(rung.messages, _many),
        days=nothing if rung.unproved else _both(rung.days, _days),
        longest=f"cannot be proved: {unproved}" if unproved else rung.waits_for,
    )


def _both(values: Sequence[float], said: Callable[[float], str]) -> tuple[str, str]:
    return said(median(values)), said(quantile(values, NINE_OF_TEN))


def _many(messages: float) -> str:
    return "endless" if math.isinf(messages) else f"{messages:,.0f}"


def _days(days: float) -> str:
    if math.isinf(days):
        return "endless"
    return f"{days:,.2f}" if days < _SHORT else f"{days:,.0f}"


def _refused(obstacles: Sequence[Obstacle]) -> Iterator[str]:
    """What refuses the ladder, each flag once with the shares it refuses."""
    for flag, required in dict.fromkeys((each.flag, each.required) for each in obstacles):
        same = [each for each in obstacles if (each.flag, each.required) == (flag, required)]
        shares = [each.share for each in same]
        span = f"{min(shares)} to {max(shares)} %" if len(set(shares)) > 1 else f"{shares[0]} %"
        yield f"{flag}, from {span}: {required}; here {same[0].measured}"


def _harm(plan: Plan) -> Iterator[Harm]:
    for climb in plan.climbs:
        name = climb.name.capitalize()
        yield Harm(f"{name}, from the start", _customers(climb.harm.from_the_start))
        yield Harm(f"{name}, from some load on", _customers(climb.harm.with_the_load))
    if plan.at_once is not None:
        yield Harm("All at once, 0 to 100 %", _customers(plan.at_once.from_the_start))


def _customers(counts: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"{each:,.0f}" for each in counts[: len(PARTS)])


def _number(
    form: Mapping[str, str], field: str, low: float, high: float, problems: dict[str, str]
) -> float | None:
    """Read a number within bounds; None: none was given, or it cannot be used."""
    text = form.get(field, "").strip().replace(",", "")
    if not text:
        return None
    try:
        number = float(text) if len(text) <= _LONGEST else math.nan
    except ValueError:
        number = math.nan
    if low <= number <= high:
        return number
    problems[field] = f"expected a number from {low:g} to {high:,.0f}, got {bounded(text)}"
    return None


def _ladder(text: str, problems: dict[str, str]) -> tuple[int, ...] | None:
    if not text:
        return None
    try:
        return shares_in(text)
    except ValueError:
        expected = "expected rising shares of 1 to 100, such as 1, 5, 25, 50, 100"
        problems["ladder"] = f"{expected}; got {bounded(text)}"
        return None
