"""Converts the parts of the status into the form of the wire: moves, replicas, the monitor.

Rules: one function for each model; nothing is decided here.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contracts.answers import (
    AdvanceMove,
    DetectorStatus,
    MonitorStatus,
    NextMove,
    ReplicaStatus,
    SignalStatus,
)
from worker.control.state_views import gate
from worker.domain.detection.readings import signal_readings
from worker.domain.detection.rerun import shown
from worker.domain.migration.snapshot import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.detection.readings import Detector, SignalReading
    from worker.domain.migration.decide import MoveUp
    from worker.domain.migration.gates import Gate
    from worker.domain.migration.replicas import LiveReplica


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
        **{name: value for name, value in asdict(heartbeat.process).items() if value is not None},
    )


def monitor(last: Checkpoint) -> MonitorStatus:
    """Convert the monitor's last tick."""
    return MonitorStatus(
        looked_at=last.at,
        holding=last.holding,
        evidence=shown(last.evidence),
        hold_reason=str(last.hold_reason) if last.hold_reason else None,
        age_s=round(last.age_s, 1),
        signals={
            str(signal): _signal(found) for signal, found in signal_readings(last.evidence).items()
        },
    )


def _signal(found: SignalReading) -> SignalStatus:
    counted = found.counted
    return SignalStatus(
        target_events=round(counted.target_events, 1),
        target_total=round(counted.target, 1),
        legacy_events=round(counted.legacy_events, 1),
        legacy_total=round(counted.legacy, 1),
        relative=_detector(found.relative),
        absolute=_detector(found.absolute),
    )


def _detector(found: Detector) -> DetectorStatus:
    return DetectorStatus(value=round(found.value, 2), alarm=round(found.alarm, 2))
