"""Legacy good and the target bad, over the very same calls."""

from __future__ import annotations

import pytest

from worker.domain.detection.contrast import NOTHING_APART, CallsOfBoth, Contrast, contrasted
from worker.domain.detection.likelihood import NOTHING, EventCounts, strength
from worker.domain.figures.periods import SLOT_S

NOW, BOUND = 1_000.0, 0.05
GOOD, BAD = EventCounts(0, 200), EventCounts(20, 40)


def calls(
    start: float, target: EventCounts = BAD, legacy: EventCounts = GOOD, *, settled: bool = True
) -> CallsOfBoth:
    return CallsOfBoth(start, start + SLOT_S, target, legacy, settled)


def after(*taken: CallsOfBoth, before: Contrast = NOTHING_APART) -> Contrast:
    return contrasted(before, taken, NOW, BOUND)


def test_it_stands_where_one_is_good_and_the_other_bad() -> None:
    assert not NOTHING_APART.stands
    assert after(calls(NOW)).stands


@pytest.mark.parametrize(
    ("target", "legacy"),
    [(GOOD, GOOD), (BAD, BAD), (GOOD, BAD), (NOTHING, GOOD), (BAD, NOTHING)],
)
def test_one_of_both_alone_proves_nothing(target: EventCounts, legacy: EventCounts) -> None:
    assert not after(calls(NOW, target, legacy)).stands


def test_a_few_failures_by_chance_after_an_outage_prove_nothing() -> None:
    # 3 of 6 at a bound of 5 % are 44 to 1: at the end of a common outage that did happen.
    assert not after(calls(NOW, EventCounts(3, 6))).stands
    assert after(calls(NOW, EventCounts(4, 6))).stands


def test_calls_from_before_it_was_suspected_do_not_count() -> None:
    assert after(calls(NOW - SLOT_S)) == Contrast(start=NOW)


def test_settled_calls_count_once_and_others_anew_each_time() -> None:
    settled, open_ = calls(NOW), calls(NOW + SLOT_S, settled=False)
    once = after(settled, open_)
    assert after(settled, open_, before=once) == once
    assert once.start == NOW + SLOT_S
    assert strength(once.shown.good) > strength(once.settled.good) > 0
    done = after(calls(NOW + SLOT_S), before=once)
    assert done.settled == once.shown


def test_calls_behind_unsettled_ones_are_not_settled_either() -> None:
    made = after(calls(NOW, settled=False), calls(NOW + SLOT_S))
    assert made.settled == NOTHING_APART.settled
    assert made.start == NOW
    assert made.stands


def test_what_is_over_is_soon_seen_to_be_over() -> None:
    long = after(*(calls(NOW + n * SLOT_S) for n in range(1_000)))
    assert long.stands
    recovered = [calls(NOW + (1_000 + n) * SLOT_S, EventCounts(0, 100)) for n in range(5)]
    assert not after(*recovered, before=long).stands
