"""Delivery reports that do not come: what is counted once they go on."""

from __future__ import annotations

import pytest

from worker.domain.detection.likelihood import NOTHING, EventCounts
from worker.domain.detection.silence import (
    FEW,
    LONG_S,
    MANY,
    NO_SILENCE,
    DeliveryCounts,
    Silence,
    released,
)

AGE_S = 600.0
SILENT, REPORTED = DeliveryCounts(1, 1, 0), DeliveryCounts(0, 1, 1)


def after(
    *looks: tuple[float, DeliveryCounts], elsewhere: bool = False
) -> tuple[list[EventCounts], Silence]:
    known, seen = NO_SILENCE, []
    for at, judged in looks:
        counted, known = released(known, judged, at, AGE_S, elsewhere=elsewhere)
        seen.append(counted)
    return seen, known


def test_a_few_without_a_report_count_once_reports_go_on() -> None:
    seen, known = after((0, REPORTED), (10, SILENT), (20, SILENT), (30, REPORTED))
    assert seen == [EventCounts(0, 1), NOTHING, NOTHING, EventCounts(2, 3)]
    assert not known.missing


@pytest.mark.parametrize(
    ("every_s", "count", "missing"),
    [
        (1.0, MANY, False),
        (1.0, MANY + 1, True),
        (LONG_S / (FEW - 1), FEW, True),
        (LONG_S / (FEW - 1), FEW - 1, False),
        (LONG_S / FEW, FEW, False),
    ],
)
def test_reports_are_missing_by_number_and_at_little_traffic_by_time(
    every_s: float, count: int, *, missing: bool
) -> None:
    seen, known = after(*((number * every_s, SILENT) for number in range(count)))
    assert (known.missing, set(seen)) == (missing, {NOTHING})


def test_what_was_silent_while_reports_were_missing_is_never_counted() -> None:
    silent = [(number * 600.0, SILENT) for number in range(12)]
    seen, known = after(*silent, (7_200, REPORTED), (7_210, SILENT), (7_220, REPORTED))
    assert seen[-3:] == [EventCounts(0, 1), NOTHING, EventCounts(0, 1)]
    assert known.ended == 7_200


def test_what_is_accepted_after_reports_came_back_counts_again() -> None:
    silent = [(float(number), SILENT) for number in range(MANY + 1)]
    later = 100.0 + AGE_S
    seen, _ = after(
        *silent, (100, REPORTED), (later, REPORTED), (later + 1, SILENT), (later + 2, REPORTED)
    )
    assert seen[-1] == EventCounts(1, 2)


def test_while_the_others_reports_are_missing_silence_says_nothing() -> None:
    seen, _ = after((0, REPORTED), (10, SILENT), (20, REPORTED), elsewhere=True)
    assert seen == [EventCounts(0, 1), NOTHING, EventCounts(0, 1)]


def test_a_report_of_failure_counts_at_once_whatever_waits() -> None:
    silent = [(float(number), SILENT) for number in range(MANY + 1)]
    seen, _ = after(*silent, (100, DeliveryCounts(1, 1, 1)))
    assert seen[-1] == EventCounts(1, 1)
