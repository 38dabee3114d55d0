"""What of the evidence starts anew, and when.

Rules: pure. Evidence is used for the state that it was collected in alone; the rules of when it
starts anew are in the head of `evidence`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from worker.domain.detection.contrast import NOTHING_APART
from worker.domain.detection.evidence import FRESH, LAPSE_S, NO_BLOCKS, UNSUSPECTED, Evidence
from worker.domain.detection.signals import SIGNALS, Signal
from worker.domain.detection.silence import NO_SILENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.domain.detection.criteria import Criteria
    from worker.domain.detection.tick import Tick

_LONG_GAPS: Final = 20.0
"""Where little is sent, legacy lapses after so many times the usual gap between two outcomes..."""
_LONGEST_LAPSE_S: Final = 43_200.0
"""...and after this time at the latest."""
_T = TypeVar("_T")


def of_another_state(evidence: Evidence, criteria: Criteria) -> bool:
    """Whether what is known is about another state; a target without a share has none."""
    same = evidence.anew == criteria.anew and evidence.providers == criteria.providers
    return not same or not criteria.share


def for_legacy(evidence: Evidence, tick: Tick, criteria: Criteria) -> Evidence:
    """Without what is known of legacy, where it is disabled, another, or unheard of for long."""
    heard = evidence.legacy_heard
    another = not criteria.legacy_enabled or evidence.providers[1] != criteria.providers[1]
    if not another and (heard is None or tick.at - heard <= _lapse_s(evidence, heard)):
        return evidence
    target, legacy = evidence.silences
    return replace(
        evidence,
        relative=UNSUSPECTED,
        settled=UNSUSPECTED,
        block=NO_BLOCKS,
        other_way=FRESH.other_way,
        other_block=FRESH.other_block,
        compare_from=tick.at,
        silences=(target, NO_SILENCE if another else legacy),
        legacy_bad=FRESH.legacy_bad,
        legacy_bad_at=None,
        legacy_bad_cohorts=(),
        legacy_heard=None,
        apart=NOTHING_APART,
    )


def _lapse_s(evidence: Evidence, heard: float) -> float:
    """How long nothing may be heard of legacy: long for the traffic that it has."""
    outcomes = evidence.counted[Signal.FAILED][3]
    if evidence.begun is None or not outcomes:
        return LAPSE_S
    usual_s = (heard - evidence.begun) / outcomes
    return min(max(LAPSE_S, _LONG_GAPS * usual_s), _LONGEST_LAPSE_S)


def for_state(evidence: Evidence, tick: Tick, criteria: Criteria) -> Evidence:
    """What still counts in the state in force."""
    if of_another_state(evidence, criteria):
        return Evidence(
            since=criteria.since,
            begun=tick.at,
            anew=criteria.anew,
            anew_at=tick.at,
            providers=criteria.providers,
            bounds=evidence.bounds,
            margins=evidence.margins,
            slow_ms=evidence.slow_ms,
            unsettled=tick.at,
            legacy_bad_cohorts=evidence.legacy_bad_cohorts,
            legacy_bad=evidence.legacy_bad,
            legacy_bad_at=evidence.legacy_bad_at,
            legacy_heard=evidence.legacy_heard,
        )
    if evidence.since == criteria.since:
        return evidence
    return replace(
        evidence,
        since=criteria.since,
        begun=criteria.since if evidence.since is None else tick.at,
        unsettled=tick.at,
        block=NO_BLOCKS,
        other_block=FRESH.other_block,
        compared=NO_BLOCKS,
        no_worse=FRESH.no_worse,
        low=FRESH.low,
        skew=FRESH.skew,
        counted=FRESH.counted,
    )


def for_bounds(evidence: Evidence, criteria: Criteria) -> Evidence:
    """What was held against another bound, or counted other events, says nothing about this one."""
    same_slow = evidence.slow_ms == criteria.slow_ms
    if same_slow and evidence.bounds == criteria.bounds and evidence.margins == criteria.margins:
        return evidence
    events = [same_slow or s is not Signal.SLOW for s in SIGNALS]
    bound = [events[s] and evidence.bounds[s] == criteria.bounds[s] for s in SIGNALS]
    within = [events[s] and evidence.margins[s] == criteria.margins[s] for s in SIGNALS]
    new, failed = FRESH, Signal.FAILED
    same_bad_bound = evidence.bounds[failed][-1] == criteria.bounds[failed][-1]
    same_good_bound = evidence.bounds[failed][0] == criteria.bounds[failed][0]
    return replace(
        evidence,
        bounds=criteria.bounds,
        margins=criteria.margins,
        slow_ms=criteria.slow_ms,
        legacy_bad=evidence.legacy_bad if same_bad_bound else new.legacy_bad,
        relative=kept(events, evidence.relative, new.relative),
        settled=kept(events, evidence.settled, new.settled),
        block=kept(events, evidence.block, new.block),
        compared=kept(events, evidence.compared, new.compared),
        counted=kept(events, evidence.counted, new.counted),
        no_worse=kept(within, evidence.no_worse, new.no_worse),
        absolute=kept(bound, evidence.absolute, new.absolute),
        low=kept(bound, evidence.low, new.low),
        apart=evidence.apart if same_good_bound else NOTHING_APART,
    )


def failed_anew(evidence: Evidence, now: float) -> Evidence:
    """Without anything that is known of failed calls of the target."""
    others = [signal is not Signal.FAILED for signal in SIGNALS]
    return replace(
        _unsuspected(evidence, others),
        failed_from=now,
        not_accepted=(),
        compared=kept(others, evidence.compared, FRESH.compared),
        no_worse=kept(others, evidence.no_worse, FRESH.no_worse),
        low=kept(others, evidence.low, FRESH.low),
        counted=kept(others, evidence.counted, FRESH.counted),
        sick_replica=None,
    )


def calls_anew(evidence: Evidence, now: float) -> Evidence:
    """Without suspicion of the target from calls; what they prove, or do not, is kept."""
    others = [signal is Signal.UNDELIVERED for signal in SIGNALS]
    return replace(
        _unsuspected(evidence, others),
        grace_since=None,
        graced_at=now,
        unsettled=now,
        breaker_since=None,
    )


def _unsuspected(evidence: Evidence, others: Sequence[bool]) -> Evidence:
    """Without suspicion of failed calls, and of every other signal that `others` does not keep."""
    return replace(
        evidence,
        relative=kept(others, evidence.relative, FRESH.relative),
        settled=kept(others, evidence.settled, FRESH.settled),
        other_way=(FRESH.other_way[0], evidence.other_way[1]),
        other_block=(FRESH.other_block[0], evidence.other_block[1]),
        absolute=kept(others, evidence.absolute, FRESH.absolute),
        block=kept(others, evidence.block, FRESH.block),
        apart=NOTHING_APART,
    )


def kept(keeps: Sequence[bool], before: tuple[_T, ...], new: tuple[_T, ...]) -> tuple[_T, ...]:
    """By signal: what was known before where it is kept, else what is new."""
    return tuple(before[s] if keeps[s] else new[s] for s in SIGNALS)
