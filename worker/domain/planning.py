"""How long a ladder of shares takes to prove: the engine itself, on seeded traffic.

Rules: pure and repeatable: the same question gets the same answer. Forecast for traffic in which
both providers fail at the same base rate, which is what a migration hopes for; a target that is
worse takes longer or never arrives. Medians, for the mean of such waits is the unlucky few's.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from worker.domain import evidence, likelihood
from worker.domain.evidence import PROOF, Evidence, Setting, Side, Signal, Tick
from worker.domain.evidence_gates import COMPARE_FROM, SOAK_FROM, messages_until
from worker.domain.flags import MigrationSettings
from worker.domain.likelihood import LOWER, Seen

if TYPE_CHECKING:
    from collections.abc import Iterable

_RUNS: Final = 201
"""The median of 101 such waits is off by a tenth as a rule, and at times by a third."""
_ENDLESS: Final = 1_000_000
"""Messages of the target in which nothing is proved any more."""
_GROWTH: Final = 0.03
"""A look each tick, and later each time the messages seen grew by that part: fine enough."""
_TICKS_A_DAY: Final = 86_400.0 / evidence.TICK_S
_MINUTES_A_DAY: Final = 1_440.0
_LONG_DAYS: Final = 30.0
_MANY: Final = 30.0


@dataclass(frozen=True, slots=True)
class Rung:
    """One share of the ladder and what its proof takes."""

    share: int
    messages: float | None
    """Of the target, in the median; None: cannot be proved at this base rate."""
    days: float | None
    """Until an advance is possible: the proof, and never less than the minimum time."""
    warning: str | None


def forecast(
    ladder: Iterable[int], per_day: float, base_rate: float, bound: float = 0.05
) -> tuple[Rung, ...]:
    """What each share of a ladder takes.

    Args:
        ladder: shares in per cent, 0 < share <= 100.
        per_day: messages a day over both providers.
        base_rate: failures of both, 0 to 1.
        bound: the failure rate the target must be proved to keep, 0 to 1.
    """
    return tuple(_rung(share, per_day, base_rate, bound) for share in ladder)


def _rung(share: int, per_day: float, base_rate: float, bound: float) -> Rung:
    gains = likelihood.rate_gains(Seen(base_rate, 1.0), bound, LOWER)
    if messages_until((0.0,) * len(LOWER), gains, PROOF) is None:
        warning = f"cannot be proved: {base_rate:.2%} fail, bound {bound:.2%}"
        return Rung(share, None, None, warning)
    needed = median(
        _run(seed, share, per_day / _TICKS_A_DAY, base_rate, bound) for seed in range(_RUNS)
    )
    if math.isinf(needed):
        return Rung(share, None, None, f"not proved within {_ENDLESS} messages")
    days = max(needed / (per_day * share / 100.0), _minimum_days(share))
    return Rung(share, needed, days, f"over {_LONG_DAYS:g} days" if days > _LONG_DAYS else None)


def _minimum_days(share: int) -> float:
    """What the settings ask for by default."""
    settings = MigrationSettings()
    soak = settings.soak_min if share >= SOAK_FROM else 0.0
    return max(settings.minimum_phase_min, soak) / _MINUTES_A_DAY


def _run(seed: int, share: int, a_tick: float, rate: float, bound: float) -> float:
    """Messages of the target until its proofs are complete, in one seeded run."""
    rng = random.Random(f"plan {seed} {share}")  # noqa: S311 - no secret
    bounds = ((bound, 2.0 * bound), (bound,), (bound,))
    setting, known, sent = Setting(share, None, bounds=bounds), Evidence(), 0.0
    compared = COMPARE_FROM <= share < SOAK_FROM
    while sent < _ENDLESS:
        ours = max(1.0, a_tick * share / 100.0, sent * _GROWTH)
        target = _seen(rng, ours, rate)
        legacy = _seen(rng, ours * (100 - share) / share, rate)
        known = evidence.observe(known, Tick(0.0, Side(target), Side(legacy)), setting)
        sent += target.total
        low = evidence.low_proof(known, Signal.FAILED) >= PROOF
        if low and (not compared or evidence.no_worse_proof(known, Signal.FAILED) >= PROOF):
            return sent
    return math.inf


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
