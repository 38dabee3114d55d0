"""Converts decisions, entries of the control log and alerts into the form of the wire.

Rules: one function for each model; nothing is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts.answers import (
    Acknowledgement,
    AlertView,
    Answer,
    LastNotice,
    LogEntryView,
)
from contracts.control import ControlReply
from worker.control.state_views import gate, state
from worker.domain.migration.direction import share
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from datetime import datetime

    from contracts.control import Command, ControlQuery
    from contracts.health import ComparisonMetric, HealthMetric
    from worker.domain.alerts.notices import Alert
    from worker.domain.migration.control_log import LogEntry
    from worker.domain.migration.decide import Decision
    from worker.domain.migration.gates import Gate
    from worker.domain.migration.snapshot import Snapshot


def reply(command: Command, decision: Decision, after: Snapshot, at: datetime) -> ControlReply:
    """Build the reply to a command."""
    return ControlReply(
        command_id=command.command_id,
        name=command.name,
        verdict="accepted" if decision.accepted else "refused",
        code=str(decision.code),
        text=decision.text,
        problems=problems(command.name, decision),
        version=after.version,
        state=state(after, at),
        gates=tuple(map(gate, decision.gates)),
        at=at,
    )


def problems(name: str, decision: Decision) -> tuple[str, ...]:
    """List what is wrong with a command that does not fit, one line each."""
    if decision.code is not ReplyCode.INVALID:
        return ()
    return tuple(decision.text.removeprefix(f"{name}: ").split("; "))


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
        state=state(snapshot, at) if snapshot else None,
        gates=tuple(map(gate, gates)),
        data=data.document() if isinstance(data, Answer) else report(data),
        at=at,
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


def recorded_gate(asked: Gate) -> dict[str, Any]:
    """Convert a gate for the history."""
    return gate(asked).model_dump(mode="json", by_alias=True)


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
        share_before=share(before) if before else None,
        share_after=share(logged.after),
        version=logged.after.version,
        gates=logged.evidence.get("gates", []),
        evidence=logged.evidence.get("shown", {}),
    )
