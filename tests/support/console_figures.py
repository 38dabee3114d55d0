"""Figures of two providers as a console gets them: the last hour, and 24 hours of slots, seeded."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, Final

from contracts.answers import ProviderSeries, SeriesAnswer, ShareChange
from contracts.health import ComparisonMetric
from worker.domain.figures.rates import Rate, difference

SLOT_S: Final = 600
SLOTS: Final = 145
AN_HOUR: Final = 18_000
"""Messages of both providers."""
CHANGES: Final = (
    # hours before now, command, user, share before and after, phase, reason
    (20.0, "advance", "amina", 0, 1, "ParallelSetup", "week 1: the pilot"),
    (15.5, "step", "amina", 1, 5, "ParallelSetup", "looks good"),
    (8.9, "advance", "joseph", 5, 10, "GradualMigration", "week 2"),
    (
        7.4,
        "automatic-step-back",
        "(monitor)",
        10,
        5,
        "GradualMigration",
        "failed: worse than legacy",
    ),
    (5.1, "step", "joseph", 5, 10, "GradualMigration", "fixed the sender id"),
    (3.2, "step", "amina", 10, 25, "GradualMigration", "all gates open, week 2"),
)


def rate(count: int, sample: int) -> dict[str, Any]:
    """A rate as it crosses the wire."""
    made = Rate(count, sample)
    if made.percent is None or made.interval is None:
        return {"count": count, "sample": sample}
    low, high = made.interval
    return {"percent": made.percent, "low": low, "high": high, "count": count, "sample": sample}


def side(
    role: str,
    attempts: int,
    *,
    failed: float = 1.1,
    undelivered: float = 1.5,
    p50_ms: float = 241.0,
    p95_ms: float = 632.0,
    cost: str = "0.0062",
) -> dict[str, Any]:
    """A provider's last hour; failures and non-delivery in per cent."""
    errors = round(attempts * failed / 100)
    accepted = attempts - errors
    judged = accepted * 5 // 6
    delivered = judged - round(judged * undelivered / 100)
    found: dict[str, Any] = {
        "role": role,
        "attempts": attempts,
        "accepted": accepted,
        "refused": attempts // 900,
        "wrong_recipient": attempts // 400,
        "wrong_message": 0,
        "success_rate": rate(accepted, attempts),
        "error_rate": rate(errors, attempts),
        "errors_by_class": {"provider": errors - errors // 4, "unknown": errors // 4},
        "fallback_rate": rate(attempts // 80, attempts),
        "delivery_rate": rate(delivered, judged),
        "segments": accepted * 6 // 5,
        "validation": {"success_rate": rate(59, 60), "delivery_rate": rate(58, 59)},
    }
    if attempts:
        per = {"total": f"{accepted * float(cost):.4f}", "per_message": cost, "per_delivered": cost}
        found |= {"p50_ms": p50_ms, "p95_ms": p95_ms, "p99_ms": 2.2 * p95_ms}
        found |= {"mean_ms": 1.2 * p50_ms, "cost": {"USD": per}}
    return found


def comparison(
    at: datetime, share: float, target: dict[str, Any] | None = None,
    legacy: dict[str, Any] | None = None,
) -> ComparisonMetric:  # fmt: skip
    """Both providers over the last hour.

    Args:
        at: its end.
        share: what went to the target, per cent.
        target: figures that are not the usual ones, like `legacy`.
        legacy: for `side`.
    """
    ours = side("target", round(AN_HOUR * share / 100), **(target or {}))
    usual = {"failed": 1.9, "undelivered": 2.6, "p50_ms": 378.0, "p95_ms": 794.0, "cost": "0.0113"}
    theirs = side("legacy", AN_HOUR - ours["attempts"], **(usual | (legacy or {})))
    compared: dict[str, Any] = {}
    for name in ("success_rate", "error_rate", "delivery_rate"):
        pair = [Rate(each[name]["count"], each[name]["sample"]) for each in (ours, theirs)]
        if (apart := difference(*pair)) is not None:
            compared[name] = {"points": apart.points, "low": apart.low, "high": apart.high}
    if "p95_ms" in ours and "p95_ms" in theirs:
        compared["p95_ms"] = ours["p95_ms"] - theirs["p95_ms"]
    saved = f"{ours['accepted'] * 0.0051:.2f}"
    savings = {"currency": "USD", "messages": 18_000, "per_message": "0.0051", "actual": saved}
    return ComparisonMetric.model_validate(
        {
            "at": at, "since": at - timedelta(hours=1), "until": at, "hours": 1.0,
            "target": "africastalking", "legacy": "legacy",
            "providers": {"africastalking": ours, "legacy": theirs},
            "difference": compared, "savings": savings | {"projected": "92.11"},
        }
    )  # fmt: skip


def series(
    at: datetime,
    changes: tuple[tuple[Any, ...], ...] = CHANGES,
    *,
    bad: tuple[float, float] = (0.0, 0.0),
    lately: tuple[float, float] | None = None,
) -> SeriesAnswer:
    """24 hours of slots of 10 minutes.

    Args:
        at: the present time.
        changes: of the share, like `CHANGES`.
        bad: hours ago from and until which the target fails 7 to 10 %.
        lately: failures of target and legacy in the newest two slots, per cent.
    """
    chance = random.Random(7)
    since = at - timedelta(seconds=SLOT_S * SLOTS)
    made = [_change(at, number, each) for number, each in enumerate(changes, start=30)]
    sides: dict[str, dict[str, list[Any]]] = {"africastalking": _empty(), "legacy": _empty()}
    first = made[0].share_before if made else 0
    for slot in range(SLOTS):
        begin = since + timedelta(seconds=SLOT_S * slot)
        hours_ago = (at - begin).total_seconds() / 3_600
        share = next((c.share_after for c in reversed(made) if c.at <= begin), first)
        total = round(3_000 * chance.uniform(0.9, 1.1))
        ours = min(round(total * share / 100 * chance.uniform(0.97, 1.03)), total)
        failing = 7.0 + 3.0 * chance.random() if bad[1] < hours_ago < bad[0] else 1.1
        rates = [failing * chance.uniform(0.7, 1.3), 1.9 * chance.uniform(0.8, 1.2)]
        if lately and slot >= SLOTS - 2:
            rates = list(lately)
        _add(sides["africastalking"], ours, rates[0], chance)
        _add(sides["legacy"], total - ours, rates[1], chance)
    return SeriesAnswer(
        since=since,
        until=at,
        slot_s=SLOT_S,
        providers={name: ProviderSeries(**each) for name, each in sides.items()},
        target="africastalking",
        legacy="legacy",
        share=first,
        changes=made,
    )


def _change(at: datetime, number: int, change: tuple[Any, ...]) -> ShareChange:
    hours, command, user, before, after, phase, reason = change
    return ShareChange(
        at=at - timedelta(hours=hours),
        number=number,
        user=user,
        command=command,
        share_before=before,
        share_after=after,
        phase=phase,
        reason=reason,
    )


def _empty() -> dict[str, list[Any]]:
    return {name: [] for name in ProviderSeries.model_fields}


def _add(into: dict[str, list[Any]], attempts: int, failed: float, chance: random.Random) -> None:
    errors = round(attempts * failed / 100)
    accepted = attempts - errors
    judged = accepted * 5 // 6
    values = {
        "attempts": attempts,
        "accepted": accepted,
        "errors": errors,
        "judged": judged,
        "delivered": round(judged * 0.98),
        "assigned": attempts,
        "p50_ms": chance.uniform(220, 260) if accepted else None,
        "p95_ms": chance.uniform(600, 660) if accepted else None,
    }
    for name, value in values.items():
        into[name].append(value)
