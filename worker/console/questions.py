"""The questions that the console asks again and again, and when.

Rules: pure. `status` is the pulse: it alone is asked while nobody answers, and a new version in it
is a reason to ask what depends on the version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from contracts.answers import AlertsAnswer, HistoryAnswer, SeriesAnswer, StatusAnswer
from contracts.control import Alerts, Comparison, History, Series, Status
from contracts.health import ComparisonMetric
from contracts.metrics import AlertMetric, BreakerMetric
from contracts.names import Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from contracts.control import ControlQuery
    from contracts.model import Wire

_STATE: Final = str(Key.STATE)
_ALERT: Final = str(AlertMetric.model_fields["event"].default)
_BREAKER: Final = str(BreakerMetric.model_fields["event"].default)


@dataclass(frozen=True, slots=True)
class Question:
    """A question."""

    name: str
    """Field of `Known` for the answer."""
    query: Callable[[str], ControlQuery]
    """Makes the query, from its id."""
    model: type[Wire]
    """Of the answer."""
    every_s: float
    announced_by: frozenset[str]
    """Routing keys of the announcements after which it is asked at once."""
    of_a_version: bool = False
    """Whether a new version is a reason to ask it at once."""

    def asked_now(self) -> ControlQuery:
        """The query with a new id."""
        return self.query(str(uuid4()))


STATUS: Final = Question(
    "status",
    lambda ident: Status(command_id=ident),
    StatusAnswer,
    every_s=1.0,
    announced_by=frozenset({_STATE, _ALERT, _BREAKER}),
)
OTHERS: Final = (
    Question(
        "comparison",
        lambda ident: Comparison(command_id=ident, hours=1.0),
        ComparisonMetric,
        every_s=5.0,
        announced_by=frozenset(),
    ),
    Question(
        "series",
        lambda ident: Series(command_id=ident, hours=24.0),
        SeriesAnswer,
        every_s=10.0,
        announced_by=frozenset({_STATE}),
        of_a_version=True,
    ),
    Question(
        "alerts",
        lambda ident: Alerts(command_id=ident),
        AlertsAnswer,
        every_s=10.0,
        announced_by=frozenset({_ALERT}),
        of_a_version=True,
    ),
    Question(
        "history",
        lambda ident: History(command_id=ident, limit=20),
        HistoryAnswer,
        every_s=10.0,
        announced_by=frozenset({_STATE}),
        of_a_version=True,
    ),
)
