"""What the console costs: CPU with 20 watchers, bytes, memory after waves, first load, and delay.

A real stack with two workers and 10 messages a second; half the watchers are observers, half are
administrators. CPU and memory are those of the console's process alone, as the kernel counts them.
`python tests/bench/test_console.py` prints the table alone.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from contracts import control
from tests.support.console_fakes import log_in
from tests.support.event_stream import Events
from tests.support.waiting import until
from tests.support.whole_system import System
from worker.app.memory import EVERY_S
from worker.console.feeds import LINGER_S
from worker.console.sessions import REST_AFTER_S
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WATCHERS = 20
WAVES = 3
WATCH_S = 60.0
QUIET_S = 20.0
QUIET_AFTER_S = max(LINGER_S, REST_AFTER_S) + EVERY_S
"""After which a console that nobody watches has given back what it can."""
CHANGES = 20
MOST_CPU_PERCENT = 3.0
MOST_BYTES_A_MINUTE = 60_000
MOST_MEMORY_GROWTH_MB = 5.0
MOST_FIRST_BYTES, MOST_FIRST_REQUESTS = 60_000, 10
MOST_DELAY_S = 0.5
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A process as the kernel counts it."""

    pid: int

    def cpu_s(self) -> float:
        """CPU seconds so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

    def memory_mb(self) -> float:
        """Resident memory."""
        (line,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(line) / 1024

    async def cpu_percent(self, seconds: float) -> float:
        """Share of one core over a time."""
        loop = asyncio.get_running_loop()
        before, began = self.cpu_s(), loop.time()
        await asyncio.sleep(seconds)
        return 100 * (self.cpu_s() - before) / (loop.time() - began)


@dataclass
class Watcher:
    """One page that watches.

    Attributes:
        read: bytes of the stream, as they crossed the wire.
    """

    http: httpx.AsyncClient
    events: Events = field(default_factory=lambda: Events(compressed=True))
    read: int = 0

    async def watch(self) -> None:
        headers = {"Accept-Encoding": "gzip"}
        async with self.http.stream("GET", "/events", headers=headers) as answer:
            async for chunk in answer.aiter_raw():
                self.read += len(chunk)
                self.events.feed(chunk)


@asynccontextmanager
async def watching(system: System, count: int) -> AsyncIterator[list[Watcher]]:
    """So many pages watch within the block."""
    async with AsyncExitStack() as opened:
        watchers: list[Watcher] = []
        reading: list[asyncio.Future[None]] = []
        for number in range(count):
            user = ("administrator", "observer")[number % 2]
            secret = unquote(urlsplit(system.stack.amqp[user]).password or "")
            http = httpx.AsyncClient(base_url=system.stack.http["console"], timeout=30)
            watcher = Watcher(await opened.enter_async_context(http))
            assert (await log_in(http, user, secret)).status_code == 303
            watchers.append(watcher)
            reading.append(asyncio.ensure_future(watcher.watch()))
        try:
            await until(
                lambda: all("tick" in each.events.names() for each in watchers),
                30,
                lambda: (
                    f"each page has its first events: {[each.read for each in watchers]}, {reading}"
                ),
            )
            yield watchers
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)


async def first_load(system: System) -> tuple[int, int]:
    """Bytes and requests of the page with all its files, as a browser with an empty cache."""
    sizes = []
    async with watching(system, 1) as (watcher,):
        page = await watcher.http.get("/")
        sizes.append(int(page.headers["content-length"]))
        for name in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
            file = await watcher.http.get(name)
            sizes.append(int(file.headers["content-length"]))
    return sum(sizes), len(sizes)


async def delays(system: System, watcher: Watcher) -> list[float]:
    """Seconds from a command's publishing to the event that shows it, for some changes."""
    found = []
    loop = asyncio.get_running_loop()
    for number in range(CHANGES):
        await asyncio.sleep(0.3 + number % 7 / 7)  # changes meet every moment of the feed's second
        before = len(watcher.events.came)
        began = loop.time()
        await system.steer.do(control.SetPercentage, percentage=20 + number)

        def shown(before: int = before, percentage: int = 20 + number) -> bool:
            came = watcher.events.came[before:]
            return any(f"{percentage} %" in str(data) for name, data in came if name == "sections")

        await until(shown, 10)
        found.append(loop.time() - began)
    return found


async def traffic(system: System) -> None:
    """10 messages a second on both lanes."""
    number = 0
    while True:
        number += 1
        await system.send(f"m-{number}", lane=("transactional", "bulk")[number % 2])
        await asyncio.sleep(0.1)


@dataclass
class Figures:
    """What was measured."""

    cpu: dict[int, float] = field(default_factory=dict)
    """Per cent of a core, by number of watchers."""
    memory: list[float] = field(default_factory=list)
    """MB: after the first page, after one watcher, with 20, and after each wave."""
    bytes_a_minute: float = 0
    first: tuple[int, int] = (0, 0)
    delays: list[float] = field(default_factory=list)

    def lines(self) -> list[str]:
        cpu = ", ".join(f"{count}: {share:.2f} %" for count, share in self.cpu.items())
        memory = ", ".join(f"{each:.1f}" for each in self.memory)
        return [
            f"CPU by watchers           {cpu}",
            f"memory, MB                {memory}",
            f"stream of a page          {self.bytes_a_minute / 1000:.1f} KB a minute",
            f"first load                {self.first[0] / 1000:.1f} KB, {self.first[1]} requests",
            (
                f"change to page            median {median(self.delays) * 1000:.0f} ms, "
                f"longest {max(self.delays) * 1000:.0f} ms of {len(self.delays)}"
            ),
        ]


async def measure(directory: Path) -> Figures:
    """Measure everything on one stack."""
    found = Figures()
    async with System.running(directory, {}, console=True) as system:
        (child,) = [each for each in system.stack._children if each.name == "console"]
        process = Process(child.id.pid)
        sending = asyncio.ensure_future(traffic(system))
        await system.put(Phase.GRADUAL_MIGRATION, 15)
        found.first = await first_load(system)
        await asyncio.sleep(QUIET_AFTER_S)
        found.cpu[0] = await process.cpu_percent(QUIET_S)
        found.memory.append(process.memory_mb())
        async with watching(system, 1) as watchers:
            await asyncio.sleep(5)
            found.cpu[1] = await process.cpu_percent(QUIET_S)
            found.delays = await delays(system, watchers[0])
        await asyncio.sleep(QUIET_AFTER_S)
        found.memory.append(process.memory_mb())
        async with watching(system, WATCHERS) as watchers:
            await asyncio.sleep(10)  # the start is no steady state
            before = [each.read for each in watchers]
            found.cpu[WATCHERS] = await process.cpu_percent(WATCH_S)
            read = [each.read - was for each, was in zip(watchers, before, strict=True)]
            found.bytes_a_minute = max(read) * 60 / WATCH_S
            found.memory.append(process.memory_mb())
        for _ in range(WAVES):
            async with watching(system, WATCHERS):
                await asyncio.sleep(3)
            await asyncio.sleep(QUIET_AFTER_S)
            found.memory.append(process.memory_mb())
        sending.cancel()
    return found


@pytest.mark.bench
@pytest.mark.timeout(600)
async def test_the_console_is_cheap_and_quick(tmp_path: Path) -> None:
    found = await measure(tmp_path)
    print("\n" + "\n".join(found.lines()))
    assert found.cpu[WATCHERS] < MOST_CPU_PERCENT
    assert found.bytes_a_minute < MOST_BYTES_A_MINUTE
    assert found.memory[-1] - found.memory[1] < MOST_MEMORY_GROWTH_MB
    assert found.first[0] < MOST_FIRST_BYTES
    assert found.first[1] < MOST_FIRST_REQUESTS
    assert median(found.delays) < MOST_DELAY_S


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        print("\n".join(asyncio.run(measure(Path(folder))).lines()))
