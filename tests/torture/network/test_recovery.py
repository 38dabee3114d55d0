"""Servers fail under 200 messages a second: nothing lost or doubled, and soon at full rate again.

How soon is printed with a chart, and asserted against the bar plus the time for which the machine
itself stood still.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import pytest

from contracts.names import Queue
from tests.support.clusters import LEAST_KIB, Clustered, available_kib, clustered
from tests.support.waiting import until
from tests.support.whole_system import System
from tests.torture.network.judged import assert_no_violation, at_rest
from tests.torture.network.providers import Behaviour
from tests.torture.network.recovery import AFTER_S, BAR_S, BEFORE_S, Recovery, sends, standing_still
from tests.torture.network.traffic import Traffic
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = [pytest.mark.torture, pytest.mark.timeout(600)]
RATE: Final = 200
WITHIN_S: Final = 120.0


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with System.running(tmp_path_factory.mktemp("stack"), {}) as made:
        await prepare(made)
        yield made


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clustered]:
    if available_kib() < LEAST_KIB:
        pytest.skip("under 3 GiB of free memory")
    async with clustered(tmp_path_factory.mktemp("cluster")) as made:
        await prepare(made.system)
        yield made


async def prepare(system: System) -> None:
    await Behaviour().usual(system)
    await system.put(Phase.GRADUAL_MIGRATION, 50)


async def recovers(
    system: System, upstream: str, name: str, fail: Callable[[], Awaitable[None]]
) -> None:
    """Under traffic, have a server fail and come back; judge the messages and the time."""
    traffic = Traffic(system, upstream, name.replace(" ", "-"), RATE)
    async with standing_still() as still, traffic.flowing():
        await until(lambda: traffic.ended() > (BEFORE_S + 1) * RATE, WITHIN_S)
        lost_at = time.monotonic()
        await fail()
        back_at = time.monotonic()
        await asyncio.sleep(AFTER_S)  # the time over which the rate afterwards is measured
    await at_rest(system, traffic, WITHIN_S)
    recovery = Recovery(name, sends(system, traffic), lost_at, back_at, still[0])
    print(f"\n{recovery}")
    await assert_no_violation(system, traffic, [])
    assert recovery.full_after_s is not None
    assert recovery.full_after_s <= BAR_S + recovery.stood_still_s


async def test_a_broker_that_restarts(system: System) -> None:
    broker = system.stack.broker
    assert broker is not None
    await recovers(system, system.stack.amqp["upstream"], "broker restarts", broker.restart)


async def test_a_broker_cluster_that_loses_its_leader(cluster: Clustered) -> None:
    leader = await cluster.brokers.leader_of(Queue.BULK)
    assert leader is cluster.brokers.nodes[0]

    async def elsewhere() -> bool:
        return await cluster.brokers.leader_of(Queue.BULK) in cluster.brokers.nodes[1:]

    async def fail() -> None:
        await leader.kill()
        await until(elsewhere, WITHIN_S)

    await recovers(cluster.system, cluster.logins["upstream"], "leader is lost", fail)


async def test_a_replica_set_that_loses_its_primary(cluster: Clustered) -> None:
    primary = await cluster.databases.primary()

    async def fail() -> None:
        await primary.kill()
        assert await cluster.databases.primary() is not primary

    await recovers(cluster.system, cluster.logins["upstream"], "primary is lost", fail)
