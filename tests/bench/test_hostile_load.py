"""Ordinary traffic while a publisher or the broker misbehaves: what upstream sees of it.

Two figures of the whole stack with two replicas: hostile commands at 10/s beside 50 ordinary
messages a second for two minutes, and a memory alarm of the broker for 90 s under 20 messages a
second. Times are from the moment before a command is published to the moment upstream has its
`sms.sent`. Asserted is what no machine may excuse: nothing lost, no event published more than
twice, no connection lost, every hostile command in `sms.dead`. Times depend on the machine: each is
printed with its bar, and whether the bar is met or missed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TYPE_CHECKING

import aio_pika
import pytest

from contracts.names import Exchange
from tests.support import hostile
from tests.support.recipients import new_number
from tests.support.stranger import stranger
from tests.support.waiting import until
from tests.support.whole_system import System

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOSTILE_S, HOSTILE_RATE, BESIDE_RATE = 120.0, 10, 50
ALARM_S, ALARM_RATE = 90.0, 20
P99_BAR_S, ALERT_BAR_S, RECOVERY_BAR_S, MOST_PUBLISHES = 1.0, 10.0, 5.0, 2


@dataclass
class Flow:
    """Ordinary messages at a fixed rate, on a connection of their own; open loop."""

    system: System
    prefix: str
    rate: float
    published: dict[str, float] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Flow]:
        """Publish until the end of the block, and until all of it is confirmed."""
        async with await aio_pika.connect(self.system.stack.amqp["upstream"]) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(Exchange.COMMANDS, ensure=False)
            pacing = asyncio.create_task(self._pace(exchange))
            try:
                yield self
            finally:
                pacing.cancel()
                await asyncio.gather(*self._tasks)

    async def _pace(self, exchange: aio_pika.abc.AbstractExchange) -> None:
        began = time.monotonic()
        for number in itertools.count():
            # The pace of the load, by the clock: a slow answer must not slow it down.
            await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
            task = asyncio.create_task(self._publish(exchange, f"{self.prefix}-{number}"))
            self._tasks.add(task)

    async def _publish(self, exchange: aio_pika.abc.AbstractExchange, name: str) -> None:
        body = {"messageId": name, "to": new_number(), "text": "hello"}
        self.published[name] = time.monotonic()
        key = ("send.transactional", "send.bulk")[len(self.published) % 2]
        message = aio_pika.Message(json.dumps(body).encode(), message_id=name, delivery_mode=2)
        await exchange.publish(message, key)

    def missing(self) -> list[str]:
        """Published, and not sent as far as upstream knows."""
        return [n for n in self.published if self.system.events.first(n, "sms.sent") is None]

    def took(self) -> list[float]:
        """Seconds from publish to `sms.sent`, of those sent."""
        events = self.system.events
        sent = ((name, events.first(name, "sms.sent")) for name in self.published)
        return [events.arrived[e["eventId"]] - self.published[n] for n, e in sent if e]


def against(bar: float, seconds: float, what: str) -> str:
    """A line of the report: what was measured, the bar, and whether it is met."""
    verdict = "met" if seconds <= bar else "MISSED"
    return f"bar {verdict}: {what} {seconds:.3f} s, expected at most {bar:.0f} s"


def assert_whole(flow: Flow) -> None:
    """No ordinary message is lost, no event came too often, no replica lost a connection."""
    system = flow.system
    most = max(system.events.deliveries.values())
    print(f"ordinary: {len(flow.published)} published, {len(flow.missing())} lost")
    print(f"an event was published at most {most} times, expected at most {MOST_PUBLISHES}")
    print(f"connections lost by the replicas: {lost_connections(system)}, expected 0")
    assert flow.missing() == []
    assert most <= MOST_PUBLISHES
    assert lost_connections(system) == 0


def lost_connections(system: System) -> int:
    logs = [system.stack.directory / "logs" / f"{name}.log" for name, _ in system.workers()]
    return sum(log.read_text(encoding="utf-8").count("connection lost") for log in logs)


@pytest.mark.bench
@pytest.mark.timeout(600)
async def test_hostile_commands_beside_ordinary_ones(tmp_path: Path) -> None:
    async with System.running(tmp_path, {}) as system:
        flow = Flow(system, "beside", BESIDE_RATE)
        cases = [each for each in hostile.commands(400) if hostile.is_wrong(each)]
        put: set[bytes] = set()
        async with flow.running(), stranger(system.stack.amqp["upstream"]) as by:
            began = time.monotonic()
            for case, number in zip(itertools.cycle(cases), itertools.count(), strict=False):
                due = began + number / HOSTILE_RATE
                if due - began > HOSTILE_S:
                    break
                await asyncio.sleep(max(0.0, due - time.monotonic()))  # the pace, as above
                body = case.body + b" " * (number // len(cases))
                octets = case.properties.octets(message_id=f"h-{number}")
                if await by.publish(Exchange.COMMANDS, "send.bulk", body, octets):
                    put.add(body)
        await until(lambda: not flow.missing(), 60, lambda: system.story(flow.missing(), "lost"))
        await until(lambda: put <= {d["body"] for d in system.dead.all}, 60)
        dead = {each["body"]: each["reason"] for each in system.dead.all}
        took = flow.took()
        p99 = quantiles(took, n=100)[98]
        print(f"\nhostile: {len(put)} taken by the broker, {by.refused} refused by it")
        print(f"ordinary: median {median(took):.3f} s, longest {max(took):.3f} s")
        print(against(P99_BAR_S, p99, "p99 of ordinary messages"))
        assert_whole(flow)
        assert put
        assert [body for body in put if not dead.get(body)] == []


@pytest.mark.bench
@pytest.mark.timeout(600)
async def test_a_memory_alarm_of_the_broker(tmp_path: Path) -> None:
    async with System.running(tmp_path, {}) as system:
        broker, flow = system.stack.broker, Flow(system, "alarm", ALARM_RATE)
        assert broker is not None
        async with flow.running():
            await until(lambda: len(flow.took()) > 5 * ALARM_RATE, 30)
            began = time.monotonic()
            await broker.memory_alarm(on=True)
            alarmed = time.monotonic()

            async def told() -> bool:
                query = {"code": "broker-blocked", "open": True}
                return await system.store["alerts"].find_one(query) is not None

            await until(told, 30)
            told_after = time.monotonic() - alarmed
            await asyncio.sleep(max(0.0, began + ALARM_S - time.monotonic()))  # while it lasts
            await broker.memory_alarm(on=False)
            over = time.monotonic()
            await asyncio.sleep(15)  # the time over which the rate afterwards is measured
        await until(lambda: not flow.missing(), 60, lambda: system.story(flow.missing(), "lost"))
        arrivals = sorted(system.events.arrived.values())
        in_backlog = [n for n, at in flow.published.items() if at < over]
        done = max(
            system.events.arrived[system.events.first(n, "sms.sent")["eventId"]] for n in in_backlog
        )
        after = [at for at in arrivals if over + RECOVERY_BAR_S < at < over + 15]
        print(f"\nalarm of {over - alarmed:.0f} s under {ALARM_RATE} messages/s")
        print(against(ALERT_BAR_S, told_after, "the alert came after"))
        print(against(RECOVERY_BAR_S, done - over, "what had waited was sent after the end by"))
        print(f"events/s from {RECOVERY_BAR_S:.0f} to 15 s after the end: {len(after) / 10:.1f}")
        assert_whole(flow)
