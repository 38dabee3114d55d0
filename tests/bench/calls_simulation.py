"""Calls of replicas to two providers, and the ticks that the monitor would read of them.

    stretches of time -> messages -> calls (`calls_worker`) -> counts (`calls_read`) -> ticks

Rules: messages come at random (Poisson) to three replicas with the worker's own settings. A tick
comes every 10 s, anywhere in a slot, and sees what every replica had written a second before.
A seed, a share and the stretches name one run.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.bench import calls_read as read
from tests.bench.calls_breaker import When
from tests.bench.calls_scene import LEGACY, MESSAGE, TARGET, WAY, Limits, scene
from tests.bench.calls_worker import run
from worker.domain.detection.cohorts import KEPT, Calls, Cohort
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.silence import DeliveryCounts
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick
from worker.domain.figures.periods import SLOT_S
from worker.settings.model import Settings
from worker.settings.providers import BreakerSettings, ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

REPLICAS = 3
AGE_S = 600.0
"""At which accepted messages are judged."""
WRITTEN_S = 1.0
"""By when every replica has written what it knows."""
_SLOW_S = 5.0
_TOLD = 0.5
"""Part of what does not arrive that has a report saying so."""


@dataclass(frozen=True)
class Way:
    """What a provider does with messages: chances, and times in the mean."""

    failing: float = 0.02
    refusing: float = 0.0
    """By the fault of the number."""
    late_s: float = 0.1
    """Until a failure is known; from `DEADLINE_S` on the message may have left."""
    takes_s: float = 0.25
    """Until it answers otherwise."""
    losing: float = 0.01
    """Of what it accepts."""


USUAL = Way()
DEAD = Way(failing=1.0)


@dataclass(frozen=True)
class Numbers:
    """A group of recipients: their part of the messages, and what happens to them."""

    part: float = 1.0
    target: Way = USUAL
    legacy: Way = USUAL


@dataclass(frozen=True)
class Stretch:
    """A time in which nothing changes."""

    seconds: float
    per_s: float
    numbers: tuple[Numbers, ...] = (Numbers(),)
    """Their parts add up to 1."""
    reported: tuple[bool, bool] = (True, True)
    """Whether reports come of what target and legacy accept now."""


def ticks(stretches: tuple[Stretch, ...], share: int, seed: int) -> Iterator[Tick]:
    """What the monitor reads, tick by tick."""
    rng = np.random.default_rng([seed, share])
    ends = np.cumsum([each.seconds for each in stretches])
    looks = np.arange(TICK_S * rng.random(), ends[-1], TICK_S)
    seen = looks - WRITTEN_S
    messages, ways = _messages(stretches, share, rng), _ways(stretches, ends)
    log, shut = _calls(messages, ways, seen, rng)
    ended = read.ended(log, seen, _SLOW_S).tolist()
    every = read.all_of_legacy(log, seen).tolist()
    cohorts = read.cohorts(log, looks, seen, _SLOW_S)
    reported = np.array([each.reported for each in stretches])
    lost = _lost(log, messages["group"][log["message"]], ways, reported, rng)
    judged = read.judged(log, seen, AGE_S, *lost).tolist()
    answers = rng.random(len(looks)) >= ways["failing"][_stretch(ways, seen), 0, LEGACY]
    broken = (2 * shut > REPLICAS).tolist()
    for at, look in enumerate(looks.tolist()):
        target_broken, legacy_broken = broken[at]
        yield Tick(
            at=look,
            target=_side(ended[at][TARGET], judged[at][TARGET]),
            legacy=_side(ended[at][LEGACY], judged[at][LEGACY]),
            legacy_all=EventCounts(*every[at]),
            breaker_open=target_broken,
            legacy_open=legacy_broken,
            legacy_answers=target_broken and not legacy_broken and bool(answers[at]),
            cohorts=_cohorts(look, cohorts[at]),
        )


def _side(ended: list[int], judged: list[int]) -> ProviderTick:
    ok, failed, slow, skips, _, refused = ended
    undelivered, unreported, accepted = judged
    return ProviderTick(
        failed=EventCounts(failed + skips, ok + failed + skips),
        slow=EventCounts(slow, ok),
        judged=DeliveryCounts(undelivered, accepted, accepted - unreported),
        refused=refused,
    )


def _cohorts(look: float, counts: np.ndarray) -> tuple[Cohort, ...]:
    """Those of which anything is known."""
    first = (look // SLOT_S - (KEPT - 1)) * SLOT_S
    return tuple(
        Cohort(
            first + SLOT_S * place,
            target=Calls(*sums[TARGET][read.ELIGIBLE]),
            legacy=Calls(*sums[LEGACY][read.ELIGIBLE]),
            legacy_all=Calls(*sums[LEGACY][read.EVERY]),
        )
        for place, sums in enumerate(counts.tolist())
        if counts[place].any()
    )


# --- what is the case ----------------------------------------------------------------------


def _stretch(ways: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """In which stretch they are."""
    ends = ways["ends"][:, 0, 0]
    return np.minimum(np.searchsorted(ends, moments, side="right"), len(ends) - 1)


def _messages(stretches: tuple[Stretch, ...], share: int, rng: np.random.Generator) -> np.ndarray:
    times, groups, begins = [], [], 0.0
    for each in stretches:
        count = rng.poisson(each.per_s * each.seconds)
        times.append(np.sort(begins + each.seconds * rng.random(count)))
        groups.append(rng.choice(len(each.numbers), count, p=[n.part for n in each.numbers]))
        begins += each.seconds
    messages = np.zeros(sum(map(len, times)), MESSAGE)
    messages["at"], messages["group"] = np.concatenate(times), np.concatenate(groups)
    messages["side"] = np.where(rng.random(len(messages)) < share / 100, TARGET, LEGACY)
    return messages


def _ways(stretches: tuple[Stretch, ...], ends: np.ndarray) -> np.ndarray:
    """By stretch, group and provider; a group that a stretch does not have fares as its first."""
    groups = max(len(each.numbers) for each in stretches)
    ways = np.zeros((len(stretches), groups, 2), WAY)
    for at, stretch in enumerate(stretches):
        for group in range(groups):
            numbers = stretch.numbers[group if group < len(stretch.numbers) else 0]
            for provider, way in ((TARGET, numbers.target), (LEGACY, numbers.legacy)):
                ways[at, group, provider] = (ends[at], *astuple(way))
    return ways


def _calls(
    messages: np.ndarray, ways: np.ndarray, seen: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The log, and by look and provider on how many replicas its breaker is not closed."""
    breaker = BreakerSettings()
    limits = Limits(
        when=When(*(getattr(breaker, name) for name in When._fields)),
        places=ProviderSettings.model_fields["max_in_flight"].default // REPLICAS,
        prefetch=Settings.model_fields["prefetch_transactional"].default,
        life_s=Settings.model_fields["life_transactional_s"].default,
        rounds=Settings.model_fields["rounds_transactional"].default,
    )
    world = scene(messages, ways, limits, REPLICAS)
    shut = run(world, seen, rng.integers(2**32))
    return world.log[: world.broker[0]["rows"]], shut


def _lost(
    log: np.ndarray,
    groups: np.ndarray,
    ways: np.ndarray,
    reported: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """By row of the log, if accepted: whether it counts as not delivered, and as not reported."""
    stretch, luck = _stretch(ways, log["ended"]), rng.random(len(log))
    chance = ways["losing"][stretch, groups, log["provider"]]
    silent = ~reported[stretch, log["provider"]]
    return silent | (luck < chance), silent | (luck < (1 - _TOLD) * chance)
