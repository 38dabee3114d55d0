"""Converts the state in force and gates into the form of the wire.

Rules: nothing is decided here. A lock that ended and a proposal that expired are left out, because
nobody can act on them any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.control_views import Asker, GateView, LockView, ProposalView, StateView
from worker.domain.migration import flags_document
from worker.domain.migration.access import commands_of
from worker.domain.migration.direction import share

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.migration.access import AccessRole
    from worker.domain.migration.gates import Gate
    from worker.domain.migration.snapshot import Lock, Proposal, Snapshot


def state(snapshot: Snapshot, now: datetime) -> StateView:
    """Convert flags and state."""
    lock, proposal = standing_lock(snapshot, now), standing_proposal(snapshot, now)
    return StateView(
        version=snapshot.version,
        phase=str(snapshot.phase),
        percentage=snapshot.percentage,
        previous_phase=str(snapshot.previous_phase) if snapshot.previous_phase else None,
        started_at=snapshot.started_at,
        initiated_by=snapshot.initiated_by or None,
        is_rollback_available=snapshot.rollback_available,
        held=snapshot.held,
        held_reason=snapshot.held_reason or None,
        locked=lock.reason if lock else None,
        proposal=_in_words(proposal) if proposal else None,
        lock=LockView(reason=lock.reason, until=lock.until) if lock else None,
        proposed=_proposed(proposal) if proposal else None,
        since=snapshot.since,
        share=share(snapshot),
        reason=snapshot.notes or None,
        legacy_retired=snapshot.legacy_retired,
        backups=dict(snapshot.backups),
        proven=snapshot.proven,
        last_percentages={str(phase): last for phase, last in snapshot.last_percentages.items()},
        automatic_downs=snapshot.automatic_downs,
        flags=flags_document.document(snapshot.flags, snapshot.percentage),
    )


def standing_lock(snapshot: Snapshot, now: datetime) -> Lock | None:
    """The lock that is in force; None: there is none, or it ended."""
    return snapshot.lock if snapshot.lock and snapshot.lock.holds(now) else None


def standing_proposal(snapshot: Snapshot, now: datetime) -> Proposal | None:
    """The proposal that waits; None: there is none, or it expired."""
    proposal = snapshot.proposal
    return proposal if proposal and now < proposal.expires_at else None


def _in_words(proposal: Proposal) -> str:
    return f"{proposal.number}: {proposal.phase} at {proposal.percentage} % by {proposal.by}"


def _proposed(proposal: Proposal) -> ProposalView:
    return ProposalView(
        number=proposal.number,
        by=proposal.by,
        phase=str(proposal.phase),
        percentage=proposal.percentage,
        expires_at=proposal.expires_at,
    )


def gate(asked: Gate) -> GateView:
    """Convert a gate."""
    missing = asked.missing
    return GateView(
        gate=str(asked.name),
        required=asked.required,
        measured=asked.measured,
        sample=asked.sample,
        verdict=asked.verdict.value,
        missing=missing.words if missing else None,
        missing_outcomes=missing.outcomes if missing else None,
        missing_s=round(missing.seconds, 1) if missing and missing.seconds is not None else None,
    )


def asker(user: str, role: AccessRole) -> Asker:
    """Convert who asks, and what the role may do."""
    return Asker(user=user, role=role.value, commands=tuple(map(str, commands_of(role))))
