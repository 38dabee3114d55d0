"""200,000 bulk messages wait while their provider takes 20 a second.

Memory stays bounded, one-time codes pass at once, what has expired is never sent, a provider that
is away burns no attempts, and what waits goes out at full rate soon after it is back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from contracts.names import Queue
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, System
from tests.torture.judge.judge import judge
from tests.torture.network.collected import collect
from tests.torture.network.judged import at_rest
from tests.torture.network.overload import CODE_WITHIN_S, RECOVERS_WITHIN_S, Overload, p99
from tests.torture.network.providers import Behaviour
from tests.torture.network.recovery import standing_still
from tests.torture.network.resources import Resources
from worker.broker.connection import connect
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from pathlib import Path

TARGET, LEGACY = PROVIDERS
WAITING: Final = 200_000
EXPIRING: Final = 3_000
EXPIRE_AFTER_S: Final = 5.0
LIMIT: Final = 20
WATCHED_S: Final = 45.0
AWAY_S: Final = 10.0
FULL_RATE_S: Final = 10.0
WITHIN_S: Final = 120.0
MEMORY: Final = 1.25
"""The most that a worker may hold, by what it holds when idle."""
BURNT: Final = 100
"""Attempts that are lost on a provider that is away: calls under way (64), and the probes of two
breakers. Without breakers it would be every message that waits."""


@pytest.mark.torture
@pytest.mark.timeout(600)
async def test_far_more_than_a_provider_takes(tmp_path: Path) -> None:
    profile = {"SMS_LEGACY__RATE_PER_S": str(LIMIT)}
    async with System.running(tmp_path, profile) as system:
        await Behaviour().usual(system)
        idle = max(each.resident_kib for each in resources(system))
        made = Overload(system, system.stack.amqp["upstream"])
        async with standing_still() as still, made.watched():
            await made.publish(WAITING, expiring=EXPIRING, after_s=EXPIRE_AFTER_S)
            async with made.codes.flowing():
                await asyncio.sleep(WATCHED_S)
            at_the_limit = await away_and_back(made, LEGACY, LIMIT, still)
            await system.put(Phase.COMPLETE_MIGRATION, 100)
            await asyncio.sleep(FULL_RATE_S)
            full = made.rate(FULL_RATE_S / 2)
            at_full_rate = await away_and_back(made, TARGET, full, still)
        purged = await purge(system)
        await at_rest(system, made.codes)
        print(f"\n{made.report()}")
        print(f"legacy at {LIMIT}/s: {at_the_limit}; target at {full:.0f}/s: {at_full_rate}")
        peak = max(each.peak_kib for each in resources(system))
        print(f"memory of a worker: idle {idle} KiB, at most {peak} KiB")
        commands = await made.conserved(purged) | made.codes.commands
        assert judge(await collect(system, commands, made.faults, reports=False)) == []
        assert made.expired() > 0
        assert peak <= MEMORY * idle
        assert p99(made.codes_took_s()) <= CODE_WITHIN_S


def resources(system: System) -> list[Resources]:
    return [Resources.of(child.id.pid) for _, child in system.workers()]


async def away_and_back(made: Overload, provider: str, rate: float, still: list[float]) -> str:
    """A provider is away for a while: few attempts are burnt, and soon it is at this rate again.

    Soon is the bar, and the time for which the machine itself stood still.
    """
    burnt = await made.away(provider, AWAY_S)
    back_s = await made.back_at(rate)
    said = f"{burnt} attempts burnt in {AWAY_S:.0f} s away, back at this rate after {back_s:.1f} s"
    assert burnt <= BURNT, said
    assert back_s <= RECOVERS_WITHIN_S + still[0], said
    return said


async def purge(system: System) -> int:
    """Remove what still waits on the bulk lane; returns how many that were.

    A copy for the next round of a message may be among it. Its record then waits for nothing, so it
    goes too.
    """
    async with await connect(system.stack.amqp["worker"]) as connection:
        channel = await connection.channel()
        purged = await (await channel.get_queue(Queue.BULK)).purge()

    async def only_records() -> bool:
        return set(await system.under_way()) <= {"open records"}

    await until(only_records, WITHIN_S)
    await system.store["messages"].delete_many({"state": "waiting"})
    return purged.message_count or 0
