"""What the cards are made from: the newest answers, the names of the providers, the condition.

Rules: what the newest answer lacks because the store is away comes from the newest whole answer,
and then the condition says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from worker.console import wording
from worker.console.pages import signals
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from contracts.answers import MonitorStatus, SignalStatus, StatusAnswer
    from contracts.control_views import GateView, StateView
    from worker.console.known import Known

_MOVE: Final = re.compile(r"(\w+) at (\d+) %")


@dataclass(frozen=True, slots=True)
class Move:
    """The next move upwards."""

    command: str
    phase: str
    percentage: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The newest answers, as one."""

    known: Known
    at: datetime
    target_id: str
    legacy_id: str
    state: StateView | None
    """Of the newest answer that has one."""
    status: StatusAnswer | None
    """The newest that was given with the store."""
    gates: tuple[GateView, ...]
    """Of the next move; empty: there is none, or it is not known."""

    @property
    def target(self) -> str:
        """Display name of the target."""
        return wording.provider(self.target_id)

    @property
    def legacy(self) -> str:
        """Display name of legacy."""
        return wording.provider(self.legacy_id)

    @property
    def share(self) -> int:
        """What goes to the target in fact, per cent; 0 while nothing is known."""
        if self.state is None:
            return 0
        return self.state.percentage if self.state.share is None else self.state.share

    @property
    def monitor(self) -> MonitorStatus | None:
        """The monitor's last look."""
        return self.status.monitor if self.status else None

    @property
    def signals(self) -> Mapping[str, SignalStatus]:
        """The detectors by signal; empty: not known."""
        return signals.read(self.monitor) if self.monitor else {}

    @property
    def looked_at(self) -> datetime | None:
        """When the monitor looked last, by the console's clock; None: never, or not known."""
        seconds = looked_ago_s(self.known)
        if seconds is not None:
            return self.at - timedelta(seconds=seconds)
        return self.monitor.looked_at if self.monitor else None

    @property
    def next(self) -> Move | None:
        """The next move upwards; None: there is none, or it is not known."""
        move = self.status.next if self.status else None
        found = _MOVE.fullmatch(move.to) if move else None
        return Move(move.command, found[1], int(found[2])) if move and found else None

    @property
    def messages_an_hour(self) -> int | None:
        """Attempts at both providers in the last hour; None: not known."""
        told = self.known.comparison
        return sum(each.attempts for each in told.data.providers.values()) if told else None

    def flag(self, *path: str) -> Any:
        """A value of the flags document; None: there is none."""
        value: Any = self.state.flags if self.state else None
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def moving(self, percentage: int) -> float | None:
        """Messages an hour that move when the share becomes `percentage`; None: not known."""
        total = self.messages_an_hour
        return None if total is None else total * abs(percentage - self.share) / FULL_SHARE

    def gate(self, name: str) -> GateView | None:
        """The gate of that name; None: it is not asked, or not known."""
        return next((each for each in self.gates if each.gate == name), None)


def facts(known: Known, at: datetime) -> Facts:
    """Collect what is known."""
    whole, newest = known.whole, known.status
    status = whole.data if whole else None
    named = status or (newest.data if newest else None)
    compared = known.comparison.data if known.comparison else None
    state = newest.reply.state if newest else None
    return Facts(
        known=known,
        at=at,
        target_id=(named and named.target) or (compared and compared.target) or "africastalking",
        legacy_id=(named and named.legacy) or (compared and compared.legacy) or "legacy",
        state=state or (whole.reply.state if whole else None),
        status=status,
        gates=whole.reply.gates if whole else (),
    )


def looked_ago_s(known: Known) -> float | None:
    """Seconds since the monitor looked; None: never, or not known."""
    told = known.whole
    monitor = told.data.monitor if told else None
    if told is None or monitor is None or monitor.age_s is None:
        return None
    return known.age(told) + monitor.age_s
