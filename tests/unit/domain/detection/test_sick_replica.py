"""One replica that alone cannot reach the target is told from a target in trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.seeded_replicas import USUAL, Replicas, judgements, moved_at, without_replicas
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.cohorts import SETTLED_AFTER_S, Cohort, ReplicaCalls
from worker.domain.detection.sick_replica import SickReplica, is_over, sick_replica

if TYPE_CHECKING:
    from collections.abc import Callable

NOW, BOUND = 1_000.0, 0.05
X = SickReplica("x", 9, 9, 0, 90)


def minute(*replicas: ReplicaCalls, age_s: float = 0.0) -> tuple[Cohort, ...]:
    """The same calls, all in one cohort."""
    return (Cohort(NOW - age_s, replicas=replicas),)


def calls(replica: str, failed: int, ok: int, under_way: int = 0, there: int = 150) -> ReplicaCalls:
    return ReplicaCalls(replica, failed, ok, under_way, there // 50, there - there // 50)


@pytest.mark.parametrize(
    ("replicas", "named"),
    [
        pytest.param((calls("x", 50, 0), calls("y", 1, 49)), "x", id="one of two"),
        pytest.param((calls("x", 0, 50), calls("y", 50, 0)), "y", id="the other"),
        pytest.param(
            (calls("x", 50, 0), calls("y", 1, 49), calls("z", 0, 50)), "x", id="one of three"
        ),
        pytest.param((calls("x", 25, 25), calls("y", 1, 49)), "x", id="half of its calls"),
        pytest.param((calls("x", 5, 0), calls("y", 10, 490)), "x", id="it has few calls"),
        pytest.param((calls("x", 50, 0),), None, id="it is the only one"),
        pytest.param((calls("x", 50, 0), calls("y", 0, 3)), None, id="the others have few calls"),
        pytest.param((calls("x", 50, 0), calls("y", 0, 0)), None, id="the others have no calls"),
        pytest.param((calls("x", 50, 0), calls("y", 50, 0)), None, id="all fail"),
        pytest.param((calls("x", 50, 0), calls("y", 25, 25)), None, id="the others fail half"),
        pytest.param((calls("x", 50, 0), calls("y", 20, 80)), None, id="the others fail too"),
        pytest.param(
            (calls("x", 50, 0), calls("y", 0, 100), calls("z", 50, 0)), None, id="two of three"
        ),
        pytest.param(
            (calls("x", 50, 0), calls("y", 0, 50, 25)), None, id="the others wait for answers"
        ),
        pytest.param((calls("x", 4, 46), calls("y", 2, 98)), None, id="by chance"),
        pytest.param((calls("x", 0, 50), calls("y", 0, 50)), None, id="nobody fails"),
        pytest.param((), None, id="not recorded"),
    ],
)
def test_the_replica_that_alone_fails_is_named(
    replicas: tuple[ReplicaCalls, ...], named: str | None
) -> None:
    found = sick_replica(minute(*replicas), NOW, BOUND, None)
    assert (found.replica if found else None) == named


def test_the_others_fail_where_they_do_worse_than_at_legacy_though_within_the_bound() -> None:
    sick, others = calls("x", 500, 0), ReplicaCalls("y", 40, 960, 0, 0, 3_000)
    assert sick_replica(minute(sick, others), NOW, BOUND, None) is None


def test_without_calls_to_legacy_the_others_are_held_against_the_bound_alone() -> None:
    sick, well = calls("x", 50, 0, there=0), calls("y", 4, 96, there=0)
    failing = calls("y", 20, 80, there=0)
    assert sick_replica(minute(sick, well), NOW, BOUND, None)
    assert sick_replica(minute(sick, failing), NOW, BOUND, None) is None


def test_what_is_under_way_in_an_old_cohort_is_not_waited_for() -> None:
    waiting = calls("x", 50, 0), calls("y", 0, 50, 25)
    assert sick_replica(minute(*waiting, age_s=SETTLED_AFTER_S), NOW, BOUND, None)


def test_a_replica_is_held_against_what_the_others_did_since_it_began_to_call() -> None:
    """A target that died a moment ago: the new replica has no good calls from before."""
    cohorts = (
        Cohort(NOW - 20.0, replicas=(calls("y", 0, 90),)),
        Cohort(NOW - 10.0, replicas=(calls("x", 6, 0), calls("y", 6, 4))),
    )
    assert sick_replica(cohorts, NOW, BOUND, None) is None


def test_trouble_that_began_a_moment_ago_is_not_hidden_by_good_calls_before_it() -> None:
    cohorts = (
        Cohort(NOW - 20.0, replicas=(calls("x", 10, 490), calls("y", 10, 490))),
        Cohort(NOW - 10.0, replicas=(calls("x", 15, 5), calls("y", 0, 20))),
    )
    assert sick_replica(cohorts, NOW, BOUND, None)


def test_the_worst_of_many_has_to_be_told_more_clearly() -> None:
    few = calls("x", 5, 3), calls("y", 0, 15)
    healthy = [calls(str(number), 0, 0) for number in range(20)]
    assert sick_replica(minute(*few), NOW, BOUND, None)
    assert sick_replica(minute(*few, *healthy), NOW, BOUND, None) is None


def test_a_replica_that_was_named_stays_named_on_half_of_the_evidence() -> None:
    cohorts = minute(calls("x", 4, 0), calls("y", 0, 5))
    other = SickReplica("y", 9, 9, 0, 90)
    assert [bool(sick_replica(cohorts, NOW, BOUND, each)) for each in (None, other, X)] == [
        *(False, False),
        True,
    ]


@pytest.mark.parametrize(
    ("own", "others", "named"),
    [
        ((0, 0), (0, 20), True),
        ((1, 0), (2, 18), True),
        ((0, 0), (0, 4), False),
        ((0, 0), (6, 4), False),
        ((0, 0), (0, 0), False),
        ((1, 3), (1, 19), False),
        ((0, 4), (0, 20), False),
    ],
)
def test_a_named_replica_that_hardly_calls_stays_named_while_the_others_are_seen_to_do_well(
    own: tuple[int, int], others: tuple[int, int], *, named: bool
) -> None:
    cohorts = minute(calls("x", *own), calls("y", *others))
    assert sick_replica(cohorts, NOW, BOUND, X) == (X if named else None)


def test_what_is_told_of_it_is_what_has_ended() -> None:
    found = sick_replica(
        minute(calls("sms-worker-0-abcdefgh", 50, 1, 5), calls("y", 1, 99, 2)), NOW, BOUND, X
    )
    assert found
    assert found.words == (
        "replica …-0-abcdefgh fails 50 of its 51 calls to the target, the others 1 of 100: "
        "restart or isolate it"
    )


@pytest.mark.parametrize(
    ("replicas", "over"),
    [
        ((calls("x", 1, 49), calls("y", 2, 98)), True),
        ((calls("y", 2, 98),), True),
        ((), True),
        ((calls("x", 0, 0), calls("y", 2, 98)), False),
        ((calls("x", 1, 0), calls("y", 2, 98)), False),
        ((calls("x", 40, 60), calls("y", 2, 98)), False),
        ((calls("x", 50, 0), calls("y", 2, 98)), False),
        ((calls("x", 50, 0),), False),
        ((calls("x", 1, 49), calls("y", 30, 70)), False),
        ((calls("y", 30, 70),), False),
    ],
)
def test_it_is_over_when_it_fails_no_more_and_the_others_do_well(
    replicas: tuple[ReplicaCalls, ...], *, over: bool
) -> None:
    assert is_over(X, minute(*replicas), NOW, BOUND) is over


# --- seeded runs -------------------------------------------------------------------------------

RUNS, SHARE, RATE = 40, 25, 10.0
CALM, TROUBLE = 12, 24
"""Ticks before the trouble and with it."""
BEGINS = 10.0 * CALM


def failing(*sick: int, until: float = float("inf")) -> Callable[[float, int], float]:
    """From `BEGINS` on, these replicas do not reach the target."""

    def part(at: float, replica: int) -> float:
        begins = BEGINS + 3.0
        return 1.0 if replica in sick and begins <= at < until else USUAL

    return part


def traffic(seed: int, *sick: int, until: float = float("inf")) -> Replicas:
    return Replicas(seed, SHARE, RATE, failing(*sick, until=until))


def test_one_of_three_replicas_moves_no_traffic_and_is_named() -> None:
    for seed in range(RUNS):
        found = [made for made, _ in judgements(traffic(seed, 1).ticks(CALM + TROUBLE), SHARE)]
        assert not any(made.action.down for made in found)
        assert found[-1].hold_reason is HoldReason.SICK_REPLICA
        assert "replica 1 fails" in found[-1].reason


def test_a_target_that_nobody_reaches_is_left_in_the_same_tick_as_before() -> None:
    for seed in range(RUNS):
        ticks = list(traffic(seed, 0, 1, 2).ticks(CALM + TROUBLE))
        found = moved_at(ticks, SHARE)
        assert found is not None
        assert found == moved_at(without_replicas(ticks), SHARE)
