"""Delivery reports that do not come: what is lost, and what is only not known.

Rules: what has no report counts as undelivered only where reports came before it and go on after
it. A provider whose reports are missing altogether is not blamed for it: they are missing when more
than `MANY` attempts in a row were judged without one, and also when `FEW` were and the last report
is `LONG_S` ago, since at little traffic many never come together. What was judged in the ticks in
which reports ceased and came back is not known, nor what was accepted before they came back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from worker.domain.detection.likelihood import NOTHING, EventCounts

MANY: Final = 30
"""Judged attempts in a row without a single report before the reports themselves are missing."""
FEW: Final = 5
LONG_S: Final = 1_800.0


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """Accepted eligible attempts judged at the delivery age."""

    undelivered: float = 0
    total: float = 0
    reported: float = 0
    """With any final report: what shows that reports come at all."""


NONE_JUDGED: Final = DeliveryCounts()


@dataclass(frozen=True, slots=True)
class Silence:
    """What of one provider waits until reports go on."""

    before: float = 0.0
    """Without a report in the last tick in which reports came."""
    since_then: float = 0.0
    """Judged since, all without a report."""
    began: float | None = None
    """When the first of those was judged."""
    missing: bool = False
    """Reports are missing altogether."""
    ended: float | None = None
    """When reports last came back after they had been missing."""


NO_SILENCE: Final = Silence()


def released(
    known: Silence, judged: DeliveryCounts, now: float, age_s: float, *, elsewhere: bool
) -> tuple[EventCounts, Silence]:
    """What may be counted of one tick, and what waits.

    Args:
        known: what waits.
        judged: of this tick.
        now: seconds since the epoch.
        age_s: at which attempts are judged, seconds.
        elsewhere: whether the other provider's reports are missing: then nothing is known here.
    """
    if not judged.total:
        return NOTHING, known
    if not judged.reported:
        return NOTHING, _grown(known, judged.total, now)
    without = judged.total - judged.reported
    told = judged.undelivered - without
    ended = now if known.missing else known.ended
    unknown = known.missing or elsewhere or (ended is not None and now < ended + age_s)
    if unknown:
        return EventCounts(told, judged.reported), Silence(ended=ended)
    late = known.before + known.since_then
    return EventCounts(told + late, judged.reported + late), Silence(before=without)


def _grown(known: Silence, silent: float, now: float) -> Silence:
    began = now if known.began is None else known.began
    count = known.since_then + silent
    missing = count > MANY or (count >= FEW and now - began >= LONG_S)
    if known.missing or missing:
        return Silence(began=began, missing=True)
    return replace(known, since_then=count, began=began)
