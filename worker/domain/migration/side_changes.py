"""Changes beside the state: alerts taken on, and who wants no messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.changes import Change
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.alerts.notices import Alert
    from worker.domain.messages.consent import WishChange
    from worker.domain.migration.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Ack(Change):
    """Take on an alert."""

    name = ChangeName.ACK
    label: str
    """As it was named."""
    meant: tuple[Alert, ...]
    """What that may mean, of what is open."""

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """Nothing, for an alert is no state. Refused where it is not clear which is meant."""
        if not self.meant:
            raise ChangeRefused(
                ReplyCode.NOT_OPEN,
                f"ack: nothing open is called {self.label!r}; look at ctl alerts",
            )
        if len(self.meant) > 1:
            several = ", ".join(f"{each.name} {each.id[:8]}" for each in self.meant)
            raise ChangeRefused(
                ReplyCode.SEVERAL,
                f"ack: expected one alert, {self.label!r} means {several}; name its id",
            )
        return state


@dataclass(frozen=True, slots=True)
class ConsentChange(Change):
    """Change what a recipient gets."""

    wish: WishChange

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """Nothing, for who wants no messages is no state of the migration."""
        return state


@dataclass(frozen=True, slots=True)
class AddSuppression(ConsentChange):
    """Put a recipient on the list of those who want no messages."""

    name = ChangeName.ADD_SUPPRESSION


@dataclass(frozen=True, slots=True)
class RemoveSuppression(ConsentChange):
    """Let a recipient have messages again."""

    name = ChangeName.REMOVE_SUPPRESSION
