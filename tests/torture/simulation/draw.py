"""Draws a scenario from a seed: traffic, and what befalls it.

Rules: the same seed draws the same scenario. Troubles overlap, because two at once find what each
alone does not; one scenario in twenty has none, because then nothing may be unknown. Some are laid
out by a plan, because chance alone seldom brings its parts together.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation import watched
from tests.torture.simulation.fates import Fate
from tests.torture.simulation.parties import LEGACY, PROVIDERS, TARGET
from tests.torture.simulation.providers import Manner
from tests.torture.simulation.scenario import (
    Befall,
    Behave,
    End,
    Forge,
    Hit,
    Jump,
    OptOut,
    Pause,
    Publish,
    Scenario,
    Steer,
    Step,
    Stop,
    Trouble,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

LANES: Final = ("transactional", "bulk")
NUMBERS: Final = tuple(f"+2609771{n:05d}" for n in range(24))
BUSY_S: Final = 12.0
"""Within this time everything begins."""
MESSAGES: Final = 20
KINDS: Final = 20
"""Each kind comes once in so many scenarios."""
WATCHED_EVERY: Final = 200
"""In one of so many scenarios automation watches: it takes as long as many others."""
_LIVES: Final = (None, None, 2.0, 6.0, 20.0, 150.0)
_SHARES: Final = (1, 25, 50, 50, 75, 100)
_CALLS: Final = {"database": 160, "broker": 240, "provider": 20}
"""About so many calls a process makes to each server."""
_DOWNWARD: Final = ("rollback", "emergency-rollback", "hold")
_OVERRIDE: Final = {"override_gates": "a drill"}


def draw(number: int) -> Scenario:
    """The scenario of a number."""
    seed = f"history {number}"
    rng = random.Random(seed)
    if number % WATCHED_EVERY == WATCHED_EVERY // 2:
        return watched.draw(seed, rng)
    publishes = tuple(_traffic(rng, MESSAGES))
    return Scenario(
        seed=seed,
        steps=(*publishes, *_of_kind(number % KINDS, rng, publishes)),
        percentage=rng.choice(_SHARES),
        processes=rng.choice((1, 2, 2, 2)),
        delivery_limit=rng.choice((1000, 1000, 2)),
    )


def _of_kind(kind: int, rng: random.Random, publishes: tuple[Publish, ...]) -> Iterator[Step]:
    """What befalls the traffic: nothing, a plan that chance seldom makes, or chance alone."""
    if kind == 0:
        return
    if kind in _PLANS:
        yield from _PLANS[kind](rng)
    else:
        yield from _troubles(rng, publishes)


def _traffic(rng: random.Random, count: int) -> Iterator[Publish]:
    for number in range(count):
        yield Publish(
            at=round(rng.uniform(0.0, BUSY_S), 3),
            id=f"m-{number}",
            to=rng.choice(NUMBERS),
            lane=rng.choice(LANES),
            life_s=rng.choice(_LIVES),
            copies=2 if rng.random() < 0.1 else 1,
            valid=rng.random() > 0.03,
            queue_s=rng.choice((0.05, 3.0)) if rng.random() < 0.05 else None,
        )


def _troubles(rng: random.Random, publishes: tuple[Publish, ...]) -> Iterator[Step]:
    yield from _some(rng, 5, lambda: _hit(rng))
    yield from _some(rng, 2, lambda: _behave(rng))
    yield from _some(rng, 2, lambda: _stop(rng))
    yield from _some(rng, 1, lambda: Pause(_moment(rng), rng.randrange(2), rng.uniform(1, 20)))
    yield from _some(rng, 2, lambda: _befall(rng))
    yield from _some(rng, 1, lambda: _jump(rng))
    yield from _some(rng, 2, lambda: _steer(rng))
    yield from _some(rng, 1, lambda: OptOut(_moment(rng), rng.choice(NUMBERS), TARGET))
    ids = [each.id for each in publishes]
    yield from _some(rng, 1, lambda: Forge(_moment(rng) + 3, LEGACY, rng.choice(ids)))


def _some(rng: random.Random, most: int, make: Any) -> Iterator[Step]:
    for _ in range(rng.randint(0, most)):
        yield make()


def _moment(rng: random.Random) -> float:
    return round(rng.uniform(0.2, BUSY_S), 3)


def _no_way_out(rng: random.Random) -> Iterator[Step]:
    """No provider takes anything for a while, and the copies that wait are removed."""
    for provider in PROVIDERS:
        yield Behave(rng.uniform(0, 2), provider, Manner.UNAVAILABLE, rng.uniform(4, 10))
    yield Befall(rng.uniform(5, 11), Trouble.PURGED)
    yield from _some(rng, 3, lambda: _hit(rng))


def _worn_out(rng: random.Random) -> Iterator[Step]:
    """Copies come back from a retry queue, are in hand for long, and lose their link each time."""
    for provider in PROVIDERS:
        yield Behave(0.0, provider, Manner.UNAVAILABLE, rng.uniform(3, 5))
        yield Behave(5.0, provider, Manner.SLOW, 20.0)
    yield Befall(rng.uniform(5, 8), Trouble.LINKS_LOST, rng.uniform(6, 9))
    yield from _some(rng, 3, lambda: _hit(rng))


def _clocks_apart(rng: random.Random) -> Iterator[Step]:
    """Calls are slow, links are lost meanwhile, and the processes' clocks differ."""
    for provider in PROVIDERS:
        yield Behave(0.0, provider, Manner.SLOW, BUSY_S)
    yield Jump(0.1, f"process {rng.randrange(2)}", rng.choice((-30.0, 30.0)), 60.0)
    yield Befall(_moment(rng), Trouble.LINKS_LOST, rng.uniform(1, 6))
    yield from _some(rng, 2, lambda: _stop(rng))


def _hit(rng: random.Random) -> Hit:
    server = rng.choice(tuple(_CALLS))
    nth = int(rng.random() ** 1.5 * _CALLS[server])
    return Hit(rng.randrange(2), server, nth, rng.choice(tuple(Fate)))


def _behave(rng: random.Random) -> Behave:
    manner = rng.choice(tuple(Manner))
    return Behave(_moment(rng), rng.choice(PROVIDERS), manner, round(rng.uniform(0.5, 12), 3))


def _stop(rng: random.Random) -> Stop:
    return Stop(_moment(rng), rng.randrange(2), rng.choice(tuple(End)), rng.uniform(0.5, 8))


def _befall(rng: random.Random) -> Befall:
    return Befall(_moment(rng), rng.choice(tuple(Trouble)), round(rng.uniform(0.5, 9), 3))


def _jump(rng: random.Random) -> Jump:
    machine = rng.choice(("database", "process 0", "process 1"))
    return Jump(_moment(rng), machine, rng.choice((-30.0, -3.0, 3.0, 30.0)), rng.uniform(1, 20))


def _steer(rng: random.Random) -> Steer:
    name = rng.choice(
        ("step", "set-percentage", "rollback", "emergency-rollback", "hold", "resume")
    )
    fields: dict[str, Any] = {} if name in {*_DOWNWARD, "resume"} else dict(_OVERRIDE)
    if name == "set-percentage":
        fields["percentage"] = rng.choice((0, 10, 50, 75))
    return Steer(_moment(rng), name, fields, copies=rng.choice((1, 2)))


_PLANS: Final = {1: _no_way_out, 2: _worn_out, 3: _clocks_apart}
"""By kind, plans for what seldom comes together."""
