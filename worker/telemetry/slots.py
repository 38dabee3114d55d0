"""The sums of one process, by slots of every span.

Rules: an attempt counts once, in its provider's open slot of 10 s. Longer slots and the sums since
the start are made of closed slots; the open slot is added when they are read. Rows are cumulative
sums of this process, so a repeated write counts nothing twice. A slot leaves memory once it is over
and its row was taken and not put back. Callers make sure that time never goes back.
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
    """Present cumulative sums of one provider in one slot."""

    provider: str
    span: int
    """Length of the slot, seconds."""
    at: datetime
    """Start of the slot, UTC."""
    counts: Mapping[str, int | Decimal]
    """`Tally.counts`."""


_Key = tuple[str, int, int]
"""Provider, span and start in seconds since the epoch."""


class _Provider:
    """The open slot of a provider, and the sums of all slots before it."""

    __slots__ = ("changed", "closed", "slot", "start")

    def __init__(self) -> None:
        self.start = 0
        """Start of the open slot; 0: there is none."""
        self.slot = Tally()
        self.changed = False
        """Whether the open slot changed since rows were last taken."""
        self.closed = Tally()

    def keys(self, provider: str) -> list[_Key]:
        """The slots of every span that contain the open one; empty if none is open."""
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
        """Sums of closed slots of 10 s, by the slots of every span that contain them."""
        self._dirty: set[_Key] = set()

    @property
    def providers(self) -> tuple[str, ...]:
        """The ids of all providers."""
        return tuple(self._providers)

    def open(self, provider: str, now: int) -> Tally:
        """The tally to count in at `now` (seconds since the epoch). Callers must not keep it."""
        state = self._providers.get(provider)
        if state is None:
            state = self._providers[provider] = _Provider()
        if now >= state.start + SLOT_S:
            self._close(provider, state)
            state.start = start_of(now, SLOT_S)
        state.changed = True
        return state.slot

    def total(self, provider: str) -> Tally:
        """Sums since the process started."""
        state = self._providers.get(provider)
        return state.closed.plus(state.slot) if state else Tally()

    def take(self, now: int, limit: int) -> list[SlotRow]:
        """Take at most `limit` rows that changed since they were last taken."""
        for provider, state in self._providers.items():
            self._note(provider, state)
            if now >= state.start + SLOT_S:
                self._close(provider, state)
        self._forget(now)
        keys = [self._dirty.pop() for _ in range(min(limit, len(self._dirty)))]
        return [self._row(key) for key in keys]

    def put_back(self, rows: Sequence[SlotRow]) -> None:
        """Take rows again next time. Call before the next `take`."""
        self._dirty |= {(row.provider, row.span, int(row.at.timestamp())) for row in rows}

    def _note(self, provider: str, state: _Provider) -> None:
        if state.changed:
            self._dirty.update(state.keys(provider))
            state.changed = False

    def _close(self, provider: str, state: _Provider) -> None:
        """Close the open slot, if there is one: add it to all slots that contain it."""
        self._note(provider, state)
        for key in state.keys(provider):
            self._closed[key] = self._sum(key)
        state.closed = state.closed.plus(state.slot)
        state.start, state.slot = 0, Tally()

    def _sum(self, key: _Key) -> Tally:
        """The sums of a slot, with the open slot if it is part of it."""
        provider, span, start = key
        closed, now = self._closed.get(key, Tally()), self._providers[provider]
        return closed.plus(now.slot) if start_of(now.start, span) == start else closed

    def _row(self, key: _Key) -> SlotRow:
        provider, span, start = key
        return SlotRow(provider, span, datetime.fromtimestamp(start, UTC), self._sum(key).counts())

    def _forget(self, now: int) -> None:
        """Forget the slots that are over and need not be taken again."""
        over = [key for key in self._closed if key[1] + key[2] <= now and key not in self._dirty]
        for key in over:
            del self._closed[key]
