"""The facts that a run of the demo saw, as values.

Rules: the providers' journals are the truth about which messages were taken, the events about what
was announced. All times are seconds of the machine's monotonic clock, which journals and demo
share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET: Final = "africastalking"
LEGACY: Final = "legacy"
AUTOMATIC_FROM: Final = ("GradualMigration", 25)
"""Phase and percentage at which the fault of the automatic rollback begins."""
SENT: Final = "sms.sent"
DELIVERED: Final = "sms.delivered"
UNKNOWN: Final = "sms.unknown"
ENDS_UNSENT: Final = frozenset({"sms.failed", "sms.expired", "sms.rejected"})
"""Events that promise that no provider took the message."""
SETTLES: Final = ENDS_UNSENT | {SENT, UNKNOWN}
"""Events after which the publisher knows the result of a message."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published command."""

    id: str
    lane: str
    to: str
    at: float
    """The time before it was published."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One SMS in a provider's journal."""

    id: str
    provider: str
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """One event as the publishing service got it."""

    id: str
    event: str
    at: float
    provider: str | None = None
    possible_duplicate: bool = False
    reason: str = ""
    event_id: str = ""
    """The event id, which is the same if a fact is published twice."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a breaker's state, as the dashboard got it."""

    provider: str
    replica: str
    to: str
    at: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene of the demo."""

    name: str
    label: str
    """Up to four letters, for the timeline."""
    began: float
    """The time when every worker had applied the state of the scene."""
    ended: float
    """The time before the next change."""
    percentage: int | None = None
    """The share that is checked; None: the scene is a fault and has no share to check."""
    opens_breaker: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """The moment a worker got SIGKILL."""

    at: float
    in_flight: frozenset[str]
    """Number of published and unsettled messages at that time, over all workers."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The state in force, and the monitor's log entries since the last command."""

    phase: str
    percentage: int
    automatic: tuple[str, ...] = ()
    """Names of the monitor's entries, oldest first."""


@dataclass(frozen=True, slots=True)
class Automatic:
    """The automatic rollback: the state before its fault, and when it came."""

    before: Standing
    """The state just before the fault."""
    fault_at: float
    """The time when the fault began."""
    entry_after_s: float
    """Seconds from the fault to the rollback's log entry; below 0: the entry came first."""
    zero_at: float
    """The time when every worker was at 0 %."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts for the verdict."""

    published: tuple[Published, ...] = ()
    taken: tuple[Taken, ...] = ()
    told: tuple[Told, ...] = ()
    changes: tuple[Change, ...] = ()
    dead: Mapping[str, str] = field(default_factory=dict)
    """Dead letters in `sms.dead`: reason by message id."""
    broken: frozenset[str] = frozenset()
    """Ids of commands that were published broken on purpose."""
    scenes: tuple[Scene, ...] = ()
    kill: Kill | None = None
    automatic: Automatic | None = None
    """None: it did not come."""
    rollback_s: float | None = None
    """Seconds from the emergency rollback until every worker used it, by their heartbeats."""
    broke_off: str | None = None
    """Why the demo did not reach its end; empty: it did."""
