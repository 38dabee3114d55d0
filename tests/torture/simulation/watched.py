"""Draws a scenario that automation watches, with people who steer at the same time.

Rules: the target fails for some seconds, and automation may take it back for that. Then a person is
faster: the traffic is taken back and given again before automation has looked. Nothing has failed
since, so automation may not move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.torture.simulation.parties import TARGET
from tests.torture.simulation.providers import Manner
from tests.torture.simulation.scenario import Behave, Publish, Scenario, Steer, Step

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

MESSAGES: Final = 320
LASTS_S: Final = 80.0
_PER_S: Final = MESSAGES / LASTS_S
_OVERRIDE: Final = {"override_gates": "a drill"}


def draw(seed: str, rng: random.Random) -> Scenario:
    """The scenario of a seed."""
    steps = (*_traffic(rng), *_person_is_faster(rng, rng.uniform(12.0, 22.0)))
    fails = Behave(rng.uniform(55.0, 60.0), TARGET, Manner.UNAVAILABLE, 20.0)
    return Scenario(
        seed=seed,
        steps=(*steps, *((fails,) if rng.random() < 0.5 else ())),
        percentage=50,
        processes=2,
        watched=True,
    )


def _traffic(rng: random.Random) -> Iterator[Publish]:
    for number in range(MESSAGES):
        to = f"+26097{rng.randrange(10_000_000):07d}"
        lane = rng.choice(("transactional", "bulk"))
        yield Publish(round(number / _PER_S + rng.random(), 3), f"m-{number}", to, lane, 60.0)


def _person_is_faster(rng: random.Random, at: float) -> Iterator[Step]:
    """The target fails; a person takes all traffic back, and gives it again when it is well."""
    for_s = rng.uniform(2.0, 8.0)
    yield Behave(at, TARGET, Manner.UNAVAILABLE, for_s)
    back = at + for_s + rng.uniform(0.1, 0.6)
    yield Steer(back, "emergency-rollback")
    yield Steer(back + 0.5, "advance", _OVERRIDE)
    yield Steer(back + 1.0, "advance", _OVERRIDE)
