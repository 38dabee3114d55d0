"""Calls of a replica in groups, and what the stores show of them a moment later.

Rules: a group are calls of one replica to one provider that began in one second and fare alike. It
counts in the slot in which it ended and in the cohort in which it began, by the names and at the
times by which `telemetry.metrics` and `telemetry.cohorts` count single calls: failures once the
store was asked, and nothing of a call before `GRACE_S`. A call is evidence where the replica still
has the state that decided it. What befell the target is kept beside it, with the second in which
the calls began (`Event`): the truth that decisions are held against.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tests.support.monitor_fakes import LEGACY, TARGET
from worker.domain.detection.cohorts import GRACE_S, SETTLED_AFTER_S
from worker.domain.figures.periods import SLOT_S, start_of
from worker.domain.migration.direction import share

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from worker.domain.migration.snapshot import Snapshot

A_SECOND: Final = 10
"""Messages of a replica."""
USUALLY_FAILS: Final = 0.02
"""Part of legacy's calls."""
DELIVERY_AGE_S: Final = 60
JUDGED_WITHIN_S: Final = 3
OPENS_AFTER: Final = 5
"""Failures in a row."""
WAITS_S, LONGEST_WAIT_S = 15, 60
Key = tuple[int, str, int]
"""Owner, provider and start."""
Rows = dict[Key, dict[str, int]]


class Fate(StrEnum):
    """What becomes of a call."""

    GOOD = "good"
    FAILS = "fails at once"
    HANGS = "ends by a timeout"
    SLOW = "slow"
    LOST = "accepted and not delivered"
    SKIPPED = "not begun, because the breaker is open"


LASTS_S: Final = {Fate.HANGS: 30, Fate.SLOW: 8}
FAILED: Final = frozenset({Fate.FAILS, Fate.HANGS})


@dataclass(frozen=True, slots=True)
class Trouble:
    """Which part of the calls fares badly, and how."""

    fate: Fate = Fate.GOOD
    target: float = 0.0
    legacy: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """What befell some calls to the target that were evidence."""

    fate: Fate
    began: int
    """Second; of a message that was lost, in which it was accepted."""
    known: int
    """Second from which on the stores show it."""
    count: int


@dataclass(slots=True, eq=False)
class Group:
    """Calls that fare alike."""

    provider: str
    began: int
    count: int
    fate: Fate
    anew: int
    """Of the state that decided them."""
    eligible: bool
    generation: int
    """Of the breaker that let them through."""
    grown: bool = False
    """Old enough to count."""
    names: tuple[str, ...] | None = None
    """What they count as in their cohort, once that is known."""

    @property
    def under_way(self) -> tuple[str, ...]:
        """What they count as before it is known."""
        return ("any_open", "eligible_open") if self.eligible else ("any_open",)


class Breaker:
    """One replica's breaker of the target."""

    def __init__(self) -> None:
        self.generation = 0
        self.probe_at: int | None = None
        """None: it is closed."""
        self._probing = False
        self._in_a_row = 0
        self._wait_s = WAITS_S

    def lets_through(self, wanted: int, now: int) -> int:
        """So many calls of those wanted."""
        if self.probe_at is None:
            return wanted
        if self._probing or now < self.probe_at or not wanted:
            return 0
        self._probing = True
        return 1

    def learn(self, group: Group, now: int) -> None:
        """How calls that it let through ended."""
        if group.generation != self.generation:
            return
        if group.fate not in FAILED:
            self._in_a_row = 0
            if self.probe_at is not None:
                self._move(None, WAITS_S)
            return
        self._in_a_row += group.count
        if self.probe_at is not None:
            self._move(now + self._wait_s, min(2 * self._wait_s, LONGEST_WAIT_S))
        elif self._in_a_row >= OPENS_AFTER:
            self._move(now + WAITS_S, 2 * WAITS_S)

    def _move(self, probe_at: int | None, wait_s: int) -> None:
        self.generation += 1
        self.probe_at, self._wait_s = probe_at, wait_s
        self._in_a_row, self._probing = 0, False


@dataclass(slots=True)
class Table:
    """Cumulative sums of one kind, and which of them changed since they were written."""

    rows: dict[Key, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    changed: set[Key] = field(default_factory=set)

    def add(self, key: Key, count: int, names: Iterable[str]) -> None:
        """Count so many more of each."""
        row = self.rows[key]
        for name in names:
            row[name] += count
        self.changed.add(key)

    def write(self, into: Rows, now: int) -> None:
        """Write what changed; forget what does not change any more."""
        for key in self.changed:
            into[key] = dict(self.rows[key])
        self.changed.clear()
        for key in [key for key in self.rows if key[2] < now - 2 * SETTLED_AFTER_S]:
            del self.rows[key]


class Replica:
    """Sends, counts, and writes what it counted.

    Args:
        owner: its number. The first learns of a state at once and writes each second; the next
            ones are a second later in both.
        state: in force.
        rng: chance.
        breaks: whether it has a breaker.
    """

    def __init__(self, owner: int, state: Snapshot, rng: random.Random, *, breaks: bool) -> None:
        self.events: list[Event] = []
        self._owner, self._state, self._rng = owner, state, rng
        self._breaks, self._breaker = breaks, Breaker()
        self._learnt: list[tuple[int, Snapshot]] = []
        self._slots, self._cohorts = Table(), Table()
        self._young: list[Group] = []
        """In the order in which they began."""
        self._running: dict[int, list[Group]] = defaultdict(list)
        """By the second in which they end."""
        self._accepted: dict[int, list[tuple[Group, int]]] = defaultdict(list)
        """By the second in which they are judged; when they were accepted."""
        self._asked: list[tuple[Group, tuple[str, ...]]] = []
        """Whether they count the store has to say; what they count as in the slot of then."""

    @property
    def is_broken(self) -> bool:
        """Whether its breaker is not closed."""
        return self._breaker.probe_at is not None

    @property
    def under_way(self) -> int:
        """Calls to the target."""
        groups = (group for ending in self._running.values() for group in ending)
        return sum(group.count for group in groups if group.provider == TARGET)

    def learn(self, state: Snapshot, now: int) -> None:
        """A state came into force."""
        self._learnt.append((now + self._owner, state))

    def second(self, now: int, trouble: Trouble) -> None:
        """What ends and what begins within a second."""
        while self._learnt and self._learnt[0][0] <= now:
            self._state = self._learnt.pop(0)[1]
        for group in self._running.pop(now, ()):
            self._end(group, now)
        for group, accepted in self._accepted.pop(now, ()):
            self._judge(group, accepted, now)
        ours = self._some(A_SECOND, share(self._state) / 100.0)
        self._to_target(ours, now, trouble)
        theirs = A_SECOND - ours
        bad = self._some(theirs, max(USUALLY_FAILS, trouble.legacy))
        self._begin(LEGACY, theirs - bad, Fate.GOOD, now)
        self._begin(LEGACY, bad, Fate.FAILS, now)
        self._to_legacy_anyway(1, now)

    def write(self, now: int, slots: Rows, cohorts: Rows) -> None:
        """Ask the store which failures count, then write, each in its turn."""
        if now % (self._owner + 1):
            return
        asked, self._asked = self._asked, []
        for group, sums in asked:
            self._answered(group, sums, now)
        self._grow(now)
        self._slots.write(slots, now)
        self._cohorts.write(cohorts, now)

    # --- calls ---------------------------------------------------------------------------

    def _some(self, of: int, chance: float) -> int:
        return sum(self._rng.random() < chance for _ in range(of)) if chance else 0

    def _to_target(self, wanted: int, now: int, trouble: Trouble) -> None:
        sent = self._breaker.lets_through(wanted, now)
        bad = self._some(sent, trouble.target)
        self._begin(TARGET, sent - bad, Fate.GOOD, now)
        self._begin(TARGET, bad, trouble.fate, now)
        self._begin(TARGET, wanted - sent, Fate.SKIPPED, now)
        self._to_legacy_anyway(wanted - sent, now)

    def _to_legacy_anyway(self, count: int, now: int) -> None:
        """Of a user who is always sent through legacy, or because the target did not take it."""
        if self._state.flags.legacy_enabled:
            self._begin(LEGACY, count, Fate.GOOD, now, eligible=False)

    def _begin(
        self, provider: str, count: int, fate: Fate, now: int, *, eligible: bool = True
    ) -> None:
        if not count:
            return
        generation = self._breaker.generation
        group = Group(provider, now, count, fate, self._state.anew, eligible, generation)
        self._young.append(group)
        if fate in LASTS_S:
            self._running[now + LASTS_S[fate]].append(group)
        else:
            self._end(group, now)

    def _end(self, group: Group, now: int) -> None:
        if group.fate is Fate.SKIPPED:
            self._asked.append((group, ("distinct_failed", "eligible_failed")))
            return
        if group.provider == TARGET and self._breaks:
            self._breaker.learn(group, now)
        evidence = group.eligible and group.anew == self._state.anew
        if group.fate in FAILED:
            self._fail(group, now, evidence=evidence)
        else:
            self._accept(group, now, evidence=evidence)

    def _fail(self, group: Group, now: int, *, evidence: bool) -> None:
        self._asked.append((group, ("distinct_failed", "eligible_failed")[: 1 + evidence]))
        if group.provider == TARGET:
            self._to_legacy_anyway(group.count, now)

    def _accept(self, group: Group, now: int, *, evidence: bool) -> None:
        self._in_slot(group, now, ("accepted", "eligible_ok")[: 1 + evidence])
        if group.eligible:
            due = now + DELIVERY_AGE_S + self._rng.randrange(JUDGED_WITHIN_S + 1)
            self._accepted[due].append((group, now))
        if group.fate is Fate.SLOW and evidence:
            self._asked.append((group, ("eligible_slow",)))
        else:
            self._known(group, ("any_ok", "eligible_ok")[: 1 + evidence])

    def _judge(self, group: Group, accepted: int, now: int) -> None:
        if group.fate is not Fate.LOST:
            self._in_slot(group, now, ("eligible_delivered",))
            return
        self._in_slot(group, now, ("eligible_undelivered",))
        self.events.append(Event(Fate.LOST, accepted, now, group.count))

    # --- counting ------------------------------------------------------------------------

    def _answered(self, group: Group, sums: tuple[str, ...], now: int) -> None:
        """The store said that they are the first of their recipients today."""
        self._in_slot(group, now, sums)
        if group.fate is Fate.SLOW:
            self._known(group, ("any_ok", "eligible_ok", "eligible_slow"))
        elif group.fate is Fate.SKIPPED:
            self._known(group, ("any_skipped", "eligible_skipped"))
        else:
            self._known(group, ("any_failed", "eligible_failed")[: len(sums)])
        if group.provider == TARGET and sums != ("distinct_failed",):
            self.events.append(Event(group.fate, group.began, now, group.count))

    def _in_slot(self, group: Group, now: int, names: Iterable[str]) -> None:
        key = self._owner, group.provider, start_of(now, SLOT_S)
        self._slots.add(key, group.count, names)

    def _in_cohort(self, group: Group, count: int, names: Iterable[str]) -> None:
        key = self._owner, group.provider, start_of(group.began, SLOT_S)
        self._cohorts.add(key, count, names)

    def _known(self, group: Group, names: tuple[str, ...]) -> None:
        """It is known what they count as in their cohort."""
        group.names = names
        if group.grown:
            self._in_cohort(group, -group.count, group.under_way)
            self._in_cohort(group, group.count, names)

    def _grow(self, now: int) -> None:
        while self._young and self._young[0].began <= now - GRACE_S:
            group = self._young.pop(0)
            group.grown = True
            self._in_cohort(group, group.count, group.names or group.under_way)
