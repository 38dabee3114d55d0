"""What a message costs: CPU of one worker process, beside the floor and the usual worker.

All three consume the same queue of the same broker, write to the same database and call the same
simulated provider (50 ms), one after the other in one run; CPU is the process's own (user and
system), from the moment it is ready until the last event is out. Ratios are asserted, times only
shown. `python tests/bench/test_cost.py [MESSAGES]` prints the table alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

import aio_pika
import pytest

from worker.broker import topology
from worker.lab.local.broker import Broker
from worker.lab.local.database import Database
from worker.lab.local.port import Port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MESSAGES = 3000
ROUNDS = 3
IN_FLIGHT = 128
USUAL_IN_FLIGHT = 64
MOST_OVER_FLOOR = 1.4
LEAST_UNDER_USUAL = 4.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figure:
    name: str
    in_flight: int
    cpu_ms: float
    per_s: float


@dataclass(frozen=True)
class Harness:
    amqp: dict[str, str]
    mongo: str
    provider: str

    async def measure(self, name: str, command: list[str], in_flight: int, count: int) -> Figure:
        async with self.running(command, self.environment(in_flight)) as pid:
            before, began = cpu_s(pid), time.monotonic()
            await self.drive(count)
            cpu, wall = cpu_s(pid) - before, time.monotonic() - began
        return Figure(name, in_flight, cpu / count * 1000, count / wall)

    @asynccontextmanager
    async def running(
        self, command: list[str], environment: Mapping[str, str]
    ) -> AsyncIterator[int]:
        """Run a process from the moment it is ready; yields its id."""
        environment = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=environment, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        try:
            await _line_with(process.stdout, b"ready")
            reading = asyncio.ensure_future(process.stdout.read())
            yield process.pid
        finally:
            process.terminate()
            await process.wait()
        reading.cancel()

    def environment(self, in_flight: int) -> dict[str, str]:
        account = {"USERNAME": "sandbox", "SECRET": "k", "MAX_IN_FLIGHT": "512"}
        account |= {"BASE_URL": self.provider, "RATE_PER_S": "100000"}
        return {
            "AMQP_URL": self.amqp["worker"],
            "MONGO_URL": self.mongo,
            "PROVIDER_URL": self.provider,
            "IN_FLIGHT": str(in_flight),
            "SMS_MONGO_DATABASE": f"bench-{uuid4().hex}",
            "SMS_HASH_KEY": "bench",
            "SMS_PREFETCH_BULK": str(in_flight),
            "SMS_FLAGS_FILE": str(HERE / "flags.json"),
            "SMS_TARGET__ID": "africastalking",
            "SMS_TARGET__KIND": "africastalking",
            "SMS_LEGACY__ID": "legacy",
            "SMS_LEGACY__KIND": "http",
            "SMS_LEGACY__PRESET": "json-basic",
            **{f"SMS_TARGET__{key}": value for key, value in account.items()},
            **{f"SMS_LEGACY__{key}": value for key, value in account.items()},
        }

    async def drive(self, count: int) -> None:
        """Publish `count` commands and wait until as many `sms.sent` are out."""
        async with await aio_pika.connect(self.amqp["upstream"]) as connection:
            channel = await connection.channel()
            name = f"sms.own.upstream.{uuid4()}"
            queue = await channel.declare_queue(name, exclusive=True)
            await queue.bind("sms.events", "sms.sent")
            done, seen = asyncio.Event(), 0

            async def take(_message: object) -> None:
                nonlocal seen
                seen += 1
                if seen >= count:
                    done.set()

            await queue.consume(take, no_ack=True)
            commands = await channel.get_exchange("sms.commands", ensure=False)
            run = uuid4().hex[:8]
            for start in range(0, count, 250):
                batch = range(start, min(start + 250, count))
                await asyncio.gather(*(_publish(commands, run, number) for number in batch))
            async with asyncio.timeout(120):
                await done.wait()


async def _publish(exchange: aio_pika.abc.AbstractExchange, run: str, number: int) -> None:
    command = {
        "messageId": f"{run}-{number}",
        "to": f"+26097{number + 1_000_000:07d}",
        "text": f"Your payment of ZMW 120.00 is due on Friday. #{run}-{number}",
        "branchId": number % 20,
    }
    message = aio_pika.Message(json.dumps(command).encode(), message_id=command["messageId"])
    await exchange.publish(message, "send.bulk")


def cpu_s(pid: int) -> float:
    """CPU that a process used since its start, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def _line_with(stream: asyncio.StreamReader, word: bytes) -> None:
    async with asyncio.timeout(180):
        while line := await stream.readline():
            if word in line:
                return
    raise AssertionError("the process ended before it was ready")


@asynccontextmanager
async def bench(directory: Path):
    broker, database = Broker(directory / "broker"), Database(directory / "database")
    port = Port()
    simulator = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "simulate", "africastalking", "--port", str(port),
        "--latency-ms", "50", cwd=ROOT, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await asyncio.gather(broker.start(), database.start())
        async with await aio_pika.connect(broker.urls["worker"]) as connection:
            await topology.apply(await connection.channel())
        yield Harness(dict(broker.urls), database.url, f"http://127.0.0.1:{port}")
    finally:
        simulator.terminate()
        await simulator.wait()
        await asyncio.gather(broker.stop(), database.stop())


async def table(count: int, directory: Path, rounds: int = ROUNDS) -> list[Figure]:
    floor, usual = [str(HERE / "floor.py")], [str(HERE / "usual.py")]
    worker = ["-m", "worker", "run"]
    runs: dict[tuple[str, int], list[Figure]] = {}

    async def one(name: str, command: list[str], in_flight: int, messages: int) -> None:
        figure = await stand.measure(name, command, in_flight, messages)
        print(f"  {name:<8} {in_flight:>4} in flight {figure.cpu_ms:6.2f} ms CPU", flush=True)
        runs.setdefault((name, in_flight), []).append(figure)

    async with bench(directory) as stand:
        for _ in range(rounds):  # taken in turns, so that a noisy minute meets all alike
            await one("floor", floor, IN_FLIGHT, count)
            await one("worker", worker, IN_FLIGHT, count)
        await one("usual", usual, USUAL_IN_FLIGHT, count)
        for in_flight in (8, 16, 32):
            await one("usual", usual, in_flight, count // 3)
    return [
        Figure(name, n, median(f.cpu_ms for f in found), median(f.per_s for f in found))
        for (name, n), found in runs.items()
    ]


def show(figures: list[Figure]) -> tuple[float, float]:
    """Print the table; returns worker/floor and usual/worker."""
    by_name = {(f.name, f.in_flight): f for f in figures}
    floor, worker = by_name["floor", IN_FLIGHT], by_name["worker", IN_FLIGHT]
    usual = by_name["usual", USUAL_IN_FLIGHT]
    print(f"\n{'':<8} {'in flight':>9} {'ms CPU/msg':>11} {'msg/s':>7} {'of floor':>9}")
    for figure in figures:
        ratio = figure.cpu_ms / floor.cpu_ms
        print(
            f"{figure.name:<8} {figure.in_flight:>9} {figure.cpu_ms:>11.2f} "
            f"{figure.per_s:>7.0f} {ratio:>9.2f}"
        )
    return worker.cpu_ms / floor.cpu_ms, usual.cpu_ms / worker.cpu_ms


@pytest.mark.bench
async def test_a_message_costs_little_more_than_its_wire_work(tmp_path: Path) -> None:
    over, under = show(await table(MESSAGES, tmp_path))
    assert over <= MOST_OVER_FLOOR
    assert under >= LEAST_UNDER_USUAL


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        wanted = int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
        print(show(asyncio.run(table(wanted, Path(folder)))))
