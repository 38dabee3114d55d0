"""One entry of the control log: what was asked, decided and made of the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.domain.migration.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One decision, as appended. `after` differs from `before` only where the state changed."""

    number: int
    """Its place in the log: the last one read, plus one."""
    user: str
    command_id: str
    command: Mapping[str, object]
    verdict: str
    """`accepted` or `refused`."""
    before: Snapshot | None
    after: Snapshot
    reply: Mapping[str, object]
    """What was answered; a redelivered command gets it again."""
    evidence: Mapping[str, object]
    """What the decision was made on."""
    at: datetime | None = None
    """Set by the log on reading."""
