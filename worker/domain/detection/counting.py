"""What of a tick counts: outcomes that are surely of the state in force.

Rules: pure. Calls that ended are counted for the rates; what is compared goes by when it began
(`comparing`). Deliveries count only as far as reports come (`silence`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.domain.detection.cohorts import SETTLED_AFTER_S, WRITTEN_AFTER_S, ended
from worker.domain.detection.likelihood import NOTHING, EventCounts
from worker.domain.detection.silence import Silence, released

if TYPE_CHECKING:
    from worker.domain.detection.criteria import Criteria
    from worker.domain.detection.evidence import Evidence
    from worker.domain.detection.tick import Tick

_JUDGED_LATE_S: Final = 5.0
"""How long after it is due a judgement may still be written."""
Pairs = tuple[tuple[EventCounts, EventCounts], ...]
"""Target and legacy, by signal."""
NOTHING_SEEN: Final[Pairs] = ((NOTHING, NOTHING),) * 3


def all_began_before(evidence: Evidence, tick: Tick) -> bool:
    """Whether no call of the state in force is known yet: what ended began before it."""
    if tick.cohorts is None or evidence.anew_at is None:
        return False
    young = tick.at < evidence.anew_at + SETTLED_AFTER_S
    return young and all(cohort.start < evidence.anew_at for cohort in tick.cohorts)


def may_blame_failures(evidence: Evidence, tick: Tick) -> bool:
    """Whether a call to the target that began in the state in force is known to have failed."""
    if evidence.failed_call or evidence.anew_at is None:
        return True  # nobody saw the state begin
    if tick.cohorts is None:
        return tick.at > evidence.anew_at and tick.target.failed.events > 0
    return any(c.target.failed and not c.began_before(evidence.anew_at) for c in tick.cohorts)


def without_failures(pairs: Pairs) -> Pairs:
    """Calls that failed at the target left out."""
    (target, legacy), *others = pairs
    return ((EventCounts(0, target.total - target.events), legacy), *others)


def pairs_of(
    evidence: Evidence, tick: Tick, criteria: Criteria
) -> tuple[Pairs, tuple[Silence, Silence]]:
    """Outcomes of target and legacy by signal, delivery only as far as reports come."""
    calls = _ended(evidence, tick)
    if not delivery_age_over(evidence.anew_at, evidence, criteria):
        return (*calls, (NOTHING, NOTHING)), evidence.silences
    (silent, legacy_silent), age_s = evidence.silences, criteria.delivery_age_s
    elsewhere = legacy_silent.missing and criteria.reports[1]
    target, silent = released(silent, tick.target.judged, tick.at, age_s, elsewhere=elsewhere)
    legacy, legacy_silent = released(
        legacy_silent, tick.legacy.judged, tick.at, age_s, elsewhere=False
    )
    judged = (
        target if criteria.reports[0] else NOTHING,
        legacy if all(criteria.reports) else NOTHING,
    )
    return (*calls, judged), (silent, legacy_silent)


def _ended(evidence: Evidence, tick: Tick) -> Pairs:
    """Calls of both that ended, failed and slow.

    Some of what ended before the state was first seen is written only later. So at the next tick
    those count that are known to have begun in it.
    """
    began = evidence.anew_at
    if tick.cohorts is None or began is None or evidence.at >= began + WRITTEN_AFTER_S:
        return (tick.target.failed, tick.legacy.failed), (tick.target.slow, tick.legacy.slow)
    cohorts = [cohort for cohort in tick.cohorts if not cohort.began_before(began)]
    target, legacy = ended(c.target for c in cohorts), ended(c.legacy for c in cohorts)
    return (target[0], legacy[0]), (target[1], legacy[1])


def delivery_age_over(began: float | None, evidence: Evidence, criteria: Criteria) -> bool:
    """Whether all that was judged since the last tick was accepted after `began` (None: yes)."""
    return began is None or evidence.at >= began + criteria.delivery_age_s + _JUDGED_LATE_S
