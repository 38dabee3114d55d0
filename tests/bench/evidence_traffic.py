"""Seeded traffic of two providers, counted in ticks of 10 s, for the simulation of the policies.

Rules: a case and a seed name one traffic, which every policy sees. Messages come at random, 10 a
second (Poisson), split as configured; each fails, is slow, or is accepted and never delivered by
chance, and what was accepted is judged at the delivery age. `plain` counts are what a policy sees
that counts every attempt; the evidence counts at most one failure a recipient and day,
which makes a difference where numbers are retried (`restless`). Breakers are left out.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worker.domain.detection.likelihood import NOTHING, EventCounts
from worker.domain.detection.silence import DeliveryCounts
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE, HOUR, DAY = 6, 360, 8_640
"""Ticks."""
A_TICK = 100.0
"""Messages of both providers: 10 a second."""
DELIVERY_AGE = 60
"""Ticks."""
REPLICAS = 3
TRIES = 10
"""Of one dead number within an hour."""


@dataclass(frozen=True)
class Chances:
    """What a message of one provider meets with."""

    failed: float = 0.02
    slow: float = 0.0
    lost: float = 0.0
    """Accepted, and not delivered by the delivery age."""


USUAL = Chances()


@dataclass(frozen=True)
class Case:
    """One kind of traffic."""

    name: str
    split: int
    target: Chances = USUAL
    legacy: Chances = USUAL
    trouble: tuple[Chances, Chances] | None = None
    """Of target and legacy, from `begins` on for `lasts` ticks."""
    begins: int = HOUR
    lasts: int = DAY
    ticks: int = DAY
    restless: bool = False
    """By day and night, with campaigns, operators' bad minutes, and dead numbers tried again."""
    numbers: int | None = None
    """So many recipients, and failing is a trait of each: which go where is the luck of a run."""
    late: tuple[int, int] = (0, 0)
    """Ticks by which failures of target and legacy are known later: calls that time out."""
    moving: bool = False
    """The share realised is another every quarter of an hour, whatever the split."""
    probed: bool = False
    """One validation message a tick at legacy, whatever the split."""

    @property
    def onset(self) -> int:
        """Tick from which on messages and minutes are counted."""
        return self.begins if self.trouble else 0


@dataclass(frozen=True)
class Counts:
    """One provider, a number a tick."""

    failed: np.ndarray
    good: np.ndarray
    slow: np.ndarray
    lost: np.ndarray
    """Of those accepted in that tick."""
    retried: np.ndarray
    """Failures of numbers tried before, which the evidence counts once."""
    again: np.ndarray
    """What of them the evidence does count."""

    def seen(self) -> tuple[list[int], ...]:
        """What the evidence counts."""
        failed = self.failed + self.again
        return failed.tolist(), self.good.tolist(), self.slow.tolist(), self.lost.tolist()

    def plain(self) -> np.ndarray:
        """Rows of failed, all, slow and accepted by the minute, every attempt counted."""
        failed = self.failed + self.retried
        rows = np.stack([failed, failed + self.good, self.slow, self.good])
        return rows[:, : len(self.good) // MINUTE * MINUTE].reshape(4, -1, MINUTE).sum(axis=2).T


class Traffic:
    """Both providers over the whole time of a case."""

    def __init__(self, case: Case, seed: int) -> None:
        words = f"{case.name} {case.split} {case.target} {case.legacy}"
        rng = np.random.default_rng([zlib.crc32(words.encode()), seed])
        self.case = case
        volume, worse = _restless(rng, case.ticks) if case.restless else _even(case.ticks)
        share = _moving(rng, case.ticks) if case.moving else np.full(case.ticks, case.split / 100)
        self.target = self._provider(rng, 0, share, volume, worse)
        self.legacy = self._provider(rng, 1, 1 - share, volume, worse)

    def _provider(
        self, rng: np.random.Generator, which: int, share: np.ndarray, volume: np.ndarray,
        worse: np.ndarray,
    ) -> Counts:  # fmt: skip
        case, messages = self.case, volume * share
        usual = (case.target, case.legacy)[which]
        failing = np.full(case.ticks, self._of_numbers(rng, usual.failed, share[0]))
        slow, lost = np.full(case.ticks, usual.slow), np.full(case.ticks, usual.lost)
        if case.trouble:
            bad, during = case.trouble[which], slice(case.begins, case.begins + case.lasts)
            failing[during], slow[during], lost[during] = bad.failed, bad.slow, bad.lost
        failing = np.minimum(1.0, failing * worse)
        good = rng.poisson(messages * (1 - failing))
        failed = rng.poisson(messages * failing)
        if late := case.late[which]:
            failed = np.concatenate([failed[:1].repeat(late), failed[:-late]])
        retried, again = (
            _retries(rng, share[0], case) if case.restless else (failed * 0, failed * 0)
        )
        return Counts(
            failed, good, rng.binomial(good, slow), rng.binomial(good, lost), retried, again
        )

    def _of_numbers(self, rng: np.random.Generator, chance: float, share: float) -> float:
        count = round((self.case.numbers or 0) * share)
        return rng.binomial(count, chance) / count if count else chance

    def ticks(self) -> Iterator[Tick]:
        """What became known, tick by tick."""
        target, legacy = (
            zip(*self.target.seen(), strict=True),
            zip(*self.legacy.seen(), strict=True),
        )
        ours, theirs = _judged(self.target), _judged(self.legacy)
        probe = EventCounts(0, 1) if self.case.probed else NOTHING
        for at, (mine, other) in enumerate(zip(target, legacy, strict=True)):
            side, control = _side(mine, ours[at]), _side(other, theirs[at])
            every = EventCounts(
                control.failed.events + probe.events, control.failed.total + probe.total
            )
            yield Tick(at * TICK_S, side, control, every)


def _side(counts: tuple[int, ...], judged: DeliveryCounts) -> ProviderTick:
    failed, good, slow, _ = counts
    return ProviderTick(EventCounts(failed, failed + good), EventCounts(slow, good), judged)


def _judged(counts: Counts) -> list[DeliveryCounts]:
    """At the delivery age; those without the least chance of a loss are left out to save time."""
    none = [DeliveryCounts()] * DELIVERY_AGE
    if not counts.lost.any():
        return none + [DeliveryCounts()] * len(counts.good)
    both = zip(counts.lost.tolist(), counts.good.tolist(), strict=True)
    return none + [DeliveryCounts(lost, good, good - lost) for lost, good in both]


def _moving(rng: np.random.Generator, ticks: int) -> np.ndarray:
    """One of 1, 5, 25, 50 and 98 % in each quarter of an hour."""
    quarter = 15 * MINUTE
    shares = rng.choice([0.01, 0.05, 0.25, 0.5, 0.98], -(-ticks // quarter))
    return shares.repeat(quarter)[:ticks]


def _even(ticks: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(ticks, A_TICK), np.ones(ticks)


def _restless(rng: np.random.Generator, ticks: int) -> tuple[np.ndarray, np.ndarray]:
    """Messages a tick, and by how much failing is likelier than usual, at both providers alike.

    One at night to nineteen a second at noon; six campaigns a day of ten minutes at five times the
    volume; six times a day five minutes in which operators fail three times as much.
    """
    hours = np.arange(ticks) / DAY * 2 * np.pi
    volume, worse = A_TICK * (1 - 0.9 * np.cos(hours)), np.ones(ticks)
    for begin in rng.integers(0, ticks, 6 * ticks // DAY):
        volume[begin : begin + 10 * MINUTE] *= 5
    for begin in rng.integers(0, ticks, 6 * ticks // DAY):
        worse[begin : begin + 5 * MINUTE] *= 3
    return volume, worse


def _retries(rng: np.random.Generator, share: float, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Failures of dead numbers, each tried `TRIES` times in its hour: all, and those counted.

    One in a hundred messages is such a try. Each replica counts a number once in the hour.
    """
    tries, counted = np.zeros(case.ticks, dtype=int), np.zeros(case.ticks, dtype=int)
    for hour in range(0, case.ticks, HOUR):
        for _ in range(rng.poisson(A_TICK * HOUR * share * 0.01 / TRIES)):
            at = hour + rng.integers(0, min(HOUR, case.ticks - hour), TRIES)
            np.add.at(tries, at, 1)
            _, first = np.unique(rng.integers(0, REPLICAS, TRIES), return_index=True)
            np.add.at(counted, at[first], 1)
    return tries, counted
