"""One replica that cannot reach the target while the others can: its fault, not the target's.

Its network, its name server or its certificate store is broken. All of its calls fail, and the sum
over all replicas looks like a target in trouble. While an alarm about failed calls stands, the
replica is named for which both of these are seen in the cohorts of the last minute:

1. *The others fail less than half as often as it does.* The rates of both as they are, against the
   likeliest two rates of which the others' is at least half of its own: the logarithm of that ratio
   of likelihoods reaches `TOLD`, and more where the worst of many is picked. It is taken over the
   newest cohorts, however many tell most. Few calls of the others tell nothing: the alarm acts, as
   it does without another replica. What befalls all replicas raises both rates at once.
2. *The others do well.* The detectors of the evidence, over the others' calls of that minute alone,
   stay below `FAILING`: against the others' own calls to legacy, and against the bound. What they
   have under way counts as failed.

A replica is held against what the others did since it began to call, for it may have just started;
one that was named at the tick before is held against all they did, and stays named at half of the
first. When the others fail too, it is named no more, and the alarm acts at once. When it fails no
more, or is gone, and the others do well, it is over (`is_over`).

How often it is right is simulated in `tests/bench/test_sick_replica.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.domain.detection.likelihood import (
    HIGHER,
    NOTHING,
    WORSE,
    EventCounts,
    detected,
    rate_gains,
    ratio_gains,
    reaches,
)
from worker.domain.detection.signals import Signal, level
from worker.domain.migration.replicas import short_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker.domain.detection.cohorts import Cohort, ReplicaCalls

TOLD: Final = math.log(20.0)
"""Evidence that the others fail less than half as often, nats; of the worst of n, log n more."""
FAILING: Final = level(relative=True, signal=Signal.FAILED) / 2.0
"""Evidence that calls of the last minute fail, nats: as much as makes a suspicion."""


@dataclass(frozen=True, slots=True)
class SickReplica:
    """A replica that alone fails: calls to the target of the last minute, its own and others'."""

    replica: str
    """Its id, new at each start."""
    failed: int
    calls: int
    others_failed: int
    others_calls: int

    @property
    def rate(self) -> float:
        """Part of its calls that fail."""
        return self.failed / self.calls

    @property
    def name(self) -> str:
        """As people read it; `ctl status` shows the same."""
        return f"replica {short_id(self.replica)}"

    @property
    def words(self) -> str:
        """What is seen, and what to do about it."""
        return (
            f"{self.name} fails {self.failed} of its {self.calls} calls to the target, "
            f"the others {self.others_failed} of {self.others_calls}: restart or isolate it"
        )


def sick_replica(
    cohorts: Sequence[Cohort], now: float, bound: float, named: SickReplica | None
) -> SickReplica | None:
    """The replica that alone fails; None: there is none, or the others' calls do not tell.

    Args:
        cohorts: of the last minute, in the order of their start.
        now: seconds since the epoch.
        bound: rate of failed calls that the target is held against, 0 to 1.
        named: what was found at the tick before.
    """
    replicas = sorted({calls.replica for cohort in cohorts for calls in cohort.replicas})
    if len(replicas) < 2:  # noqa: PLR2004 - nobody else
        return None
    enough = TOLD + math.log(len(replicas))
    if named is not None and named.replica in replicas:
        still = _still_sick(named, cohorts, now, bound, enough / 2.0)
        if still is not None:
            return still
    apart = {each: _apart(cohorts, each, now, new=True) for each in replicas}
    worst = max(replicas, key=lambda each: apart[each].told)
    if apart[worst].told < enough or apart[worst].others_fail(bound):
        return None
    return _named(worst, cohorts)


def _still_sick(
    named: SickReplica, cohorts: Sequence[Cohort], now: float, bound: float, enough: float
) -> SickReplica | None:
    """A replica that was named, as it does now; None: the others fail too, or do not tell."""
    apart = _apart(cohorts, named.replica, now, new=False)
    if apart.others_fail(bound):
        return None
    if apart.told >= enough:
        return _named(named.replica, cohorts)
    told = not apart.does_well(bound) and _less_often(_sum(apart.others), named.rate / 2.0) >= TOLD
    return named if told else None


def is_over(named: SickReplica, cohorts: Sequence[Cohort], now: float, bound: float) -> bool:
    """Whether the replica that was named fails no more, or is gone, and the others do well.

    Args:
        named: at the tick before.
        cohorts: as for `sick_replica`; so are the two below.
        now: seconds since the epoch.
        bound: 0 to 1.
    """
    apart = _apart(cohorts, named.replica, now, new=False)
    gone = not any(calls.replica == named.replica for c in cohorts for calls in c.replicas)
    return (gone or apart.does_well(bound)) and not apart.others_fail(bound)


@dataclass(frozen=True, slots=True)
class _Apart:
    """Calls of one replica and of the others, by cohort."""

    own: list[EventCounts]
    others: list[EventCounts]
    """What they have under way counts as failed."""
    legacy: list[EventCounts]
    """The others' calls to legacy."""

    @property
    def told(self) -> float:
        """Evidence that the others fail less than half as often, nats."""
        newest = range(len(self.own))
        return max(_told(_sum(self.own[n:]), _sum(self.others[n:])) for n in newest)

    def does_well(self, bound: float) -> bool:
        """Whether its own calls show that it reaches the target."""
        own = _sum(self.own)
        return 2.0 * own.events < own.total and not _fail([own], [NOTHING], bound)

    def others_fail(self, bound: float) -> bool:
        """Whether the others are seen to fail."""
        return _fail(self.others, self.legacy, bound)


def _apart(cohorts: Sequence[Cohort], replica: str, now: float, *, new: bool) -> _Apart:
    """Calls of a replica and of the others; of a new one, since it began to call whomever."""
    own = [[each for each in cohort.replicas if each.replica == replica] for cohort in cohorts]
    first = next((n for n, calls in enumerate(own) if new and calls), 0)
    others = [_others(cohort, replica, now) for cohort in cohorts[first:]]
    return _Apart(
        [_calls(calls) for calls in own[first:]],
        [target for target, _ in others],
        [legacy for _, legacy in others],
    )


def _others(cohort: Cohort, replica: str, now: float) -> tuple[EventCounts, EventCounts]:
    """Calls of all the others, to target and legacy."""
    others = [each for each in cohort.replicas if each.replica != replica]
    under_way = 0 if cohort.is_old(now) else sum(each.open for each in others)
    ended, failed_there = _calls(others), sum(each.legacy_failed for each in others)
    return (
        EventCounts(ended.events + under_way, ended.total + under_way),
        EventCounts(failed_there, failed_there + sum(each.legacy_ok for each in others)),
    )


def _calls(calls: Iterable[ReplicaCalls]) -> EventCounts:
    """Calls to the target that ended."""
    ended = [(each.failed, each.failed + each.ok) for each in calls]
    return EventCounts(sum(failed for failed, _ in ended), sum(total for _, total in ended))


def _told(own: EventCounts, others: EventCounts) -> float:
    """Evidence that the others fail less than half as often, nats."""
    if 2.0 * others.events * own.total >= own.events * others.total:
        return 0.0
    likeliest = _half(own, others)
    return (
        _log_likelihood(own, own.events / own.total)
        + _log_likelihood(others, others.events / others.total)
        - _log_likelihood(own, 2.0 * likeliest)
        - _log_likelihood(others, likeliest)
    )


def _less_often(seen: EventCounts, rate: float) -> float:
    """Evidence that calls fail less often than at a rate, nats."""
    if seen.events >= rate * seen.total:
        return 0.0
    likeliest = _log_likelihood(seen, seen.events / seen.total)
    return likeliest - _log_likelihood(seen, rate)


def _half(own: EventCounts, others: EventCounts) -> float:
    """The likeliest rate of the others where theirs is half of its own: a root of a square."""
    events, total = own.events + others.events, own.total + others.total
    linear = events + others.events + 2.0 * own.total + others.total
    root = math.sqrt(linear * linear - 8.0 * total * events)
    return (linear - root) / (4.0 * total)


def _log_likelihood(seen: EventCounts, rate: float) -> float:
    """Of events at a rate, nats."""
    good = seen.total - seen.events
    bad = seen.events * math.log(rate) if seen.events else 0.0
    return bad + (good * math.log1p(-rate) if good else 0.0)


def _fail(target: Sequence[EventCounts], legacy: Sequence[EventCounts], bound: float) -> bool:
    """Whether the detectors of the evidence are raised by calls, given by cohort."""
    worse, bad = (0.0,) * len(WORSE), (0.0,) * len(HIGHER)
    for ours, theirs in zip(target, legacy, strict=True):
        worse = detected(worse, ratio_gains(ours, theirs, WORSE), FAILING)
        bad = detected(bad, rate_gains(ours, bound, HIGHER), FAILING)
    return reaches(worse, FAILING) or reaches(bad, FAILING)


def _sum(seen: Sequence[EventCounts]) -> EventCounts:
    return EventCounts(sum(each.events for each in seen), sum(each.total for each in seen))


def _named(replica: str, cohorts: Sequence[Cohort]) -> SickReplica:
    """With what is told of it: only calls that ended."""
    every = [each for cohort in cohorts for each in cohort.replicas]
    own = _calls(each for each in every if each.replica == replica)
    others = _calls(each for each in every if each.replica != replica)
    return SickReplica(
        replica, int(own.events), int(own.total), int(others.events), int(others.total)
    )
