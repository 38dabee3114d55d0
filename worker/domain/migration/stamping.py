"""Completes a new state: version, user, reason, times, and the shares that stay proven.

Rules:
- Automation never undoes a person's decision. If a person takes traffic or a phase from the target,
  by any change, automation is held until the command `resume`. A later upward move of a person does
  not release it.
- Evidence is about one state. The change itself decides whether it starts again (`Snapshot.anew`).
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from worker.domain.migration.direction import begins_anew, lowers, share
from worker.domain.migration.phases import LEGACY_ALONE
from worker.domain.migration.snapshot import AUTOMATIC, describe

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.migration.changes import Change
    from worker.domain.migration.snapshot import Snapshot


def stamped(change: Change, state: Snapshot, wanted: Snapshot, now: datetime) -> Snapshot:
    """Return the complete state after a change."""
    request = change.request
    shifted = share(wanted) != share(state) or wanted.percentage != state.percentage
    anew = begins_anew(state, wanted, overridden=request.override is not None)
    after = moved(
        state,
        replace(
            wanted,
            initiated_by=request.by,
            notes=request.reason,
            proven=_still_proven(state, wanted),
            anew=state.anew + anew,
        ),
        now,
        shifted=shifted,
    )
    return _held(change, state, after)


def moved(state: Snapshot, wanted: Snapshot, now: datetime, *, shifted: bool) -> Snapshot:
    """Give a new state its version, its times and its previous phase.

    Args:
        state: the state in force until now.
        wanted: the new state without these fields.
        now: the time of the change.
        shifted: whether the share changes, so that its time begins now.
    """
    other_phase = wanted.phase is not state.phase
    last = {**state.last_percentages, state.phase: state.percentage}
    return replace(
        wanted,
        version=state.version + 1,
        previous_phase=state.phase if other_phase else state.previous_phase,
        started_at=now if other_phase else state.started_at,
        since=now if other_phase or shifted else state.since,
        last_percentages=MappingProxyType(last) if other_phase else state.last_percentages,
    )


def _still_proven(state: Snapshot, wanted: Snapshot) -> tuple[int, ...]:
    """The shares that stay proven. After a fall, only those below the previous share."""
    if wanted.phase in LEGACY_ALONE:
        return ()
    left = share(state) if share(wanted) < share(state) else None
    return tuple(proven for proven in state.proven if left is None or proven < left)


def _held(change: Change, state: Snapshot, after: Snapshot) -> Snapshot:
    """Hold automation if a person takes something from the target, and record who and why."""
    request = change.request
    taken = request.by != AUTOMATIC and lowers(state, after)
    if not taken and after.held == state.held:
        return after
    who = f"{request.by} ({change.name} at {describe(state)}): {request.reason}"
    held = taken or after.held
    proposal = None if taken else after.proposal
    return replace(after, held=held, held_reason=who if held else "", proposal=proposal)
