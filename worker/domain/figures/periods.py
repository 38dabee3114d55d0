"""Slots of time, and a period as the fewest of them.

Rules: slots of a span begin at its multiples since the epoch (UTC), and each span is a multiple of
the one before. A slot belongs to a period when it begins in it. Pieces tile the period: every
smallest slot is covered once, by the longest slots that fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

SPANS: Final = (10, 600, 3_600, 86_400)
"""Lengths of slots, seconds, each a multiple of the one before. Ten minutes stand between: the ends
of a period that begins and ends anywhere would otherwise take hundreds of slots of 10 s."""
SLOT_S: Final = SPANS[0]


class SlotSums(NamedTuple):
    """What ended in one slot at one provider, over all replicas."""

    provider: str
    start: int
    """Seconds since the epoch."""
    sums: dict[str, int]


class CohortSums(NamedTuple):
    """What became of the calls of one replica to one provider that began in one slot."""

    replica: str
    provider: str
    start: int
    """Seconds since the epoch."""
    sums: dict[str, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """The slots of one span that begin in [start, end)."""

    span: int
    start: int
    """Seconds since the epoch, a multiple of the span; so is `end`."""
    end: int


def start_of(moment: int, span: int) -> int:
    """Start of the slot a moment lies in; seconds since the epoch."""
    return moment - moment % span


def pieces(since: float, until: float, spans: tuple[int, ...] = SPANS) -> tuple[Piece, ...]:
    """The period [since, until), seconds since the epoch, in order of time."""
    finest = spans[0]
    start, end = (math.ceil(moment / finest) * finest for moment in (since, until))
    return _tiled(start, end, spans)


def _tiled(start: int, end: int, spans: tuple[int, ...]) -> tuple[Piece, ...]:
    if start >= end:
        return ()
    span, *longer = spans
    if not longer:
        return (Piece(span, start, end),)
    first, last = -(-start // longer[0]) * longer[0], start_of(end, longer[0])
    if first >= last:
        return (Piece(span, start, end),)
    edges = [Piece(span, *edge) for edge in ((start, first), (last, end)) if edge[0] < edge[1]]
    head, tail = (edges[:1], edges[1:]) if start < first else ([], edges)
    return (*head, *_tiled(first, last, tuple(longer)), *tail)
