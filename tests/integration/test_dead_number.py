"""Ten days with one dead number, through books, ticks and evidence. Long, hence not a unit test."""

from __future__ import annotations

import random

import pytest

from tests.support.monitor_fakes import BAD, LEGACY, OK, TARGET
from tests.support.replicas_fake import Replicas
from tests.support.seeded import state_at
from worker.domain.detection import automatic_rollback
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.observing import observe
from worker.domain.detection.signals import Signal

A_DAY, DAY_S = 500, 86_400


@pytest.mark.parametrize("share", [10, 25])
async def test_one_dead_number_of_the_target_tried_every_ten_minutes_moves_nothing_in_ten_days(
    share: int,
) -> None:
    rng, replicas, state = random.Random(share), Replicas(), state_at(share)
    setting, known = replicas.ticks.setting(state), Evidence()
    await replicas.tick()
    for begins, dead in _ten_days(rng):
        replicas.clock.advance(max(0.0, begins - replicas.clock.monotonic()))
        _send(replicas, rng, share, dead=dead)
        replicas.clock.advance(2.0)
        replicas.store()
        replicas.clock.advance(18.0)
        known = observe(known, await replicas.tick(rng.randrange(3)), setting)
        assert not automatic_rollback.judge(known, state).action.down
    assert known.counted[Signal.FAILED][1] > 9 * A_DAY * share / 100


def _ten_days(rng: random.Random) -> list[tuple[float, bool]]:
    """When messages are sent, in order; whether to the dead number."""
    usual = [(rng.random() * 10 * DAY_S, False) for _ in range(10 * A_DAY)]
    return sorted(usual + [(600.0 * number, True) for number in range(10 * DAY_S // 600)])


def _send(replicas: Replicas, rng: random.Random, share: int, *, dead: bool) -> None:
    """A message of any replica; the one to the dead number is tried at both providers."""
    replica = rng.randrange(3)
    if dead:
        replicas.attempt(replica, TARGET, BAD, "dead")
        replicas.attempt(replica, LEGACY, BAD, "dead", eligible=False)
        return
    provider = TARGET if rng.random() * 100 < share else LEGACY
    replicas.attempt(replica, provider, BAD if rng.random() < 0.005 else OK)
