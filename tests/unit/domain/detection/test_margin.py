"""The proof "hardly worse": what a bet may win on average, and what it proves."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.detection.likelihood import TOLERATED, strength
from worker.domain.detection.margin import EMPTY, LEAST, UNPROVED, Block, expected_rate, gains
from worker.domain.detection.planning import poisson

PROVED = math.log(20.0)
counts = st.integers(1, 3_000)
rates = st.floats(0.000_1, 0.5)
margins = st.sampled_from([0.001, 0.01, 0.02, 0.05, 0.2])


def on_the_edge(legacy: float, margin: float) -> float:
    """The least rate of the target that the claim does not allow."""
    return max(legacy + margin, TOLERATED * legacy)


@given(counts, counts, rates, margins, st.floats(0.0, 0.6))
def test_where_the_claim_is_untrue_no_bet_wins_on_average(
    target: int, legacy: int, rate: float, margin: float, theirs: float
) -> None:
    """The expected factor of a block, in closed form: the gain is linear in the events."""
    ours = on_the_edge(theirs, margin)
    none = gains(Block(0, target, 0, legacy), rate, margin)
    of_ours = gains(Block(1, target, 0, legacy), rate, margin)
    of_theirs = gains(Block(0, target, 1, legacy), rate, margin)
    for start, one, other in zip(none, of_ours, of_theirs, strict=True):
        expected = start
        expected += target * math.log1p(ours * math.expm1(one - start))
        expected += legacy * math.log1p(theirs * math.expm1(other - start))
        assert expected <= 1e-6


@given(counts, counts, rates, margins)
def test_a_bet_never_risks_all_it_has(target: int, legacy: int, rate: float, margin: float) -> None:
    for events in ((0, 0), (target, 0), (0, legacy), (target, legacy)):
        found = gains(Block(events[0], target, events[1], legacy), rate, margin)
        assert all(math.isfinite(gain) for gain in found)


def messages(
    seed: str, share: float, rates: tuple[float, float], margin: float, most: int
) -> int | None:
    """Of the target until it is proved, block by block; None: not within so many."""
    rng, logs, before, block, sent = random.Random(seed), UNPROVED, EMPTY, EMPTY, 0
    while sent < most:
        target = poisson(rng, LEAST * share)
        legacy = poisson(rng, LEAST * (1.0 - share))
        sent += target
        bad, worse = (
            sum(rng.random() < p for _ in range(n))
            for n, p in zip((target, legacy), rates, strict=True)
        )
        block = block.plus(Block(bad, target, worse, legacy))
        if not block.is_whole:
            continue
        won = gains(block, expected_rate(before), margin)
        logs = tuple(log + gain for log, gain in zip(logs, won, strict=True))
        before, block = before.plus(block), EMPTY
        if strength(logs) >= PROVED:
            return sent
    return None


@pytest.mark.parametrize(
    ("share", "margin", "rate", "median"),
    [
        (0.01, 0.02, 0.01, 305),
        (0.25, 0.02, 0.02, 505),
        (0.5, 0.02, 0.002, 220),
        (0.75, 0.01, 0.002, 690),
    ],
)
def test_hundreds_of_messages_prove_a_target_that_is_as_good(
    share: float, margin: float, rate: float, median: int
) -> None:
    runs = [messages(f"good {seed}", share, (rate, rate), margin, 100_000) for seed in range(41)]
    found = sorted(run for run in runs if run is not None)
    assert len(found) == len(runs)
    assert found[len(found) // 2] == pytest.approx(median, rel=0.3)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_target_on_the_edge_is_rarely_proved(share: float) -> None:
    ours = on_the_edge(0.02, 0.02)
    found = [messages(f"edge {seed}", share, (ours, 0.02), 0.02, 600) for seed in range(100)]
    assert sum(run is not None for run in found) <= 10


def test_only_outcomes_close_a_block_never_events() -> None:
    assert not Block(0, 19, 0, 0.5).is_whole
    assert not Block(5, LEAST + 5, 0, 0).is_whole
    assert Block(0, 1, 0, LEAST - 1).is_whole
