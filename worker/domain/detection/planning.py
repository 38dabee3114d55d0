"""How long the proofs of a share take: seeded runs of what the gates ask for.

Rules: pure and repeatable: the same question gets the same answer. All that the gates want proved
of failed, slow and undelivered is run, each against the bound that the phase of the share holds it
to. The runs are of traffic in which both providers do equally well, which is what a migration hopes
for; a target that is worse takes longer or never arrives. They make the same bets in blocks as
`evidence` does, at the volume given.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from worker.domain.detection import likelihood, margin, tick
from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.evidence_gates import COMPARE_FROM, SOAK_FROM, UNPROVED_LOW, until_low
from worker.domain.detection.likelihood import LOWER, EventCounts
from worker.domain.detection.margin import LEAST, Block
from worker.domain.detection.phase_ladder import phase_at
from worker.domain.detection.readings import PROOF
from worker.domain.detection.signals import Signal
from worker.domain.migration.phases import FULL_SHARE, Role
from worker.domain.migration.snapshot import Snapshot

if TYPE_CHECKING:
    from worker.domain.detection.criteria import Criteria
    from worker.domain.migration.flags import Flags

ENDLESS: Final = 1_000_000
"""Messages of the target in which nothing is proved any more."""
DELIVERY_AGE_S: Final = 600.0
"""When a message is judged to have arrived or not, as the settings have it by default."""
DAY_S: Final = 86_400.0
RUNS: Final = 201
"""The median of 101 such waits is off by a tenth as a rule, and at times by a third."""
_GROWTH: Final = 0.1
"""A run looks after each block, and later each time the messages grew by that part."""
_MINUTES_A_DAY: Final = 1_440.0
_MANY: Final = 30.0

Rates = Mapping[Signal, float]
"""What goes wrong at either provider, 0 to 1: of all, where it failed, else of what is accepted.

A signal that is missing is not asked for: without undelivered, the target gives no reports.
"""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a ladder is planned for."""

    per_day: float
    """Messages over both providers."""
    rates: Rates
    legacy_reports: bool = True
    """Without, delivery has nothing to be compared with."""
    p95_ms: float | None = None
    """Response time, where it was measured."""

    def a_day(self, share: int) -> float:
        """Messages of the target."""
        return self.per_day * share / 100.0

    @property
    def gives_reports(self) -> bool:
        """Whether the target does."""
        return Signal.UNDELIVERED in self.rates


def criteria(share: int, flags: Flags, traffic: Traffic) -> Criteria:
    """What the outcomes are held against at that share."""
    state = Snapshot(1, "plan", phase_at(share, flags.phases), share, flags)
    reports = {Role.TARGET: traffic.gives_reports, Role.LEGACY: traffic.legacy_reports}
    return criteria_of(state, reports, DELIVERY_AGE_S)


def minimum_days(share: int, flags: Flags) -> float:
    """The time gate."""
    settings = flags.migration
    soak = settings.soak_min if share >= SOAK_FROM else 0.0
    return max(settings.minimum_phase_min, soak) / _MINUTES_A_DAY


def late_days(signal: Signal) -> float:
    """How long after a message it is known whether it went wrong."""
    return DELIVERY_AGE_S / DAY_S if signal is Signal.UNDELIVERED else 0.0


# --- the proofs of a share -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """What a share has to have proved of one signal, and the traffic it is proved by."""

    signal: Signal
    share: int
    rate: float
    accepted: float
    """Part of the messages that the rate is of."""
    bound: float
    tolerated: float
    """The margin of the comparison."""
    low: bool
    """Whether the rate below its bound is a proof of its own."""
    compared: bool
    """Whether the comparison with legacy is. Neither: their mean is."""
    a_block: float
    """Messages of the target that close a block, or come in a tick where those are more."""

    @property
    def hopeless(self) -> bool:
        """Whether more messages would only show that it cannot be proved."""
        return self.low and until_low(self.rate, self.bound) is None


def proofs_at(share: int, traffic: Traffic, flags: Flags) -> tuple[Proof, ...]:
    """What the gates ask for at that share (`evidence_gates`)."""
    setting = criteria(share, flags, traffic)
    part = share / 100.0
    both = 0.0 if share == FULL_SHARE else max(LEAST * part, 1.0, part / (1.0 - part))
    a_tick = traffic.a_day(share) * tick.TICK_S / DAY_S
    either = share < FULL_SHARE and traffic.legacy_reports
    return tuple(
        Proof(
            signal=signal,
            share=share,
            rate=rate,
            accepted=1.0 if signal is Signal.FAILED else 1.0 - traffic.rates[Signal.FAILED],
            bound=setting.bounds[signal][0],
            tolerated=setting.margins[signal],
            low=signal is not Signal.UNDELIVERED or not either,
            compared=signal is not Signal.UNDELIVERED and COMPARE_FROM <= share < SOAK_FROM,
            a_block=max(both, 1.0, a_tick),
        )
        for signal, rate in traffic.rates.items()
    )


@lru_cache(maxsize=512)
def waits(proof: Proof, runs: int, endless: float) -> tuple[float, ...]:
    """Messages of the target until it is proved, in so many seeded runs; infinite: not by then."""
    # One generator a signal, so that what is asked of one changes nothing about another.
    rng = random.Random(f"plan {proof.share} {proof.signal}")  # noqa: S311 - no secret
    return tuple(_wait(rng, proof, endless) for _ in range(runs))


def _wait(rng: random.Random, proof: Proof, endless: float) -> float:
    """One run, a block or more at a time; what is proved within one is proved in its middle."""
    others = (100.0 - proof.share) / proof.share
    with_legacy = proof.compared or not proof.low
    sent, low, no_worse, compared = 0.0, UNPROVED_LOW, margin.UNPROVED, margin.EMPTY
    while sent < endless:
        step = max(proof.a_block, sent * _GROWTH)
        sent += step
        ours = step * proof.accepted
        events = poisson(rng, ours * proof.rate)
        low = likelihood.plus(
            low, likelihood.rate_gains(EventCounts(events, ours), proof.bound, LOWER)
        )
        if with_legacy:
            theirs = ours * others
            block = Block(events, ours, poisson(rng, theirs * proof.rate), theirs)
            gains = margin.gains(block, margin.expected_rate(compared), proof.tolerated)
            no_worse, compared = likelihood.plus(no_worse, gains), compared.plus(block)
        if _proved(proof, low, no_worse):
            return sent - step / 2.0
    return math.inf


def _proved(proof: Proof, low: likelihood.Logs, no_worse: likelihood.Logs) -> bool:
    if not (proof.low or proof.compared):
        both = (likelihood.strength(low), likelihood.strength(no_worse))
        return likelihood.reaches(both, PROOF)
    wanted = ([low] if proof.low else []) + ([no_worse] if proof.compared else [])
    return all(likelihood.reaches(logs, PROOF) for logs in wanted)


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson number (Knuth's product of uniforms; for many, the normal approximation)."""
    if mean > _MANY:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    left, count, product = math.exp(-mean), 0, rng.random()
    while product > left:
        product *= rng.random()
        count += 1
    return count
