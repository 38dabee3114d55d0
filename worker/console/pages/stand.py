"""The card "Where it stands": share, phase, the steps of the phase, since when and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console import formats, wording
from worker.console.known import OLD_S
from worker.console.pages.lately import sent_share
from worker.domain.figures.rates import Rate
from worker.domain.migration.phases import LEGACY_ALONE, WAY_UP, Phase

if TYPE_CHECKING:
    from contracts.control_views import StateView
    from worker.console.pages.facts import Facts

_LADDER: Final = (Phase.NOT_STARTED, *WAY_UP)
_FAR: Final = 1.0
"""Percentage points from which on the share sent is said to be another one."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A phase on the ladder."""

    name: str
    is_present: bool


@dataclass(frozen=True, slots=True)
class Stand:
    """The card."""

    share: str
    """`25 %`; `–`: not known."""
    target: str
    ladder: tuple[Rung, ...]
    steps: tuple[int, ...]
    """Percentages of the phase, the present one among them; empty: it has none."""
    present: int | None
    since: str
    """`for 3 h 12 min, by amina`."""
    is_old: bool
    """Whether the newest answer is too old, or nobody answers."""
    note: str
    """What is special about the share; empty: nothing."""


def stand(facts: Facts) -> Stand:
    """Where the migration stands."""
    state, told = facts.state, facts.known.status
    phase = state.phase if state else None
    return Stand(
        share=f"{facts.share} %" if state else formats.UNKNOWN,
        target=facts.target,
        ladder=tuple(Rung(wording.phase(p), p == phase) for p in _LADDER),
        steps=_steps(facts, state) if state else (),
        present=state.percentage if state else None,
        since=_since(facts, state) if state else "",
        is_old=told is None or facts.known.age(told) > OLD_S or facts.known.silence is not None,
        note=_note(facts, state) if state else "",
    )


def _steps(facts: Facts, state: StateView) -> tuple[int, ...]:
    if state.phase in LEGACY_ALONE:
        return ()
    steps = facts.flag("Phases", state.phase, "Steps")
    return tuple(sorted({*(steps if isinstance(steps, list) else ()), state.percentage}))


def _since(facts: Facts, state: StateView) -> str:
    if state.phase == Phase.NOT_STARTED:
        return f"{facts.legacy} alone"
    since = state.since or state.started_at
    how = []
    if since is not None:
        how.append(f"for {formats.duration((facts.at - since).total_seconds())}")
    if state.initiated_by:
        how.append(f"by {wording.person(state.initiated_by)}")
    begin = f"{wording.phase(state.phase)} " if state.phase in LEGACY_ALONE else ""
    return begin + ", ".join(how)


def _note(facts: Facts, state: StateView) -> str:
    if facts.known.store_away:
        return "as one replica goes by it"
    if facts.share != state.percentage and state.phase not in LEGACY_ALONE:
        off = facts.legacy if facts.share else facts.target
        return f"set: {state.percentage} %, but {off} is not enabled"
    told = facts.known.series
    if told is None or not facts.share:
        return ""
    sent = Rate(*sent_share(told.data, state.since))
    interval, percent = sent.interval, sent.percent
    if interval is None or percent is None or interval[0] <= facts.share <= interval[1]:
        return ""
    return f"sent: {percent:.1f} %" if abs(percent - facts.share) >= _FAR else ""
