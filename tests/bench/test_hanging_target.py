"""What a target that does not answer costs the messages of legacy.

100 messages a second at 25 %, by one worker process with its usual settings (deadline 30 s). First
both providers answer in 50 ms; then the target hangs, or asks every caller to come back in 60 s.
From publishing to `sms.sent`, messages that the percentage assigns to legacy: the p99 of the second
time is compared with the first, in one run. `python tests/bench/test_hanging_target.py` prints the
table alone.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.waiting import until
from tests.support.whole_system import System
from worker.domain.migration.phases import Phase
from worker.domain.migration.routing import bucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RATE, SHARE = 100, 25
WARM_S, BEFORE_S, DURING_S = 15.0, 40.0, 40.0
"""The last is longer than the deadline, so that it holds every stage: filling up, full, open."""
MOST_OVER_BEFORE = 2.0
MOST_BEFORE_S = 1.0
"""Above this the machine itself cannot carry the rate, and the comparison would mean nothing."""
DEADLINES = {f"SMS_{role}__DEADLINE_S": "30" for role in ("TARGET", "LEGACY")} | {
    "SMS_DRAIN_GRACE_S": "45",
    "SMS_LEASE_MARGIN_S": "15",
    "SMS_TARGET__BREAKER__OPEN_S": "15",
    "SMS_LEGACY__BREAKER__OPEN_S": "15",
}
QUICK = {"action": {"do": "answer", "latency_ms": 50}}
HANGS = {"action": {"do": "hang"}}
SLOW_DOWN = {"action": {"do": "http", "status": 429, "headers": {"Retry-After": "60"}}}


@dataclass
class Flow:
    """Messages at a steady rate, and what became of those that legacy is assigned."""

    system: System
    lane: str
    began: dict[str, float] = field(default_factory=dict)
    of_legacy: set[str] = field(default_factory=set)

    async def run(self, name: str, seconds: float) -> list[float]:
        """Seconds each message of legacy took, of those published within `seconds`."""
        ends, number, started = time.monotonic() + seconds, 0, time.monotonic()
        while time.monotonic() < ends:
            due = int((time.monotonic() - started) * RATE)
            await asyncio.gather(*(self._one(f"{name}-{n}") for n in range(number, due)))
            number = due
            await asyncio.sleep(0.02)  # the pace: what is due by the clock goes out together
        names = [each for each in self.began if each.startswith(f"{name}-")]
        return await self._took([each for each in names if each in self.of_legacy])

    async def _one(self, name: str) -> None:
        self.began[name] = time.monotonic()
        sent = await self.system.send(name, lane=self.lane)
        if bucket(sent.to) >= SHARE:
            self.of_legacy.add(name)

    async def _took(self, names: list[str]) -> list[float]:
        def missing() -> list[str]:
            return [name for name in names if self._arrived(name) is None]

        await until(lambda: not missing(), 90, lambda: self.system.story(missing(), "not sent"))
        return [(self._arrived(name) or 0.0) - self.began[name] for name in names]

    def _arrived(self, name: str) -> float | None:
        event = self.system.events.first(name, "sms.sent")
        return self.system.events.arrived[event["eventId"]] if event else None


def p99(found: list[float]) -> float:
    return quantiles(found, n=100)[98]


async def measure(system: System, trouble: dict[str, Any], lane: str) -> float:
    """How many times the p99 of before it is during the trouble."""
    await system.heal()
    for provider in ("africastalking", "legacy"):
        await system.faults(provider, QUICK)
    flow, name = Flow(system, lane), f"{trouble['action']['do']}-{lane}"
    await flow.run(f"{name}-warm", WARM_S)
    before = p99(await flow.run(f"{name}-before", BEFORE_S))
    assert before < MOST_BEFORE_S, f"this machine does not carry {RATE} messages a second"
    await system.faults("africastalking", trouble)
    during = p99(await flow.run(f"{name}-during", DURING_S))
    print(f"  {name:<22} p99 {before * 1000:6.0f} ms, then {during * 1000:6.0f} ms", flush=True)
    return during / before


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[System]:
    async with System.running(directory, DEADLINES, replicas=1) as system:
        await system.put(Phase.GRADUAL_MIGRATION, SHARE)
        yield system


@pytest.mark.bench
@pytest.mark.parametrize("lane", ["transactional", "bulk"])
async def test_messages_of_legacy_do_not_queue_behind_a_target_that_hangs(
    tmp_path: Path, lane: str
) -> None:
    async with running(tmp_path) as system:
        assert await measure(system, HANGS, lane) < MOST_OVER_BEFORE


@pytest.mark.bench
async def test_messages_of_legacy_do_not_queue_behind_a_target_that_asks_for_a_pause(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as system:
        assert await measure(system, SLOW_DOWN, "transactional") < MOST_OVER_BEFORE


async def table(directory: Path) -> None:
    for trouble, lane in ((HANGS, "transactional"), (HANGS, "bulk"), (SLOW_DOWN, "transactional")):
        async with running(directory / f"{trouble['action']['do']}-{lane}") as system:
            await measure(system, trouble, lane)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        asyncio.run(table(Path(folder)))
