"""The section "Evidence against the target": each detector, its half mark and its alarm.

Rules: after an automatic rollback or step back the evidence is that of the decision, with its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.console import formats, wording
from worker.console.charts import compared
from worker.console.pages import taken_back
from worker.console.pages.condition import Condition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from markupsafe import Markup

    from contracts.answers import DetectorStatus, SignalStatus
    from worker.console.pages.facts import Facts


@dataclass(frozen=True, slots=True)
class Meter:
    """One detector."""

    svg: Markup
    text: str
    """`1.2 of 13.2`."""
    is_alarm: bool


@dataclass(frozen=True, slots=True)
class Signal:
    """The two detectors of a signal."""

    name: str
    relative: Meter
    absolute: Meter
    counted: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The section."""

    target: str
    legacy: str
    signals: tuple[Signal, ...]
    nothing: str
    """Why there is none; empty: there is."""
    at: datetime | None
    """When the decision was made that it belongs to; None: it is of now."""
    number: int | None
    """Of that decision in the history."""


def evidence(facts: Facts, condition: Condition) -> Evidence:
    """The evidence that counts in a condition."""
    decision = taken_back.last(facts.known) if condition is Condition.LOCKED else None
    if decision is not None and decision.signals:
        return _of(facts, decision.signals, at=decision.at, number=decision.number)
    if facts.status is None:
        return _of(facts, {}, "Not known yet.")
    if not facts.share:
        return _of(facts, {}, "None is gathered while it has no traffic.")
    if not facts.signals:
        return _of(facts, {}, "The monitor has not looked yet.")
    return _of(facts, facts.signals)


def _of(
    facts: Facts,
    signals: Mapping[str, SignalStatus],
    nothing: str = "",
    at: datetime | None = None,
    number: int | None = None,
) -> Evidence:
    rows = tuple(_signal(name, each, facts) for name, each in signals.items())
    return Evidence(facts.target, facts.legacy, rows, nothing, at, number)


def _signal(name: str, signal: SignalStatus, facts: Facts) -> Signal:
    word = wording.signal(name)
    ours = _counted(facts.target, signal.target_events, signal.target_total)
    theirs = _counted(facts.legacy, signal.legacy_events, signal.legacy_total)
    return Signal(
        name=word,
        relative=_meter(f"{name}-r", f"{word}, worse than {facts.legacy}", signal.relative),
        absolute=_meter(f"{name}-a", f"{word}, bad in itself", signal.absolute),
        counted=f"{ours}; {theirs}",
    )


def _counted(provider: str, events: float, total: float) -> str:
    return f"{provider}: {formats.count(events)} of {formats.count(total)}"


def _meter(ident: str, name: str, detector: DetectorStatus) -> Meter:
    return Meter(
        svg=compared.meter(ident, name, detector.value, detector.alarm),
        text=f"{formats.plain(detector.value)} of {formats.plain(detector.alarm)}",
        is_alarm=detector.value >= detector.alarm,
    )
