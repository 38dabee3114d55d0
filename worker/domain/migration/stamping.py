"""What a new state says of its own making: version, who, why, since when, what is still proved.

Rules:
- Automation never undoes a person: whatever a person takes back from the target, by whatever
  change, holds automation until somebody says `resume`. A person's own way up again does not
  release it.
- Evidence is about one state: the change itself says where it begins anew (`Snapshot.anew`).
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
    """The state after a change, complete."""
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
    """Give a state its version, and the times and the place it came from.

    Args:
        state: in force until now.
        wanted: what follows, but for that.
        now: the moment of the change.
        shifted: whether the share is another, so that its time begins now.
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
    """After a fall, only shares below the one that was left."""
    if wanted.phase in LEGACY_ALONE:
        return ()
    left = share(state) if share(wanted) < share(state) else None
    return tuple(at for at in state.proven if left is None or at < left)


def _held(change: Change, state: Snapshot, after: Snapshot) -> Snapshot:
    """Hold automation where a person takes something back, and say on record who did and why."""
    request = change.request
    taken = request.by != AUTOMATIC and lowers(state, after)
    if not taken and after.held == state.held:
        return after
    who = f"{request.by} ({change.name} at {describe(state)}): {request.reason}"
    held = taken or after.held
    proposal = None if taken else after.proposal
    return replace(after, held=held, held_reason=who if held else "", proposal=proposal)
