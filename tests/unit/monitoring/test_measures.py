"""What the gates measure: of delivery, only what was accepted at the percentage in force."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import HandClock, snapshot
from tests.support.monitor_fakes import LEGACY, TARGET, Account
from worker.domain.detection.evidence import Evidence
from worker.monitoring.measures import Measuring

if TYPE_CHECKING:
    from worker.domain.migration.gates import Measures


class Slots:
    """Sums of the target by the moment they became known."""

    def __init__(self) -> None:
        self.rows: list[tuple[datetime, dict[str, int]]] = []

    async def sum(self, since: datetime, until: datetime) -> dict[str, Counter[str]]:
        found: Counter[str] = Counter()
        for at, counts in self.rows:
            if since <= at < until:
                found.update(counts)
        return {TARGET: found}


@pytest.mark.parametrize(("minutes", "judged"), [(5, 0), (10, 0), (11, 7), (30, 7)])
async def test_what_is_judged_within_the_delivery_age_of_a_change_is_not_of_the_new_percentage(
    minutes: int, judged: int
) -> None:
    clock, slots = HandClock(), Slots()
    began = clock.now()
    slots.rows = [
        (began + timedelta(minutes=1), {"delivered": 90, "undelivered": 10, "accepted": 100}),
        (began + timedelta(minutes=10), {"delivered": 6, "undelivered": 1}),
    ]
    clock.advance(60.0 * minutes)
    measures = await measured(clock, slots, began, Evidence())
    assert (measures.judged, measures.accepted) == (judged, 100)
    assert measures.delivered == (6 if judged else 0)


@pytest.mark.parametrize(
    ("from_min", "errors", "begins_s"), [(None, 5, 300), (6, 5, 300), (4, 3, 195), (0, 0, 0)]
)
async def test_the_window_holds_nothing_of_calls_that_began_before_they_count(
    from_min: int | None, errors: int, begins_s: float
) -> None:
    clock, slots = HandClock(), Slots()
    now = clock.now()
    slots.rows = [(now - timedelta(minutes=each), {"unknown": 1}) for each in range(1, 6)]
    state = replace(snapshot(25), since=now - timedelta(days=1))
    counts_from = None if from_min is None else now - timedelta(minutes=from_min)
    found = await measuring(clock, slots).window(state, counts_from)
    assert (found.errors, found.since) == (errors, now.timestamp() - begins_s)


@pytest.mark.parametrize(("anew", "known"), [(0, True), (1, False)])
async def test_evidence_of_another_state_is_none_to_the_gates(anew: int, *, known: bool) -> None:
    clock, slots = HandClock(), Slots()
    began = clock.now()
    evidence = Evidence(since=began.timestamp(), anew=anew, at=began.timestamp())
    measures = await measured(clock, slots, began, evidence)
    assert (measures.evidence is evidence) is known


@pytest.mark.parametrize(
    ("early", "late", "per_hour"),
    [
        (20, 0, 2.0),  # 2 an hour, and by chance none within ten minutes
        (19, 1, 2.0),
        (6_000, 0, 0.0),  # they ceased
        (0, 100, 600.0),  # they began
        (6_000, 50, 300.0),
    ],
)
async def test_the_present_rate_is_that_of_ten_minutes_unless_so_few_come_that_they_show_none(
    early: int, late: int, per_hour: float
) -> None:
    clock, slots = HandClock(), Slots()
    began = clock.now()
    clock.advance(3_600.0 * 10)
    slots.rows = [
        (began, {"accepted": early}),
        (clock.now() - timedelta(minutes=5), {"accepted": late}),
    ]
    measures = await measured(clock, slots, began, Evidence())
    assert measures.per_s == pytest.approx(per_hour / 3_600.0)


async def measured(clock: HandClock, slots: Slots, began: datetime, evidence: Evidence) -> Measures:
    made = measuring(clock, slots, evidence)
    return await made.since_change(replace(snapshot(25), since=began))


def measuring(clock: HandClock, slots: Slots, evidence: Evidence | None = None) -> Measuring:
    async def known(_lineage: str) -> Evidence | None:
        return evidence

    return Measuring(slots, Account(TARGET), Account(LEGACY), clock, known, delivery_age_s=600.0)
