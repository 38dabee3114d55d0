"""Time slots, and how to cover a period with as few of them as possible.

Rules: slots of a span begin at its multiples since the epoch (UTC), and each span is a multiple of
the one before. A slot belongs to a period if it begins in the period. The pieces of a period cover
each smallest slot once, with the longest slots that fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

SPANS: Final = (10, 600, 3_600, 86_400)
"""Lengths of slots in seconds, each a multiple of the one before. There are slots of ten minutes,
because the ends of a period would otherwise need hundreds of slots of 10 s."""
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
    """Seconds since the epoch. `start` and `end` are multiples of the span."""
    end: int


def start_of(moment: int, span: int) -> int:
    """The start of the slot that contains a moment, in seconds since the epoch."""
    return moment - moment % span


def pieces(since: float, until: float, spans: tuple[int, ...] = SPANS) -> tuple[Piece, ...]:
    """Cover the period [since, until) (seconds since the epoch) with pieces, in order of time."""
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
