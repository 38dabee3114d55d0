"""What the tests of steering are made from: states, previews, replies, entries, viewers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from contracts.answers import LogEntryView, PreviewAnswer
from contracts.control import (
    COMMANDS,
    ControlCommand,
    ControlReply,
    EmergencyRollback,
)
from contracts.control_views import GateView, StateView
from worker.console.steering.catalogue import CATALOGUE
from worker.console.steering.dialog import Opening, Previewed
from worker.console.steering.progress import Progress
from worker.console.viewer import Viewer
from worker.domain.migration.effect import Names

NOW: Final = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
NAMES: Final = Names("Africa's Talking", "Legacy")
EVERY: Final = frozenset(str(each.model_fields["name"].default) for each in COMMANDS)
SHUT: Final = GateView(
    gate="success", required=">= 95 %", measured="94.20 %", sample=400, verdict="fail"
)
YOUNG: Final = GateView(
    gate="time", required="30 min", measured="4.0 min", verdict="not enough data",
    missing="26.0 min",
)  # fmt: skip
OPEN: Final = GateView(gate="lock", required="none", measured="none", verdict="pass")


def viewer(role: str = "administrator", commands: frozenset[str] = EVERY) -> Viewer:
    return Viewer(
        user="amina", role=role, commands=commands, environment="production", base="/sms",
        token="t0", ends_at=NOW + timedelta(hours=1),
    )  # fmt: skip


def state(
    phase: str = "GradualMigration",
    percentage: int = 25,
    *,
    users: dict[str, str] | None = None,
    branches: dict[str, str] | None = None,
    features: dict[str, Any] | None = None,
    **fields: Any,
) -> StateView:
    section = {"UserOverrides": users or {}, "BranchOverrides": branches or {}, **(features or {})}
    known = {"version": 41, "is_rollback_available": True, "share": percentage}
    return StateView(
        phase=phase, percentage=percentage, flags={"SmsFeatureFlags": section}, **(known | fields)
    )


def preview(after: StateView | None = None, **fields: Any) -> PreviewAnswer:
    known: dict[str, Any] = {
        "accepted": True, "code": "ok", "text": "step: now GradualMigration at 50 %",
        "problems": [], "upward": True, "after": after or state(percentage=50),
        "share_before": 25, "share_after": 50, "messages_per_hour": 18_048.0, "differences": [],
    }  # fmt: skip
    return PreviewAnswer(**(known | fields))


def reply(name: str = "preview", **fields: Any) -> ControlReply:
    known: dict[str, Any] = {
        "command_id": "7c0f", "name": name, "verdict": "accepted", "code": "ok", "text": "",
        "version": 41, "state": state(), "at": NOW,
    }  # fmt: skip
    return ControlReply(**(known | fields))


def previewed(answer: PreviewAnswer | None = None, **fields: Any) -> Previewed:
    return Previewed(reply(**fields), answer or preview())


def opening(name: str = "step", **fields: Any) -> Opening:
    known: dict[str, Any] = {
        "viewer": viewer(), "names": NAMES, "ident": "7c0f", "form": {}, "fields": {},
        "state": state(),
    }  # fmt: skip
    return Opening(CATALOGUE[name], **(known | fields))


def command(kind: type[ControlCommand] = EmergencyRollback, **fields: Any) -> ControlCommand:
    return kind(command_id="7c0f", issued_at=NOW, reason="provider is down", **fields)


def progress(given: ControlCommand | None = None, **fields: Any) -> Progress:
    known: dict[str, Any] = {"user": "amina", "elapsed_s": 0.1, "sent": 1}
    return Progress(given or command(), **(known | fields))


def entry(name: str = "step", **fields: Any) -> LogEntryView:
    known: dict[str, Any] = {
        "number": 50, "at": NOW - timedelta(seconds=8), "user": "joseph",
        "command": {"name": name, "commandId": "other", "reason": "all gates open"},
        "verdict": "accepted", "code": "ok", "text": "", "from_": "GradualMigration 25 %",
        "to": "GradualMigration 50 %", "version": 42, "gates": [], "evidence": {},
    }  # fmt: skip
    return LogEntryView(**(known | fields))
