"""What the console knows at one moment: the newest answers, and how old each is.

Rules: an answer is never shown without its age. What is not known is None, never a default. The
ages are those of the console's own clock, because a browser's may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

    from contracts.answers import AlertsAnswer, HistoryAnswer, SeriesAnswer, StatusAnswer
    from contracts.control import ControlReply
    from contracts.health import ComparisonMetric

A = TypeVar("A")
OLD_S: Final = 5.0
"""From this age on, the status is shown as old."""
UNKNOWN_S: Final = 15.0
"""From this age on, a verdict from it is not known any more."""


@dataclass(frozen=True, slots=True)
class Told(Generic[A]):
    """An answer, and when it came."""

    reply: ControlReply
    data: A
    at: float
    """Seconds of the console's monotonic clock."""


class Cause(StrEnum):
    """Why no answer comes."""

    BROKER_AWAY = "broker away"
    NO_WORKER = "no worker answers"
    LOGIN_REFUSED = "login refused"


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer comes."""

    cause: Cause
    text: str
    """For people, without any address or password."""
    since: float
    """Seconds of the console's monotonic clock."""


@dataclass(frozen=True, slots=True)
class Known:
    """The newest answers that one login got."""

    now: float
    """The moment: seconds of the console's monotonic clock."""
    status: Told[StatusAnswer] | None = None
    """The newest status. While the store is away it has only alerts and a replica's own state."""
    whole: Told[StatusAnswer] | None = None
    """The newest status that was given with the store; the same as `status` while all is well."""
    comparison: Told[ComparisonMetric] | None = None
    """Over the last hour."""
    series: Told[SeriesAnswer] | None = None
    """Over the last 24 hours."""
    alerts: Told[AlertsAnswer] | None = None
    history: Told[HistoryAnswer] | None = None
    silence: Silence | None = None
    """None: the newest question was answered."""

    @property
    def store_away(self) -> bool:
        """Whether the newest status was given without the store."""
        return self.status is not None and self.status is not self.whole

    def age(self, told: Told[Any]) -> float:
        """Age of an answer in seconds."""
        return max(self.now - told.at, 0.0)

    def moment(self, monotonic: float, at: datetime) -> datetime:
        """The time of day of a moment of the console's monotonic clock.

        Args:
            monotonic: the moment.
            at: the time of day at `now`.
        """
        return at - timedelta(seconds=self.now - monotonic)
