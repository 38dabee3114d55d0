"""Clusters of broker and database lose a node in mid-traffic, and the third one is not missed.

Three nodes of RabbitMQ, three members of MongoDB, two workers: some 1.5 GiB of memory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from contracts.names import Queue
from tests.support import rolling
from tests.support.account import Account
from tests.support.clusters import LEAST_KIB, Brokers, Clustered, available_kib, clustered
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, System
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WITHIN_S: Final = 90.0

pytestmark = pytest.mark.skipif(available_kib() < LEAST_KIB, reason="under 3 GiB of free memory")


@pytest.fixture(scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clustered]:
    """Both providers send no reports, and each has half of the messages."""
    async with clustered(tmp_path_factory.mktemp("cluster")) as made:
        for provider in PROVIDERS:
            action = {"do": "answer", "reports": {"send": False}}
            await made.system.faults(provider, {"action": action})
        await made.system.put(Phase.GRADUAL_MIGRATION, 50)
        yield made


async def survived(system: System, flow: rolling.Traffic, prefix: str, killed_at: float) -> None:
    """Every message is settled, none lost, none on bulk sent twice; says how long nothing went."""
    await until(lambda: not flow.unsettled(), WITHIN_S, lambda: system.story(flow.unsettled()))
    await Account(system, f"{prefix}-").check()
    gap_s = flow.longest_gap_s(killed_at)
    print(f"{prefix}: {len(flow.names)} messages, longest time without a send {gap_s:.1f} s")  # noqa: T201 - for the report


async def test_a_broker_cluster_that_loses_its_leader_loses_and_doubles_nothing(
    cluster: Clustered,
) -> None:
    brokers = cluster.brokers
    leader = await brokers.leader_of(Queue.BULK)
    assert leader is brokers.nodes[0]
    flow = rolling.Traffic(cluster.system, "leader")
    async with flow.flowing():
        killed_at = asyncio.get_running_loop().time()
        await leader.kill()
        await until(lambda: elsewhere(brokers), WITHIN_S)
        await flow.more()
    await survived(cluster.system, flow, "leader", killed_at)


async def elsewhere(brokers: Brokers) -> bool:
    """Whether the queue has a leader among the nodes that are left."""
    return await brokers.leader_of(Queue.BULK) in brokers.nodes[1:]


async def test_a_replica_set_that_loses_its_primary_loses_and_doubles_nothing(
    cluster: Clustered,
) -> None:
    databases = cluster.databases
    primary = await databases.primary()
    flow = rolling.Traffic(cluster.system, "primary")
    async with flow.flowing():
        killed_at = asyncio.get_running_loop().time()
        await primary.kill()
        await flow.more()
        assert await databases.primary() is not primary
        await flow.more()
    await survived(cluster.system, flow, "primary", killed_at)
