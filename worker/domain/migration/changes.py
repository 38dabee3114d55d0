"""Changes as values: one class for each command, with its fields and its effect on the state.

Rules: providers are roles, documents are values, versions are states. An effect that is impossible
in this state raises `ChangeRefused`. Its text names what was requested, what is possible and what
to do. `decide` checks rights and gates, and `stamping` sets version and times of the new state.
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
    """The user who requests a change, the reason, and the options."""

    by: str
    """The user, verified by the broker."""
    role: AccessRole
    reason: str
    dry_run: bool = False
    override: str | None = None
    """The reason for overriding the gates; None: no override."""
    age: timedelta = timedelta(0)
    """Time since it was issued. A move upwards expires."""


@dataclass(frozen=True, slots=True)
class Change(ABC):
    """A requested change."""

    name: ClassVar[ChangeName]
    request: Request

    @abstractmethod
    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """Return the state it leads to. Raises `ChangeRefused`."""
