"""A person's orders at random among traffic with outages, and the monitor that looks at it.

Rules: a seed is a course: share, flags, breakers, how the ticks lie to the slots, and the orders.
Each tick reads the evidence back from its stored form. What the monitor did and counted is held
against what befell calls of the target that began after the last change (`wrong`).

The last change is the last one that outcomes from before it say nothing about: the target gets
less, begins from a share of 0, or is raised past the gates; or automation may go down from now on.
Over a move upwards through the gates the detectors go on.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from tests.support.call_traffic import DELIVERY_AGE_S, Event, Fate, Replica, Trouble
from tests.support.changes import change
from tests.support.control_fakes import PROVEN
from tests.support.monitor_fakes import TARGET, World
from worker.domain.detection import readings
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.signals import SIGNALS
from worker.domain.detection.tick import TICK_S
from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.decide import decide
from worker.domain.migration.direction import share
from worker.domain.migration.flags import Flags, MigrationSettings
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import DEFAULT_RULES, Phase, Role, phase_holding
from worker.domain.migration.snapshot import AUTOMATIC, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from worker.domain.figures.periods import SlotSums

SHARES: Final = (5, 10, 25, 50, 75, 90, 98, 100)
RULES: Final = MappingProxyType(
    {**DEFAULT_RULES, Phase.PARALLEL_SETUP: replace(DEFAULT_RULES[Phase.PARALLEL_SETUP], entry=5)}
)
FLAGS: Final = Flags(phases=RULES, migration=MigrationSettings(minimum_phase_min=0.0, soak_min=0.0))
"""Orders come within a minute of each other."""
BY_SIGNAL: Final = ({Fate.FAILS, Fate.HANGS, Fate.SKIPPED}, {Fate.SLOW}, {Fate.LOST})
WHOLE: Final = 100
SURE: Final = "seen, and wanted all the same"
FINE: Final = Measures(
    accepted=10_000, p95_ms=100.0, delivered=10_000, judged=10_000, account_ok=True
)
Wish = tuple[str, dict[str, Any]]
"""An order's name and fields."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of state."""

    at: float
    """Second, and half a second where it came after the calls of that second had begun."""
    name: str
    before: Snapshot
    after: Snapshot
    overridden: bool = False
    """The gates were passed over."""
    suspected: bool = False
    """A detector was above half its level."""
    under_way: int = 0
    """Calls to the target."""

    @property
    def begins_anew(self) -> bool:
        """Whether what was before it says nothing about the time after it."""
        old, new = self.before, self.after
        lower, begins = share(new) < share(old), share(new) > share(old) == 0
        past_the_gates = self.overridden and share(new) > share(old)
        acts_from_now = may_go_down(new) and not may_go_down(old)
        return lower or begins or past_the_gates or acts_from_now


def may_go_down(state: Snapshot) -> bool:
    """Whether automation may take traffic from the target."""
    flags = state.flags
    return share(state) > 0 and flags.automatic_rollback and flags.legacy_enabled


class Course(World):
    """Traffic of two replicas, a person and a monitor, second by second.

    Args:
        seed: of all that is left to chance.
    """

    delivery_age_s = float(DELIVERY_AGE_S)

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"orders {seed}")
        split = self.rng.choice(SHARES)
        super().__init__(split, tuple(each for each in (1, *SHARES) if each < split))
        alone = split == WHOLE and self.rng.random() < 0.5
        automatic = self.rng.random() < 0.7
        flags = replace(FLAGS, automatic_rollback=automatic, legacy_enabled=not alone)
        phase = phase_holding(RULES, split)
        assert phase is not None
        self.first = replace(self.first, phase=phase, flags=flags)
        self.clock.advance(self.rng.randrange(10))
        breaks = self.rng.random() < 0.6
        self.replicas = [Replica(n, self.first, self.rng, breaks=breaks) for n in range(2)]
        self.trouble = Trouble()
        self.changes: list[Change] = []
        self.in_tick = 0
        """Orders that come once the monitor has read the state."""
        self.within_ticks = 0
        """So many came."""
        self.moves = 0
        """Of automation, downwards."""
        self.wrong: list[str] = []
        self.known = Evidence()
        """As of the last tick; so is `holds`."""
        self.holds = False
        self._looked = 0

    @property
    def now(self) -> int:
        """Seconds since the epoch."""
        return int(self.clock.now().timestamp())

    # --- time ----------------------------------------------------------------------------

    async def begin(self) -> None:
        """As any world."""
        await super().begin()
        self._looked = self.now

    async def seconds(self, count: int) -> None:
        """Let time pass."""
        for _ in range(count):
            self.clock.advance(1.0)
            for each in self.replicas:
                each.write(self.now, self.rows, self.begun)
                each.second(self.now, self.trouble)
            self.breakers = [{TARGET: "open"} if each.is_broken else {} for each in self.replicas]
            if self.now - self._looked >= TICK_S:
                await self._look()

    @property
    def until_tick(self) -> int:
        """Seconds until the next tick."""
        return max(1, self._looked + int(TICK_S) - self.now)

    async def ticks(self, count: int) -> None:
        """Let so many ticks pass."""
        await self.seconds(count * int(TICK_S))

    def restart(self, away_s: int) -> None:
        """Another monitor takes over, after a while."""
        self.monitors[0] = self.monitor()
        self._looked += away_s

    async def recent(self, since: datetime, names: Sequence[str]) -> list[SlotSums]:
        """As of any world; the monitor has read the state before."""
        found = await super().recent(since, names)
        while self.in_tick:
            self.in_tick -= 1
            self.within_ticks += self.order(self.now + 0.5)
        return found

    async def _look(self) -> None:
        self._looked, entries = self.now, len(self.log.entries)
        await self.monitors[0].look()
        made, _ = self.checkpoints.kept[self.state.lineage]
        self.known, self.holds = made.evidence, made.holding is not None
        self._check_counts()
        for entry in self.log.entries[entries:]:
            if entry.user == AUTOMATIC and entry.before is not None:
                self._moved(str(entry.command["name"]), entry.before, entry.after)

    def _moved(self, name: str, before: Snapshot, after: Snapshot) -> None:
        if share(after) >= share(before):
            return
        self.moves += 1
        if not any(event.fate is not Fate.SKIPPED for event in self.events()):
            self._tell(f"{name} without an event: {after.notes}")
        self._changed(Change(self.now + 0.5, name, before, after))

    def _changed(self, change: Change) -> None:
        self.changes.append(change)
        for each in self.replicas:
            each.learn(change.after, self.now)

    # --- the truth -----------------------------------------------------------------------

    def last_change(self) -> Change | None:
        """The last one that begins anew; None: there was none."""
        return next((each for each in reversed(self.changes) if each.begins_anew), None)

    def events(self) -> list[Event]:
        """Known by now, of calls that began after the last change."""
        last = self.last_change()
        since = last.at if last else 0.0
        every = [event for each in self.replicas for event in each.events]
        return [event for event in every if event.began >= since and event.known <= self.now]

    def _check_counts(self) -> None:
        """Nothing is counted that befell calls from before the last change."""
        last = self.last_change()
        if last is None or self.known.anew != last.after.anew:
            return
        events = self.events()
        for signal in SIGNALS:
            true = sum(event.count for event in events if event.fate in BY_SIGNAL[signal])
            counted = self.known.counted[signal].target_events
            if counted > true:
                self._tell(f"{signal}: {counted:g} counted, {true} came of calls since")

    def _tell(self, what: str) -> None:
        last = self.last_change()
        since = f"{self.now - last.at:g} s after {last.name}" if last else "before any order"
        self.wrong.append(f"{since}: {what}")

    # --- orders --------------------------------------------------------------------------

    def order(self, at: float, *, wanted: Callable[[Snapshot], bool] = bool) -> bool:
        """One order that is taken and leads to a state that is wanted; False: none was found."""
        wishes = (self._wish() for _ in range(30))
        return any(self.give(*wish, at, wanted=wanted) for wish in wishes if wish is not None)

    def give(
        self,
        name: str,
        fields: dict[str, Any],
        at: float,
        *,
        wanted: Callable[[Snapshot], bool] = bool,
    ) -> bool:
        """Whether an order changes the state to what is wanted; then it does."""
        state, override = self.state, SURE if self.rng.random() < 0.7 else None
        after = decide(
            change(name, override=override, **fields), state, self._measures(), self.clock.now()
        ).after
        if after is None or after.version == state.version or not wanted(after):
            return False
        number = len(self.log.entries) + 1
        entry = LogEntry(
            number, "ann", f"{number}", {"name": name}, "accepted", state, after, {}, {}
        )
        self.log.entries.append(replace(entry, at=self.clock.now()))
        suspected = bool(readings.suspicious(self.known))
        under_way = sum(each.under_way for each in self.replicas)
        overridden = override is not None
        self._changed(Change(at, name, state, after, overridden, suspected, under_way))
        return True

    def _measures(self) -> Measures:
        """Every gate is open, but for an alarm."""
        known = self.known if readings.suspicious(self.known) else PROVEN
        return replace(FINE, evidence=known)

    def _wish(self) -> Wish | None:
        kinds = (self._down, self._down, self._up, self._up, self._switch, self._restore)
        return self.rng.choice(kinds)()

    def _down(self) -> Wish | None:
        name = self.rng.choice(["emergency-rollback", "rollback", "set-percentage"])
        return self._percentage(above=False) if name == "set-percentage" else (name, {})

    def _up(self) -> Wish | None:
        name = self.rng.choice(["advance", "step", "set-percentage", "unlock"])
        return self._percentage(above=True) if name == "set-percentage" else (name, {})

    def _percentage(self, *, above: bool) -> Wish | None:
        now, steps = self.state.percentage, (0, *RULES[self.state.phase].steps)
        fitting = [each for each in steps if (each > now if above else each < now)]
        return ("set-percentage", {"percentage": self.rng.choice(fitting)}) if fitting else None

    def _switch(self) -> Wish:
        if self.rng.random() < 0.4:
            flags = self.state.flags
            turned = replace(flags, automatic_rollback=not flags.automatic_rollback)
            return "set-flags", {"flags": turned}
        role = self.rng.choice(list(Role))
        name = "disable-provider" if self.state.flags.enabled(role) else "enable-provider"
        return name, {"provider": role}

    def _restore(self) -> Wish:
        older = self.rng.choice(self.log.entries).after
        return "restore", {"older": older, "label": str(older.version)}
