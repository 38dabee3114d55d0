"""Lets a recipient's failure count once a day, over all replicas and restarts.

Rules:
- One dead number that is tried again and again must never look like a provider in trouble.
- A failure that this process sees for the first time in a day (UTC) waits until the store is asked,
  in batches. Only failures that are new in the store count.
- If the store does not answer, they do not count, and the recipient's next failure is asked again.
- Without failures the store is not asked.
- Memory is bounded. For a recipient that is no longer remembered the store is asked again. A
  failure does not count if too many are waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_REMEMBERED: Final = 50_000
"""The most remembered marks of a day."""
MAX_WAITING: Final = 10_000
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Mark:
    """Marks that a recipient failed at a provider on a day, with the sums it adds to if first."""

    ident: str
    """`day:signal:provider:hash of the recipient`."""
    sums: tuple[str, ...]
    """Sum of the present slot."""
    of_cohort: str = ""
    """Sum of the slot in which the call began; empty: none."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure for which the store is still to be asked."""

    provider: str
    marks: tuple[Mark, ...]
    call: int = 0
    """The number of its call in the cohorts; 0: it is no call."""
    certain: tuple[str, ...] = ()
    """Sums of its cohort that count whatever the store answers."""


class Recipients:
    """Remembers which recipients failed today, and the failures that wait for the store."""

    def __init__(self) -> None:
        self._day = -1
        self._prefix = ""
        self._seen: set[int] = set()
        self._waiting: list[Failure] = []

    def ident(self, now: int, what: str) -> str:
        """The stored id of a mark; `what` is signal, provider and recipient."""
        if now // _DAY_S != self._day:
            self._day = now // _DAY_S
            self._prefix = datetime.fromtimestamp(now, UTC).date().isoformat()
            self._seen.clear()
        return f"{self._prefix}:{what}"

    def wait(self, failure: Failure) -> bool:
        """Let a failure wait for the store; False: it cannot be a first one, or too many wait.

        The store is not asked about marks that are known already.
        """
        new = tuple(mark for mark in failure.marks if hash(mark.ident) not in self._seen)
        if not new or len(self._waiting) >= MAX_WAITING:
            return False
        if len(self._seen) < MAX_REMEMBERED:
            self._seen |= {hash(mark.ident) for mark in new}
        self._waiting.append(replace(failure, marks=new))
        return True

    def take(self) -> list[Failure]:
        """Return and remove all waiting failures."""
        taken, self._waiting = self._waiting, []
        return taken

    def forget(self, failures: Iterable[Failure]) -> None:
        """Forget the marks of failures for which the store did not answer."""
        self._seen -= {hash(mark.ident) for each in failures for mark in each.marks}
