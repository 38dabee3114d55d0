"""Traffic counted by the real book of one replica and read as the monitor reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from tests.support.measured import measured
from worker.domain.detection.tick import TICK_S, Tick
from worker.domain.messages.outcome import Accepted, Blame, NotSent, Outcome, Refused, Unknown
from worker.monitoring import ticks
from worker.telemetry.metrics import AttemptMetrics

if TYPE_CHECKING:
    import random

    from worker.domain.figures.tally import Tally

PROVIDERS = ("target", "legacy")
ACCEPTED, LOST = Accepted("id"), Unknown("read_timeout", "silence")
DEAD_NUMBER = "to a dead number"
OWN_FAULTS: dict[str, tuple[Outcome, int]] = {
    DEAD_NUMBER: (LOST, 50),
    "invalid numbers": (NotSent(Blame.RECIPIENT, "403", "invalid number"), 200),
    "bad sender ids": (NotSent(Blame.MESSAGE, "402", "not this account's"), 500),
    "refusals for everybody": (Refused("409", "do not disturb"), 500),
}
"""What is the recipients' or messages' own fault: outcome, and how many times in a minute."""
CALM, BURST = 12, 6
"""Ticks."""


class Counted:
    """One replica's book, and a clock that moves by ticks."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, 10, tzinfo=UTC)
        self.book = AttemptMetrics(self, PROVIDERS, slow_ms=5_000)
        self._recipients = count()

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def attempt(self, provider: str, outcome: Outcome, to: str | None = None) -> None:
        """One attempt; without a recipient, to one not met before."""
        self.book.attempt(
            measured(outcome, provider=provider, recipient_hash=to or str(next(self._recipients)))
        )

    def usual(self, rng: random.Random, split: int) -> None:
        """Ten seconds of messages of which 2 % fail, at both providers."""
        for _ in range(100):
            provider = PROVIDERS[rng.random() * 100 >= split]
            self.attempt(provider, LOST if rng.random() < 0.02 else ACCEPTED)

    def tick(self) -> tuple[Tick, Tally]:
        """What became known in ten seconds; and the target's counts."""
        self.at += timedelta(seconds=TICK_S)
        asked = self.book.asked()
        self.book.answered(asked, {mark.ident for failure in asked for mark in failure.marks})
        tallies = [self.book.delta(provider) for provider in PROVIDERS]
        target, legacy = (
            {name: getattr(tally, name) for name in ticks._NAMES} for tally in tallies
        )
        sides = ticks._side(target), ticks._side(legacy)
        return Tick(self.at.timestamp(), *sides, legacy_all=ticks._all(legacy)), tallies[0]


def own_faults(
    rng: random.Random, kind: str, split: int, *, one_number: bool = True
) -> list[tuple[Tick, Tally]]:
    """Usual traffic with a burst of such faults at the target in its midst."""
    counted, (outcome, times) = Counted(), OWN_FAULTS[kind]
    recipient = "dead" if kind == DEAD_NUMBER and one_number else None
    made = []
    for at in range(2 * CALM + BURST):
        counted.usual(rng, split)
        if CALM <= at < CALM + BURST:
            for _ in range(-(-times // BURST)):
                counted.attempt("target", outcome, recipient)
        made.append(counted.tick())
    return made
