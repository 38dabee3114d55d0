"""The slots of a series, with the figures of both providers, and the table that they make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from worker.console import formats

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from contracts.answers import ProviderSeries, SeriesAnswer

_ROWS: Final = 24
"""Rows of the table, at most about."""
_KINDS: Final = ("attempts", "accepted", "errors", "assigned")


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of a period."""

    begins: list[datetime]
    length: timedelta
    target: Mapping[str, list[int]]
    """Counts by kind, one for each slot, like `legacy`."""
    legacy: Mapping[str, list[int]]

    @classmethod
    def of(cls, series: SeriesAnswer) -> Slots:
        """The slots of an answer; zeros for a provider that it does not have."""
        many = max((len(each.attempts) for each in series.providers.values()), default=0)
        length = timedelta(seconds=series.slot_s)
        begins = [series.since + length * number for number in range(many)]
        target, legacy = (
            _counts(series.providers.get(name), many) for name in (series.target, series.legacy)
        )
        return cls(begins, length, target, legacy)

    def counts(self, role: str, kind: str) -> list[int]:
        """Counts of `target` or `legacy` of one kind."""
        return (self.target if role == "target" else self.legacy)[kind]


def _counts(series: ProviderSeries | None, many: int) -> dict[str, list[int]]:
    found = {kind: list(getattr(series, kind)) if series else [] for kind in _KINDS}
    return {kind: (counts + [0] * many)[:many] for kind, counts in found.items()}


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A line of the table: a part of the period."""

    at: datetime
    sent: str
    share: str
    target_failed: str
    legacy_failed: str
    attempts: str


def rows(slots: Slots, series: SeriesAnswer) -> Iterator[SlotRow]:
    """The table: as many slots in a row as make about `_ROWS` rows."""
    every = max(-(-len(slots.begins) // _ROWS), 1)
    for first in range(0, len(slots.begins), every):
        part = slice(first, first + every)
        until = slots.begins[first] + slots.length * every
        yield SlotRow(
            at=slots.begins[first],
            sent=_sent(slots, part),
            share=f"{_share_at(series, until)} %",
            target_failed=_failed(slots.target, part),
            legacy_failed=_failed(slots.legacy, part),
            attempts=formats.count(
                sum(slots.target["attempts"][part]) + sum(slots.legacy["attempts"][part])
            ),
        )


def _sent(slots: Slots, part: slice) -> str:
    ours, theirs = (sum(side["assigned"][part]) for side in (slots.target, slots.legacy))
    return _rate(ours, ours + theirs)


def _failed(side: Mapping[str, list[int]], part: slice) -> str:
    errors, accepted = sum(side["errors"][part]), sum(side["accepted"][part])
    return _rate(errors, errors + accepted)


def _rate(count: int, total: int) -> str:
    return formats.percent(100.0 * count / total if total else None)


def _share_at(series: SeriesAnswer, at: datetime) -> int:
    """What was set just before a moment, per cent."""
    return next(
        (each.share_after for each in reversed(series.changes) if each.at < at), series.share
    )
