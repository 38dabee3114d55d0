"""A day without a difference: engine and decision table on seeded traffic. Long, hence here."""

from __future__ import annotations

import random

import pytest

from tests.support.seeded import DAY, state_at, tick
from worker.domain.detection.automatic_rollback import judge
from worker.domain.detection.criteria import Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.observing import observe

RUNS = 10


@pytest.mark.parametrize("split", [1, 5, 50, 98])
def test_a_day_without_a_difference_takes_no_traffic_away(split: int) -> None:
    setting, state = Criteria(split, 0.0), state_at(split)
    for seed in range(RUNS):
        rng, known = random.Random(f"{split} {seed}"), Evidence()
        for at in range(DAY):
            known = observe(known, tick(rng, at, split, 0.02, 0.02), setting)
            assert not judge(known, state).action.down
