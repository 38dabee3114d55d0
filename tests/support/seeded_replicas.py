"""Seeded traffic of several replicas, message by message, with a breaker at each of them.

A replica is sick when every call it makes to the target fails. Breakers open after five failures in
a row or at half of the last fifty calls; other limits are left out.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from tests.support.seeded import state_at
from worker.domain.detection.automatic_rollback import judge
from worker.domain.detection.cohorts import GRACE_S, KEPT, Calls, Cohort, ReplicaCalls
from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick
from worker.domain.figures.periods import SLOT_S, start_of
from worker.domain.migration.phases import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from worker.domain.detection.automatic_rollback import Judgement

    Failing = Callable[[float, int], float]
    """Moment and replica -> part of its calls to the target that fail."""

USUAL = 0.02
TARGET, LEGACY = "target", "legacy"
SAID = ("ok", "failed", "skipped", "open")
IN_A_ROW, OPEN_S, LONGEST = 5, 15.0, 4
WINDOW, LEAST = 50, 20


@dataclass
class Breaker:
    """One provider's, at one replica."""

    lately: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    opened: float | None = None
    waits: int = 1

    def passes(self, now: float) -> bool:
        return self.opened is None or now >= self.opened + OPEN_S * self.waits

    def learn(self, now: float, *, failed: bool) -> None:
        if self.opened is not None:
            self.waits = min(2 * self.waits, LONGEST) if failed else 1
            self.opened = now if failed else None
            return
        self.lately.append(failed)
        lately = list(self.lately)
        row = len(lately) >= IN_A_ROW and all(lately[-IN_A_ROW:])
        if row or (len(lately) >= LEAST and 2 * sum(lately) >= len(lately)):
            self.opened = now
            self.lately.clear()


class Call(NamedTuple):
    began: float
    ends: float
    replica: str
    provider: str
    said: str
    """A field of `Calls`."""


class Replicas:
    """Traffic, and the ticks that are made of it.

    Args:
        seed: the same gives the same.
        share: the target's, per cent.
        rate: messages a second.
        failing: see `Failing`; legacy fails as usual.
        weights: how many messages each replica takes, relative to the others.
        fails_after_s: how long a call takes that fails.
    """

    def __init__(
        self,
        seed: int,
        share: int,
        rate: float,
        failing: Failing,
        *,
        weights: Sequence[float] = (1, 1, 1),
        fails_after_s: float = 0.3,
    ) -> None:
        self._rng = random.Random(seed)
        self._share, self._rate, self._failing = share, rate, failing
        self._weights = weights
        self._late = fails_after_s
        self._calls: list[Call] = []
        self._names = [str(number) for number in range(len(weights))]
        self._breakers: defaultdict[tuple[str, str], Breaker] = defaultdict(Breaker)
        self._now = 0.0

    def restart(self, replica: int) -> None:
        """It goes on under another name and knows nothing."""
        self._names[replica] += "again"

    def ticks(self, count: int) -> Iterator[Tick]:
        """So many ticks more."""
        for _ in range(count):
            yield self._tick()

    def _tick(self) -> Tick:
        until = self._now + TICK_S
        while (at := self._now + self._rng.expovariate(self._rate)) < until:
            self._now = at
            self._message(at)
        self._now = until
        first = start_of(int(until), SLOT_S) - KEPT * SLOT_S
        self._calls = [call for call in self._calls if call.began >= first]
        legacy = self._ended(LEGACY)
        return Tick(
            until,
            ProviderTick(self._ended(TARGET)),
            ProviderTick(legacy),
            legacy,
            breaker_open=self._most_open(TARGET),
            legacy_open=self._most_open(LEGACY),
            legacy_answers=self._most_open(TARGET) and not self._most_open(LEGACY),
            cohorts=self._cohorts(),
        )

    def _message(self, at: float) -> None:
        (number,) = self._rng.choices(range(len(self._weights)), self._weights)
        replica = self._names[number]
        provider = TARGET if self._rng.random() * 100 < self._share else LEGACY
        breaker = self._breakers[replica, provider]
        if not breaker.passes(at):
            self._calls.append(Call(at, at, replica, provider, "skipped"))
            return
        failing = self._failing(at, number) if provider == TARGET else USUAL
        failed = self._rng.random() < failing
        breaker.learn(at, failed=failed)
        ends = at + (self._late if failed else 0.3)
        self._calls.append(Call(at, ends, replica, provider, "failed" if failed else "ok"))

    def _ended(self, provider: str) -> EventCounts:
        """Calls that ended in the last tick."""
        since, now = self._now - TICK_S, self._now
        ended = [c.said for c in self._calls if c.provider == provider and since < c.ends <= now]
        return EventCounts(sum(said != "ok" for said in ended), len(ended))

    def _most_open(self, provider: str) -> bool:
        opened = [self._breakers[name, provider].opened is not None for name in self._names]
        return 2 * sum(opened) > len(opened)

    def _cohorts(self) -> tuple[Cohort, ...]:
        counts: defaultdict[int, Counter[tuple[str, str, str]]] = defaultdict(Counter)
        for call in self._calls:
            if call.began <= self._now - GRACE_S:
                said = call.said if call.ends <= self._now else "open"
                start = start_of(int(call.began), SLOT_S)
                counts[start][call.replica, call.provider, said] += 1
        return tuple(_cohort(start, counts[start]) for start in sorted(counts))


def _cohort(start: int, counts: Counter[tuple[str, str, str]]) -> Cohort:
    names = sorted({name for name, _, _ in counts})
    by = {
        (name, who): Calls(**{said: counts[name, who, said] for said in SAID})
        for name in names
        for who in (TARGET, LEGACY)
    }
    target, legacy = (_added(by, who) for who in (TARGET, LEGACY))
    rows = tuple(_row(name, by[name, TARGET], by[name, LEGACY]) for name in names)
    return Cohort(float(start), target, legacy, legacy, rows)


def _added(by: dict[tuple[str, str], Calls], provider: str) -> Calls:
    found = [calls for (_, who), calls in by.items() if who == provider]
    return Calls(**{said: sum(getattr(calls, said) for calls in found) for said in SAID})


def _row(replica: str, target: Calls, legacy: Calls) -> ReplicaCalls:
    return ReplicaCalls(
        replica,
        failed=target.failed + target.skipped,
        ok=target.ok,
        open=target.open,
        legacy_failed=legacy.failed + legacy.skipped,
        legacy_ok=legacy.ok,
    )


def judgements(ticks: Iterable[Tick], share: int) -> Iterator[tuple[Judgement, Evidence]]:
    """What is decided tick by tick, until traffic is moved; and the evidence it is decided on."""
    state = state_at(share)
    setting, known = criteria_of(state, dict.fromkeys(Role, False), 600.0), Evidence()
    for tick in ticks:
        known = observe(known, tick, setting)
        found = judge(known, state)
        yield found, known
        if found.action.down:
            return


def moved_at(ticks: Iterable[Tick], share: int) -> int | None:
    """The number of the tick that moves traffic; None: none does."""
    for number, (found, _) in enumerate(judgements(ticks, share)):
        if found.action.down:
            return number
    return None


def without_replicas(ticks: Iterable[Tick]) -> Iterator[Tick]:
    """The same as they were before replicas were told apart."""
    for tick in ticks:
        cohorts = tuple(replace(cohort, replicas=()) for cohort in tick.cohorts or ())
        yield replace(tick, cohorts=cohorts)
