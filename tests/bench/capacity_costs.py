"""CPU that a message takes of each process: worker, webhook, broker and database.

A whole stack on this machine, one worker, a provider of 50 ms; each message goes from its
publication to its delivery report. CPU is the process's own (user and system), so other work on
the machine changes it little. `python tests/bench/capacity_costs.py [MESSAGES]` prints it; the
figures that count are kept in `tests/support/capacity_model.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import aio_pika
import httpx

from worker.lab.local.stack import Stack

MESSAGES = 3_000
WARM = 300
IN_FLIGHT = 128
LATENCY_MS = 50
WITHIN_S = 180.0
_TICKS = os.sysconf("SC_CLK_TCK")
PROFILE = {
    "SMS_PREFETCH_BULK": str(IN_FLIGHT),
    "SMS_LEGACY__MAX_IN_FLIGHT": "512",
    "SMS_LEGACY__RATE_PER_S": "100000",
}


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def processes(stack: Stack) -> dict[str, int]:
    """Pid by name."""
    record = json.loads((stack.directory / "stack.json").read_text())
    names = ("replica-1", "webhook", "rabbitmq", "mongod")
    return {each["name"]: each["pid"] for each in record["processes"] if each["name"] in names}


async def drive(url: str, count: int) -> None:
    """Publish `count` bulk messages and wait until as many are told as delivered."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"sms.own.upstream.{uuid4()}", exclusive=True)
        for key in ("sms.sent", "sms.delivered"):
            await queue.bind("sms.events", key)
        done, delivered = asyncio.Event(), 0

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal delivered
            delivered += message.routing_key == "sms.delivered"
            if delivered >= count:
                done.set()

        await queue.consume(take, no_ack=True)
        commands = await channel.get_exchange("sms.commands", ensure=False)
        for start in range(0, count, 250):
            batch = range(start, min(start + 250, count))
            await asyncio.gather(*(_publish(commands, number) for number in batch))
        async with asyncio.timeout(WITHIN_S):
            await done.wait()


async def _publish(exchange: aio_pika.abc.AbstractExchange, number: int) -> None:
    command = {
        "messageId": f"costs-{uuid4()}",
        "to": f"+26097{number + 1_000_000:07d}",
        "text": f"Your payment of ZMW 120.00 is due on Friday. #{number}",
        "branchId": number % 20,
    }
    body = json.dumps(command).encode()
    persistent = aio_pika.DeliveryMode.PERSISTENT
    message = aio_pika.Message(body, message_id=command["messageId"], delivery_mode=persistent)
    await exchange.publish(message, "send.bulk")


async def measure(count: int, directory: Path) -> tuple[dict[str, float], float]:
    """CPU milliseconds a message by process, and messages a second."""
    async with Stack(directory, replicas=1, profile=PROFILE) as stack:
        slow = [{"action": {"latency_ms": LATENCY_MS}}]
        async with httpx.AsyncClient() as http:
            await http.put(f"{stack.http['legacy-control']}/faults", json=slow)
        await drive(stack.amqp["upstream"], WARM)
        pids = processes(stack)
        before, began = {name: cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
        await drive(stack.amqp["upstream"], count)
        wall = time.monotonic() - began
        used = {name: (cpu_s(pid) - before[name]) / count * 1_000 for name, pid in pids.items()}
        return used, count / wall


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
    with TemporaryDirectory() as folder:
        used, per_s = asyncio.run(measure(wanted, Path(folder)))
    for name, ms in used.items():
        print(f"{name:<10} {ms:6.2f} ms CPU a message")
    print(f"{per_s:.0f} messages a second, all on this machine")
