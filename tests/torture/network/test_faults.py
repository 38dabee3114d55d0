"""Every fault of a network on every link of the workers, under traffic of both lanes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS
from tests.torture.network.behind_proxies import behind_proxies
from tests.torture.network.cases import FAULTS, FOR_S, LINKS, inflicted
from tests.torture.network.judged import assert_no_violation, at_rest
from tests.torture.network.traffic import Traffic
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.torture.network.behind_proxies import Network

RATE = 60


@pytest.fixture(scope="module")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    async with behind_proxies(tmp_path_factory.mktemp("network"), {}) as made:
        for provider in PROVIDERS:
            action = {"do": "answer", "latency_ms": 50, "reports": {"send": False}}
            await made.system.faults(provider, {"action": action})
        await made.system.put(Phase.GRADUAL_MIGRATION, 50)
        yield made


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_that_comes_and_goes_breaks_no_promise(
    network: Network, link: str, fault: str
) -> None:
    traffic = Traffic(network.system, network.broker.urls["upstream"], f"{link}-{fault}", RATE)
    async with traffic.flowing():
        await until(lambda: traffic.ended() > RATE // 2)
        async with inflicted(network, link, fault):
            await asyncio.sleep(FOR_S)
        await asyncio.sleep(1)
    await at_rest(network.system, traffic)
    await assert_no_violation(network.system, traffic, [])
