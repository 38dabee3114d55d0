"""Networks, servers and providers fail under traffic of both lanes: no promise is broken.

One system for all cases. Each has messages of its own, is waited for to the end, and is judged.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import until
from tests.torture.judge.facts import Fault
from tests.torture.network import links, providers, servers
from tests.torture.network.behind_proxies import behind_proxies
from tests.torture.network.judged import assert_no_violation, at_rest
from tests.torture.network.traffic import Traffic
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.torture.network.behind_proxies import Network
    from tests.torture.network.case import Case

RATE = 60
BEFORE = 30
"""Messages that have an end before the fault comes."""
AFTER_S = 0.5
CASES = (*links.cases(), *servers.cases(), *providers.cases())


@pytest.fixture(scope="module")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    async with behind_proxies(tmp_path_factory.mktemp("network"), {}) as made:
        await providers.usual(made)
        await made.system.put(Phase.GRADUAL_MIGRATION, 50)
        yield made


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(each, id=each.name, marks=() if each.quick else pytest.mark.torture)
        for each in CASES
    ],
)
async def test_a_fault_that_comes_and_goes_breaks_no_promise(network: Network, case: Case) -> None:
    prefix = case.name.replace(" ", "-")
    traffic = Traffic(network.system, network.broker.urls["upstream"], prefix, RATE)
    async with traffic.flowing():
        await until(lambda: traffic.ended() > BEFORE)
        began = time.time()
        await case.fault(network)
        over = time.time()
        await asyncio.sleep(AFTER_S)  # traffic after the fault
    await at_rest(network.system, traffic)
    faults = [Fault(case.name, began, over + AFTER_S)] if case.blurs else []
    await assert_no_violation(network.system, traffic, faults)
