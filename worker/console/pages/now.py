"""The page "Now": everything that it shows at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.console.known import OLD_S
from worker.console.pages import (
    alerts,
    changes,
    decide,
    evidence,
    gate_rows,
    provider_details,
    providers,
    replicas,
    stand,
    trend,
    upcoming,
    verdict,
)
from worker.console.pages.condition import Condition, condition
from worker.console.pages.facts import facts
from worker.console.pages.parts import When
from worker.domain.migration.change_names import ChangeName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from contracts.answers import SeriesAnswer
    from worker.console.known import Known, Told
    from worker.console.pages.facts import Facts
    from worker.console.pages.providers import Row
    from worker.console.viewer import Viewer

SLOW_S: Final = 30.0
"""Age from which on an answer that is asked for seldom is old."""


@dataclass(frozen=True, slots=True)
class Now:
    """The page."""

    condition: Condition
    stand: stand.Stand
    verdict: verdict.Verdict
    next: upcoming.Upcoming
    decide: decide.Decide
    trend: trend.Trend | None
    """None: not known."""
    providers: providers.Providers
    details: tuple[Row, ...]
    """Further figures of the providers."""
    gates: gate_rows.Gates
    evidence: evidence.Evidence
    replicas: replicas.Replicas
    alerts: alerts.Alerts
    history: changes.Changes
    take_off: str
    """Why no alert can be taken on now; empty: it can."""
    old: Mapping[str, When]
    """From when a section is, by its id, if that is too long ago."""


def now(
    known: Known, viewer: Viewer, at: datetime, draw: Callable[[SeriesAnswer], trend.Trend]
) -> Now:
    """Make the page from what is known.

    Args:
        known: the newest answers.
        viewer: who looks.
        at: the present time, UTC.
        draw: makes the charts.
    """
    found = facts(known, at)
    present = condition(found)
    return Now(
        condition=present,
        stand=stand.stand(found),
        verdict=verdict.verdict(found, present),
        next=upcoming.upcoming(found, present),
        decide=decide.decide(found, present, viewer),
        trend=draw(known.series.data) if known.series else None,
        providers=providers.providers(found),
        details=provider_details.details(found),
        gates=gate_rows.gates(found),
        evidence=evidence.evidence(found, present),
        replicas=replicas.replicas(found),
        alerts=alerts.alerts(found, viewer),
        history=changes.changes(found),
        take_off=decide.why_off(found, present, ChangeName.ACK),
        old=dict(_old(found)),
    )


def _old(found: Facts) -> Iterator[tuple[str, When]]:
    known = found.known
    of_status = (known.whole, OLD_S)
    sources: dict[str, tuple[Told[Any] | None, float]] = {
        "stand": (known.status, OLD_S),
        "gates": of_status,
        "evidence": of_status,
        "replicas": of_status,
        "trend": (known.series, SLOW_S),
        "providers": (known.comparison, SLOW_S),
        "alerts": (known.alerts, SLOW_S),
        "history": (known.history, SLOW_S),
    }
    for section, (told, limit) in sources.items():
        if told is not None and known.age(told) > limit:
            yield section, When(known.moment(told.at, found.at), seconds=True)
