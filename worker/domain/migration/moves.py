"""Changes of phase and percentage, and changes that approve, hold or unlock them.

Rules: `MOVES` says which phase a move leads to. A missing cell raises `ChangeRefused`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.changes import Change
from worker.domain.migration.phases import MOVES, Phase
from worker.domain.migration.reply_codes import ReplyCode
from worker.domain.migration.snapshot import AUTOMATIC, describe

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.migration.phases import Rules
    from worker.domain.migration.snapshot import Proposal, Snapshot

_FULL: Final = 100


def _phase_after(name: ChangeName, state: Snapshot) -> Phase:
    phase = MOVES.get((state.phase, name))
    if phase is None:
        allowed = ", ".join(move for origin, move in MOVES if origin is state.phase)
        raise ChangeRefused(
            ReplyCode.PHASE,
            f"{name}: not possible in phase {state.phase}; possible: {allowed}",
        )
    return phase


@dataclass(frozen=True, slots=True)
class Advance(Change):
    """To the next phase."""

    name = ChangeName.ADVANCE
    percentage: int | None = None
    """The percentage; None: the entry percentage of the phase."""

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        phase = _phase_after(self.name, state)
        rules = state.flags.phases[phase]
        percentage = rules.entry if self.percentage is None else self.percentage
        if percentage > rules.entry or not rules.allows(percentage):
            raise ChangeRefused(
                ReplyCode.RANGE,
                f"advance --at: expected {rules.low} to {rules.entry} in {phase}, got {percentage}",
            )
        return replace(state, phase=phase, percentage=percentage, proposal=None)


@dataclass(frozen=True, slots=True)
class Step(Change):
    """To the next percentage of the phase."""

    name = ChangeName.STEP

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        phase = _phase_after(self.name, state)
        following = state.flags.phases[phase].step_after(state.percentage)
        if following is None:
            raise ChangeRefused(
                ReplyCode.LAST_STEP,
                f"step: {describe(state)} is the last step; go on with advance",
            )
        return replace(state, percentage=following, proposal=None)


@dataclass(frozen=True, slots=True)
class SetPercentage(Change):
    """To a percentage within the phase's range."""

    name = ChangeName.SET_PERCENTAGE
    percentage: int

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        phase = _phase_after(self.name, state)
        rules = state.flags.phases[phase]
        if not rules.allows(self.percentage):
            raise ChangeRefused(
                ReplyCode.RANGE,
                f"set-percentage: expected {_range(rules)} in {phase}, got {self.percentage}; "
                f"advance leads to the next phase",
            )
        return replace(state, percentage=self.percentage, proposal=None)


def _range(rules: Rules) -> str:
    """The percentages that a phase allows, in words."""
    if not rules.high:
        return "only 0"
    return f"0 to {rules.high}" if not rules.low else f"0 or {rules.low} to {rules.high}"


@dataclass(frozen=True, slots=True)
class Rollback(Change):
    """To the phase before."""

    name = ChangeName.ROLLBACK
    leaving: str | None = None
    """The phase to leave."""

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        if self.leaving is not None and self.leaving != state.phase:
            return state  # the phase is left already: a repeated rollback must not roll back twice
        phase = _phase_after(self.name, state)
        if state.legacy_retired or not state.flags.legacy_enabled:
            raise ChangeRefused(
                ReplyCode.RETIRED,
                "rollback: legacy is not enabled; enable-provider legacy first, or "
                "emergency-rollback, which enables it",
            )
        rules = state.flags.phases[phase]
        last = min(state.last_percentages.get(phase, rules.entry), state.percentage, rules.high)
        # Below the range of that phase use 0, so that it never rises above the present percentage.
        return replace(
            state, phase=phase, percentage=last if rules.allows(last) else 0, proposal=None
        )


@dataclass(frozen=True, slots=True)
class EmergencyRollback(Change):
    """All traffic to legacy."""

    name = ChangeName.EMERGENCY_ROLLBACK

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        return replace(
            state,
            phase=Phase.ROLLBACK,
            percentage=0,
            flags=replace(state.flags, legacy_enabled=True),
            legacy_retired=False,
            proposal=None,
        )


@dataclass(frozen=True, slots=True)
class RetireLegacy(Change):
    """End the fallback."""

    name = ChangeName.RETIRE_LEGACY

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        _phase_after(self.name, state)
        if state.percentage != _FULL:
            raise ChangeRefused(
                ReplyCode.RANGE, f"retire-legacy: expected 100 %, got {state.percentage} %"
            )
        return replace(state, flags=replace(state.flags, legacy_enabled=False), legacy_retired=True)


# --- who decides ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Approve(Change):
    """Carry out a proposal."""

    name = ChangeName.APPROVE
    proposal: int

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        proposal = _proposal(self.name, self.proposal, state, now)
        if proposal.by == self.request.by:
            raise ChangeRefused(
                ReplyCode.OWN_PROPOSAL,
                f"approve: {self.request.by} made it; somebody else must approve",
            )
        rules = state.flags.phases[proposal.phase]
        if not rules.allows(proposal.percentage):
            raise ChangeRefused(
                ReplyCode.RANGE,
                f"approve: expected {_range(rules)} in {proposal.phase}, got "
                f"{proposal.percentage}: the range changed since; reject it",
            )
        return replace(state, phase=proposal.phase, percentage=proposal.percentage, proposal=None)


@dataclass(frozen=True, slots=True)
class Reject(Change):
    """Drop a proposal.

    If automation made the proposal, automation is held too. Its gates are open, so it would propose
    the move again.
    """

    name = ChangeName.REJECT
    proposal: int

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        proposal = _proposal(self.name, self.proposal, state, now)
        return replace(state, proposal=None, held=state.held or proposal.by == AUTOMATIC)


def _proposal(name: ChangeName, number: int, state: Snapshot, now: datetime) -> Proposal:
    proposal = state.proposal
    if proposal is None or proposal.number != number:
        waiting = "none waits" if proposal is None else f"{proposal.number} waits"
        raise ChangeRefused(ReplyCode.NO_PROPOSAL, f"{name}: no proposal {number}; {waiting}")
    if now >= proposal.expires_at:
        raise ChangeRefused(
            ReplyCode.EXPIRED, f"{name}: proposal {proposal.number} expired; ask again"
        )
    return proposal


@dataclass(frozen=True, slots=True)
class Hold(Change):
    """Stop automatic moves upwards."""

    name = ChangeName.HOLD

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        return replace(state, held=True)


@dataclass(frozen=True, slots=True)
class Resume(Change):
    """Let automation go on."""

    name = ChangeName.RESUME

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        return replace(state, held=False)


@dataclass(frozen=True, slots=True)
class Unlock(Change):
    """Lift a lock."""

    name = ChangeName.UNLOCK

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        return replace(state, lock=None)
