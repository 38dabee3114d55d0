"""No false alarm in a day: the engine itself on seeded traffic. Long, hence not a unit test."""

from __future__ import annotations

import random

import pytest

from tests.seeded import DAY, tick
from worker.domain import evidence
from worker.domain.evidence import Evidence, Setting, Signal, observe

RUNS = 40


@pytest.mark.parametrize("split", [1, 5, 50, 98])
def test_a_day_without_a_difference_blames_nobody(split: int) -> None:
    blamed = 0
    for seed in range(RUNS):
        rng, known, setting = (
            random.Random(f"{split} {seed}"),
            Evidence(),
            Setting(split, 0.0),
        )
        for at in range(DAY):
            known = observe(known, tick(rng, at, split, 0.02, 0.02), setting)
            if evidence.relative_alarm(known, Signal.FAILED):
                blamed += 1
                break
    assert blamed == 0
