"""Trouble that shows sooner at one provider than at the other, call by call.

Half of both fails for five minutes: the target's calls at once, legacy's by timeouts of 30 s. With
breakers, limits of calls under way and what they lead to (`calls_worker`): messages that wait,
calls passed over, and probes that find one of both well before the other. Nothing of it is a reason
to take traffic from the target. Beside it the same traffic counted by what ended in the tick, and a
target that is dead.
`PYTHONPATH=. python tests/bench/test_speeds.py [RUNS]` prints the table alone.
"""

from __future__ import annotations

import sys
import time
from statistics import median

import pytest

from tests.bench.calls_moves import Traffic, moves
from tests.bench.calls_scene import DEADLINE_S
from tests.bench.calls_simulation import DEAD, WRITTEN_S, Numbers, Stretch, Way
from worker.domain.detection.cohorts import GRACE_S
from worker.domain.detection.tick import TICK_S

RUNS = 400
SHARES, RATES = (5, 25, 50, 75), (3, 10, 100)
HALF_OF_BOTH = Numbers(target=Way(failing=0.5), legacy=Way(failing=0.5, late_s=DEADLINE_S))
DEAD_TARGET = Numbers(target=DEAD)
SHOWN = 3
"""Runs of a bar that is missed."""
BEFORE_S, DURING_S, AFTER_S = 120.0, 300.0, 360.0


def an_outage_of_both(per_s: float, share: int, *, by_start: bool = True) -> Traffic:
    stretches = (
        Stretch(BEFORE_S, per_s),
        Stretch(DURING_S, per_s, (HALF_OF_BOTH,)),
        Stretch(AFTER_S, per_s),
    )
    return Traffic(stretches, share, BEFORE_S, reports=False, by_start=by_start)


def a_dead_target(per_s: float, share: int) -> Traffic:
    stretches = Stretch(BEFORE_S, per_s), Stretch(DURING_S, per_s, (DEAD_TARGET,))
    return Traffic(stretches, share, BEFORE_S, reports=False)


def most_s(per_s: float, share: int) -> float:
    """Bar of the median: 15 s, or what 12 messages of the target take, where that is longer.

    To these comes what they wait to be seen: until they are old enough and written, and for the
    next tick, which is half of the time between two.
    """
    seen_s = GRACE_S + WRITTEN_S + TICK_S / 2
    return max(15.0, 12 / (per_s * share / 100) + seen_s)


def held(per_s: float, share: int, runs: int) -> bool:
    """Prints the line of an outage of both."""
    began = time.monotonic()
    found = moves(an_outage_of_both(per_s, share), runs)
    few = max(1, runs // 20)  # shows that the outage is one that a simpler count mistakes
    ended = len(moves(an_outage_of_both(per_s, share, by_start=False), few))
    line = f"half of both, {per_s:>3}/s, {share:>2} %: taken in {len(found)} of {runs}"
    print(f"{line} (by what ended: {ended} of {few})  {_end(not found, began)}", flush=True)
    for each in found[:SHOWN]:
        print(f"  run {each.seed}, {each.after_s:.0f} s: {each.reason}", flush=True)
    return not found


def soon(per_s: float, share: int, runs: int) -> bool:
    """Prints the line of a dead target."""
    began = time.monotonic()
    times = [each.after_s for each in moves(a_dead_target(per_s, share), runs)]
    good = len(times) == runs and median(times) <= most_s(per_s, share)
    line = f"target dead,  {per_s:>3}/s, {share:>2} %: taken in {len(times)} of {runs}"
    when = f", median {median(times):.1f} s" if times else ""
    print(f"{line}{when} (bar: {most_s(per_s, share):.0f})  {_end(good, began)}", flush=True)
    return good


def _end(good: bool, began: float) -> str:  # noqa: FBT001 - private
    return f"{'met' if good else 'MISSED'}  {time.monotonic() - began:.0f} s"


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize("per_s", RATES)
@pytest.mark.parametrize("share", SHARES)
def test_an_outage_of_both_of_different_speed_takes_no_traffic(share: int, per_s: int) -> None:
    assert held(per_s, share, RUNS)


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("per_s", "share"), [(100, 25), (100, 1), (10, 1)])
def test_a_dead_target_is_found_soon(per_s: int, share: int) -> None:
    assert soon(per_s, share, RUNS // 4)


if __name__ == "__main__":
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    for a_second in RATES:
        for per_cent in SHARES:
            held(a_second, per_cent, asked)
    for a_second, per_cent in ((100, 25), (100, 1), (10, 1)):
        soon(a_second, per_cent, max(1, asked // 4))
