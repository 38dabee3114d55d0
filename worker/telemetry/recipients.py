"""Whose failure counts: a recipient's does once a day, over all replicas and restarts.

Rules: one dead number that is tried again and again must never look like a provider in trouble.
What this process sees for the first time in a day (UTC) waits to be asked of the store, in batches;
only what is new there counts. Where the store does not answer nothing counts, and the recipient's
next failure is asked again. Nothing is asked while all is well. Memory is bounded: who is not
remembered any more is asked again, and what finds too many waiting does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_REMEMBERED: Final = 50_000
"""Marks of a day."""
MAX_WAITING: Final = 10_000
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Mark:
    """That a recipient failed at a provider on a day, and what counts where it is the first."""

    ident: str
    """`day:signal:provider:hash of the recipient`."""
    sums: tuple[str, ...]
    """Of the slot of now."""
    of_cohort: str = ""
    """Sum of the slot in which the call began; empty: none."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What waits to be asked of the store."""

    provider: str
    marks: tuple[Mark, ...]
    call: int = 0
    """Its number in the cohorts; 0: it is no call."""
    certain: tuple[str, ...] = ()
    """Sums of its cohort that count whatever the store says."""


class Recipients:
    """Remembers who failed today, and what waits to be asked."""

    def __init__(self) -> None:
        self._day = -1
        self._prefix = ""
        self._seen: set[int] = set()
        self._waiting: list[Failure] = []

    def ident(self, now: int, what: str) -> str:
        """What a mark is stored under; `what`: signal, provider and recipient."""
        if now // _DAY_S != self._day:
            self._day = now // _DAY_S
            self._prefix = datetime.fromtimestamp(now, UTC).date().isoformat()
            self._seen.clear()
        return f"{self._prefix}:{what}"

    def wait(self, failure: Failure) -> bool:
        """Have the store asked; False: nothing of it can be the first of the day, or too many wait.

        Marks known to be there are not asked.
        """
        new = tuple(mark for mark in failure.marks if hash(mark.ident) not in self._seen)
        if not new or len(self._waiting) >= MAX_WAITING:
            return False
        if len(self._seen) < MAX_REMEMBERED:
            self._seen |= {hash(mark.ident) for mark in new}
        self._waiting.append(replace(failure, marks=new))
        return True

    def take(self) -> list[Failure]:
        """What waits, and waits no more."""
        taken, self._waiting = self._waiting, []
        return taken

    def forget(self, failures: Iterable[Failure]) -> None:
        """The store did not say whether these are the first."""
        self._seen -= {hash(mark.ident) for each in failures for mark in each.marks}
