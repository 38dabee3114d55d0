"""An upgrade and the way back: workers of an earlier commit and of this one on the same system.

Rules: each step happens under traffic on both lanes. What was sent is judged by the journals of the
providers, and a process that ends by itself fails the test.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from tests.support.account import Account
from tests.support.rolling import Manifest, Traffic
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, System
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from pathlib import Path

    from worker.lab.local.process import Child

WITHIN_S = 60.0


async def both_follow(system: System, percentage: int) -> None:
    """Change the share; two replicas are alive and go by it."""
    version = await system.steer.to(Phase.GRADUAL_MIGRATION, percentage)

    async def applied() -> bool:
        live = await system.live()
        return len(live) == 2 and all((each["applied"] or 0) >= version for each in live)

    async def found() -> str:
        return f"version {version} applied by two replicas; live are {await system.live()}"

    await until(applied, WITHIN_S, found)


async def leaves(replica: Child) -> None:
    """Tell a replica to stop; it drains and ends well."""
    assert replica.running, replica.tail()
    replica.signal(signal.SIGTERM)
    async with asyncio.timeout(Manifest.read().grace_s):
        assert await replica.wait() == 0, replica.tail()


async def test_an_upgrade_and_the_way_back_lose_and_double_nothing(
    earlier: Path, tmp_path: Path
) -> None:
    async with System.running(tmp_path, {}, replicas=1, source=earlier) as system:
        (old,) = system.stack.replicas
        await system.put(Phase.GRADUAL_MIGRATION, 50)
        traffic = Traffic(system, "upgrade")
        async with traffic.flowing():
            new = await system.stack.add_replica()
            await both_follow(system, 60)
            await traffic.more()
            await leaves(old)
            await traffic.more()
            again = await system.stack.add_replica(earlier)
            await both_follow(system, 50)
            await traffic.more()
            await leaves(new)
            await traffic.more()
        await until(lambda: not traffic.unsettled(), WITHIN_S, traffic.how_many)
        await until(system.quiet, WITHIN_S)

        assert again.running, again.tail()
        assert {each["provider"] for each in system.taken()} == set(PROVIDERS)
        assert len(await system.store["messages"].distinct("owner")) == 3  # each sent some
        assert not system.dead.all
        await Account(system).check()
