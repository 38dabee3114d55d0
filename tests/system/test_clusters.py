"""Clusters of broker and database lose a node in mid-traffic, and the third one is not missed.

Three nodes of RabbitMQ, three members of MongoDB, two workers: some 1.5 GiB of memory.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pytest

from contracts.names import Queue
from tests.support import rolling
from tests.support.account import Account
from tests.support.clusters import Brokers, Databases
from tests.support.given_servers import given_servers
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, System
from worker.broker import topology
from worker.broker.connection import connect
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

C = TypeVar("C", Brokers, Databases)
WITHIN_S: Final = 90.0
LEAST_KIB: Final = 3 * 1024 * 1024


def available_kib() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


pytestmark = pytest.mark.skipif(available_kib() < LEAST_KIB, reason="under 3 GiB of free memory")


@pytest.fixture(scope="module")
async def brokers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Brokers]:
    async with running(Brokers.at(tmp_path_factory.mktemp("brokers"))) as made:
        yield made


@pytest.fixture(scope="module")
async def databases(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Databases]:
    async with running(Databases.at(tmp_path_factory.mktemp("databases"))) as made:
        yield made


@asynccontextmanager
async def running(cluster: C) -> AsyncIterator[C]:
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


@pytest.fixture(scope="module")
async def clustered(
    brokers: Brokers, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """Workers know every host; the leaders are on the first node, the test itself is elsewhere."""
    async with await connect(brokers.nodes[0].urls["worker"]) as connection:
        await topology.apply(await connection.channel())
    with given_servers(brokers.urls, databases.url):
        directory, logins = tmp_path_factory.mktemp("stack"), brokers.nodes[1].urls
        async with System.running(directory, {}, logins=logins) as system:
            for provider in PROVIDERS:
                action = {"do": "answer", "reports": {"send": False}}
                await system.faults(provider, {"action": action})
            await system.put(Phase.GRADUAL_MIGRATION, 50)
            yield system


async def survived(system: System, flow: rolling.Traffic, prefix: str, killed_at: float) -> None:
    """Every message is settled, none lost, none on bulk sent twice; says how long nothing went."""
    await until(lambda: not flow.unsettled(), WITHIN_S, lambda: system.story(flow.unsettled()))
    await Account(system, f"{prefix}-").check()
    gap_s = flow.longest_gap_s(killed_at)
    print(f"{prefix}: {len(flow.names)} messages, longest time without a send {gap_s:.1f} s")  # noqa: T201 - for the report


async def test_a_broker_cluster_that_loses_its_leader_loses_and_doubles_nothing(
    clustered: System, brokers: Brokers
) -> None:
    leader = await brokers.leader_of(Queue.BULK)
    assert leader is brokers.nodes[0]
    flow = rolling.Traffic(clustered, "leader")
    async with flow.flowing():
        killed_at = asyncio.get_running_loop().time()
        await leader.kill()
        await until(lambda: elsewhere(brokers), WITHIN_S)
        await flow.more()
    await survived(clustered, flow, "leader", killed_at)


async def elsewhere(brokers: Brokers) -> bool:
    """Whether the queue has a leader among the nodes that are left."""
    return await brokers.leader_of(Queue.BULK) in brokers.nodes[1:]


async def test_a_replica_set_that_loses_its_primary_loses_and_doubles_nothing(
    clustered: System, databases: Databases
) -> None:
    primary = await databases.primary()
    flow = rolling.Traffic(clustered, "primary")
    async with flow.flowing():
        killed_at = asyncio.get_running_loop().time()
        await primary.kill()
        await flow.more()
        assert await databases.primary() is not primary
        await flow.more()
    await survived(clustered, flow, "primary", killed_at)
