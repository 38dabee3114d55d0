"""Broker, database and replicas fail in mid-traffic: nothing is lost, nothing goes out twice."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Final

import pytest

from contracts.names import Queue
from tests.support import rolling
from tests.support.account import Account
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, System
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.account import Events
    from tests.support.whole_system import Sent

BEFORE: Final = 300
DURING: Final = 60
WITHIN_S: Final = 60.0
GRACE_S: Final = 20.0
LANES: Final = ("transactional", "bulk")


@pytest.fixture
async def traffic(healthy: System) -> System:
    """Both providers take messages and need a moment for each."""
    await healthy.put(Phase.GRADUAL_MIGRATION, 50)
    for provider in PROVIDERS:
        await healthy.faults(provider, {"action": {"do": "answer", "latency_ms": 400}})
    return healthy


async def in_mid_traffic(system: System, prefix: str) -> None:
    """Publish, and return when some are sent and most are not."""
    await system.send_many((f"{prefix}-{n}", LANES[n % 2]) for n in range(BEFORE))
    await until(lambda: len(taken(system, prefix)) > BEFORE // 10, WITHIN_S)
    assert len(taken(system, prefix)) < BEFORE


def taken(system: System, prefix: str) -> list[str]:
    return [line["key"] for line in system.taken() if line["key"].startswith(f"{prefix}-")]


async def all_sent_once(system: System, prefix: str) -> None:
    """Wait for the end of every message; each was sent, and taken once."""
    names = [name for name in system.sent if name.startswith(f"{prefix}-")]

    def unsent() -> list[str]:
        return [name for name in names if system.events.first(name, "sms.sent") is None]

    await until(lambda: not unsent(), WITHIN_S, lambda: system.story(unsent(), f"{len(unsent())}"))
    await until(system.quiet, WITHIN_S, lambda: under_way(system))
    account = Account(system, f"{prefix}-")
    await account.check()
    await account.none(taken_twice)


async def under_way(system: System) -> str:
    """For a failure: what is where, and what the replicas say of themselves."""
    lines = [(name, await system.ready(name)) for name, _ in system.workers()]
    lanes = [await system.dead.ready(str(lane)) for lane in (Queue.TRANSACTIONAL, Queue.BULK)]
    return f"lanes: {lanes}; replicas: {lines}"


def taken_twice(_: Sent, __: Events, takers: Sequence[str]) -> bool:
    """Taken twice though no provider was at fault."""
    return len(takers) != 1


async def unready(system: System) -> None:
    """Wait until every replica says that the store is away and that it takes nothing more."""

    async def says() -> bool:
        answers = [await system.ready(name) for name, _ in system.workers()]
        return all(status == 503 and holds_back(body) for status, body in answers)

    await until(says, 15, lambda: under_way(system))


def holds_back(body: Mapping[str, Any]) -> bool:
    """The store is away, and for it both lanes are held back."""
    return not any(body["checks"][name]["ok"] for name in ("store", *LANES))


async def all_ready(system: System) -> None:
    """Wait until every replica is ready again."""

    async def says() -> bool:
        return all([(await system.ready(name))[0] == 200 for name, _ in system.workers()])

    await until(says, 20, lambda: "every /ready is 200")


async def nothing_is_sent_meanwhile(system: System, prefix: str) -> None:
    """What is published now waits in the broker, and the journals do not grow."""
    before = len(taken(system, prefix))
    await system.send_many((f"{prefix}-during-{n}", LANES[n % 2]) for n in range(DURING))

    async def waiting() -> bool:
        lanes = (Queue.TRANSACTIONAL, Queue.BULK)
        return sum([await system.dead.ready(str(lane)) for lane in lanes]) >= DURING

    await until(waiting, 10, lambda: under_way(system))
    assert len(taken(system, prefix)) == before


async def test_a_replica_told_to_stop_finishes_what_it_has_and_hands_back_the_rest(
    traffic: System,
) -> None:
    await in_mid_traffic(traffic, "drain")
    _, leaving = traffic.workers()[0]

    leaving.signal(signal.SIGTERM)

    async with asyncio.timeout(GRACE_S):
        assert await leaving.wait() == 0, leaving.tail()
    await traffic.stack.add_replica()
    await all_sent_once(traffic, "drain")
    assert not [n for n in traffic.sent if traffic.events.first(n, "sms.unknown")]


async def test_while_the_store_hangs_nothing_is_sent_and_afterwards_everything(
    traffic: System,
) -> None:
    (mongod,) = traffic.stack.database.children
    await in_mid_traffic(traffic, "hang")

    mongod.signal(signal.SIGSTOP)
    try:
        await unready(traffic)
        await nothing_is_sent_meanwhile(traffic, "hang")
    finally:
        mongod.signal(signal.SIGCONT)

    await all_ready(traffic)
    await all_sent_once(traffic, "hang")


async def test_while_the_store_is_stopped_nothing_is_sent_and_afterwards_everything(
    traffic: System,
) -> None:
    await in_mid_traffic(traffic, "stop")

    await traffic.stack.database.stop()
    try:
        await unready(traffic)
        await nothing_is_sent_meanwhile(traffic, "stop")
    finally:
        await traffic.stack.database.start()

    await all_ready(traffic)
    await all_sent_once(traffic, "stop")


async def test_a_restart_of_the_broker_loses_and_doubles_nothing(traffic: System) -> None:
    await in_mid_traffic(traffic, "restart")

    await traffic.stack.broker.restart()

    await all_ready(traffic)
    await all_sent_once(traffic, "restart")


async def test_a_rolling_restart_loses_and_doubles_nothing_and_no_second_passes_without_a_send(
    traffic: System,
) -> None:
    manifest = rolling.Manifest.read()
    for provider in PROVIDERS:  # no reports: they are half of the work and say nothing here
        action = {"do": "answer", "latency_ms": 200, "reports": {"send": False}}
        await traffic.faults(provider, {"action": action})
    while len(traffic.workers()) < manifest.replicas:
        await traffic.stack.add_replica()
    flow = rolling.Traffic(traffic, "roll")

    async with flow.flowing():
        restarted = await rolling.restart(traffic, manifest)
        await flow.more()

    assert restarted.codes == [0] * manifest.replicas
    await until(lambda: not flow.unsettled(), WITHIN_S, lambda: traffic.story(flow.unsettled()))
    account = Account(traffic, "roll-")
    await account.check()
    await account.none(taken_twice)
    assert not [name for name in flow.names if traffic.events.first(name, "sms.unknown")]
    # One second, where a worker starts in 6 s or less: a slower machine is slow with everything.
    longest_s = max(1.0, restarted.slowest_start_s / 6)
    assert rolling.longest_gap_s(flow.sent_at(), restarted) < longest_s
