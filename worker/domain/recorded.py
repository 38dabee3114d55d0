"""Automatic decisions as plain data, and made again from it.

Rules: what is stored is enough to make the decision again, bit for bit; floats stay what they are.
Figures for people (`shown`) are stored beside it and never read back. Another version of the method
is refused, not approximated.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from worker.domain import evidence, likelihood
from worker.domain.automation import Decision, Inputs, judged, ruled
from worker.domain.evidence import Evidence, Judged, Setting, Side, Signal, Tick
from worker.domain.gates import Measures
from worker.domain.judgement import Topic, Window
from worker.domain.likelihood import Seen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.flags import Snapshot


def recorded(inputs: Inputs, after: Evidence) -> dict[str, Any]:
    """A decision's inputs and the evidence they led to."""
    return {
        "method": evidence.METHOD,
        **document(inputs),
        "after": document(after),
        "shown": shown(after),
    }


def replay(stored: Mapping[str, Any], state: Snapshot) -> tuple[Decision | None, Evidence]:
    """Decide again on what was recorded with a decision, in the state it was made in.

    Raises:
        ValueError: it was recorded by another method.
    """
    if stored["method"] != evidence.METHOD:
        raise ValueError(f"recorded by method {stored['method']}, this is {evidence.METHOD}")
    inputs = _inputs(stored)
    found, known = judged(inputs, state)
    return ruled(found, known, inputs, state), known


def document(value: Any) -> Any:
    """Values of this package as plain data."""
    if hasattr(value, "__slots__"):
        return {each.name: document(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple):
        return [document(each) for each in value]
    return str(value) if isinstance(value, Topic) else value


def restored(stored: Mapping[str, Any]) -> Evidence:
    """Evidence from what `document` made of it."""
    values = {name: _frozen(value) for name, value in stored.items()}
    return Evidence(**values)


def _inputs(stored: Mapping[str, Any]) -> Inputs:
    window, measures = stored["window"], stored["measures"]
    return Inputs(
        at=stored["at"],
        before=restored(stored["before"]),
        tick=_tick(stored["tick"]),
        setting=Setting(**{name: _frozen(value) for name, value in stored["setting"].items()}),
        held=tuple(Topic(each) for each in stored["held"]),
        window=Window(**window) if window else None,
        measures=Measures(**measures) if measures else None,
    )


def _tick(stored: Mapping[str, Any]) -> Tick:
    values = dict(stored)
    for name in ("target", "legacy"):
        side = stored[name]
        values[name] = Side(Seen(**side["failed"]), Seen(**side["slow"]), Judged(**side["judged"]))
    return Tick(**{**values, "legacy_all": Seen(**stored["legacy_all"])})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def shown(known: Evidence) -> dict[str, str]:
    """The evidence for people, by signal: what was counted, and how near the alarms are (nats)."""
    found: dict[str, str] = {}
    for signal in Signal:
        events, total, theirs, of = known.counted[signal]
        rel = likelihood.strength(known.relative[signal])
        own = evidence.absolute_strength(known, signal)
        rel_level = evidence.level(relative=True, signal=signal)
        own_level = evidence.level(relative=False, signal=signal)
        found[str(signal)] = (
            f"target {events:g} of {total:g}, legacy {theirs:g} of {of:g}; "
            f"worse than legacy {rel:.1f} (alarm at {rel_level:.1f}), "
            f"bad in itself {own:.1f} (alarm at {own_level:.1f})"
        )
    return found
