"""The monitor on the real stack: trouble of the target brings the share down, common trouble holds.

The story's criterion: automatic rollback.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from contracts import control
from worker.domain import judgement
from worker.domain.judgement import AUTOMATIC
from worker.domain.phases import Phase
from worker.store.control_log import snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from helpers import System

WITHIN_S = 60.0
DEAD = {"action": {"do": "unreachable"}}
HALF = {"match": {"rate": 0.5}, "action": {"do": "refuse", "code": 500}}
LEGACY_HALF = {"match": {"rate": 0.5}, "action": {"do": "refuse", "code": "unavailable"}}


@pytest.fixture
async def quarter(healthy: System) -> AsyncIterator[System]:
    """A quarter of the traffic on the target, the monitor free to act."""
    await healthy.steer.do(control.EmergencyRollback)
    await healthy.steer.do(control.Unlock)
    await healthy.put(Phase.GRADUAL_MIGRATION, 25)
    await healthy.steer.automation(rolls_back=True)
    yield healthy
    await healthy.heal()
    await healthy.steer.automation(rolls_back=False)


async def flow(system: System, prefix: str, stop: asyncio.Event) -> None:
    """100 messages a second until told to stop."""
    number = 0
    while not stop.is_set():
        await asyncio.gather(
            *(system.send(f"{prefix}-{number + n}", lane="bulk") for n in range(10))
        )
        number += 10
        await asyncio.sleep(0.1)


def accounted(system: System, name: str) -> bool:
    """Sent, or told that it may be: what was under way when the target's listener went."""
    return any(system.events.first(name, event) for event in ("sms.sent", "sms.unknown"))


async def automatic(system: System) -> list[dict[str, Any]]:
    """Entries of the control log that nobody asked for."""
    found: list[dict[str, Any]] = (
        await system.store["control_log"].find({"user": AUTOMATIC}).sort("_id").to_list(None)
    )
    return found


@pytest.mark.parametrize(("name", "fault"), [("dead", DEAD), ("half", HALF)])
async def test_trouble_of_the_target_is_rolled_back_automatically(
    quarter: System, name: str, fault: dict[str, Any]
) -> None:
    before = len(await automatic(quarter))
    stop = asyncio.Event()
    publishing = asyncio.create_task(flow(quarter, name, stop))
    await until(lambda: any(t["key"].startswith(name) for t in quarter.taken()), WITHIN_S)
    await quarter.faults("africastalking", fault)

    began = time.monotonic()

    async def down() -> bool:
        reply = await quarter.steer.ask(control.Status)
        assert reply.state is not None
        assert reply.data is not None
        version = reply.state.version
        applied = [each["applied"] for each in reply.data["replicas"]]
        return reply.state.percentage == 0 and applied == [version] * 2

    await until(down, WITHIN_S)
    print(f"{name}: all replicas at 0 % after {time.monotonic() - began:.1f} s")  # noqa: T201
    stop.set()
    await publishing
    made = (await automatic(quarter))[before:]
    assert [each["command"]["name"] for each in made] == ["automatic-rollback"]
    assert made[0]["after"]["lock"] is not None
    assert "worse than legacy" in made[0]["evidence"]["shown"]["failed"]
    found, known = judgement.replay(made[0]["evidence"], snapshot(made[0]["before"]))
    assert found.reason in made[0]["reply"]["text"]
    assert judgement.document(known) == made[0]["evidence"]["after"]
    names = [each for each in quarter.sent if each.startswith(name)]
    await until(lambda: all(accounted(quarter, each) for each in names), WITHIN_S)


async def test_trouble_of_both_is_common_and_holds(quarter: System) -> None:
    before = len(await automatic(quarter))
    stop = asyncio.Event()
    publishing = asyncio.create_task(flow(quarter, "both", stop))
    await quarter.faults("africastalking", HALF)
    await quarter.faults("legacy", LEGACY_HALF)

    async def held() -> bool:
        return len(await automatic(quarter)) > before

    await until(held, WITHIN_S)
    stop.set()
    await publishing
    made = (await automatic(quarter))[before:]
    assert made[0]["command"]["name"] == "hold"
    assert "hold: common trouble" in made[0]["reply"]["text"]
    reply = await quarter.steer.ask(control.Status)
    assert reply.state is not None
    assert reply.state.percentage == 25
