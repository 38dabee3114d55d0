"""Steering the whole system: every replica in step, nothing left on the way to the target."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from contracts import control
from tests.support.steering import command
from tests.support.waiting import until, until_equal
from tests.support.whole_system import PROVIDERS, System
from worker.broker.applied import applied_by_all
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WITHIN_S = 40.0


@pytest.fixture
async def half(healthy: System) -> AsyncIterator[System]:
    """Half of the traffic on each side, a slow call at both."""
    await healthy.put(Phase.GRADUAL_MIGRATION, 50)
    for provider in PROVIDERS:
        await healthy.faults(provider, {"action": {"do": "answer", "latency_ms": 300}})
    yield healthy
    await healthy.heal()


async def replicas(system: System) -> list[dict[str, Any]]:
    reply = await system.steer.ask(control.Status)
    assert reply.data is not None
    return reply.data["replicas"]


async def intents_on_target(system: System) -> set[tuple[str, str]]:
    """Every attempt ever begun at the target: message and epoch."""
    return {
        (record["_id"], epoch)
        async for record in system.store["messages"].find({"_id": {"$regex": "^flow-"}})
        for epoch, attempt in record["attempts"].items()
        if attempt["provider"] == "africastalking"
    }


async def test_both_replicas_are_in_step_within_a_second(healthy: System) -> None:
    for percentage in (10, 25, 50):
        version = await healthy.steer.to(Phase.GRADUAL_MIGRATION, percentage)

        async def applied() -> list[int]:
            return [each["applied"] for each in await replicas(healthy)]

        await until_equal(applied, [version] * 2, 1)


async def test_after_an_emergency_and_its_wait_not_one_new_intent_names_the_target(
    half: System,
) -> None:
    publishing = asyncio.create_task(flow(half, "flow", 600))
    await until(lambda: any(taken["key"].startswith("flow-") for taken in half.taken()), WITHIN_S)
    reply = await half.steer.do(control.EmergencyRollback)
    await applied_by_all(half.steer.client, reply.version, 10)
    before = await intents_on_target(half)
    await publishing
    names = [name for name in half.sent if name.startswith("flow-")]
    await until(lambda: all(half.events.first(n, "sms.sent") for n in names), WITHIN_S)
    assert await intents_on_target(half) == before
    assert before
    assert len(before) < 300  # or the rollback came when all was over


async def flow(system: System, prefix: str, count: int) -> None:
    for begin in range(0, count, 30):
        await asyncio.gather(
            *(system.send(f"{prefix}-{n}", lane="bulk") for n in range(begin, begin + 30))
        )
        await asyncio.sleep(0.05)  # the load: thirty at once, twenty times a second


async def test_a_command_survives_the_death_of_the_replica_that_took_it(half: System) -> None:
    asked = command(control.EmergencyRollback)
    ending = asyncio.create_task(half.steer.client.ask(asked, WITHIN_S))
    await half.stack.kill(0)
    reply = await ending
    assert reply.verdict == "accepted"
    again = await half.steer.client.ask(asked, WITHIN_S)
    assert again.version == reply.version
    await half.stack.add_replica()
    found = await half.store["control_log"].count_documents({"commandId": asked.command_id})
    assert found == 1


async def test_status_figures_come_from_all_replicas(healthy: System) -> None:
    await healthy.put(Phase.COMPLETE_MIGRATION, 100)
    before = await accepted(healthy)
    await healthy.send_many((f"figures-{n}", "bulk") for n in range(20))

    async def counted() -> bool:
        return await accepted(healthy) >= before + 20

    await until(counted, 30, lambda: json.dumps(healthy.sent, default=str))


async def accepted(system: System) -> int:
    reply = await system.steer.ask(control.Health)
    assert reply.data is not None
    return reply.data["providers"]["africastalking"]["accepted"]


async def in_step(system: System, version: int, within_s: float) -> None:
    """Every replica goes by the version, by its own heartbeat."""

    async def applied_by_all() -> bool:
        reply = await system.steer.ask(control.Status)
        applied = [each["applied"] for each in (reply.data or {}).get("replicas", [])]
        return len(applied) == len(system.workers()) and set(applied) == {version}

    await until(applied_by_all, within_s, lambda: f"version {version} in force")


def waits_for_the_store(system: System) -> int:
    """How often a replica said so far that a command waits for the store."""
    logs = system.stack.directory / "logs"
    return sum(
        (logs / f"{name}.log").read_text(encoding="utf-8").count("command waits for the store")
        for name, _ in system.workers()
    )


async def test_with_the_store_stopped_upwards_is_refused_and_downwards_is_done_when_it_is_back(
    half: System,
) -> None:
    await half.send_many((f"away-{n}", "bulk") for n in range(60))
    await half.stack.database.stop()
    try:
        up = command(control.Advance, override_gates="a test")
        reply = await half.steer.client.ask(up, WITHIN_S)
        assert (reply.verdict, reply.code) == ("refused", "store unavailable")
        waited = waits_for_the_store(half)
        down = asyncio.create_task(half.steer.do(control.EmergencyRollback))
        await until(lambda: waits_for_the_store(half) > waited)
        assert not down.done()
    finally:
        await half.stack.database.start()
    done = await down
    assert done.state is not None
    assert done.state.phase == "Rollback"
    await in_step(half, done.version, 5)
    names = [name for name in half.sent if name.startswith("away-")]
    await until(lambda: all(half.events.first(n, "sms.sent") for n in names), WITHIN_S)
    assert sorted(taken["key"] for taken in half.taken() if taken["key"] in names) == sorted(names)
    again = await half.steer.client.ask(up, WITHIN_S)
    assert (again.verdict, again.code) == ("accepted", "ok")


async def test_a_command_given_while_the_broker_restarts_is_done_once(half: System) -> None:
    restarting = asyncio.create_task(half.stack.broker.restart())
    asked = command(control.EmergencyRollback)
    reply = await half.steer.client.ask(asked, 60)
    await restarting
    assert reply.verdict == "accepted"
    await in_step(half, reply.version, 10)
    found = await half.store["control_log"].count_documents({"commandId": asked.command_id})
    assert found == 1
