"""The result of `sms-worker plan` as data for programs.

Rules: rates are in per cent, times in days. A value that is unknown or endless is null.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any

from worker.domain.detection.forecast import NINE_OF_TEN, quantile, total
from worker.domain.detection.ladder import PARTS
from worker.domain.detection.plan import FEW
from worker.domain.detection.planning import ENDLESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.domain.detection.forecast import Rung
    from worker.domain.detection.plan import Climb, Plan


def as_data(plan: Plan) -> dict[str, Any]:
    """Return the whole plan."""
    traffic = plan.traffic
    return {
        "perDay": traffic.per_day,
        "rates": {str(signal): _percent(rate) for signal, rate in traffic.rates.items()},
        "reports": {"target": traffic.gives_reports, "legacy": traffic.legacy_reports},
        "historyDays": plan.past_days,
        "withinDays": plan.within,
        "inTime": plan.in_time,
        "possible": plan.possible,
        "few": traffic.per_day < FEW,
        "ladders": [_climb_data(climb) for climb in plan.climbs],
        "allAtOnce": _by_part(plan.at_once.from_the_start) if plan.at_once else None,
    }


def _climb_data(climb: Climb) -> dict[str, Any]:
    return {
        "name": climb.name,
        "shares": list(climb.shares),
        "steps": [_rung_data(rung) for rung in climb.rungs],
        "days": _both(total(climb.rungs)),
        "customersHit": {
            "fromTheStart": _by_part(climb.harm.from_the_start),
            "withTheLoad": _by_part(climb.harm.with_the_load),
        },
        "refusedBy": [
            {"share": each.share, "flag": each.flag, "required": each.required,
             "measured": each.measured}
            for each in climb.obstacles
        ],
        "phases": {
            str(phase): {"entry": rules.entry, "steps": list(rules.steps)}
            for phase, rules in climb.flags.phases.items() if rules.steps
        },
    }  # fmt: skip


def _rung_data(rung: Rung) -> dict[str, Any]:
    return {
        "share": rung.share,
        "phase": str(rung.phase),
        "messages": _both(rung.messages),
        "days": _both(rung.days),
        "waitsFor": rung.waits_for or None,
        "unproved": [
            {"signal": str(each.signal), "rate": _percent(each.rate),
             "bound": _percent(each.bound), "byMessages": ENDLESS}
            for each in rung.unproved
        ],
    }  # fmt: skip


def _both(values: Sequence[float]) -> dict[str, float | None] | None:
    if not values:
        return None
    figures = {"median": median(values), "nineOfTen": quantile(values, NINE_OF_TEN)}
    return {name: round(v, 4) if math.isfinite(v) else None for name, v in figures.items()}


def _by_part(customers: Sequence[float]) -> dict[str, float]:
    return {f"{part:g}": round(each, 1) for part, each in zip(PARTS, customers, strict=True)}


def _percent(rate: float) -> float:
    return round(100.0 * rate, 6)
