"""Lays the sums of slots out over time: what a chart of both providers draws.

Rules: pure. A chart has at most `MOST_SLOTS` slots and the one that is still filling, whatever its
period, so its size and its cost are bounded. Slots begin at multiples of their length since the
epoch, so the same moment is in the same slot of every chart. A slot without attempts has zeros and
no times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from worker.domain.figures.periods import SPANS, start_of
from worker.domain.figures.tally import LATENCY, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker.domain.figures.periods import SlotSums

MOST_SLOTS: Final = 168
"""As many as a week has hours. One more may be filling still."""
COUNTED: Final = (
    "accepted",
    "refused",
    "not_sent_provider",
    "not_sent_account",
    "not_sent_recipient",
    "not_sent_message",
    "unknown",
    "skipped",
    "duration_us",
    "delivered",
    "undelivered",
    "eligible_ok",
    "eligible_failed",
    "eligible_refused",
    *LATENCY,
)
"""The counters that a chart needs."""
_TEN_S, _TEN_MIN, _HOUR, _DAY = SPANS
_HOUR_S: Final = 3_600


class Scale(NamedTuple):
    """The slots of a chart, and the stored slots that they are made of, seconds."""

    slot_s: int
    span: int


SCALES: Final = (
    Scale(60, _TEN_S),
    Scale(600, _TEN_MIN),
    Scale(3_600, _HOUR),
    Scale(2 * 3_600, _HOUR),
    Scale(6 * 3_600, _HOUR),
    Scale(86_400, _DAY),
    Scale(3 * 86_400, _DAY),
)
"""The finest first: a minute up to an hour, ten minutes up to 28 hours, an hour up to a week, and
so on."""
_FINEST_HOURS: Final = 1.0
"""Up to here minutes are shown. A longer period would read too many slots of 10 s."""


@dataclass(frozen=True, slots=True)
class Period:
    """The slots of a chart: those that begin in [since, until), seconds since the epoch."""

    since: int
    until: int
    scale: Scale

    @property
    def starts(self) -> range:
        """When each slot begins."""
        return range(self.since, self.until, self.scale.slot_s)


def period(hours: float, now: float) -> Period:
    """The slots that cover the last hours up to now (seconds since the epoch)."""
    scale = _scale(hours)
    since = start_of(int(now - hours * _HOUR_S), scale.slot_s)
    return Period(since, start_of(int(now), scale.slot_s) + scale.slot_s, scale)


def _scale(hours: float) -> Scale:
    coarser = SCALES if hours <= _FINEST_HOURS else SCALES[1:]
    fitting = (each for each in coarser if hours * _HOUR_S <= MOST_SLOTS * each.slot_s)
    return next(fitting, SCALES[-1])


@dataclass(frozen=True, slots=True)
class SlotFigures:
    """Figures of one provider in one slot."""

    attempts: int
    accepted: int
    errors: int
    delivered: int
    judged: int
    """Accepted messages that reached the delivery age."""
    assigned: int
    """First attempts that the percentage assigned to it, as the evidence counts them."""
    p50_ms: float | None
    p95_ms: float | None


def laid_out(
    rows: Iterable[SlotSums], shown: Period, providers: Sequence[str]
) -> dict[str, list[SlotFigures]]:
    """The figures of each provider, one for each slot of the period, the oldest first."""
    known = {(row.provider, row.start): Tally.of(row.sums) for row in rows}
    return {
        provider: [_figures(known.get((provider, start), _NOTHING)) for start in shown.starts]
        for provider in providers
    }


def _figures(sums: Tally) -> SlotFigures:
    return SlotFigures(
        attempts=sums.attempts,
        accepted=sums.accepted,
        errors=sums.errors,
        delivered=sums.delivered,
        judged=sums.delivered + sums.undelivered,
        assigned=sums.eligible_ok + sums.eligible_failed + sums.eligible_refused,
        p50_ms=sums.percentile_ms(0.5),
        p95_ms=sums.percentile_ms(0.95),
    )


_NOTHING: Final = Tally()
