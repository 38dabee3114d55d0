"""What one process counted, by slots of every span.

Rules: an attempt counts once, in its provider's open slot of 10 s. Longer slots and the sums since
the start are those of closed slots, with the open one added when somebody asks. Rows are cumulative
sums of this process, so writing one twice counts nothing twice. A slot leaves memory once it is
over and its row was taken and not put back. Time never goes back here: who calls sees to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from worker.domain.figures.periods import SLOT_S, SPANS, start_of
from worker.domain.figures.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class SlotRow:
    """Cumulative sums of one provider in one slot, as they stand."""

    provider: str
    span: int
    """Length of the slot, seconds."""
    at: datetime
    """Start of the slot, UTC."""
    counts: Mapping[str, int | Decimal]
    """`Tally.counts`."""


_Key = tuple[str, int, int]
"""Provider, span and start, seconds since the epoch."""


class _Provider:
    """The open slot of a provider, and the sums of all before it."""

    __slots__ = ("changed", "closed", "slot", "start")

    def __init__(self) -> None:
        self.start = 0
        """Start of the open slot; 0: none is open."""
        self.slot = Tally()
        self.changed = False
        """Whether the open slot changed since rows were last taken."""
        self.closed = Tally()

    def keys(self, provider: str) -> list[_Key]:
        """The slots of every span that the open one is part of; none where none is open."""
        spans = SPANS if self.start else ()
        return [(provider, span, start_of(self.start, span)) for span in spans]


class Slots:
    """Sums by provider and slot.

    Args:
        providers: ids known from the start.
    """

    def __init__(self, providers: Iterable[str]) -> None:
        self._providers = {provider: _Provider() for provider in providers}
        self._closed: dict[_Key, Tally] = {}
        """Sums of closed slots of 10 s, by the slots of every span that they are part of."""
        self._dirty: set[_Key] = set()

    @property
    def providers(self) -> tuple[str, ...]:
        """Ids of every provider."""
        return tuple(self._providers)

    def open(self, provider: str, now: int) -> Tally:
        """The tally to count in; seconds since the epoch. Not to be kept."""
        found = self._providers.get(provider)
        if found is None:
            found = self._providers[provider] = _Provider()
        if now >= found.start + SLOT_S:
            self._close(provider, found)
            found.start = start_of(now, SLOT_S)
        found.changed = True
        return found.slot

    def total(self, provider: str) -> Tally:
        """Sums since the process started."""
        found = self._providers.get(provider)
        return found.closed.plus(found.slot) if found else Tally()

    def take(self, now: int, limit: int) -> list[SlotRow]:
        """Rows that changed since they were last taken, at most so many."""
        for provider, found in self._providers.items():
            self._note(provider, found)
            if now >= found.start + SLOT_S:
                self._close(provider, found)
        self._forget(now)
        keys = [self._dirty.pop() for _ in range(min(limit, len(self._dirty)))]
        return [self._row(key) for key in keys]

    def put_back(self, rows: Sequence[SlotRow]) -> None:
        """Take rows again next time. Call before the next `take`."""
        self._dirty |= {(row.provider, row.span, int(row.at.timestamp())) for row in rows}

    def _note(self, provider: str, found: _Provider) -> None:
        if found.changed:
            self._dirty.update(found.keys(provider))
            found.changed = False

    def _close(self, provider: str, found: _Provider) -> None:
        """Add the open slot, where there is one, to all that it is part of."""
        self._note(provider, found)
        for key in found.keys(provider):
            self._closed[key] = self._sum(key)
        found.closed = found.closed.plus(found.slot)
        found.start, found.slot = 0, Tally()

    def _sum(self, key: _Key) -> Tally:
        """The sums of a slot, the open one among them where it is part of it."""
        provider, span, start = key
        closed, now = self._closed.get(key, Tally()), self._providers[provider]
        return closed.plus(now.slot) if start_of(now.start, span) == start else closed

    def _row(self, key: _Key) -> SlotRow:
        provider, span, start = key
        return SlotRow(provider, span, datetime.fromtimestamp(start, UTC), self._sum(key).counts())

    def _forget(self, now: int) -> None:
        """Whatever is over and needs not be taken again."""
        over = [key for key in self._closed if key[1] + key[2] <= now and key not in self._dirty]
        for key in over:
            del self._closed[key]
