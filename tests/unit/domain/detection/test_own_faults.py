"""Recipients' and messages' own faults, through the real book: no reason to alarm anybody."""

from __future__ import annotations

import random

import pytest

from tests.support.seeded_book import DEAD_NUMBER, OWN_FAULTS, PROVIDERS, Counted, own_faults
from worker.domain.detection import readings
from worker.domain.detection.criteria import Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.observing import observe
from worker.domain.detection.signals import Signal

RUNS = 16
SPLIT = 5


@pytest.mark.parametrize("kind", OWN_FAULTS)
def test_a_burst_of_faults_that_are_not_the_targets_raises_no_alarm(kind: str) -> None:
    setting = Criteria(SPLIT, 0.0)
    for seed in range(RUNS):
        known = Evidence()
        for tick, _ in own_faults(random.Random(seed), kind, SPLIT):
            known = observe(known, tick, setting)
            alarms = [
                (readings.relative_alarm(known, s), readings.absolute_alarm(known, s))
                for s in Signal
            ]
            assert alarms == [(False, False)] * len(Signal)


def test_a_phone_that_is_switched_off_raises_no_alarm() -> None:
    known, setting, counted = Evidence(), Criteria(SPLIT, 0.0), Counted()
    for at in range(60):
        for number in range(100):
            provider = PROVIDERS[number >= SPLIT]
            counted.book.judged(
                provider, delivered=True, eligible=True, recipient_hash=f"{at} {number}"
            )
        for _ in range(9 if 20 <= at < 26 else 0):
            counted.book.judged(
                "target", delivered=False, eligible=True, recipient_hash="switched off"
            )
        known = observe(known, counted.tick()[0], setting)
        assert not readings.relative_alarm(known, Signal.UNDELIVERED)
        assert not readings.absolute_alarm(known, Signal.UNDELIVERED)


def test_the_same_burst_at_numbers_of_their_own_is_the_targets() -> None:
    known, setting = Evidence(), Criteria(SPLIT, 0.0)
    for tick, _ in own_faults(random.Random(0), DEAD_NUMBER, SPLIT, one_number=False):
        known = observe(known, tick, setting)
        if readings.relative_alarm(known, Signal.FAILED):
            return
    pytest.fail("no alarm")
