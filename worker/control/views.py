"""Converts state, gates and decisions into the form of the wire.

Rules: one function for each model; nothing is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts.answers import (
    Acknowledgement,
    AdvanceMove,
    AlertView,
    Answer,
    LastNotice,
    LogEntryView,
    MonitorStatus,
    NextMove,
    ReplicaStatus,
)
from contracts.control import ControlReply, GateView, StateView
from worker.domain.detection.rerun import shown
from worker.domain.migration import flags_document
from worker.domain.migration.reply_codes import ReplyCode
from worker.domain.migration.snapshot import describe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from contracts.control import Command, ControlQuery
    from contracts.health import ComparisonMetric, HealthMetric
    from worker.domain.alerts.notices import Alert
    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.migration.control_log import LogEntry
    from worker.domain.migration.decide import Decision, MoveUp
    from worker.domain.migration.gates import Gate
    from worker.domain.migration.replicas import LiveReplica
    from worker.domain.migration.snapshot import Snapshot


def reply(command: Command, decision: Decision, after: Snapshot, at: datetime) -> ControlReply:
    """Build the reply to a command."""
    said = decision.text.removeprefix(f"{command.name}: ")
    problems = tuple(said.split("; ")) if decision.code is ReplyCode.INVALID else ()
    return ControlReply(
        command_id=command.command_id,
        name=command.name,
        verdict="accepted" if decision.accepted else "refused",
        code=str(decision.code),
        text=decision.text,
        problems=problems,
        version=after.version,
        state=state(after),
        gates=tuple(gate(each) for each in decision.gates),
        at=at,
    )


def unrecorded(
    asked: Command | ControlQuery, code: ReplyCode, text: str, at: datetime
) -> ControlReply:
    """Build a refusal that is not in the log."""
    return ControlReply(
        command_id=asked.command_id,
        name=asked.name,
        verdict="refused",
        code=str(code),
        text=text,
        at=at,
    )


def answer(
    query: ControlQuery,
    data: Answer | HealthMetric | ComparisonMetric,
    snapshot: Snapshot | None,
    at: datetime,
    gates: tuple[Gate, ...] = (),
) -> ControlReply:
    """Build the reply to a query."""
    return ControlReply(
        command_id=query.command_id,
        name=query.name,
        verdict="accepted",
        code=str(ReplyCode.OK),
        text="",
        version=snapshot.version if snapshot else None,
        state=state(snapshot) if snapshot else None,
        gates=tuple(gate(each) for each in gates),
        data=data.document() if isinstance(data, Answer) else report(data),
        at=at,
    )


def gate(asked: Gate) -> GateView:
    """Convert a gate."""
    return GateView(
        gate=str(asked.name),
        required=asked.required,
        measured=asked.measured,
        sample=asked.sample,
        verdict=asked.verdict.value,
        missing=asked.missing,
    )


def next_move(move: MoveUp, gates: Sequence[Gate]) -> NextMove:
    """Convert the next move upwards; its gates are those of the reply."""
    return NextMove(**_move(move, gates))


def advance_move(move: MoveUp, gates: Sequence[Gate]) -> AdvanceMove:
    """Convert the move that `advance` makes, with its gates."""
    return AdvanceMove(**_move(move, gates), gates=[gate(each) for each in gates])


def _move(move: MoveUp, gates: Sequence[Gate]) -> dict[str, Any]:
    shut = [str(each.name) for each in gates if not each.open]
    return {"command": str(move.kind.name), "to": describe(move.wanted), "shut": shut}


def replica(live: LiveReplica) -> ReplicaStatus:
    """Convert a replica's heartbeat."""
    heartbeat = live.heartbeat
    return ReplicaStatus(
        replica=heartbeat.replica,
        applied=heartbeat.applied,
        oldest_unsent=heartbeat.oldest_unsent,
        breakers=dict(heartbeat.breakers),
        faults=dict(heartbeat.faults),
        in_hand=heartbeat.in_hand,
        consuming=heartbeat.consuming,
        age_s=round(live.age_s, 1),
    )


def monitor(last: Checkpoint) -> MonitorStatus:
    """Convert the monitor's last tick."""
    return MonitorStatus(looked_at=last.at, holding=last.holding, evidence=shown(last.evidence))


def state(snapshot: Snapshot) -> StateView:
    """Convert flags and state."""
    proposal = snapshot.proposal
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
        locked=snapshot.lock.reason if snapshot.lock else None,
        proposal=(
            f"{proposal.number}: {proposal.phase} at {proposal.percentage} % by {proposal.by}"
            if proposal
            else None
        ),
        flags=flags_document.document(snapshot.flags, snapshot.percentage),
    )


def alert(shared: Alert) -> AlertView:
    """Convert a trouble or an event of any replica."""
    taken, told = shared.acknowledged, shared.told
    return AlertView(
        id=shared.id,
        code=shared.code,
        provider=shared.provider,
        severity=shared.severity,
        reason=shared.reason,
        evidence=dict(shared.evidence or {}),
        suggested_command=shared.suggested_command,
        open=shared.open,
        since=shared.since,
        last_seen=shared.last_seen,
        count=shared.count,
        seen_by=list(shared.seen_by),
        over_at=shared.over_at,
        over_reason=shared.over_reason if shared.over_at else None,
        acknowledged=Acknowledgement(by=taken.by, at=taken.at, reason=taken.reason)
        if taken
        else None,
        told=LastNotice(what=str(told.kind), at=told.at) if told else None,
    )


def report(metric: HealthMetric | ComparisonMetric) -> dict[str, Any]:
    """Convert a metric into the answer to a query: the same fields without its name."""
    return metric.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"event"})


def recorded(command: Command) -> dict[str, Any]:
    """Convert a command for the history, which must not show numbers."""
    hidden = {"flags", "number"}
    return command.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=hidden)


def stored(answered: ControlReply) -> dict[str, Any]:
    """Convert a reply for the log, without the state, which the entry has."""
    return answered.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"state"})


def entry(logged: LogEntry) -> LogEntryView:
    """Convert an entry of the control log."""
    before = logged.before
    return LogEntryView(
        number=logged.number,
        at=logged.at,
        user=logged.user,
        command={k: v for k, v in logged.command.items() if k != "fingerprint"},
        verdict=logged.verdict,
        code=logged.reply.get("code"),
        text=logged.reply.get("text"),
        from_=f"{before.phase} {before.percentage} %" if before else None,
        to=f"{logged.after.phase} {logged.after.percentage} %",
        version=logged.after.version,
        gates=logged.evidence.get("gates", []),
        evidence=logged.evidence.get("shown", {}),
    )
