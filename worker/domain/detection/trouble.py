"""Trouble of legacy, an open breaker of the target, and a bad target beside a good legacy.

Rules: pure. Legacy is watched by all its calls, fallbacks and probes too: they tell whether there
is a way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.domain.detection.cohorts import Cohort, all_of_legacy, bad_starts
from worker.domain.detection.comparing import outcomes_of, with_events
from worker.domain.detection.contrast import NOTHING_APART, CallsOfBoth, Contrast, contrasted
from worker.domain.detection.evidence import AFTERMATH_S, Evidence, changed
from worker.domain.detection.likelihood import HIGHER, Logs, detected, rate_gains, reaches
from worker.domain.detection.signals import Signal, level
from worker.domain.figures.periods import SLOT_S

if TYPE_CHECKING:
    from worker.domain.detection.criteria import Criteria
    from worker.domain.detection.tick import Tick


def with_trouble_of_legacy(evidence: Evidence, tick: Tick, bound: float) -> Evidence:
    """With what the tick says of legacy; `bound` is the rate of failures above which it is bad."""
    logs, at = _legacy_bad(evidence, tick, bound)
    cohorts = bad_starts(evidence.legacy_bad_cohorts, tick.cohorts or (), tick.at, bound)
    return changed(evidence, legacy_bad=logs, legacy_bad_at=at, legacy_bad_cohorts=cohorts)


def _legacy_bad(evidence: Evidence, tick: Tick, bound: float) -> tuple[Logs, float | None]:
    """The detector of legacy's own trouble, and when it last stood."""
    top = level(relative=False, signal=Signal.FAILED)
    logs = detected(evidence.legacy_bad, rate_gains(tick.legacy_all, bound, HIGHER), top)
    return logs, tick.at if reaches(logs, top) else evidence.legacy_bad_at


def breaker_since(evidence: Evidence, tick: Tick) -> float | None:
    """See `Evidence.breaker_since`."""
    seen = tick.target.failed
    if not tick.breaker_open or seen.total > seen.events or evidence.legacy_bad_cohorts:
        return None
    recovered = tick.legacy_answers and not evidence.legacy_answers
    if evidence.breaker_since is None:
        return tick.at if _call_failed(evidence, tick) else None
    return tick.at if recovered else evidence.breaker_since


def _call_failed(evidence: Evidence, tick: Tick) -> bool:
    """Whether a call to the target became known to have failed."""
    if tick.cohorts is None:
        return tick.target.failed.events > 0
    before = dict(evidence.target_failed)
    began = [c for c in tick.cohorts if not c.began_before(evidence.anew_at)]
    return any(c.target.failed > before.get(c.start, 0) for c in began)


def apart(
    evidence: Evidence, absolute: tuple[Logs, ...], tick: Tick, criteria: Criteria
) -> Contrast:
    """Whether legacy does well and the target does not, in the very same calls.

    Never in the aftermath of legacy's own trouble, which may have ended for one of both.
    """
    half = level(relative=False, signal=Signal.FAILED) / 2.0
    at = evidence.legacy_bad_at
    aftermath = at is not None and tick.at <= at + AFTERMATH_S
    if aftermath or not any(reaches(logs, half) for logs in absolute):
        return NOTHING_APART
    calls = _calls_of_both(evidence, tick, criteria)
    return contrasted(evidence.apart, calls, tick.at, criteria.bounds[Signal.FAILED][0])


def _calls_of_both(evidence: Evidence, tick: Tick, criteria: Criteria) -> list[CallsOfBoth]:
    """Of the target the eligible ones, of legacy all."""
    now = tick.at
    if tick.cohorts is None:
        legacy = with_events(tick.legacy_all, tick.legacy.refused)
        return [CallsOfBoth(now, now, tick.target.failed, legacy, settled=True)]
    return [
        CallsOfBoth(
            cohort.start,
            cohort.start + SLOT_S,
            outcomes_of(evidence, cohort, tick, criteria).failed[0],
            all_of_legacy(cohort, now),
            settled=cohort.is_settled(now) and not _waits(cohort, now),
        )
        for cohort in tick.cohorts
    ]


def _waits(cohort: Cohort, now: float) -> bool:
    return cohort.legacy_all.open > 0 and not cohort.is_old(now)
