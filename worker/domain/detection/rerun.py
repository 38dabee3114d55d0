"""Automatic decisions as plain data, and made again from it.

Rules: what is stored is enough to make the decision again, bit for bit; floats stay what they are.
Figures for people (`shown`) are stored beside it and never read back. Another version of the method
is refused, not approximated. A field that another version stored is dropped, one that it did not
know gets its default.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from worker.domain.detection import evidence, readings
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.automation import AutomaticDecision, Inputs, decision_about, judged
from worker.domain.detection.cohorts import Calls, Cohort, ReplicaCalls
from worker.domain.detection.contrast import Contrast, Proofs
from worker.domain.detection.criteria import Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.margin import Block
from worker.domain.detection.sick_replica import SickReplica
from worker.domain.detection.silence import DeliveryCounts, Silence
from worker.domain.detection.threshold_policy import Window
from worker.domain.detection.tick import ProviderTick, Tick
from worker.domain.migration.gates import Measures
from worker.domain.stored import frozen, read_known, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.detection.readings import SignalReading
    from worker.domain.migration.snapshot import Snapshot


def recorded(inputs: Inputs, after: Evidence) -> dict[str, Any]:
    """A decision's inputs and the evidence they led to."""
    return {
        "method": evidence.METHOD,
        **document(inputs),
        "after": document(after),
        "shown": shown(after),
    }


def replay(stored: Mapping[str, Any], state: Snapshot) -> tuple[AutomaticDecision | None, Evidence]:
    """Decide again on what was recorded with a decision, in the state it was made in.

    Raises:
        ValueError: it was recorded by another method.
    """
    if stored["method"] != evidence.METHOD:
        raise ValueError(f"recorded by method {stored['method']}, this is {evidence.METHOD}")
    inputs = _inputs(stored)
    found, known = judged(inputs, state)
    return decision_about(found, known, inputs, state), known


def document(value: Any) -> Any:
    """Values of this package as plain data."""
    if isinstance(value, tuple):
        return [document(each) for each in value]
    if is_dataclass(value):
        return {each.name: document(getattr(value, each.name)) for each in fields(value)}
    return str(value) if isinstance(value, HoldReason) else value


def restored(stored: Mapping[str, Any]) -> Evidence:
    """Evidence from what `document` made of it."""
    blocks = {
        name: tuple(Block(*sums) for sums in stored[name])
        for name in ("block", "compared", "other_block", "counted")
        if name in stored
    }
    read: dict[str, Any] = dict(blocks)
    if "silences" in stored:
        read["silences"] = tuple(read_known(Silence, each) for each in stored["silences"])
    if sick := stored.get("sick_replica"):
        read["sick_replica"] = read_known(SickReplica, sick)
    if apart := stored.get("apart"):
        proofs = {name: Proofs(*frozen(apart[name])) for name in ("shown", "settled")}
        read["apart"] = read_known(Contrast, apart, **proofs)
    return read_known(Evidence, stored, **read)


def _inputs(stored: Mapping[str, Any]) -> Inputs:
    window, measures = stored.get("window"), stored.get("measures")
    return Inputs(
        at=stored["at"],
        before=restored(stored["before"]),
        tick=_tick(stored["tick"]),
        setting=read_known(Criteria, stored["setting"]),
        held=words(HoldReason, stored["held"]),
        window=read_known(Window, window) if window else None,
        measures=read_known(Measures, measures) if measures else None,
    )


def _tick(stored: Mapping[str, Any]) -> Tick:
    cohorts = stored.get("cohorts")
    return read_known(
        Tick,
        stored,
        target=_side(stored["target"]),
        legacy=_side(stored["legacy"]),
        legacy_all=read_known(EventCounts, stored["legacy_all"]),
        cohorts=tuple(map(_cohort, cohorts)) if cohorts is not None else None,
    )


def _cohort(stored: Mapping[str, Any]) -> Cohort:
    calls = {name: read_known(Calls, stored[name]) for name in ("target", "legacy", "legacy_all")}
    replicas = tuple(read_known(ReplicaCalls, each) for each in stored.get("replicas", ()))
    return read_known(Cohort, stored, **calls, replicas=replicas)


def _side(stored: Mapping[str, Any]) -> ProviderTick:
    failed, slow = (
        read_known(EventCounts, stored["failed"]),
        read_known(EventCounts, stored["slow"]),
    )
    judged = read_known(DeliveryCounts, stored["judged"])
    return read_known(ProviderTick, stored, failed=failed, slow=slow, judged=judged)


def shown(known: Evidence) -> dict[str, str]:
    """The evidence for people, by signal: what was counted, and how near the alarms are (nats)."""
    return {str(signal): _words(found) for signal, found in readings.signal_readings(known).items()}


def _words(found: SignalReading) -> str:
    events, total, theirs, of = found.counted
    (rel, rel_level), (own, own_level) = found.relative, found.absolute
    return (
        f"target {events:g} of {total:g}, legacy {theirs:g} of {of:g}; "
        f"worse than legacy {rel:.1f} (alarm at {rel_level:.1f}), "
        f"bad in itself {own:.1f} (alarm at {own_level:.1f})"
    )
