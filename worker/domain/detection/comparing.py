"""Target and legacy compared, and what the comparison proves, after one tick more.

Rules: pure. Calls are compared by when they began (`cohorts`), deliveries as they are judged, both
in blocks (`blocks`) and both ways of counting. Nothing is compared while legacy is in trouble.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from worker.domain.detection import margin
from worker.domain.detection.blocks import Detected, Step, detecting
from worker.domain.detection.cohorts import WORST_S, Cohort, Outcomes, outcomes
from worker.domain.detection.counting import Pairs, delivery_age_over
from worker.domain.detection.evidence import AFTERMATH_S, NO_BLOCKS, UNSUSPECTED, Evidence
from worker.domain.detection.likelihood import (
    LOWER,
    NOTHING,
    EventCounts,
    Logs,
    plus,
    rate_gains,
    strength,
)
from worker.domain.detection.margin import Block
from worker.domain.detection.resets import kept
from worker.domain.detection.signals import SIGNALS, Signal
from worker.domain.figures.periods import SLOT_S
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from worker.domain.detection.criteria import Criteria
    from worker.domain.detection.tick import Tick

_OTHER_WAYS: Final = (Signal.FAILED, Signal.UNDELIVERED)
"""Signals that providers tell apart differently: see `Evidence.other_way`."""


def comparisons(evidence: Evidence, pairs: Pairs, tick: Tick, criteria: Criteria) -> dict[str, Any]:
    """What comparing and proving come to after one tick more, by the name of their field."""
    comparable = _comparable(evidence, tick, criteria)
    evidence = _kept_for_comparing(evidence, comparable, tick, criteria)
    failed, refused, slow, unsettled = _calls(
        evidence, pairs, tick, criteria, comparable=comparable[0]
    )
    # Deliveries prove something where they were accepted at this share.
    proves = delivery_age_over(evidence.begun, evidence, criteria)
    counts = (*pairs[:2], pairs[-1] if proves else (NOTHING, NOTHING))
    late = Step(*pairs[Signal.UNDELIVERED], compared=comparable[-1], proves=proves)
    not_accepted, never = _not_accepted(evidence, pairs, tick, criteria)
    lost = late._replace(
        target=with_events(late.target, never[0]), legacy=with_events(late.legacy, never[1])
    )
    steps = (failed, slow, [late])
    found = [detecting(evidence.settled[s], evidence.block[s], steps[s], s) for s in SIGNALS]
    others = _other_ways(evidence, found, steps, (refused, [lost]))
    proofs = [_proofs(evidence, s, steps[s], found[s].closed, criteria) for s in SIGNALS]
    return {
        "unsettled": unsettled,
        "compare_from": evidence.compare_from,
        "counted": tuple([evidence.counted[s].plus(_block(*counts[s])) for s in SIGNALS]),
        "not_accepted": not_accepted,
        "relative": _both_ways(found, others),
        "settled": tuple([each.settled for each in found]),
        "block": tuple([each.block for each in found]),
        "other_way": tuple([each.settled for each in others]),
        "other_block": tuple([each.block for each in others]),
        "compared": tuple([compared for compared, _, _ in proofs]),
        "no_worse": tuple([no_worse for _, no_worse, _ in proofs]),
        "low": tuple([low for _, _, low in proofs]),
    }  # fmt: skip


def _other_ways(
    evidence: Evidence,
    found: list[Detected],
    steps: tuple[list[Step], ...],
    otherwise: tuple[list[Step], ...],
) -> list[Detected]:
    """The detectors of the other way of counting; those found where both ways are the same."""
    return [
        found[s]
        if taken == steps[s]
        and evidence.other_way[n] == evidence.settled[s]
        and evidence.other_block[n] == evidence.block[s]
        else detecting(evidence.other_way[n], evidence.other_block[n], taken, s)
        for n, (s, taken) in enumerate(zip(_OTHER_WAYS, otherwise, strict=True))
    ]


def _both_ways(found: list[Detected], others: list[Detected]) -> tuple[Logs, ...]:
    """What the alarms see: blame must stand under both ways of counting."""
    shown = [each.shown for each in found]
    for signal, other in zip(_OTHER_WAYS, others, strict=True):
        if other.shown is not shown[signal] and max(shown[signal]) > 0.0:
            shown[signal] = min(shown[signal], other.shown, key=strength)
    return tuple(shown)


def _not_accepted(
    evidence: Evidence, pairs: Pairs, tick: Tick, criteria: Criteria
) -> tuple[tuple[tuple[float, float, float], ...], tuple[float, float]]:
    """The counts that wait until the rest of their tick is judged, and those that are due now."""
    target, legacy = pairs[Signal.FAILED]
    new = (tick.at, target.events + tick.target.refused, legacy.events + tick.legacy.refused)
    waits = (*evidence.not_accepted, new) if new[1] or new[2] else evidence.not_accepted
    if not waits or waits[0][0] > tick.at - criteria.delivery_age_s:
        return waits, (0.0, 0.0)
    due = [each for each in waits if each[0] <= tick.at - criteria.delivery_age_s]
    return waits[len(due) :], (sum(each[1] for each in due), sum(each[2] for each in due))


def with_events(seen: EventCounts, events: float) -> EventCounts:
    """Outcomes, and so many events more."""
    return EventCounts(seen.events + events, seen.total + events) if events else seen


def _comparable(evidence: Evidence, tick: Tick, criteria: Criteria) -> tuple[bool, bool, bool]:
    """Whether target and legacy may be compared now, by signal.

    After legacy's own trouble not for a while: what is judged then was accepted during it.
    """
    if criteria.share >= FULL_SHARE:
        return (False,) * 3
    if evidence.legacy_bad_at is None:
        return (True,) * 3
    over = evidence.legacy_bad_at + AFTERMATH_S
    calls = tick.at > over
    return (calls, calls, tick.at > over + criteria.delivery_age_s)


def _kept_for_comparing(
    evidence: Evidence, comparable: tuple[bool, bool, bool], tick: Tick, criteria: Criteria
) -> Evidence:
    """What was known, without what may not be compared."""
    whole = (*comparable[:2], comparable[-1] and not _partly_of_another_share(evidence, criteria))
    if all(whole):
        return evidence
    failed, late = comparable[0], comparable[-1]
    return replace(
        evidence,
        settled=kept(comparable, evidence.settled, UNSUSPECTED),
        block=kept(whole, evidence.block, NO_BLOCKS),
        other_way=(
            evidence.other_way[0] if failed else UNSUSPECTED[0],
            evidence.other_way[1] if late else UNSUSPECTED[0],
        ),
        other_block=(
            evidence.other_block[0] if failed else margin.EMPTY,
            evidence.other_block[1] if whole[-1] else margin.EMPTY,
        ),
        compare_from=evidence.compare_from if failed else tick.at,
    )


def _partly_of_another_share(evidence: Evidence, criteria: Criteria) -> bool:
    """Whether deliveries begin to prove something, and the open blocks hold some from before."""
    if evidence.begun is None or evidence.counted[Signal.UNDELIVERED] != margin.EMPTY:
        return False
    held = (evidence.block[Signal.UNDELIVERED], evidence.other_block[1])
    return held != (margin.EMPTY,) * 2 and delivery_age_over(evidence.begun, evidence, criteria)


def _calls(
    evidence: Evidence, pairs: Pairs, tick: Tick, criteria: Criteria, *, comparable: bool
) -> tuple[list[Step], list[Step], list[Step], float | None]:
    """Steps of failed, of refused for whatever reason, of slow; and the first unsettled cohort."""
    if tick.cohorts is None:
        failed, slow = (Step(*pairs[s], compared=comparable) for s in SIGNALS[:2])
        refused = failed._replace(
            target=with_events(failed.target, tick.target.refused),
            legacy=with_events(failed.legacy, tick.legacy.refused),
        )
        return [failed], [refused], [slow], evidence.unsettled
    found: tuple[list[Step], list[Step], list[Step]] = ([], [], [])
    unsettled, settling = evidence.unsettled, True
    for cohort in tick.cohorts:
        if cohort.began_before(evidence.unsettled):
            continue
        settling = settling and cohort.is_settled(tick.at)
        seen = outcomes_of(evidence, cohort, tick, criteria)
        compared = comparable and not cohort.began_before(evidence.compare_from)
        if not cohort.began_before(evidence.failed_from):
            found[0].append(Step(*seen.failed, settling, compared))
            found[1].append(Step(*seen.refused, settling, compared))
        found[2].append(Step(*seen.slow, settling, compared))
        if settling:
            unsettled = cohort.start + SLOT_S
    return (*found, unsettled)


def outcomes_of(evidence: Evidence, cohort: Cohort, tick: Tick, criteria: Criteria) -> Outcomes:
    """A cohort's outcomes, with what the target's open breaker kept from it.

    That counts as failed once a call failed in this state, unless legacy may be in the same
    trouble.
    """
    well = not any(0.0 <= cohort.start - at <= WORST_S for at in evidence.legacy_bad_cohorts)
    skips = well and evidence.failed_call
    return outcomes(cohort, tick.at, criteria.slow_ms / 1_000.0, skips=skips)


def _block(target: EventCounts, legacy: EventCounts) -> Block:
    return Block(target.events, target.total, legacy.events, legacy.total)


def _proofs(
    evidence: Evidence, signal: Signal, steps: list[Step], closed: list[Block], criteria: Criteria
) -> tuple[Block, Logs, Logs]:
    """Blocks compared, and the proofs "hardly worse" and "below its bound"."""
    compared, no_worse = evidence.compared[signal], evidence.no_worse[signal]
    low = evidence.low[signal]
    for block in closed:
        rate = margin.expected_rate(compared)
        no_worse = plus(no_worse, margin.gains(block, rate, criteria.margins[signal]))
        compared = compared.plus(block)
    for step in steps:
        if step.settled and step.proves and step.target.total:
            low = plus(low, rate_gains(step.target, criteria.bounds[signal][0], LOWER))
    return compared, no_worse, low
