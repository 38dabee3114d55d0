"""How long a rollback takes to reach every replica: five processes, one machine.

From the moment before `emergency-rollback` is published to the moment each replica says in its log
that the version is in force (one machine, one clock). Idle, and while a backlog keeps every replica
busy. `python tests/bench/test_propagation.py [CHANGES]` prints the table alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from uuid import uuid4

import aio_pika
import pytest

from contracts import control
from tests.support.waiting import until
from worker.broker.control_client import ControlClient
from worker.lab.local.stack import Stack

REPLICAS = 5
CHANGES = 200
BUSY_CHANGES = 40
BACKLOG = 1_500
"""Messages for each change measured over it."""
IDLE_MEDIAN_MS, IDLE_P99_MS, BUSY_P99_MS = 100.0, 500.0, 2_000.0


@dataclass
class Applied:
    """Reads the replicas' logs as they grow: when each version came into force on each."""

    paths: list[Path]
    at: dict[tuple[int, int], datetime] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)

    async def by_all(self, version: int) -> list[datetime]:
        """When each replica applied a version."""
        wanted = [(number, version) for number in range(len(self.paths))]

        def read() -> bool:
            self._read_on()
            return all(key in self.at for key in wanted)

        await until(read, 30)
        return [self.at[key] for key in wanted]

    def _read_on(self) -> None:
        for number, path in enumerate(self.paths):
            with path.open("rb") as log:
                log.seek(self.read.get(number, 0))
                lines = log.read()
            whole = lines.rpartition(b"\n")[0]
            self.read[number] = self.read.get(number, 0) + len(whole)
            for line in whole.splitlines():
                if b'"state in force"' in line:
                    found = json.loads(line)
                    key = (number, found["version"])
                    self.at[key] = datetime.fromisoformat(found["timestamp"])


def issued(kind: type[control.ControlCommand], **fields: object) -> control.ControlCommand:
    now = datetime.now(UTC)
    return kind(command_id=str(uuid4()), issued_at=now, reason="a benchmark", **fields)


async def changes(client: ControlClient, applied: Applied, count: int) -> list[float]:
    """Milliseconds from publishing a rollback to its application, over all replicas."""
    found = []
    for _ in range(count):
        up = await client.ask(issued(control.Advance, override_gates="a benchmark"), 30)
        await applied.by_all(up.version)
        began = datetime.now(UTC)
        down = await client.ask(issued(control.EmergencyRollback), 30)
        assert down.verdict == "accepted", down
        moments = await applied.by_all(down.version)
        found += [(moment - began).total_seconds() * 1000 for moment in moments]
    return found


async def publish_backlog(url: str, count: int) -> None:
    """Fill the bulk lane."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        commands = await channel.get_exchange("sms.commands", ensure=False)
        for begin in range(0, count, 500):
            await asyncio.gather(
                *(
                    commands.publish(aio_pika.Message(_sms(number)), "send.bulk")
                    for number in range(begin, min(begin + 500, count))
                )
            )


def _sms(number: int) -> bytes:
    body = {"messageId": f"b-{number}", "to": f"+26097{number:07d}", "text": "hello"}
    return json.dumps(body).encode()


async def measure(count: int, busy_count: int) -> dict[str, list[float]]:
    """Over a backlog that waits before the replicas start, then idle."""
    async with AsyncExitStack() as opened:
        directory = Path(opened.enter_context(TemporaryDirectory()))
        stack = await opened.enter_async_context(Stack(directory, replicas=0))
        await publish_backlog(stack.amqp["upstream"], BACKLOG * busy_count)
        await asyncio.gather(*(stack.add_replica() for _ in range(REPLICAS)))
        client = await opened.enter_async_context(ControlClient(stack.amqp["administrator"]))
        applied = Applied([child.log for child in stack.replicas])
        found = {"backlog": await changes(client, applied, busy_count)}
        found["left"] = [float(await purge(stack.amqp["worker"]))]
        await nothing_in_hand(client)
        found["idle"] = await changes(client, applied, count)
        return found


async def nothing_in_hand(client: ControlClient) -> None:
    """Wait until every replica has settled what it held."""

    async def settled() -> bool:
        reply = await client.ask(control.Status(command_id=str(uuid4())), 10)
        replicas = (reply.data or {}).get("replicas", [])
        return bool(replicas) and all(each["inHand"] == 0 for each in replicas)

    await until(settled, 60)


async def purge(url: str) -> int:
    """Empty the lane; returns how many still waited: that the replicas were busy to the end."""
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.get_queue("sms.send.bulk", ensure=False)
        return (await queue.purge()).message_count or 0


def p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


def table(found: dict[str, list[float]]) -> str:
    lines = [f"{'':10}{'samples':>9}{'median':>10}{'p99':>10}{'max':>10}  ms"]
    for name in ("idle", "backlog"):
        values = found[name]
        figures = f"{median(values):10.1f}{p99(values):10.1f}{max(values):10.1f}"
        lines.append(f"{name:10}{len(values):>9}{figures}")
    return "\n".join([*lines, f"{found['left'][0]:.0f} messages were still waiting at the end"])


@pytest.mark.bench
@pytest.mark.timeout(600)
async def test_a_rollback_is_everywhere_at_once() -> None:
    found = await measure(CHANGES, BUSY_CHANGES)
    print("\n" + table(found))
    assert median(found["idle"]) < IDLE_MEDIAN_MS
    assert p99(found["idle"]) < IDLE_P99_MS
    assert p99(found["backlog"]) < BUSY_P99_MS


if __name__ == "__main__":
    many = int(sys.argv[1]) if len(sys.argv) > 1 else CHANGES
    print(table(asyncio.run(measure(many, max(many // 5, 5)))))
