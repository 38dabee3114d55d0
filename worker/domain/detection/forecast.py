"""What each share of a ladder takes, in messages and days, and the ladder as a whole.

Rules: pure and repeatable. What lasts longest is what a share takes: its proofs, the outcomes that
the next phase's requirements want (`MinimumSample`), the minimum time. Medians and nine of ten,
because a few very long waits would dominate the mean; the days of a ladder are added up by run.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from worker.domain.detection import planning
from worker.domain.detection.phase_ladder import phase_at
from worker.domain.detection.planning import late_days, minimum_days, proofs_at, waits
from worker.domain.detection.signals import Signal
from worker.domain.migration.flags import Flags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from worker.domain.detection.planning import Proof, Traffic
    from worker.domain.migration.phases import Phase

MINIMUM_TIME: Final = "minimum time"
MINIMUM_SAMPLE: Final = "minimum sample"
NINE_OF_TEN: Final = 0.9


@dataclass(frozen=True, slots=True)
class Unproved:
    """A proof that cannot be had, and why."""

    signal: Signal
    rate: float
    bound: float
    """The rate it must be proved to be below."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One share of the ladder and what its proofs take; infinite: something is never proved."""

    share: int
    phase: Phase
    messages: tuple[float, ...] = ()
    """Of the target, one for each run."""
    days: tuple[float, ...] = ()
    """Until an advance is possible: the proofs, and never less than the minimum time."""
    waits_for: str = ""
    """What lasts longest, mostly."""
    unproved: tuple[Unproved, ...] = ()


def quantile(values: Sequence[float], part: float) -> float:
    """What that part of the values does not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


def total(rungs: Sequence[Rung]) -> tuple[float, ...]:
    """Days of the whole ladder, one for each run; none where something cannot be proved."""
    if not rungs or any(rung.unproved for rung in rungs):
        return ()
    return tuple(map(sum, zip(*(rung.days for rung in rungs), strict=True)))


def forecast(
    ladder: Iterable[int], traffic: Traffic, flags: Flags | None = None
) -> tuple[Rung, ...]:
    """What each share of a ladder takes.

    Args:
        ladder: shares in per cent, rising, 0 < share <= 100.
        traffic: volume, and what goes wrong at both.
        flags: where the bounds and the minimum times are from; None: the defaults.
    """
    flags, shares = flags or Flags(), tuple(ladder)
    following = [phase_at(share, flags.phases) for share in shares[1:]]
    asked = [flags.phases[phase].requirements is not None for phase in following]
    return tuple(
        _rung(share, traffic, flags, flags.migration.minimum_sample if sampled else 0)
        for share, sampled in zip(shares, [*asked, False], strict=True)
    )


def _rung(share: int, traffic: Traffic, flags: Flags, sample: int) -> Rung:
    phase = phase_at(share, flags.phases)
    proofs = proofs_at(share, traffic, flags)
    if hopeless := [each for each in proofs if each.hopeless]:
        return _unproved(share, phase, hopeless)
    runs = {each: waits(each, planning.RUNS, planning.ENDLESS) for each in proofs}
    if endless := [each for each, waited in runs.items() if math.isinf(median(waited))]:
        return _unproved(share, phase, endless)
    enough = sample / (1.0 - traffic.rates[Signal.FAILED])
    lasting = _lasting(runs, traffic.a_day(share), enough)
    lasting[MINIMUM_TIME] = (minimum_days(share, flags),) * planning.RUNS
    by_run = [dict(zip(lasting, days, strict=True)) for days in zip(*lasting.values(), strict=True)]
    return Rung(
        share,
        phase,
        messages=tuple(max(enough, *each) for each in zip(*runs.values(), strict=True)),
        days=tuple(max(each.values()) for each in by_run),
        waits_for=Counter(max(each, key=each.__getitem__) for each in by_run).most_common(1)[0][0],
    )


def _unproved(share: int, phase: Phase, proofs: list[Proof]) -> Rung:
    unproved = tuple(Unproved(each.signal, each.rate, each.bound) for each in proofs)
    return Rung(share, phase, unproved=unproved)


def _lasting(
    runs: Mapping[Proof, Sequence[float]], a_day: float, enough: float
) -> dict[str, tuple[float, ...]]:
    """Days that each thing takes, one for each run."""
    found = {
        str(each.signal): tuple(n / a_day + late_days(each.signal) for n in waited)
        for each, waited in runs.items()
    }
    if enough:
        judged = enough / a_day + late_days(Signal.UNDELIVERED)
        found[MINIMUM_SAMPLE] = (judged,) * planning.RUNS
    return found
