"""Which ladder of shares to climb: the fewest customers hit, within the time there is.

Supposed: the target takes messages and a part of them is lost, from the start or from some load on,
and no ladder can know which. Its harm is the mean of both. What fails goes to the other provider
and hits nobody.

    h(s, b)  customers hit at share s where part b of what the target takes is lost: until an alarm
             moves traffic away, or one holds and a person comes, and what came meanwhile
    H(s)     the mean of h over `PARTS`
    C        0.5 H(s1) + 0.5 sum (s_i - s_(i-1)) / 100 H(s_i)

Rules: pure. The least C is found exactly over `SHARES`, with days in steps of a part of the budget;
of the ladders within `_NEARLY` of the least, the shortest is taken. For the choice, messages are
those of expected gains, which the forecast's mean is near; the ladder chosen is then forecast, and
the budget lowered until nine of ten runs are in time. A model, not a measurement: weights, losses
and the person's time are assumptions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.domain.detection import likelihood
from worker.domain.detection.evidence_gates import (
    ONE_OF_TWO,
    messages_until,
    until_low,
    until_no_worse,
)
from worker.domain.detection.forecast import NINE_OF_TEN, Rung, forecast, quantile, total
from worker.domain.detection.likelihood import HIGHER, WORSE, EventCounts
from worker.domain.detection.phase_ladder import with_ladder
from worker.domain.detection.planning import (
    DAY_S,
    DELIVERY_AGE_S,
    Traffic,
    criteria,
    late_days,
    minimum_days,
    proofs_at,
)
from worker.domain.detection.readings import PROOF
from worker.domain.detection.signals import Signal, level
from worker.domain.detection.tick import TICK_S
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.domain.detection.planning import Proof
    from worker.domain.migration.flags import Flags

SHARES: Final = (1, 2, 3, 5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80, 90, 95, 98, 100)
PARTS: Final = (1.0, 0.5, 0.1)
"""Of what the target accepts, that is lost: it is dead, half bad, a tenth bad."""
PERSON_S: Final = 1_800.0
"""Until somebody acts on an alert."""
COMPLAINT_S: Final = DAY_S
"""Until somebody complains, where no report tells that messages are lost."""
_FARTHEST: Final = 50
"""Points of one step at most. So every ladder has a share from 5 to 50 %, where both providers are
compared."""
_FROM_THE_START: Final = 0.5
_NEARLY: Final = 1.05
_LOWER: Final = 0.93
_Way = tuple[float, float, tuple[int, ...]]
"""What a part of a ladder costs, the days it takes, and its shares."""


@dataclass(frozen=True, slots=True)
class Harm:
    """Customers hit before it stops, by `PARTS`."""

    from_the_start: tuple[float, ...]
    with_the_load: tuple[float, ...]
    """In the mean over the loads from which on it may be bad."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The ladder recommended."""

    rungs: tuple[Rung, ...]
    flags: Flags
    """With the phases that lead through it."""
    in_time: bool
    """Whether nine of ten runs are; if not, it is the fastest there is."""


def harm_of(shares: tuple[int, ...], traffic: Traffic, flags: Flags) -> Harm:
    """What a ladder costs if the target is bad."""
    hit = {share: [_hit(share, part, traffic, flags) for part in PARTS] for share in shares}
    rises = list(zip((0, *shares), shares, strict=False))
    return Harm(
        tuple(hit[shares[0]]),
        tuple(
            sum((share - below) / 100.0 * hit[share][each] for below, share in rises)
            for each in range(len(PARTS))
        ),
    )


def _hit(share: int, part: float, traffic: Traffic, flags: Flags) -> float:
    per_s = traffic.a_day(share) / DAY_S
    if not traffic.gives_reports:
        return part * per_s * COMPLAINT_S
    setting, signal = criteria(share, flags, traffic), Signal.UNDELIVERED
    alone = messages_until(
        (0.0,) * len(HIGHER),
        likelihood.rate_gains(EventCounts(part, 1.0), setting.bounds[signal][0], HIGHER),
        level(relative=False, signal=signal),
    )
    until = math.inf if alone is None else alone + per_s * PERSON_S
    if share < FULL_SHARE and traffic.legacy_reports:
        others = (100.0 - share) / share
        theirs = EventCounts(others * traffic.rates[signal], others)
        compared = messages_until(
            (0.0,) * len(WORSE),
            likelihood.ratio_gains(EventCounts(part, 1.0), theirs, WORSE),
            level(relative=True, signal=signal),
        )
        until = min(until, math.inf if compared is None else compared)
    return part * (until + per_s * (DELIVERY_AGE_S + TICK_S))


# --- the choice ----------------------------------------------------------------------------


def recommend(traffic: Traffic, flags: Flags, within_days: float) -> Choice | None:
    """The ladder with the least harm that nine of ten runs climb in time; else the fastest.

    None: at these rates nothing can be proved, at any share.
    """
    days = {share: expected_days(share, traffic, flags) for share in SHARES}
    if math.isinf(days[FULL_SHARE]):
        # The last step is refused on its own account.
        days[FULL_SHARE] = minimum_days(FULL_SHARE, flags)
    cost = {
        share: sum(_hit(share, part, traffic, flags) for part in PARTS) / len(PARTS)
        for share in SHARES
    }
    tried: set[tuple[int, ...]] = set()
    budget = within_days
    while (shares := least_harm(cost, days, budget)) is not None:
        if shares not in tried:
            tried.add(shares)
            found = _forecast(shares, traffic, flags, within_days)
            if found.in_time:
                return found
        budget *= _LOWER
    fastest = _fastest(days)
    return None if fastest is None else _forecast(fastest, traffic, flags, within_days)


def _forecast(shares: tuple[int, ...], traffic: Traffic, flags: Flags, within: float) -> Choice:
    led = with_ladder(flags, shares)
    rungs = forecast(shares, traffic, led)
    proved = total([rung for rung in rungs if not rung.unproved])
    return Choice(rungs, led, bool(proved) and quantile(proved, NINE_OF_TEN) <= within)


def expected_days(share: int, traffic: Traffic, flags: Flags) -> float:
    """What a share takes by expected gains; infinite: something is never proved."""
    each = [
        messages / traffic.a_day(share) + late_days(proof.signal)
        for proof in proofs_at(share, traffic, flags)
        for messages in [_expected(proof) / proof.accepted]
    ]
    return max(*each, minimum_days(share, flags))


def _expected(proof: Proof) -> float:
    """Outcomes of the target until it is proved, by expected gains."""
    either = not (proof.low or proof.compared)
    wanted = ONE_OF_TWO if either else PROOF
    low = no_worse = math.inf
    if proof.low or either:
        low = until_low(proof.rate, proof.bound, wanted) or math.inf
    if proof.compared or either:
        known = min(max(proof.rate, 1e-4), 0.5)  # as `margin.expected_rate` has it in the end
        rates = (proof.rate, proof.rate)
        no_worse = until_no_worse(rates, proof.share, known, proof.tolerated, wanted) or math.inf
    if either:
        return min(low, no_worse)
    return max(low if proof.low else 0.0, no_worse if proof.compared else 0.0)


def least_harm(
    cost: Mapping[int, float], days: Mapping[int, float], budget: float
) -> tuple[int, ...] | None:
    """The shortest of the ladders that cost hardly more than the least; None: none is in time."""
    least: list[_Way] = []
    ways: dict[int, list[_Way]] = {0: [(0.0, 0.0, ())]}
    while ways:
        longer: dict[int, list[_Way]] = {}
        for below, found in ways.items():
            for share in _above(below):
                adds = (1.0 - _FROM_THE_START) * (share - below) / 100.0 * cost[share]
                adds += 0.0 if below else _FROM_THE_START * cost[share]
                longer.setdefault(share, []).extend(
                    (paid + adds, used + days[share], (*shares, share))
                    for paid, used, shares in found
                    if used + days[share] <= budget
                )
        ways = {share: _undominated(found) for share, found in longer.items() if found}
        if done := ways.pop(FULL_SHARE, None):
            least.append(min(done))
    if not least:
        return None
    lowest = min(least)[0]
    return next(shares for paid, _, shares in least if paid <= _NEARLY * lowest)


def _above(below: int) -> Iterator[int]:
    return (share for share in SHARES if below < share <= below + _FARTHEST)


def _undominated(found: list[_Way]) -> list[_Way]:
    """Those than which none is both cheaper and faster."""
    kept, lowest = [], math.inf
    for each in sorted(found, key=lambda way: (way[1], way[0])):
        if each[0] < lowest:
            kept.append(each)
            lowest = each[0]
    return kept


def _fastest(days: Mapping[int, float]) -> tuple[int, ...] | None:
    """The ladder that takes the least time."""
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for share in SHARES:
        before = [best[below] for below in best if share - below <= _FARTHEST]
        if before and not math.isinf(days[share]):
            spent, shares = min(before)
            best[share] = (spent + days[share], (*shares, share))
    return best[FULL_SHARE][1] if FULL_SHARE in best else None
