"""Changes that do not touch the state: acknowledged alerts and suppressions."""

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
    """Acknowledge an alert."""

    name = ChangeName.ACK
    label: str
    """The code or id that the command names."""
    meant: tuple[Alert, ...]
    """The open alerts that match it."""

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """Leave the state as it is. Raises `ChangeRefused` unless exactly one alert matches."""
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
    """Change the suppression of a recipient."""

    wish: WishChange

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """Leave the state as it is, because suppressions are no part of it."""
        return state


@dataclass(frozen=True, slots=True)
class AddSuppression(ConsentChange):
    """Put a recipient on the list of those who want no messages."""

    name = ChangeName.ADD_SUPPRESSION


@dataclass(frozen=True, slots=True)
class RemoveSuppression(ConsentChange):
    """Let a recipient have messages again."""

    name = ChangeName.REMOVE_SUPPRESSION
