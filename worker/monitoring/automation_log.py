"""Makes the control log entries of automation.

Rules: an entry has the same command id on every replica that could make it. It stores all data of
the decision, so that the decision can be re-run.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from worker.control import views
from worker.domain.detection import evidence
from worker.domain.detection.rerun import recorded
from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.reply_codes import ReplyCode
from worker.domain.migration.snapshot import AUTOMATIC
from worker.monitoring.automation_alerts import NAMESPACE

if TYPE_CHECKING:
    from worker.domain.detection.automation import AutomaticDecision, Inputs
    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.migration.snapshot import Snapshot


def decided(
    automatic: AutomaticDecision, made: Checkpoint, inputs: Inputs, number: int, state: Snapshot
) -> LogEntry:
    """Make the entry of a decision."""
    decision = automatic.decision
    ident = str(uuid.uuid5(NAMESPACE, f"{state.lineage} {made.tick} {automatic.name}"))
    return LogEntry(
        number=number,
        user=AUTOMATIC,
        command_id=ident,
        command={"name": str(automatic.name), "commandId": ident, "reason": decision.text},
        verdict="accepted",
        before=state,
        after=decision.after or state,
        reply={
            "code": str(decision.code),
            "text": decision.text,
            "at": inputs.at.isoformat(),
        },
        evidence={
            "gates": [views.recorded_gate(gate) for gate in decision.gates],
            **recorded(inputs, made.evidence),
        },
    )


def begun_anew(older: int, made: Checkpoint, number: int, state: Snapshot) -> LogEntry:
    """Make the entry that says why all proofs start again."""
    text = f"the evidence begins anew: it is method {evidence.METHOD} now, and was {older}"
    ident = str(uuid.uuid5(NAMESPACE, f"{state.lineage} {made.tick} anew"))
    return LogEntry(
        number=number,
        user=AUTOMATIC,
        command_id=ident,
        command={"name": "evidence-anew", "commandId": ident, "reason": text},
        verdict="accepted",
        before=state,
        after=state,
        reply={"code": str(ReplyCode.OK), "text": text, "at": made.at.isoformat()},
        evidence={},
    )
