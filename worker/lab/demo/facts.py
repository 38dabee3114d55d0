"""What a run of the demo saw, as values.

Rules: the providers' journals are the ground truth of what was taken, the events of what was
announced. All times are seconds of the machine's monotonic clock, which journals and demo share.
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
"""Events after which the publisher knows where it stands."""


@dataclass(frozen=True, slots=True)
class Published:
    """One command as it went to the broker."""

    id: str
    lane: str
    to: str
    at: float
    """Before it was handed to the broker."""


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
    """The same fact published twice has the same."""


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker's change of state, as a dashboard got it."""

    provider: str
    replica: str
    to: str
    at: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A part of the story."""

    name: str
    label: str
    """Up to four letters, for the timeline."""
    began: float
    """When every worker had applied what it shows."""
    ended: float
    """Before anything was changed again."""
    percentage: int | None = None
    """The share that is judged; None: a fault, nothing to judge a share by."""
    opens_breaker: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """The moment a worker got SIGKILL."""

    at: float
    in_flight: frozenset[str]
    """Messages published and not settled then, over all workers."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force, and what the monitor wrote into the control log since the last command."""

    phase: str
    percentage: int
    automatic: tuple[str, ...] = ()
    """Names of its entries, oldest first."""


@dataclass(frozen=True, slots=True)
class Automatic:
    """The automatic rollback: what stood before its fault, and when it came."""

    before: Standing
    """Just before the fault."""
    fault_at: float
    """When the fault was put in force."""
    entry_after_s: float
    """From the fault to the rollback's entry in the control log; below 0: the entry came first."""
    zero_at: float
    """When every worker was at 0 %."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the verdict is made of."""

    published: tuple[Published, ...] = ()
    taken: tuple[Taken, ...] = ()
    told: tuple[Told, ...] = ()
    changes: tuple[Change, ...] = ()
    dead: Mapping[str, str] = field(default_factory=dict)
    """Reason by message id, from `sms.dead`."""
    broken: frozenset[str] = frozenset()
    """Ids of commands that were published broken on purpose."""
    scenes: tuple[Scene, ...] = ()
    kill: Kill | None = None
    automatic: Automatic | None = None
    """None: it did not come."""
    rollback_s: float | None = None
    """From the emergency rollback until every worker went by it, as their heartbeats told."""
    broke_off: str | None = None
    """Why the story did not reach its end."""
