"""State, gates and rulings in the form that crosses the wire.

Rules: one function a shape, no decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts.control import ControlReply, GateView, StateView
from worker.domain import phase_settings, validation_settings
from worker.domain.recorded import shown

if TYPE_CHECKING:
    from datetime import datetime

    from contracts.control import Command, ControlQuery
    from contracts.health import ComparisonMetric, HealthMetric
    from worker.domain.flags import Flags, Snapshot
    from worker.domain.gates import Gate
    from worker.domain.notices import Alert
    from worker.domain.steering import Ruling
    from worker.ports import Beat, Checkpoint, LogEntry


def reply(command: Command, ruling: Ruling, after: Snapshot, at: datetime) -> ControlReply:
    """The answer to a command."""
    said = ruling.text.removeprefix(f"{command.name}: ")
    problems = tuple(said.split("; ")) if ruling.code == "invalid" else ()
    return ControlReply(
        command_id=command.command_id,
        name=command.name,
        verdict="accepted" if ruling.accepted else "refused",
        code=ruling.code,
        text=ruling.text,
        problems=problems,
        version=after.version,
        state=state(after),
        gates=tuple(gate(each) for each in ruling.gates),
        at=at,
    )


def unrecorded(asked: Command | ControlQuery, code: str, text: str, at: datetime) -> ControlReply:
    """A refusal that is not in the log."""
    return ControlReply(
        command_id=asked.command_id, name=asked.name, verdict="refused", code=code, text=text, at=at
    )


def answer(
    query: ControlQuery,
    data: dict[str, Any],
    snapshot: Snapshot | None,
    at: datetime,
    gates: tuple[Gate, ...] = (),
) -> ControlReply:
    """The answer to a query."""
    return ControlReply(
        command_id=query.command_id,
        name=query.name,
        verdict="accepted",
        code="ok",
        text="",
        version=snapshot.version if snapshot else None,
        state=state(snapshot) if snapshot else None,
        gates=tuple(gate(each) for each in gates),
        data=data,
        at=at,
    )


def gate(found: Gate) -> GateView:
    """A gate."""
    return GateView(
        gate=found.name,
        required=found.required,
        measured=found.measured,
        sample=found.sample,
        verdict=found.verdict.value,
        missing=found.missing,
    )


def beat(found: Beat) -> dict[str, Any]:
    """A replica's heartbeat."""
    said = found.heartbeat
    return {
        "replica": said.replica,
        "applied": said.applied,
        "oldestUnsent": said.oldest_unsent,
        "breakers": dict(said.breakers),
        "faults": dict(said.faults),
        "inHand": said.in_hand,
        "consuming": said.consuming,
        "ageS": round(found.age_s, 1),
    }


def monitor(found: Checkpoint) -> dict[str, Any]:
    """The monitor's last tick."""
    return {
        "lookedAt": found.at.isoformat(),
        "holding": found.holding,
        "evidence": shown(found.evidence),
    }


def state(found: Snapshot) -> StateView:
    """Flags and state."""
    proposal = found.proposal
    return StateView(
        version=found.version,
        phase=str(found.phase),
        percentage=found.percentage,
        previous_phase=str(found.previous_phase) if found.previous_phase else None,
        started_at=found.started_at,
        initiated_by=found.initiated_by or None,
        is_rollback_available=found.rollback_available,
        held=found.held,
        locked=found.lock.reason if found.lock else None,
        proposal=(
            f"{proposal.number}: {proposal.phase} at {proposal.percentage} % by {proposal.by}"
            if proposal
            else None
        ),
        flags=document(found.flags, found.percentage),
    )


def document(flags: Flags, percentage: int) -> dict[str, Any]:
    """Flags in the shape of `deploy/flags.json`."""
    bounds, migration = flags.thresholds, flags.migration
    return {
        "SmsFeatureFlags": {
            "EnableAfricasTalking": flags.target_enabled,
            "EnableLegacy": flags.legacy_enabled,
            "AfricasTalkingTrafficPercentage": percentage,
            "EnableAutomaticRollback": flags.automatic_rollback,
            "RollbackPolicy": str(flags.rollback_policy),
            "RollbackThresholds": {
                "MaxErrorRate": bounds.max_error_rate,
                "MinSuccessRate": bounds.min_success_rate,
                "MaxResponseTimeMs": bounds.max_response_ms,
                "WindowMinutes": bounds.window_min,
                "MinimumSample": bounds.minimum_sample,
            },
            "UserOverrides": {user: str(role) for user, role in flags.user_overrides.items()},
            "BranchOverrides": {str(b): str(role) for b, role in flags.branch_overrides.items()},
        },
        "MigrationSettings": {
            "AutoAdvanceEnabled": migration.auto_advance,
            "HealthCheckIntervalMinutes": migration.health_interval_min,
            "MinimumPhaseTimeMinutes": migration.minimum_phase_min,
            "SoakTimeMinutes": migration.soak_min,
            "MinimumSample": migration.minimum_sample,
            "RequireApprovalForAdvance": migration.require_approval,
            "FourEyes": migration.four_eyes,
            "NotificationRecipients": list(migration.notify),
            "MetricsRetentionDays": migration.metrics_retention_days,
            "ValidationTraffic": validation_settings.document(migration.validation),
        },
        "Phases": phase_settings.document(flags.phases),
    }


def alert(found: Alert) -> dict[str, Any]:
    """A trouble or an event, on whichever replica."""
    taken, told = found.acknowledged, found.told
    return {
        "id": found.id,
        "code": found.code,
        "provider": found.provider,
        "severity": found.severity,
        "reason": found.reason,
        "evidence": dict(found.evidence or {}),
        "suggestedCommand": found.suggested_command,
        "open": found.open,
        "since": found.since.isoformat(),
        "lastSeen": found.last_seen.isoformat(),
        "count": found.count,
        "seenBy": list(found.seen_by),
        "overAt": found.over_at.isoformat() if found.over_at else None,
        "overReason": found.over_reason if found.over_at else None,
        "acknowledged": {"by": taken.by, "at": taken.at.isoformat(), "reason": taken.reason}
        if taken
        else None,
        "told": {"what": str(told.kind), "at": told.at.isoformat()} if told else None,
    }


def report(found: HealthMetric | ComparisonMetric) -> dict[str, Any]:
    """A metric as the answer to a query: the same fields, but for its name."""
    return found.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"event"})


def recorded(command: Command) -> dict[str, Any]:
    """A command as the history shows it."""
    return command.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"flags"})


def stored(found: ControlReply) -> dict[str, Any]:
    """A reply as the log keeps it: without the state, which the entry has."""
    return found.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"state"})


def entry(found: LogEntry) -> dict[str, Any]:
    """An entry of the control log."""
    before = found.before
    return {
        "number": found.number,
        "at": found.at.isoformat() if found.at else None,
        "user": found.user,
        "command": {k: v for k, v in found.command.items() if k != "fingerprint"},
        "verdict": found.verdict,
        "code": found.reply.get("code"),
        "text": found.reply.get("text"),
        "from": f"{before.phase} {before.percentage} %" if before else None,
        "to": f"{found.after.phase} {found.after.percentage} %",
        "version": found.after.version,
        "gates": found.evidence.get("gates", []),
        "evidence": found.evidence.get("shown", {}),
    }
