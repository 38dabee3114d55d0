"""One round of a message: what it knows, how it can end, and what is being written.

Rules: values, and one counter. Who decides is `choose`, who acts is `hybrid`.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.domain.message import Attempt, Lease, Message, Record, State, StoredEvent
    from worker.domain.phases import Role
    from worker.ports import Finished


@dataclass(frozen=True, slots=True)
class Settled:
    """The record is settled and carries these events."""

    state: State
    events: tuple[StoredEvent, ...]
    reason: str
    attempts: int = 0
    """Provider calls made for the message."""


@dataclass(frozen=True, slots=True)
class Waits:
    """The record is `waiting`; its copy must carry `round`."""

    round: int
    failed_rounds: int
    """Rounds that count; 0: come back soon, nothing was tried."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Every candidate's breaker is open: nothing was tried, nothing was written."""

    for_s: float
    """Until a probe is due."""
    lane: bool = True
    """Whether every candidate of anybody is blocked; False: this message alone has nobody."""


@dataclass(frozen=True, slots=True)
class TooLate:
    """The life of the message ended before any intent of this round."""


@dataclass(frozen=True, slots=True)
class OptedOut:
    """The recipient withdrew consent before any intent of this round."""


@dataclass(frozen=True, slots=True)
class NoWay:
    """The one provider a probe is about cannot be asked now: nothing was tried in this round."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotBegun:
    """The process is draining: nothing was written in this round."""


Ended = Settled | Waits | Blocked | TooLate | OptedOut | NoWay | NotBegun


class Unsent:
    """Versions of intents that are decided and whose POST has not begun.

    A replica has left a version behind when the oldest one here is newer.
    """

    def __init__(self) -> None:
        self._versions: Counter[int] = Counter()

    @contextmanager
    def at(self, version: int) -> Iterator[None]:
        """Hold `version` while an intent is being written."""
        self._versions[version] += 1
        try:
            yield
        finally:
            self._versions[version] -= 1
            if not self._versions[version]:
                del self._versions[version]

    def oldest(self) -> int | None:
        """Oldest version of any intent not yet sent; None: there is none."""
        return min(self._versions, default=None)


@dataclass(slots=True)
class Round:
    """What one round knows so far."""

    message: Message
    base: Lease | Record | None
    """What the next intent compares against; None: nothing is stored yet."""
    excluded: set[Role]
    previous: Finished | None = None
    """Outcome of the last attempt, not written yet."""
    suspect: Attempt | None = None
    """The attempt that may have left."""
    resending: bool = False
    announced: bool = False
    """`sms.unknown` is stored already."""
    began: bool = False
    passed_over: set[Role] = field(default_factory=set)
    """Counted as skipped already."""

    @property
    def epoch(self) -> int:
        """Number of intents so far."""
        return self.base.epoch if self.base is not None else 0
