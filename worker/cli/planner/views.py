"""Prints the plan of `sms-worker plan`.

Rules: 80 columns, the same on a terminal and piped. Beside each median stands the value that 9 of
10 runs do not exceed. The assumptions are shown: the rates, and what stops a bad target.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Final

from worker.domain.detection.forecast import NINE_OF_TEN, quantile, total
from worker.domain.detection.ladder import COMPLAINT_S, PERSON_S
from worker.domain.detection.phase_ladder import phase_at
from worker.domain.detection.plan import FEW
from worker.domain.detection.signals import Signal
from worker.domain.migration.phases import WAY_UP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from worker.domain.detection.forecast import Rung
    from worker.domain.detection.obstacles import Obstacle
    from worker.domain.detection.plan import Climb, Plan

_SHORT: Final = 10.0
_COLUMNS: Final = 80
_WORDS: Final = {
    Signal.FAILED: "failed",
    Signal.SLOW: "slow",
    Signal.UNDELIVERED: "not delivered",
}
_FEW_SAID: Final = (
    "So few messages prove little: a share takes weeks. Begin with validation traffic",
    "to phones of your own (ValidationTraffic), then with user and branch overrides",
    "(`ctl user set`, `ctl branch set`); take the percentage after that.",
)


def lines(plan: Plan, written: Path | None = None) -> Iterator[str]:
    """Yield the lines of a plan."""
    parts = [
        _head(plan),
        *map(_ladder, plan.climbs),
        _verdict(plan),
        _harm(plan),
        _begin(plan.climbs[0], written) if plan.found else ["no ladder to begin with"],
    ]
    for number, part in enumerate(parts):
        if number:
            yield ""
        for line in part:
            yield from _wrapped(line)


def _head(plan: Plan) -> Iterator[str]:
    rates = ", ".join(f"{100.0 * rate:.3g} % {_WORDS[s]}" for s, rate in plan.traffic.rates.items())
    yield f"{plan.traffic.per_day:,.0f} messages a day; {rates}"
    if plan.past_days is not None:
        yield f"volume and rates of the last {_counted(plan.past_days, 'day')}, both providers"
    yield "assumed: Africa's Talking does as well as legacy; a worse target takes longer"
    if plan.traffic.per_day < FEW:
        yield from _FEW_SAID


def _ladder(climb: Climb) -> Iterator[str]:
    yield f"{climb.name}: {', '.join(map(str, climb.shares))} %"
    yield f"{'':>9}  {'messages of target':>20}  {'days':>18}"
    yield f"{'share':>9}  {'median':>9}  {'9 of 10':>9}  {'median':>8}  {'9 of 10':>8}  longest"
    for rung in climb.rungs:
        yield _line(rung)
    if spent := total(climb.rungs):
        sums = f"{_time(median(spent)):>8}  {_time(quantile(spent, NINE_OF_TEN)):>8}"
        yield f"{'in all':>9}  {'':>20}  {sums}  minimum times included"


def _line(rung: Rung) -> str:
    if rung.unproved:
        missing = ", ".join(str(each.signal) for each in rung.unproved)
        return f"{rung.share:>7} %  cannot be proved: {missing}"
    return (
        f"{rung.share:>7} %  {median(rung.messages):>9,.0f}"
        f"  {_many(quantile(rung.messages, NINE_OF_TEN)):>9}  {_time(median(rung.days)):>8}"
        f"  {_time(quantile(rung.days, NINE_OF_TEN)):>8}  {rung.waits_for}"
    )


def _many(messages: float) -> str:
    return "endless" if math.isinf(messages) else f"{messages:,.0f}"


def _time(days: float) -> str:
    if math.isinf(days):
        return "endless"
    return f"{days:,.2f}" if days < _SHORT else f"{days:,.0f}"


def _verdict(plan: Plan) -> Iterator[str]:
    if plan.within is not None and total(plan.climbs[0].rungs):
        asked = f"within {plan.within:,.4g} days in 9 of 10 cases"
        yield f"{asked}: yes" if plan.in_time else f"{asked}: no; this is the fastest there is"
    if not plan.found:
        yield "no ladder can be recommended: these flags refuse every one"
    for climb in plan.climbs:
        yield from _refused(climb)


def _refused(climb: Climb) -> Iterator[str]:
    if not climb.obstacles:
        yield f"{climb.name}: no flag refuses it at these rates"
        return
    yield f"{climb.name}: refused at these rates by"
    for each, shares in _by_flag(climb.obstacles):
        low, high = min(shares), max(shares)
        span = f"{low} %" if low == high else f"{low} to {high} %"
        yield f"  {each.flag}"
        yield f"    from {span}: {each.required}; here {each.measured}"


def _by_flag(obstacles: Sequence[Obstacle]) -> Iterator[tuple[Obstacle, list[int]]]:
    """Yield the first of the obstacles that say the same, with the shares that its flag refuses."""
    firsts: dict[tuple[str, str, str], Obstacle] = {}
    for each in obstacles:
        firsts.setdefault((each.flag, each.required, each.measured), each)
    for first in firsts.values():
        same = (first.flag, first.required)
        yield first, [o.share for o in obstacles if (o.flag, o.required) == same]


def _harm(plan: Plan) -> Iterator[str]:
    yield "customers who lose a message before the loss is stopped, if Africa's Talking loses"
    yield f"{'':>38}{'all':>10}{'half':>10}{'a tenth':>10}"
    for climb in plan.climbs:
        yield _hit(f"{climb.name}, from the start", climb.harm.from_the_start)
        yield _hit(f"{climb.name}, from some load on", climb.harm.with_the_load)
    if plan.at_once is not None:
        yield _hit("all at once (0 to 100 %)", plan.at_once.from_the_start)
    if plan.traffic.gives_reports:
        yield f"(if an alarm only holds, a person must act within {PERSON_S / 60:g} min)"
    else:
        yield f"(no delivery reports: a customer must complain within {COMPLAINT_S / 3600:g} h)"


def _hit(name: str, customers: Sequence[float]) -> str:
    return f"  {name:<36}" + "".join(f"{each:>10,.0f}" for each in customers)


def _begin(climb: Climb, written: Path | None) -> Iterator[str]:
    """Yield the first commands; phases before the first share are entered at 0 %."""
    first, phases = climb.shares[0], climb.flags.phases
    before = WAY_UP.index(phase_at(first, phases))
    commands = [*["advance --at 0"] * before, f"advance --at {first}"]
    yield f"begin with `sms-worker ctl`: {', then '.join(commands)}"
    if written is None:
        yield "to write flags that lead through the first of these ladders: --write FILE"
    else:
        yield f"written: {written}"
        yield "`sms-worker ctl flags apply` replaces all: a flag not in the file gets its default"


def _wrapped(text: str) -> Iterator[str]:
    """Wrap a line at 80 columns; the lines after the first are indented."""
    while len(text) > _COLUMNS and (end := text.rfind(" ", 2, _COLUMNS + 1)) > 0:
        yield text[:end]
        text = f"  {text[end + 1 :]}"
    yield text


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
