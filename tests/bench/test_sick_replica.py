"""How often one sick replica is taken for a target in trouble, and the other way round.

Ten messages a second, breakers at each replica, 2 % failing as usual; the trouble begins two
minutes after traffic did, in the midst of a slot.
`PYTHONPATH=. python tests/bench/test_sick_replica.py [RUNS]` prints the table alone.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.seeded_replicas import USUAL, Replicas, judgements, moved_at, without_replicas
from worker.domain.detection.automatic_rollback import HoldReason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.domain.detection.tick import Tick

RUNS = 400
RATE, CALM = 10.0, 12
NEVER = 999
HALF_AN_HOUR = 180
BEGINS, ENDS = 123.0, 423.0
"""Seconds of the trouble."""


class Run(NamedTuple):
    """One course of events."""

    seed: int
    share: int
    weights: tuple[float, ...]
    sick: tuple[int, ...]
    """Replicas that do not reach the target."""
    part: float = 1.0
    """Of their calls that fail."""
    ends: float = float("inf")
    then: str = ""
    """What comes at `ends`: `well`, `restarted` (under another name, well) or `all` fail."""
    late_s: float = 0.3

    def failing(self, at: float, replica: int) -> float:
        if at >= self.ends:
            return 1.0 if self.then == "all" else USUAL
        return self.part if at >= BEGINS and replica in self.sick else USUAL

    def ticks(self, many: int) -> Iterator[Tick]:
        made = Replicas(
            self.seed, self.share, RATE, self.failing, weights=self.weights,
            fails_after_s=self.late_s,
        )  # fmt: skip
        for number, tick in enumerate(made.ticks(many)):
            if self.then == "restarted" and number == self.trouble:
                made.restart(*self.sick)
            yield tick

    @property
    def trouble(self) -> int:
        """The number of the first tick of what comes last."""
        return int(BEGINS if self.ends == float("inf") else self.ends) // 10


class Found(NamedTuple):
    """What came of a run."""

    moved: int | None
    """Ticks from the trouble until traffic was moved."""
    before: int | None
    """The same as it was before replicas were told apart."""
    named: bool


def course(run: Run, many: int) -> Found:
    ticks = list(run.ticks(many))
    made = [found for found, _ in judgements(ticks, run.share)]
    moved = len(made) - 1 - run.trouble if made[-1].action.down else None
    before = moved_at(without_replicas(ticks), run.share)
    named = any(found.hold_reason is HoldReason.SICK_REPLICA for found in made)
    return Found(moved, None if before is None else before - run.trouble, named)


def courses(many: int, runs: int, **given: object) -> list[Found]:
    """The same course of events with other seeds."""
    made = [Run(seed, **given) for seed in range(runs)]  # fields of `Run`, as the cases name them
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(partial(course, many=many), made, chunksize=4))


EVEN = ((1, 1), (1, 1, 1), (1, 1, 1, 1, 1))


def alone(runs: int, share: int, weights: tuple[float, ...], **given: object) -> list[Found]:
    """One replica is sick for half an hour."""
    many = CALM + HALF_AN_HOUR
    return courses(many, runs, share=share, weights=weights, sick=(0,), **given)


def target_fails(runs: int, share: int, count: int, part: float, late_s: float) -> list[Found]:
    """So many of the calls of all replicas fail."""
    sick, weights = tuple(range(count)), (1.0,) * count
    given = {"share": share, "weights": weights, "sick": sick, "part": part, "late_s": late_s}
    return courses(CALM + HALF_AN_HOUR // 3, runs, **given)


def then(what: str, runs: int, share: int = 25) -> list[Found]:
    """One of three is sick for five minutes; then comes this, for half an hour."""
    many = int(ENDS) // 10 + HALF_AN_HOUR
    given = {"share": share, "weights": EVEN[1], "sick": (0,), "ends": ENDS, "then": what}
    return courses(many, runs, **given)


def two_of_five(runs: int, share: int = 25) -> list[Found]:
    return courses(CALM + HALF_AN_HOUR, runs, share=share, weights=EVEN[2], sick=(0, 1))


def moved(found: list[Found]) -> int:
    return sum(each.moved is not None for each in found)


def later(found: list[Found]) -> list[int]:
    """By how many ticks traffic is moved later than before, where it is; never: `NEVER`."""
    pairs = [(each.moved, each.before) for each in found if each.before is not None]
    return [(NEVER if now is None else now - then) for now, then in pairs if now != then]


@pytest.mark.bench
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("weights", EVEN)
def test_one_sick_replica_moves_no_traffic_in_half_an_hour(weights: tuple[float, ...]) -> None:
    found = alone(RUNS, 25, weights)
    assert moved(found) <= RUNS // 100
    assert all(each.named for each in found)


@pytest.mark.bench
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("late_s", [0.3, 30.0])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_dead_target_is_left_in_the_same_tick_as_before(count: int, late_s: float) -> None:
    found = target_fails(RUNS, 25, count, 1.0, late_s)
    assert moved(found) == RUNS
    assert len(later(found)) <= RUNS // 100


@pytest.mark.bench
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("what", ["well", "restarted"])
def test_a_replica_that_was_sick_moves_no_traffic_after_it(what: str) -> None:
    assert moved(then(what, RUNS)) <= RUNS // 100


@pytest.mark.bench
@pytest.mark.timeout(3_600)
def test_a_target_that_dies_while_a_replica_is_sick_is_left_within_two_ticks() -> None:
    found = then("all", RUNS)
    assert moved(found) == RUNS
    assert sum((each.moved or 0) > 2 for each in found) <= RUNS // 100


if __name__ == "__main__":
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    for of in (5, 25, 75):
        for shares in (*EVEN, (1, 4, 4), (4, 1, 1)):
            made = alone(asked, of, shares)
            named = sum(each.named for each in made)
            print(f"sick: 1 of {shares}, {of} %: moved {moved(made)}, named {named}", flush=True)
    for of in (5, 25, 75):
        for failing, late in ((1.0, 0.3), (1.0, 30.0), (0.5, 0.3), (0.2, 0.3), (0.08, 0.3)):
            made = [each for n in (2, 3, 5) for each in target_fails(asked, of, n, failing, late)]
            found = sum(each.before is not None for each in made)
            print(f"target fails {failing:.0%} after {late:g} s, {of} %: later "
                  f"{sorted(later(made))} of {found}", flush=True)  # fmt: skip
    for what in ("well", "restarted", "all"):
        made = then(what, asked)
        ticks = sorted(each.moved for each in made if each.moved is not None)
        print(f"sick for 5 min, then {what}: moved {moved(made)}, ticks {ticks}", flush=True)
    made = two_of_five(asked)
    print(f"two of five: moved {moved(made)}, later {sorted(later(made))}")
