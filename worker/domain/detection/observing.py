"""One tick taken into the evidence.

Rules: pure and incremental; the same ticks give the same numbers, bit for bit. In this order: what
starts anew (`resets`), what counts (`counting`), trouble of one provider (`trouble`), what is
compared (`comparing`), one sick replica, a grace.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from worker.domain.detection.comparing import comparisons
from worker.domain.detection.counting import (
    NOTHING_SEEN,
    all_began_before,
    may_blame_failures,
    pairs_of,
    without_failures,
)
from worker.domain.detection.evidence import LAPSE_S, SKEW, Evidence, changed
from worker.domain.detection.likelihood import (
    HIGHER,
    NOTHING,
    TOLERATED,
    EventCounts,
    Logs,
    detected,
    rate_gains,
)
from worker.domain.detection.readings import absolute_alarm, relative_alarm
from worker.domain.detection.resets import (
    calls_anew,
    failed_anew,
    for_bounds,
    for_legacy,
    for_state,
    of_another_state,
)
from worker.domain.detection.sick_replica import is_over, sick_replica
from worker.domain.detection.signals import SIGNALS, SKEWED, Signal, level
from worker.domain.detection.trouble import apart, breaker_since, with_trouble_of_legacy
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from worker.domain.detection.criteria import Criteria
    from worker.domain.detection.tick import Tick

_SETTLE_S: Final = 60.0
"""Messages assigned before a change of the share are still under way that long."""


def observe(before: Evidence, tick: Tick, criteria: Criteria) -> Evidence:
    """Take one tick into the evidence."""
    evidence = for_bounds(for_state(for_legacy(before, tick, criteria), tick, criteria), criteria)
    pairs, silences = pairs_of(evidence, tick, criteria)
    if of_another_state(before, criteria) or all_began_before(evidence, tick):
        pairs = NOTHING_SEEN  # nobody's, or partly from before the change
    elif tick.account_fault or evidence.account_fault:
        pairs = ((NOTHING, NOTHING), *pairs[1:])  # refused for our own fault, and passed over
        evidence = replace(evidence, failed_from=tick.at)
    if not may_blame_failures(evidence, tick):
        pairs = without_failures(pairs)  # kept from the target by a breaker open from before
    elif not evidence.failed_call:
        evidence = changed(evidence, failed_call=True)
    bounds = criteria.bounds
    evidence = with_trouble_of_legacy(evidence, tick, bounds[Signal.FAILED][-1])
    absolute = tuple([_absolute(evidence.absolute[s], pairs[s][0], bounds[s], s) for s in SIGNALS])
    evidence = changed(
        evidence,
        **comparisons(evidence, pairs, tick, criteria),
        apart=apart(evidence, absolute[Signal.FAILED], tick, criteria),
        at=tick.at,
        absolute=absolute,
        skew=_skewed(evidence, tick, criteria),
        news=tuple([tick.at if pairs[s][0].events else evidence.news[s] for s in SIGNALS]),
        silences=silences,
        legacy_heard=tick.at if tick.legacy_all.total else evidence.legacy_heard,
        breaker_since=breaker_since(evidence, tick),
        target_failed=tuple([(c.start, c.target.failed) for c in tick.cohorts or ()]),
        legacy_open=tick.legacy_open,
        legacy_answers=tick.legacy_answers,
        account_fault=tick.account_fault if criteria.share else "",
    )  # fmt: skip
    evidence = _with_sick_replica(evidence, tick, bounds[Signal.FAILED][0])
    return _with_grace(evidence, tick, criteria.grace_s)


def _with_sick_replica(evidence: Evidence, tick: Tick, bound: float) -> Evidence:
    """With the replica named that alone fails; without its failures, once that is over."""
    cohorts, before, failed = tick.cohorts or (), evidence.sick_replica, Signal.FAILED
    if before is None and not cohorts:
        return evidence
    stands = relative_alarm(evidence, failed) or absolute_alarm(evidence, failed)
    looked = stands or before is not None
    named = sick_replica(cohorts, tick.at, bound, before) if looked else None
    if before is not None and named is None and is_over(before, cohorts, tick.at, bound):
        return failed_anew(evidence, tick.at)
    return changed(evidence, sick_replica=named) if named != before else evidence


def _with_grace(evidence: Evidence, tick: Tick, grace_s: float) -> Evidence:
    """With the wait for a target whose calls fail: it begins, goes on, or ends.

    At its end all that is known of calls starts anew, so that a restart leaves nothing behind and
    a target that is still dead is found at once. Then none begins for `LAPSE_S`.
    """
    if evidence.grace_since is None:
        again = evidence.graced_at is not None and tick.at - evidence.graced_at <= LAPSE_S
        begins = grace_s > 0.0 and not again and _calls_in_trouble(evidence, tick)
        return changed(evidence, grace_since=tick.at) if begins else evidence
    if tick.at - evidence.grace_since < grace_s:
        return evidence
    return calls_anew(evidence, tick.at)


def _calls_in_trouble(evidence: Evidence, tick: Tick) -> bool:
    of_calls = (Signal.FAILED, Signal.SLOW)
    alarm = any(relative_alarm(evidence, s) or absolute_alarm(evidence, s) for s in of_calls)
    return alarm or (tick.breaker_open and evidence.failed_call)


def _absolute(
    by_bound: tuple[Logs, ...], seen: EventCounts, bounds: tuple[float, ...], signal: Signal
) -> tuple[Logs, ...]:
    if not seen.total:
        return by_bound
    top = level(relative=False, signal=signal)
    return tuple([
        detected(logs, rate_gains(seen, bound, HIGHER), top)
        for logs, bound in zip(by_bound, bounds, strict=True)
    ])  # fmt: skip


def _skewed(evidence: Evidence, tick: Tick, criteria: Criteria) -> Logs:
    """The share realised, held against the one configured; within `TOLERATED` odds all is well.

    A few busy numbers move the share of messages a little off the share of numbers: hence odds.
    """
    settling = evidence.begun is not None and tick.at < evidence.begun + _SETTLE_S
    target = tick.target.failed.total + tick.target.refused
    legacy = tick.legacy.failed.total + tick.legacy.refused
    if settling or not 0 < criteria.share < FULL_SHARE or not target + legacy:
        return evidence.skew
    gains = tuple([
        target * ours + legacy * theirs for ours, theirs in _skew_odds(criteria.share)
    ])  # fmt: skip
    return detected(evidence.skew, gains, SKEWED)


@cache
def _skew_odds(share: int) -> tuple[tuple[float, float], ...]:
    """Gain of each skew on a message of the target and on one of legacy."""
    odds = share / (100.0 - share)
    skews = [(to, TOLERATED) for to in SKEW]
    both = [pair for to, edge in skews for pair in ((to, edge), (1.0 / to, 1.0 / edge))]
    chances = [(_chance(odds * to), _chance(odds * edge)) for to, edge in both]
    return tuple(
        (math.log(chance / at_edge), math.log((1.0 - chance) / (1.0 - at_edge)))
        for chance, at_edge in chances
    )


def _chance(odds: float) -> float:
    return odds / (1.0 + odds)
