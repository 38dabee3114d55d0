"""The evidence at a lender's volume: 500 to 20,000 messages a day, tick by tick through the engine.

Ticks in which nothing became known are left out: they change nothing. Every case says how many of
its runs took traffic from the target, and after how many of the target's messages in the median.
`PYTHONPATH=. python tests/bench/test_low_volume.py [RUNS [CASE]]` prints the table alone, on the
source.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.bench import compiled
from tests.support.seeded import state_at
from worker.domain.detection.automatic_rollback import judge
from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.silence import DeliveryCounts
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick
from worker.domain.migration.phases import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 100
DAY = 8_640
AGE = 60
"""Ticks until an accepted message is judged."""


@dataclass(frozen=True)
class Case:
    """Traffic of both providers, and what is expected of it."""

    name: str
    per_day: int
    share: int
    days: int
    failing: float = 0.02
    """Of the target; 2 % of legacy's fail."""
    lost: float = 0.01
    """Of what the target accepts; 1 % of legacy's is. Half of it has a report of failure."""
    most: float | None = None
    """The target's messages in the median until traffic is taken; None: it must never be."""

    @property
    def id(self) -> str:
        return f"{self.name}-{self.per_day}"


CASES = [
    *(Case("no difference", volume, 10, 30) for volume in (500, 1_000, 5_000, 20_000)),
    Case("dead", 1_000, 10, 5, failing=1.0, most=15),
    Case("60 % lost", 1_000, 10, 10, lost=0.6, most=30 + 100 * AGE / DAY),
    Case("60 % lost", 5_000, 5, 5, lost=0.6, most=40),
    Case("10 % fail", 5_000, 5, 20, failing=0.1, most=400),
]


def ticks(case: Case, seed: int) -> Iterator[Tick]:
    """What became known, tick by tick."""
    rng = np.random.default_rng([seed, case.per_day, case.share])
    count, a_tick = case.days * DAY, case.per_day / DAY
    sides = []
    for part, failing, lost in (
        (case.share / 100, case.failing, case.lost),
        (1 - case.share / 100, 0.02, 0.01),
    ):
        tried = rng.poisson(a_tick * part, count)
        failed = rng.binomial(tried, failing)
        accepted = tried - failed
        sides.append((tried, failed, accepted, rng.binomial(accepted, lost)))
    for at in range(count):
        found = [_side(*side, at) for side in sides]
        if any(side.failed.total or side.judged.total for side in found):
            yield Tick(at * TICK_S, found[0], found[1], legacy_all=found[1].failed)


def _side(
    tried: np.ndarray, failed: np.ndarray, accepted: np.ndarray, lost: np.ndarray, at: int
) -> ProviderTick:
    judged, then = DeliveryCounts(), at - AGE
    if then >= 0 and accepted[then]:
        whole, gone = int(accepted[then]), int(lost[then])
        judged = DeliveryCounts(gone, whole, whole - gone + gone // 2)
    seen = EventCounts(int(failed[at]), int(tried[at]))
    return ProviderTick(seen, EventCounts(0, int(accepted[at])), judged)


def until_down(case: Case, seed: int) -> float | None:
    """Messages of the target until traffic is taken from it; None: never."""
    state = state_at(case.share)
    setting = criteria_of(state, dict.fromkeys(Role, True), AGE * TICK_S)
    known, sent = Evidence(), 0.0
    for tick in ticks(case, seed):
        known = observe(known, tick, setting)
        sent += tick.target.failed.total
        if judge(known, state).action.down:
            return sent
    return None


def measured(case: Case, runs: int) -> bool:
    """Prints the line of a case; returns whether its bar is met."""
    began = time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(until_down, [case] * runs, range(runs)))
    down = [each for each in found if each is not None]
    middle = median(each if each is not None else np.inf for each in found)
    good = not down if case.most is None else middle <= case.most
    bar = "never" if case.most is None else f"at most {case.most:.0f}"
    where = f"{case.name:<14} {case.per_day:>6,} a day, {case.share:>2} %"
    when = f", median {middle:.0f} messages" if down else ""
    line = f"{where}: taken in {len(down)} of {runs}{when} (bar: {bar})"
    print(f"{line}  {'met' if good else 'MISSED'}  {time.monotonic() - began:.0f} s", flush=True)
    return good


@pytest.mark.bench
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_at_a_lenders_volume(case: Case) -> None:
    assert compiled.run(__file__, RUNS, case.id) == 0


if __name__ == "__main__":
    runs, *only = sys.argv[1:] or ["10"]
    held = [measured(case, int(runs)) for case in CASES if case.id in only or not only]
    sys.exit(not all(held))
