"""Collects the gates of a move upwards, from the state in force to the wanted one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from worker.domain.detection.evidence_gates import SOAK_FROM, evidence_gates
from worker.domain.migration.direction import share
from worker.domain.migration.gates import (
    account_gate,
    lock_gate,
    requirement_gates,
    time_gate,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from worker.domain.migration.gates import Gate, Measures
    from worker.domain.migration.snapshot import Snapshot


def gates_of(
    state: Snapshot, wanted: Snapshot, measures: Measures, now: datetime
) -> tuple[Gate, ...]:
    """The gates of an upward move."""
    lock = lock_gate(state.lock, now)
    if share(state) == 0:
        return (lock, account_gate(measures))
    settings = state.flags.migration
    soak = settings.soak_min if share(state) >= SOAK_FROM else 0.0
    minimum = timedelta(minutes=max(settings.minimum_phase_min, soak))
    requirements = wanted.flags.phases[wanted.phase].requirements
    sample = settings.minimum_sample
    asked = requirement_gates(requirements, measures, sample) if requirements else ()
    proofs = evidence_gates(measures, share(state))
    return (lock, time_gate(state.since, now, minimum), *asked, *proofs)


def in_words(gates: Iterable[Gate]) -> str:
    """The gates in words for people: required, measured, missing."""
    return ", ".join(
        f"{gate.name} ({gate.required}; measured {gate.measured}"
        + (f"; missing {gate.missing.words})" if gate.missing else ")")
        for gate in gates
    )
