"""The scenes of the demo: shares first, then faults, a killed worker, and back, all under traffic.

Rules: a scene ends when its facts are there, never after a fixed time. If a fact does not come
within its deadline, the demo ends and a promise is broken. A share counts from the moment when
every live worker uses it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from worker.lab.demo.facts import LEGACY, TARGET, Automatic, Kill, Scene
from worker.lab.demo.waiting import until, until_asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.lab.demo.client import Dashboard, Upstream
    from worker.lab.demo.screen import Screen
    from worker.lab.demo.simulators import Simulators
    from worker.lab.demo.steering import Entry, Steering
    from worker.lab.demo.traffic import Traffic
    from worker.lab.local.stack import Stack

WORKERS: Final = 2
_KILL_IN_FLIGHT: Final = 16
"""Number of calls under way before a worker is killed. It has about half of them."""
_SLOW: Final = {"latency_ms": 1000}
"""A message is taken at once and answered late, so a worker killed meanwhile cannot know."""


class Share(NamedTuple):
    """A part of the story: some of the traffic is moved."""

    name: str
    label: str
    advances: int
    """How many times to advance."""
    percentage: int
    """That must be in force then."""


SHARES: Final = (
    Share("legacy alone", "0%", 0, 0),
    Share("1 % moved", "1%", 1, 1),
    Share("25 % moved", "25%", 1, 25),
    Share("100 % moved", "100%", 2, 100),
)
Fault = tuple[str, str, tuple["Mapping[str, Any]", ...]]
"""Name, label, and what the provider does."""
FAULTS: Final[tuple[Fault, ...]] = (
    ("its balance is used up (405)", "405", ({"do": "refuse", "code": 405},)),
    (
        "it refuses our credentials (401)",
        "401",
        ({"do": "http", "status": 401, "body": "The supplied authentication is invalid"},),
    ),
    ("it is unreachable", "down", ({"do": "unreachable"},)),
)
HANG: Final[tuple[Mapping[str, Any], ...]] = (
    {"do": "hang", "taken": True},
    {"do": "hang", "taken": False},
)


@dataclass(frozen=True, slots=True)
class Pace:
    """The numbers of messages and the rate."""

    rate_per_s: float = 25.0
    share_messages: int = 200
    """Messages published and settled in each scene of a share. At 1 % two of them move."""
    fault_messages: int = 60
    faults: tuple[Fault, ...] = FAULTS
    """Messages in each fault except the hang."""


@dataclass(slots=True)
class Story:
    """Plays the scenes.

    Args:
        stack: the running system.
        upstream: the publishing service.
        dashboard: follows the breakers.
        simulators: the providers' control ports.
        steering: changes the share.
        traffic: the traffic, not yet started.
        screen: shows the progress.
        pace: numbers of messages and rate.
    """

    stack: Stack
    upstream: Upstream
    dashboard: Dashboard
    simulators: Simulators
    steering: Steering
    traffic: Traffic
    screen: Screen
    pace: Pace = field(default_factory=Pace)
    scenes: list[Scene] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    kill: Kill | None = None
    rollback_s: float | None = None
    automatic: Automatic | None = None
    """The automatic rollback to 0 %."""

    async def tell(self) -> None:
        """Play all scenes, from legacy alone and back to it. Raises `FactMissing`."""
        await self.steering.automation(rolls_back=False)  # automation must not end the faults early
        for share in SHARES:
            await self._share(share)
        await self._broken_command()
        for fault in self.pace.faults:
            await self._fault(*fault)
        await self._hang()
        await self._kill()
        await self._back()
        await self._automatic()
        self.screen.title("everything is published: waiting until all of it is settled")

    async def _share(self, share: Share) -> None:
        self.screen.title(share.name)
        for _ in range(share.advances):
            self.screen.say(await self.steering.advance())
        await self.steering.applied(WORKERS)
        self.traffic.check()
        if not self.scenes:
            self.traffic.start()
        await self._judged(share.name, share.label, share.percentage)

    async def _judged(self, name: str, label: str, percentage: int) -> None:
        """Begin a scene in which the provider of every number is checked."""
        began, before = time.monotonic(), dict(self.upstream.sent_by)
        await self._settled(self.pace.share_messages)
        self.scenes.append(Scene(name, label, began, time.monotonic(), percentage))
        self.screen.say(self._sent_since(before))

    async def _broken_command(self) -> None:
        planned = next(self.traffic.planned)
        self.broken.add(planned.id)
        self.screen.say(f'a broken command: branchId "north", message {planned.id}')
        await self.upstream.publish(planned, broken=True)

    async def _fault(self, name: str, label: str, actions: tuple[Mapping[str, Any], ...]) -> None:
        self.screen.title(f"Africa's Talking: {name}")
        began, before = time.monotonic(), dict(self.upstream.sent_by)
        await self.simulators.fault(TARGET, *actions)
        await self._opened(began)
        await self._settled(self.pace.fault_messages)
        await self._healed(name, label, began, before)

    async def _hang(self) -> None:
        name = "it takes the request and never answers"
        self.screen.title(f"Africa's Talking: {name}")
        began, before = time.monotonic(), dict(self.upstream.sent_by)
        held, resent = len(self.upstream.held), self.upstream.resent
        await self.simulators.fault(TARGET, *HANG)
        await self._opened(began)
        await until(lambda: len(self.upstream.held) > held, "a bulk message held as unknown")
        await until(lambda: self.upstream.resent > resent, "a transactional message sent again")
        await self._settled(self.pace.fault_messages)
        held, resent = len(self.upstream.held) - held, self.upstream.resent - resent
        self.screen.say(f"unknown: {resent} transactional sent again and marked, {held} bulk held")
        await self._healed(name, "hang", began, before)

    async def _healed(self, name: str, label: str, began: float, before: dict[str, int]) -> None:
        """End a fault. The breakers close by a probe, for which traffic goes on."""
        await self.simulators.heal(TARGET)
        await until(lambda: not self._not_closed(), "the breaker closed on every worker")
        self.scenes.append(Scene(name, label, began, time.monotonic(), opens_breaker=True))
        self.screen.say(self._sent_since(before))

    async def _opened(self, since: float) -> None:
        """Wait until the breaker opened on every worker."""

        def seen() -> bool:
            changes = self.dashboard.changes
            who = {each.replica for each in changes if each.to == "open" and each.at >= since}
            return len(who) >= WORKERS

        await until(seen, "the breaker open on every worker")

    def _not_closed(self) -> list[str]:
        last = {each.replica: each.to for each in self.dashboard.changes}
        return [replica for replica, state in last.items() if state != "closed"]

    async def _kill(self) -> None:
        self.screen.title("SIGKILL for a worker in mid-traffic")
        began = time.monotonic()
        await self.simulators.fault(TARGET, _SLOW)
        await until(lambda: len(self.upstream.unsettled) >= _KILL_IN_FLIGHT, "calls under way")
        self.kill = Kill(time.monotonic(), frozenset(self.upstream.unsettled))
        await self.stack.kill(0)
        await self.simulators.heal(TARGET)
        await self.stack.add_replica()
        await self._settled(self.pace.fault_messages)
        self.scenes.append(Scene("a worker is killed", "kill", began, time.monotonic()))

    async def _back(self) -> None:
        self.screen.title("emergency rollback, in mid-traffic")
        self.rollback_s = await self.steering.emergency_rollback(WORKERS)
        self.screen.say("every worker goes by it and holds nothing older")
        await self._judged("back on legacy", "back", 0)

    async def _automatic(self) -> None:
        self.screen.title("25 % again; Africa's Talking fails, and nobody is there")
        await self.steering.automation(rolls_back=True)
        for _ in range(2):
            self.screen.say(await self.steering.advance())
        await self.steering.applied(WORKERS)
        await self._settled(self.pace.share_messages)
        before = await self.steering.standing()
        self.screen.say(f"before the fault: {before.phase} at {before.percentage} %")
        began, fault_at = datetime.now(UTC), time.monotonic()
        await self.simulators.fault(TARGET, {"do": "unreachable"})
        entries: list[Entry] = []

        async def gone() -> bool:
            entries[:] = await self.steering.rollbacks()
            return bool(entries)

        await until_asked(gone, "the automatic rollback")
        await self.steering.applied(WORKERS)
        entry = entries[0]
        after_s = (entry.at - began).total_seconds()
        self.automatic = Automatic(before, fault_at, after_s, time.monotonic())
        self.screen.say(entry.text)
        await self.simulators.heal(TARGET)
        await self._settled(self.pace.fault_messages)

    async def _settled(self, count: int) -> None:
        """Wait until this number of new messages is published and settled."""
        published = self.upstream.published
        start = len(published)
        await until(lambda: len(published) - start >= count, f"{count} messages published")
        ids = list(published)[start : start + count]
        await until(lambda: self.upstream.unsettled.isdisjoint(ids), f"{count} messages settled")
        self.traffic.check()

    def _sent_since(self, before: Mapping[str, int]) -> str:
        sent = self.upstream.sent_by
        parts = (f"{sent.get(p, 0) - before.get(p, 0)} by {p}" for p in (LEGACY, TARGET))
        return f"sent: {', '.join(parts)}"
