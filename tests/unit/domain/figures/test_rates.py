"""Shares and their intervals, against the examples their authors published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.figures.rates import Rate, difference

SAMPLES = st.integers(1, 10_000).flatmap(
    lambda sample: st.builds(Rate, st.integers(0, sample), st.just(sample))
)


@pytest.mark.parametrize(
    ("count", "sample", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (81, 263, 25.53, 36.62),
        (15, 148, 6.24, 16.05),
        (0, 20, 0.00, 16.11),
        (1, 29, 0.61, 17.18),
    ],
)
def test_interval_of_a_share_is_wilsons(count: int, sample: int, low: float, high: float) -> None:
    assert Rate(count, sample).interval == pytest.approx((low, high), abs=0.005)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10
        (Rate(56, 70), Rate(48, 80), 5.24, 33.39),
        (Rate(9, 10), Rate(3, 10), 17.05, 80.90),
        (Rate(10, 10), Rate(0, 10), 60.75, 100.00),
    ],
)
def test_interval_of_a_difference_is_newcombes(
    first: Rate, second: Rate, low: float, high: float
) -> None:
    found = difference(first, second)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.005)


@given(SAMPLES)
def test_a_share_lies_in_its_interval_and_that_in_the_whole(rate: Rate) -> None:
    low, high = rate.interval or (-1, -1)
    assert 0 <= low <= rate.percent + 1e-9
    assert rate.percent - 1e-9 <= high <= 100


@given(SAMPLES, SAMPLES)
def test_a_difference_turned_round_changes_its_sign(first: Rate, second: Rate) -> None:
    one, other = difference(first, second), difference(second, first)
    assert (one.points, one.low, one.high) == pytest.approx(
        (-other.points, -other.high, -other.low)
    )


def test_a_share_of_nothing_is_not_known() -> None:
    assert (Rate(0, 0).percent, Rate(0, 0).interval) == (None, None)


@pytest.mark.parametrize("other", [None, Rate(0, 0)])
def test_a_difference_to_what_is_not_known_is_not_known(other: Rate | None) -> None:
    assert difference(Rate(1, 2), other) is None
    assert difference(other, Rate(1, 2)) is None
