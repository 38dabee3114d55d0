"""Trouble at a quarter of 100 messages a second, and what automation makes of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from contracts import control
from tests.support.account import Account
from tests.support.paced import RATE, Paced
from tests.support.waiting import until
from worker.clock import SystemClock
from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.phases import Phase
from worker.domain.migration.snapshot import AUTOMATIC
from worker.store import control_log
from worker.store.control_log import ControlLogStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.support.whole_system import System

SHARE: Final = 25
PROVEN: Final = (5, 10)
_MOST_UNTOLD: Final = 10 * RATE
"""A slow machine gets less traffic, not a queue that only grows. Waiting for a retry has room."""
_WITHIN_S: Final = 60.0
_SETTLED: Final = ("sms.sent", "sms.unknown", "sms.failed")

DEAD: Final = {"action": {"do": "unreachable"}}
HALF: Final = {"match": {"rate": 0.5}, "action": {"do": "refuse", "code": 500}}
TENTH: Final = {"match": {"rate": 0.1}, "action": {"do": "refuse", "code": 500}}
USED_UP: Final = {"action": {"do": "refuse", "code": 405}}
LEGACY_HALF: Final = {"match": {"rate": 0.5}, "action": {"do": "refuse", "code": "unavailable"}}


async def a_quarter(system: System) -> None:
    """25 % in force, lower shares proven, the monitor free to act."""
    await system.steer.do(control.EmergencyRollback)
    await system.steer.do(control.Unlock)
    await system.put(Phase.GRADUAL_MIGRATION, SHARE)
    await system.steer.automation(rolls_back=True)
    await prove(system)


async def prove(system: System) -> None:
    """Write into the log what weeks of migration would have: shares whose gates passed."""
    log = _log(system)
    last = await log.last()
    assert last is not None
    number, state = last
    after = replace(state, version=state.version + 1, proven=PROVEN)
    entry = LogEntry(number + 1, "test", "", {"name": "prove"}, "accepted", state, after, {}, {})
    await log.append(replace(entry, command_id=str(number)))


def _log(system: System) -> ControlLogStore:
    return ControlLogStore(system.store[control_log.COLLECTION], SystemClock())


@dataclass
class Episode:
    """What happened between the first message and the last.

    Attributes:
        system: that it happened to.
        prefix: of its message ids.
        first: number of the control log's last entry before it.
        faults_at: monotonic time before the first fault.
    """

    system: System
    prefix: str
    first: int
    faults_at: float = 0.0

    async def decisions(self) -> list[LogEntry]:
        """What automation decided since it began, oldest first."""
        entries = await _log(self.system).history(1_000, None)
        return [e for e in reversed(entries) if e.number > self.first and e.user == AUTOMATIC]

    async def decided(self, name: str, text: str = "") -> None:
        """Until automation decided so, with that in its text."""

        async def there() -> bool:
            made = await self.decisions()
            return any(e.command["name"] == name and text in e.reply["text"] for e in made)

        async def instead() -> str:
            told = [f"{each.reply['text']}" for each in await self.decisions()]
            reply = await self.system.steer.ask(control.Status)
            return f"{name}: {self.prefix}: {told}: {reply.state}: {reply.gates}: {reply.data}"

        await until(there, _WITHIN_S, instead)

    async def down_to(self, percentage: int) -> float:
        """Until every replica goes by a share of at most so much; seconds since the faults."""

        async def down() -> bool:
            reply = await self.system.steer.ask(control.Status)
            assert reply.state is not None
            assert reply.data is not None
            applied = [each["applied"] for each in reply.data["replicas"]]
            low = reply.state.percentage <= percentage
            return low and len(applied) == 2 and min(applied) >= reply.state.version

        await until(down, _WITHIN_S, lambda: f"{percentage} %: {self.prefix}")
        return time.monotonic() - self.faults_at

    async def accounted(self) -> None:
        """Until every message is settled or held; then none is lost and none doubled."""
        names = [each for each in self.system.sent if each.startswith(f"{self.prefix}-")]

        def untold() -> list[str]:
            return [name for name in names if not self.told(name)]

        def which() -> str:
            return f"{len(untold())} of {len(names)} not settled: {untold()[:10]}"

        await until(lambda: not untold(), _WITHIN_S, which)
        await Account(self.system, f"{self.prefix}-").check()

    def told(self, name: str) -> bool:
        """Whether upstream knows its end, or that it is held."""
        return any(self.system.events.first(name, event) for event in _SETTLED)


@asynccontextmanager
async def trouble(
    system: System, prefix: str, faults: Mapping[str, Mapping[str, Any]], *, compared: bool = False
) -> AsyncIterator[Episode]:
    """Traffic that flows, then faults by provider; healed and stopped at the end.

    Args:
        system: that has it.
        prefix: of message ids.
        faults: by provider.
        compared: whether the providers are compared already when the faults begin.
    """
    last = await _log(system).last()
    assert last is not None
    episode = Episode(system, prefix, last[0])
    traffic = Paced(system, prefix, ("bulk",), _MOST_UNTOLD, episode.told)
    flowing = asyncio.create_task(traffic.flow())
    try:
        await until(lambda: _flows(system, prefix), _WITHIN_S)
        if compared:
            await until(partial(_compared, system), _WITHIN_S)
        episode.faults_at = time.monotonic()
        for provider, fault in faults.items():
            await system.faults(provider, fault)
        yield episode
    finally:
        await system.heal()
        traffic.stop()
        await flowing


async def _compared(system: System) -> bool:
    """Whether a block of outcomes at the share in force was closed."""
    last = await _log(system).last()
    assert last is not None
    known = (await system.store["evidence"].find_one({"_id": last[1].lineage}))["evidence"]
    return known["anew"] == last[1].anew and known["compared"][0][1] > 0


def _flows(system: System, prefix: str) -> bool:
    mine = [line["provider"] for line in system.taken() if line["key"].startswith(f"{prefix}-")]
    return "africastalking" in mine
