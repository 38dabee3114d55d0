"""The simulation of calls against the parts of the worker that it stands for."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.bench import calls_read as read
from tests.bench.calls_breaker import When, admit, fields, finish, passable
from tests.bench.calls_scene import (
    ACCEPTED,
    CALL,
    DEADLINE_S,
    LEGACY,
    NOT_SENT,
    REFUSED,
    SKIPPED,
    TARGET,
    UNKNOWN,
)
from worker.domain.detection.cohorts import KEPT, Calls
from worker.domain.figures.periods import SLOT_S
from worker.ports.providers import BreakerState
from worker.providers.breaker import Breaker, Mark
from worker.settings.providers import BreakerSettings
from worker.telemetry.cohorts import Cohorts

SLOW_S = 5.0


class Clock:
    """Stands where it is put."""

    at = 0.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


@pytest.mark.bench
def test_the_compiled_breaker_does_what_the_breaker_does() -> None:
    rng, clock, settings = random.Random(1), Clock(), BreakerSettings()
    real = Breaker("provider", settings, clock, lambda *_: None)
    when = When(*(getattr(settings, name) for name in When._fields))
    compiled = np.zeros(1, np.dtype(fields(when), align=True))[0]
    calls, seen = [], set()
    for step in range(20_000):
        clock.at += rng.expovariate(10.0)
        assert passable(compiled, clock.at) == real.passable()
        if rng.random() < 0.5 or not calls:
            if real.passable():
                calls.append((real.admit(), admit(compiled)))
        else:
            failing = 0.02 + 0.3 * (step // 500 % 4)
            mark = rng.choice([*Mark, Mark.FAILURE]) if rng.random() < failing else Mark.SUCCESS
            call, generation = calls.pop(rng.randrange(len(calls)))
            lasted_s = rng.choice([0.1, SLOW_S + 1.0])
            real.finish(call, mark, lasted_s)
            finish(compiled, when, generation, list(Mark).index(mark), lasted_s, clock.at)
        assert list(BreakerState)[compiled["state"]] is real.state
        seen.add(real.state)
    assert seen == set(BreakerState)


def a_log(rng: np.random.Generator, calls: int, seconds: float) -> np.ndarray:
    """Calls of every kind, quick ones and slow ones."""
    log = np.zeros(calls, CALL)
    log["began"] = np.sort(rng.random(calls) * seconds)
    lasted = rng.choice([0.1, 1.0, 4.0, 7.0, DEADLINE_S], calls) * rng.random(calls)
    log["provider"] = rng.choice([TARGET, LEGACY], calls)
    log["outcome"] = rng.choice([ACCEPTED, NOT_SENT, UNKNOWN, REFUSED, SKIPPED], calls)
    log["ended"] = log["began"] + np.where(log["outcome"] == SKIPPED, 0.0, lasted)
    log["eligible"] = rng.random(calls) < 0.7
    log["counts"] = (log["outcome"] == ACCEPTED) | (log["outcome"] == REFUSED)
    log["counts"] |= rng.random(calls) < 0.7
    return log


def sums(call: np.void) -> list[str]:
    """The sums that a call counts in once it ended (`telemetry.metrics`)."""
    if not call["counts"]:
        return []
    kinds = {ACCEPTED: "ok", REFUSED: "refused", SKIPPED: "skipped"}
    kind = kinds.get(int(call["outcome"]), "failed")
    slow = call["outcome"] == ACCEPTED and call["ended"] - call["began"] > SLOW_S
    eligible = [f"eligible_{kind}", *(["eligible_slow"] if slow else [])]
    return [f"any_{kind}", *(eligible if call["eligible"] else [])]


@pytest.mark.bench
def test_cohorts_are_read_as_the_worker_counts_them() -> None:
    log = a_log(np.random.default_rng(1), 5_000, 200.0)
    looks = np.arange(7.3, 300.0, 10.0)
    seen = looks - 1.0
    found = read.cohorts(log, looks, seen, SLOW_S)
    clock, numbers, kept = Clock(), {}, {}
    counted = Cohorts(clock)
    events = [(call["began"], 0, at) for at, call in enumerate(log)]
    events += [(call["ended"], 1, at) for at, call in enumerate(log)]
    events += [(moment, 2, at) for at, moment in enumerate(seen)]
    for moment, what, at in sorted(events):
        clock.at = float(moment)
        call = log[at % len(log)]
        if what == 0:
            eligible = bool(call["eligible"])
            numbers[at] = counted.began(str(call["provider"]), eligible=eligible)
        elif what == 1:
            counted.ended(numbers[at], sums(call))
        else:
            for row in counted.take():
                kept[row.provider, row.at.timestamp()] = row.counts
            assert found[at].tolist() == _as_read(kept, looks[at])


def _as_read(kept: dict[tuple[str, float], dict[str, int]], look: float) -> list[object]:
    last = look // SLOT_S * SLOT_S
    return [
        [
            [
                [kept.get((str(who), start), {}).get(f"{whose}_{kind}", 0) for kind in _KINDS]
                for whose in ("eligible", "any")
            ]
            for who in (TARGET, LEGACY)
        ]
        for start in (last - SLOT_S * later for later in reversed(range(KEPT)))
    ]


_KINDS = Calls.__slots__
