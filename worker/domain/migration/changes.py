"""Changes, understood: one class a command, with its own fields and its effect on the state.

Rules: providers are roles, documents are values, versions are states. An effect that is impossible
in this state is `ChangeRefused`, in words that name what was asked, what is possible and how to go
on. Nothing here judges who asks or whether the gates are open (`decide` does), nor gives the new
state its version and times (`stamping` does).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.migration.access import AccessRole
    from worker.domain.migration.change_names import ChangeName
    from worker.domain.migration.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for a change, why, and in which way."""

    by: str
    """The user the broker vouches for."""
    role: AccessRole
    reason: str
    dry_run: bool = False
    override: str | None = None
    """Why the gates may be passed over."""
    age: timedelta = timedelta(0)
    """Since it was issued; a move upwards expires."""


@dataclass(frozen=True, slots=True)
class Change(ABC):
    """What somebody asks for."""

    name: ClassVar[ChangeName]
    request: Request

    @abstractmethod
    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """What it would make of the state. Raises `ChangeRefused`."""
