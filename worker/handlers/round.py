"""The values of one round: what it knows, how it can end, and which intents are being written.

Rules: only values and one counter. `choose` decides, `intents` acts, `round_end` ends the round.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.domain.messages.message import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.domain.messages.message import Attempt, Lease, Message, State, StoredEvent
    from worker.domain.messages.writes import Finished
    from worker.domain.migration.phases import Role


@dataclass(frozen=True, slots=True)
class RoundSettled:
    """The record is settled and holds these events."""

    state: State
    events: tuple[StoredEvent, ...]
    reason: str
    attempts: int = 0
    """Number of provider calls for the message."""


@dataclass(frozen=True, slots=True)
class RoundWaits:
    """The record is `waiting`, and its copy must carry `round`."""

    round: int
    failed_rounds: int
    """Chooses the retry tier: the number of counted rounds, or of calls if no round counts."""


@dataclass(frozen=True, slots=True)
class RoundBlocked:
    """No candidate can be called now (breaker open or busy). Nothing was tried or written."""

    for_s: float
    """Seconds until a new try makes sense."""
    lane: bool = True
    """Whether no message of the lane can be sent now; False: only this one has no candidate."""


@dataclass(frozen=True, slots=True)
class RoundTooLate:
    """The life of the message ended before any intent of this round."""


@dataclass(frozen=True, slots=True)
class RoundOptedOut:
    """The recipient withdrew consent before any intent of this round."""


@dataclass(frozen=True, slots=True)
class ProbeImpossible:
    """The provider that a probe is about cannot be called now. Nothing was tried in this round."""

    reason: str


@dataclass(frozen=True, slots=True)
class RoundNotBegun:
    """The process is draining and begins nothing more."""


@dataclass(frozen=True, slots=True)
class NotAtOnce:
    """The next candidate has no free permit, and a proof that is only in memory must not wait."""


RoundEnd = (
    RoundSettled
    | RoundWaits
    | RoundBlocked
    | RoundTooLate
    | RoundOptedOut
    | ProbeImpossible
    | RoundNotBegun
)


class PendingIntents:
    """Snapshot versions of intents that are decided but whose POST has not begun.

    A replica no longer sends by a version if the oldest one here is newer.
    """

    def __init__(self) -> None:
        self._versions: Counter[int] = Counter()

    @contextmanager
    def writing(self, version: int) -> Iterator[None]:
        """Count `version` as pending while its intent is being written."""
        self._versions[version] += 1
        try:
            yield
        finally:
            self._versions[version] -= 1
            if not self._versions[version]:
                del self._versions[version]

    def oldest(self) -> int | None:
        """The oldest version of any intent not yet sent; None: there is none."""
        return min(self._versions, default=None)


@dataclass(slots=True)
class Round:
    """The knowledge of one round so far."""

    message: Message
    base: Lease | Record | None
    """What the next intent is compared with; None: nothing is stored yet."""
    excluded: set[Role]
    refused_by: set[str]
    """Providers that refused it because of the message or the number, in any round."""
    previous: Finished | None = None
    """Outcome of the last attempt, if it is not written yet."""
    in_doubt: Attempt | None = None
    """The attempt that may have left."""
    resending: bool = False
    announced: bool = False
    """`sms.unknown` of that attempt is stored already."""
    began: bool = False
    own_faults_only: bool = True
    """Whether every refusal so far is because of the message or the number and so would repeat."""
    passed_over: set[Role] = field(default_factory=set)
    """Providers that are already counted as skipped."""

    @property
    def epoch(self) -> int:
        """Number of intents so far."""
        return self.base.epoch if self.base is not None else 0

    @property
    def proof_unwritten(self) -> bool:
        """Whether the proof that no provider has the message is only in memory."""
        return self.previous is not None and self.in_doubt is None

    @property
    def waits(self) -> Record | None:
        """The record, where this round wrote it back to `waiting` with its proof."""
        return self.base if self.began and isinstance(self.base, Record) else None
