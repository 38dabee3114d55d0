"""Validation traffic: which probe is due, and what the last probes show about a provider.

Rules: pure. Id and text of a probe follow from lineage, provider, due time and number, so copies
that several replicas publish are one message. A provider that is not in service is not probed. A
probe is tried once, at its own provider only. A probe without an answer, or one that was never
sent, shows nothing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from worker.domain.detection import readings
from worker.domain.detection.signals import Signal
from worker.domain.messages.message import Delivery, State
from worker.domain.migration.phases import Role
from worker.domain.migration.routing import in_service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.domain.detection.evidence import Evidence
    from worker.domain.messages.message import Record
    from worker.domain.migration.snapshot import Snapshot
    from worker.domain.probes.settings import ValidationTraffic

IN_A_ROW: Final = 3
"""Number of probes in a row that must fail before an alert."""
URGENT_S: Final = 5.0
"""Seconds between two probes of legacy while only they can show whether legacy works."""
_LEAST_LIFE: Final = timedelta(seconds=60)
_NAMESPACE: Final = uuid.UUID("5b0f1c3e-6c0a-5f6b-9a53-2f6b9d7c4e10")
_ANSWERED: Final = {
    State.ACCEPTED: True,
    State.UNKNOWN: False,
    State.FAILED: False,
    State.REJECTED: False,
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One validation message."""

    id: str
    role: Role
    to: str
    at: datetime
    """Its due time."""
    expires_at: datetime

    @property
    def text(self) -> str:
        """The text that our phone shows; one part in GSM-7."""
        return f"SMS validation of {self.role}, {self.at:%Y-%m-%d %H:%M:%S} UTC. No action needed."


def probed(snapshot: Snapshot) -> frozenset[Role]:
    """The providers to probe under this state."""
    asked = snapshot.flags.migration.validation
    wanted = asked.providers if asked.enabled else ()
    return frozenset(role for role in wanted if in_service(role, snapshot))


def interval_s(role: Role, asked: ValidationTraffic, known: Evidence | None) -> float:
    """Seconds between two probes. Legacy is probed often if that decides about a rollback."""
    urgent = role is Role.LEGACY and known is not None and _undecided(known)
    return URGENT_S if urgent else asked.interval_s


def _undecided(known: Evidence) -> bool:
    """Whether the target is bad by itself while it is not known whether legacy is better."""
    legacy_known = readings.legacy_is_good(known) or readings.legacy_is_bad(known)
    return readings.absolute_alarm(known, Signal.FAILED) and not legacy_known


def due(role: Role, snapshot: Snapshot, at: datetime, every_s: float) -> Probe:
    """The probe with the last due time before `at`."""
    numbers = snapshot.flags.migration.validation.numbers
    slot = int(at.timestamp() // every_s)
    begins = datetime.fromtimestamp(slot * every_s, UTC)
    to = numbers[slot % len(numbers)]
    name = uuid.uuid5(_NAMESPACE, f"{snapshot.lineage} {role} {begins.isoformat()} {to}")
    life = max(_LEAST_LIFE, timedelta(seconds=2 * every_s))
    return Probe(f"validation-{name}", role, to, begins, begins + life)


def before(role: Role, snapshot: Snapshot, at: datetime, every_s: float) -> tuple[Probe, ...]:
    """The last probes before the one that `due` returns, newest first."""
    return tuple(
        due(role, snapshot, at - timedelta(seconds=every_s * back), every_s)
        for back in range(1, IN_A_ROW + 1)
    )


def accepted(record: Record | None) -> bool | None:
    """Whether a provider took the probe; None: not known."""
    return _ANSWERED.get(record.state) if record is not None else None


def delivered(record: Record | None) -> bool | None:
    """Whether the probe arrived; None: no provider took it, so this shows nothing."""
    if record is None or not accepted(record):
        return None
    return any(attempt.delivery is Delivery.DELIVERED for attempt in record.attempts)


def works(answers: Sequence[bool | None]) -> bool | None:
    """True if any of the last probes worked, False if `IN_A_ROW` failed; None: not known."""
    if any(answers):
        return True
    return False if answers.count(False) >= IN_A_ROW else None
