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
from tests.torture.judge.judge import judge
from tests.torture.network import links, servers
from tests.torture.network.behind_proxies import behind_proxies
from tests.torture.network.collected import collect
from tests.torture.network.judged import assert_no_violation, at_rest
from tests.torture.network.overload import CODE_WITHIN_S, Overload
from tests.torture.network.providers import Behaviour
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
LIMIT = 80
"""Messages a second that legacy takes."""
PROVIDERS = Behaviour()
CASES = (*links.cases(), *servers.cases(), *PROVIDERS.cases())


@pytest.fixture(scope="module")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    profile = {"SMS_LEGACY__RATE_PER_S": str(LIMIT)}
    async with behind_proxies(tmp_path_factory.mktemp("network"), profile) as made:
        await PROVIDERS.usual(made.system)
        yield made


@pytest.fixture
async def shared(network: Network) -> Network:
    """Each provider has half of the recipients."""
    await network.system.put(Phase.GRADUAL_MIGRATION, 50)
    return network


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(each, id=each.name, marks=() if each.quick else pytest.mark.torture)
        for each in CASES
    ],
)
async def test_a_fault_that_comes_and_goes_breaks_no_promise(shared: Network, case: Case) -> None:
    network, prefix = shared, case.name.replace(" ", "-")
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


async def test_more_than_a_provider_takes_waits_and_lets_one_time_codes_pass(
    network: Network,
) -> None:
    system = network.system
    await system.put(Phase.ROLLBACK, 0)  # legacy alone
    made = Overload(system, network.broker.urls["upstream"])
    async with made.watched():
        await made.publish(1_500, expiring=300, after_s=2.0)
        async with made.codes.flowing():
            await asyncio.sleep(4)
        await system.put(Phase.GRADUAL_MIGRATION, 75)  # the target has no limit
        await at_rest(system, made.codes)
    commands = await made.conserved() | made.codes.commands
    assert judge(await collect(system, commands, [], reports=False)) == []
    assert made.expired() > 0
    assert made.codes_took_s()[-1] <= CODE_WITHIN_S, made.report()
