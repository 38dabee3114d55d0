"""Counts the calls of this process by the slot in which they began (`domain.detection.cohorts`).

Rules: a call belongs to the slot of 10 s in which it began, whenever it ends. Until it is `GRACE_S`
old, it is neither counted nor open. Then it is open until it has ended and it is known what it
counts as. A slot closes `SETTLED_AFTER_S` after its start, and later counts are ignored. Rows are
cumulative sums of this process; a row is written again only if it changed. A closed slot leaves
memory once its row was taken and not put back, and after `KEPT_S` in any case.

Ages use the monotonic clock. Slots use the wall clock, even if it was set back. A cohort is read
for a minute and never again, so nothing counts twice.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from worker.domain.detection.cohorts import GRACE_S, SETTLED_AFTER_S
from worker.domain.figures.periods import SLOT_S, start_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.ports.clock import Clock

KEPT_S: Final = 600.0
"""Age at which a row that was not stored is dropped, because it is of no use any more."""
NAMES: Final = (
    "eligible_ok",
    "eligible_failed",
    "eligible_slow",
    "eligible_skipped",
    "eligible_open",
    "eligible_refused",
    "any_ok",
    "any_failed",
    "any_skipped",
    "any_open",
    "any_refused",
)
"""Names of the sums in a row: the fields of `Calls`, for eligible calls and for all calls."""


@dataclass(frozen=True, slots=True)
class CohortRow:
    """The sums of the calls to one provider that began in one slot."""

    provider: str
    at: datetime
    """Start of the slot, UTC."""
    counts: Mapping[str, int]
    """Sums by `NAMES`, without zeros."""


class _Slot:
    """The calls to one provider that began in one slot."""

    __slots__ = ("changed", "closed", "closes", "counts", "provider", "start")

    def __init__(self, provider: str, start: int, closes: float) -> None:
        self.provider = provider
        self.start = start
        self.closes = closes
        """When the slot closes, by the monotonic clock."""
        self.closed = False
        self.counts = dict.fromkeys(NAMES, 0)
        self.changed = False
        """Whether it changed since its row was last taken."""

    def add(self, names: Sequence[str]) -> None:
        """Add one to each sum, unless the slot is closed."""
        if not self.closed:
            for name in names:
                self.counts[name] += 1
            self.changed = True

    def open(self, call: _Call, more: int) -> None:
        """Add an open call, or with -1 remove one."""
        if not self.closed:
            self.counts["any_open"] += more
            self.counts["eligible_open"] += more if call.eligible else 0
            self.changed = True

    def close(self) -> None:
        """Close the slot, without open calls."""
        self.changed |= bool(self.counts["any_open"])
        self.counts["any_open"] = self.counts["eligible_open"] = 0
        self.closed = True

    def row(self) -> CohortRow:
        """The row with the present sums."""
        counts = {name: count for name, count in self.counts.items() if count}
        return CohortRow(self.provider, datetime.fromtimestamp(self.start, UTC), counts)


class _Call:
    """A call that has not ended, or is too young to count."""

    __slots__ = ("begun", "eligible", "grown", "names", "slot")

    def __init__(self, slot: _Slot, begun: float, *, eligible: bool) -> None:
        self.slot = slot
        self.begun = begun
        self.eligible = eligible
        self.grown = False
        """Whether it is old enough to count as open."""
        self.names: Sequence[str] | None = None
        """The sums it adds to; None: not known yet."""


class Cohorts:
    """Counts calls by provider and slot.

    Args:
        clock: decides the slot of a call.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: dict[tuple[str, int], _Slot] = {}
        self._calls: dict[int, _Call] = {}
        self._young: deque[_Call] = deque()
        """Calls that are too young to count, in the order in which they began."""
        self._last = 0

    def began(self, provider: str, *, eligible: bool) -> int:
        """Note that a call begins.

        Returns:
            The number of the call, needed when it ends.
        """
        now, start = self._clock.monotonic(), int(self._clock.now().timestamp())
        key = provider, start_of(start, SLOT_S)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = _Slot(*key, now + SETTLED_AFTER_S - start % SLOT_S)
        self._last += 1
        call = self._calls[self._last] = _Call(slot, now, eligible=eligible)
        self._young.append(call)
        return self._last

    def ended(self, number: int, names: Sequence[str]) -> None:
        """Note what a call counts as. An unknown number is ignored."""
        call = self._calls.pop(number, None)
        if call is None:
            return
        call.names = names
        if call.grown:
            call.slot.open(call, -1)
            call.slot.add(names)

    def take(self) -> list[CohortRow]:
        """Take the rows that changed since they were last taken."""
        now = self._clock.monotonic()
        self._grow(now)
        for key, slot in list(self._slots.items()):
            if slot.closed and (not slot.changed or now > slot.closes + KEPT_S):
                del self._slots[key]
            elif now >= slot.closes:
                slot.close()
        changed = [slot for slot in self._slots.values() if slot.changed]
        for slot in changed:
            slot.changed = False
        return [slot.row() for slot in changed]

    def put_back(self, rows: Sequence[CohortRow]) -> None:
        """Take rows again next time. Call before the next `take`."""
        for row in rows:
            slot = self._slots.get((row.provider, int(row.at.timestamp())))
            if slot is not None:
                slot.changed = True

    def _grow(self, now: float) -> None:
        """Count the calls that are old enough."""
        while self._young and self._young[0].begun <= now - GRACE_S:
            call = self._young.popleft()
            if call.names is None:
                call.grown = True
                call.slot.open(call, 1)
            elif call.names:
                call.slot.add(call.names)
