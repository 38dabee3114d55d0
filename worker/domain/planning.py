"""How long a ladder of shares takes to prove: the engine itself, on seeded traffic.

Rules: pure and repeatable: the same question gets the same answer. All that the gates want proved
of failed, slow and undelivered is forecast, each against the bound the state in force would hold it
to; what lasts longest is what a share takes. Forecast for traffic in which both providers do
equally well, which is what a migration hopes for; a target that is worse takes longer or never
arrives. Medians, for the mean of such waits is the unlucky few's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from worker.domain import evidence, likelihood
from worker.domain.evidence import PROOF, Evidence, Judged, Setting, Side, Signal, Tick
from worker.domain.evidence_gates import COMPARE_FROM, SOAK_FROM, messages_until
from worker.domain.flags import Flags, Snapshot
from worker.domain.judgement import setting_of
from worker.domain.likelihood import LOWER, NOTHING, Seen
from worker.domain.phases import Phase, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.domain.flags import MigrationSettings

ENDLESS: Final = 1_000_000
"""Messages of the target in which nothing is proved any more."""
DELIVERY_AGE_S: Final = 600.0
"""When a message is judged to have arrived or not, as the settings have it by default."""
MINIMUM_TIME: Final = "minimum time"
_RUNS: Final = 201
"""The median of 101 such waits is off by a tenth as a rule, and at times by a third."""
_GROWTH: Final = 0.03
"""A look each tick, and later each time the messages seen grew by that part: fine enough."""
_DAY_S: Final = 86_400.0
_MINUTES_A_DAY: Final = 1_440.0
_MANY: Final = 30.0


Rates = Mapping[Signal, float]
"""What goes wrong at either provider, 0 to 1: of all, where it failed, else of what is accepted.

A signal that is missing is not asked for.
"""


@dataclass(frozen=True, slots=True)
class Unproved:
    """A proof that cannot be had, and why."""

    signal: Signal
    rate: float
    bound: float
    """The rate it must be proved to be below."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One share of the ladder and what its proofs take."""

    share: int
    messages: float | None
    """Of the target, in the median; None: something cannot be proved."""
    days: float | None
    """Until an advance is possible: the proofs, and never less than the minimum time."""
    waits_for: str = ""
    """What lasts longest."""
    unproved: tuple[Unproved, ...] = ()


@dataclass(frozen=True, slots=True)
class _Traffic:
    """What a share is run with."""

    rates: Rates
    setting: Setting
    a_day: float
    """Messages of the target."""

    def unproved(self, signal: Signal) -> Unproved:
        """What would have to be proved."""
        return Unproved(signal, self.rates[signal], self.setting.bounds[signal][0])

    def hopeless(self, signal: Signal) -> bool:
        """Whether more messages would only show that it cannot be proved."""
        wanted = self.unproved(signal)
        gains = likelihood.rate_gains(Seen(wanted.rate, 1.0), wanted.bound, LOWER)
        return messages_until((0.0,) * len(LOWER), gains, PROOF) is None

    def days(self, signal: Signal, messages: float) -> float:
        """Until that many messages tell."""
        late = self.setting.delivery_age_s if signal is Signal.UNDELIVERED else 0.0
        return messages / self.a_day + late / _DAY_S


def forecast(
    ladder: Iterable[int], per_day: float, rates: Rates, flags: Flags | None = None
) -> tuple[Rung, ...]:
    """What each share of a ladder takes.

    Args:
        ladder: shares in per cent, 0 < share <= 100.
        per_day: messages a day over both providers.
        rates: what goes wrong at both.
        flags: where the bounds and the minimum times are from; None: the defaults.
    """
    flags = flags or Flags()
    return tuple(_rung(share, per_day, rates, flags) for share in ladder)


def _rung(share: int, per_day: float, rates: Rates, flags: Flags) -> Rung:
    traffic = _Traffic(rates, _setting(share, flags), per_day * share / 100.0)
    hopeless = [signal for signal in rates if traffic.hopeless(signal)]
    if hopeless:
        return _unproved(traffic, hopeless)
    runs = [_run(seed, traffic) for seed in range(_RUNS)]
    if math.isinf(median(max(run.values()) for run in runs)):
        late = [s for s in rates if any(math.isinf(run[s]) for run in runs)]
        return _unproved(traffic, late)
    return _proved(traffic, runs, _minimum_days(share, flags.migration))


def _unproved(traffic: _Traffic, signals: list[Signal]) -> Rung:
    unproved = tuple(traffic.unproved(signal) for signal in signals)
    return Rung(traffic.setting.share, None, None, unproved=unproved)


def _proved(traffic: _Traffic, runs: list[dict[Signal, float]], minimum: float) -> Rung:
    messages = median(max(run.values()) for run in runs)
    days = median(max(traffic.days(*each) for each in run.items()) for run in runs)
    last = max(traffic.rates, key=lambda s: traffic.days(s, median(run[s] for run in runs)))
    waits_for = str(last) if days > minimum else MINIMUM_TIME
    return Rung(traffic.setting.share, messages, max(days, minimum), waits_for)


def _setting(share: int, flags: Flags) -> Setting:
    """What the outcomes are held against at that share."""
    state = Snapshot(1, "plan", _phase(share, flags), share, flags)
    return setting_of(state, dict.fromkeys(Role, True), DELIVERY_AGE_S)


def _phase(share: int, flags: Flags) -> Phase:
    """The phase in which one goes on from that share: where two meet, the later, stricter one."""
    going_on = (phase for phase in Phase if share < flags.phases[phase].high)
    return next(going_on, Phase.COMPLETE_MIGRATION)


def _minimum_days(share: int, settings: MigrationSettings) -> float:
    soak = settings.soak_min if share >= SOAK_FROM else 0.0
    return max(settings.minimum_phase_min, soak) / _MINUTES_A_DAY


def _run(seed: int, traffic: _Traffic) -> dict[Signal, float]:
    """Messages of the target until each signal is proved, in one seeded run."""
    setting, rates = traffic.setting, traffic.rates
    # One a signal, so that what is asked of one changes nothing about another.
    rngs = {s: random.Random(f"plan {seed} {setting.share} {s}") for s in rates}  # noqa: S311 - no secret
    a_tick = traffic.a_day * evidence.TICK_S / _DAY_S
    others = (100 - setting.share) / setting.share
    proved, known, sent = dict.fromkeys(rates, math.inf), Evidence(), 0.0
    while sent < ENDLESS and math.inf in proved.values():
        ours = max(1.0, a_tick, sent * _GROWTH)
        target, legacy = _side(rngs, ours, rates), _side(rngs, ours * others, rates)
        known = evidence.observe(known, Tick(0.0, target, legacy), setting)
        sent += target.failed.total
        for signal in rates:
            if math.isinf(proved[signal]) and _is_proved(known, signal, setting.share):
                proved[signal] = sent
    return proved


def _is_proved(known: Evidence, signal: Signal, share: int) -> bool:
    if evidence.low_proof(known, signal) < PROOF:
        return False
    compared = COMPARE_FROM <= share < SOAK_FROM
    return not compared or evidence.no_worse_proof(known, signal) >= PROOF


def _side(rngs: Mapping[Signal, random.Random], messages: float, rates: Rates) -> Side:
    accepted = messages * (1.0 - rates[Signal.FAILED])
    seen = {
        signal: _seen(rngs[signal], messages if signal is Signal.FAILED else accepted, rate)
        for signal, rate in rates.items()
    }
    lost = seen.get(Signal.UNDELIVERED, NOTHING)
    judged = Judged(lost.events, lost.total, lost.total - lost.events)
    return Side(seen[Signal.FAILED], seen.get(Signal.SLOW, NOTHING), judged)


def _seen(rng: random.Random, messages: float, rate: float) -> Seen:
    failed = poisson(rng, messages * rate)
    return Seen(failed, failed + poisson(rng, messages * (1.0 - rate)))


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson number (Knuth's product of uniforms; for many, the normal approximation)."""
    if mean > _MANY:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    left, count, product = math.exp(-mean), 0, rng.random()
    while product > left:
        product *= rng.random()
        count += 1
    return count
