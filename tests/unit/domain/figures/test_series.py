"""Sums of slots laid out over time."""

from __future__ import annotations

import pytest

from worker.domain.figures.periods import SPANS, SlotSums
from worker.domain.figures.series import COUNTED, MOST_SLOTS, SCALES, Scale, laid_out, period
from worker.domain.figures.tally import COUNTERS, LATENCY

NOW = 1_772_366_407.5
HOURS = [0.01, 0.5, 1.0, 1.01, 6.0, 24.0, 28.0, 28.1, 168.0, 169.0, 24 * 31.0, 24 * 366.0]


@pytest.mark.parametrize("hours", HOURS)
def test_a_period_has_a_bounded_number_of_slots_and_holds_its_hours(hours: float) -> None:
    shown = period(hours, NOW)
    assert 1 <= len(shown.starts) <= MOST_SLOTS + 1
    assert shown.since <= NOW - hours * 3_600
    assert shown.until - shown.scale.slot_s <= NOW < shown.until
    assert shown.since % shown.scale.slot_s == 0


@pytest.mark.parametrize(
    ("hours", "scale"),
    [
        (1.0, Scale(60, 10)),
        (24.0, Scale(600, 600)),
        (168.0, Scale(3_600, 3_600)),
        (24 * 31.0, Scale(21_600, 3_600)),
    ],
)
def test_the_slots_grow_with_the_period(hours: float, scale: Scale) -> None:
    assert period(hours, NOW).scale == scale


def test_each_slot_of_a_chart_is_made_of_whole_stored_slots() -> None:
    assert all(scale.span in SPANS and scale.slot_s % scale.span == 0 for scale in SCALES)
    assert sorted(SCALES) == list(SCALES)


def test_every_counter_that_is_asked_for_is_one_that_is_stored() -> None:
    assert set(COUNTED) <= {*COUNTERS, *LATENCY}


def test_figures_stand_in_their_slot_and_nothing_stands_in_the_others() -> None:
    shown = period(1.0, NOW)
    sums = {
        "accepted": 90, "not_sent_provider": 2, "unknown": 1, "skipped": 3, "refused": 4,
        "delivered": 40, "undelivered": 2, "eligible_ok": 70, "eligible_failed": 5,
        "eligible_refused": 1, "latency:4": 90, "duration_us": 9_000_000,
    }  # fmt: skip
    found = laid_out([SlotSums("a", shown.starts[7], sums)], shown, ("a", "b"))
    figures = found["a"][7]
    assert (figures.attempts, figures.accepted, figures.errors) == (100, 90, 6)
    assert (figures.delivered, figures.judged, figures.assigned) == (40, 42, 76)
    assert (figures.p50_ms, figures.p95_ms) == (100.0, 100.0)
    rest = [each for number, each in enumerate(found["a"]) if number != 7] + found["b"]
    assert len(rest) == 2 * len(shown.starts) - 1
    assert {(each.attempts, each.assigned, each.p95_ms) for each in rest} == {(0, 0, None)}


def test_a_slot_out_of_the_period_and_another_provider_are_left_out() -> None:
    shown = period(1.0, NOW)
    rows = [
        SlotSums("a", shown.until, {"accepted": 1}),
        SlotSums("c", shown.since, {"accepted": 1}),
    ]
    found = laid_out(rows, shown, ("a",))
    assert (set(found), sum(each.attempts for each in found["a"])) == ({"a"}, 0)
