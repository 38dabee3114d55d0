"""A plan: a recommended or given ladder, how long it takes, what refuses it, and its harm.

Rules: pure. Given rates come before measured ones, and measured rates before usual ones. A ladder
is in time if nine of ten runs are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.domain.detection.forecast import NINE_OF_TEN, forecast, quantile, total
from worker.domain.detection.ladder import harm_of, recommend
from worker.domain.detection.obstacles import obstacles
from worker.domain.detection.phase_ladder import ladder_of, with_ladder
from worker.domain.detection.planning import Traffic
from worker.domain.detection.signals import Signal
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.detection.forecast import Rung
    from worker.domain.detection.ladder import Harm
    from worker.domain.detection.obstacles import Obstacle
    from worker.domain.detection.past import Past
    from worker.domain.migration.flags import Flags

FEW: Final = 300.0
"""Messages a day; with fewer, a share is not the right first step."""
USUAL: Final = {Signal.FAILED: 0.02, Signal.SLOW: 0.01, Signal.UNDELIVERED: 0.002}
_USUAL_DAYS: Final = 14.0
_LONGEST_DAYS: Final = 100_000.0
_ALL_AT_ONCE: Final = (100,)
_LONGEST_SHARE: Final = 12
"""Characters, blanks around it included."""


@dataclass(frozen=True, slots=True)
class Climb:
    """A ladder and its forecast."""

    name: str
    rungs: tuple[Rung, ...]
    flags: Flags
    """Flags with phases that lead through the ladder."""
    harm: Harm
    obstacles: tuple[Obstacle, ...]

    @property
    def shares(self) -> tuple[int, ...]:
        """The shares of its steps."""
        return tuple(rung.share for rung in self.rungs)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan that is shown."""

    traffic: Traffic
    climbs: tuple[Climb, ...]
    """The recommended or given one first."""
    within: float | None
    """Time limit in days."""
    in_time: bool
    at_once: Harm | None = None
    """Harm of going to 100 % in one step."""
    past_days: int | None = None
    """How many days volume and rates are from; None: they were given."""
    found: bool = True
    """Whether there is a ladder to recommend, or one was asked for."""

    @property
    def possible(self) -> bool:
        """Whether the first ladder can be climbed in time and no flag refuses it."""
        return self.in_time and not self.climbs[0].obstacles


def shares_in(text: str) -> tuple[int, ...]:
    """The shares of a ladder that a person wrote: `1,5,25,50,100`.

    Raises:
        ValueError: they are not rising whole numbers of 1 to 100.
    """
    shares = tuple(int(part) for part in text.split(",") if len(part) <= _LONGEST_SHARE)
    rising = all(low < high for low, high in zip((0, *shares), shares, strict=False))
    if not shares or len(shares) != text.count(",") + 1 or not rising or shares[-1] > FULL_SHARE:
        raise ValueError("expected rising shares of 1 to 100")
    return shares


def traffic_of(
    per_day: float, given: Mapping[Signal, float], past: Past | None, *, no_reports: bool = False
) -> Traffic:
    """What a ladder is planned for.

    Args:
        per_day: messages of both providers.
        given: rates that were given, 0 to 1.
        past: volume and rates of the last days, if they are known.
        no_reports: whether the target gives no delivery reports.
    """
    rates = USUAL | dict(past.rates if past else {}) | dict(given)
    if no_reports or (past and not past.reports[0]):
        del rates[Signal.UNDELIVERED]
    if past is None:
        return Traffic(per_day, rates)
    return Traffic(per_day, rates, past.reports[1], past.p95_ms)


def plan_of(
    traffic: Traffic,
    flags: Flags,
    *,
    ladder: tuple[int, ...] | None = None,
    days: float | None = None,
    past: Past | None = None,
) -> Plan:
    """Make the plan.

    Args:
        traffic: what it is for.
        flags: what is in force.
        ladder: shares to forecast; None: recommend a ladder.
        days: time limit; None: the usual one, or as long as it takes.
        past: where volume and rates are from.
    """
    since = past.days if past else None
    if ladder is not None:
        asked = _climb("asked for", ladder, traffic, with_ladder(flags, ladder))
        return Plan(traffic, (asked,), days, _in_time(asked, days), past_days=since)
    usual = _climb("default", ladder_of(flags.phases), traffic, flags)
    best, within = _recommended(traffic, flags, days)
    if best is None:
        return Plan(traffic, (usual,), within, in_time=False, past_days=since, found=False)
    at_once = harm_of(_ALL_AT_ONCE, traffic, flags)
    return Plan(traffic, (best, usual), within, _in_time(best, within), at_once, since)


def _recommended(traffic: Traffic, flags: Flags, days: float | None) -> tuple[Climb | None, float]:
    """Return the best ladder and its time: the given one, or the usual one doubled to fit."""
    within = days or _USUAL_DAYS
    while (best := recommend(traffic, flags, within)) is not None:
        if best.in_time or days is not None or within > _LONGEST_DAYS:
            shares = tuple(rung.share for rung in best.rungs)
            return _climb("recommended", shares, traffic, best.flags), within
        within *= 2.0
    return None, within


def _climb(name: str, shares: tuple[int, ...], traffic: Traffic, flags: Flags) -> Climb:
    rungs = forecast(shares, traffic, flags)
    harm = harm_of(shares, traffic, flags)
    return Climb(name, rungs, flags, harm, obstacles(rungs, traffic, flags))


def _in_time(climb: Climb, days: float | None) -> bool:
    spent = total([rung for rung in climb.rungs if not rung.unproved])
    return days is None or (bool(spent) and quantile(spent, NINE_OF_TEN) <= days)
