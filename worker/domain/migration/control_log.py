"""One entry of the control log: the request, the decision and the state after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.domain.migration.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One decision. `after` differs from `before` only if the state changed."""

    number: int
    """Its number in the log: the last number that was read, plus one."""
    user: str
    command_id: str
    command: Mapping[str, object]
    verdict: str
    """`accepted` or `refused`."""
    before: Snapshot | None
    after: Snapshot
    reply: Mapping[str, object]
    """The reply. A redelivered command gets the same one."""
    evidence: Mapping[str, object]
    """The data on which the decision was made."""
    at: datetime | None = None
    """Set by the log on reading."""
