"""What telemetry costs: CPU of a message with it and without, and CPU of one scrape.

Two workers, one with and one without, send the same messages at the same time, each with a broker,
a database and a provider of its own, so that a busy machine slows both alike; CPU is each process's
own, threads of exporters included. With telemetry, as by default where a collector is named: 1 % of
the traces, metrics by OTLP and scraped, both each 5 s, which is more often than by default.
Asserted is the median of the ratios; on a busy machine single ones scatter by a third. A scrape's
CPU is printed beside its bar.
`python tests/bench/test_telemetry_cost.py [MESSAGES] [ROUNDS]` prints alone.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.bench.test_cost import HERE, IN_FLIGHT, Harness, bench, cpu_s
from tests.support.measured import measured
from tests.support.otlp_receiver import receiving
from worker.app.edges import edges_of
from worker.app.metrics import scrape_of
from worker.app.services import Worker
from worker.domain.messages.outcome import Accepted, Blame, NotSent
from worker.lab.local.port import Port
from worker.settings.model import Settings
from worker.telemetry.metrics import AttemptMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Running = tuple[Harness, int]
"""What a worker works on, and the id of its process."""
MESSAGES, ROUNDS, EVERY_S = 3_000, 7, 5.0
MOST_OVER_OFF = 1.03
DAY_S, SLOT_S, SCRAPES, SCRAPE_BAR_MS = 86_400, 10, 50, 20.0


async def _scrape_often(port: Port, sizes: list[int]) -> None:
    """Until cancelled. The worker is not there yet at first, and no more at the end."""
    async with aiohttp.ClientSession() as http:
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    sizes.append(len(await answer.read()))
            await asyncio.sleep(EVERY_S if sizes else EVERY_S / 10)


@asynccontextmanager
async def _workers(
    directory: Path, collector: str, port: Port
) -> AsyncIterator[tuple[Running, Running]]:
    """The worker with telemetry and the one without."""
    alike = {"PYTHONHASHSEED": "0", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    telemetry = alike | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_METRIC_EXPORT_INTERVAL": str(int(EVERY_S * 1_000)),
        "SMS_PRIVATE_PORT": str(port),
    }
    async with bench(directory / "with") as one, bench(directory / "without") as other:
        seen = one.running(["-m", "worker", "run"], one.environment(IN_FLIGHT) | telemetry)
        program = [str(HERE / "without_telemetry.py")]
        unseen = other.running(program, other.environment(IN_FLIGHT) | alike)
        async with seen as first, unseen as second:
            yield (one, first), (other, second)


async def _cpu_ms(worker: Running, count: int) -> float:
    """CPU of a message, milliseconds."""
    stand, pid = worker
    before = cpu_s(pid)
    await stand.drive(count)
    return (cpu_s(pid) - before) / count * 1_000


async def ratios(directory: Path, count: int, rounds: int) -> list[float]:
    """CPU of a message with telemetry by that without, one for each round."""
    found, sizes, port = [], list[int](), Port()
    with receiving() as collector:
        async with _workers(directory, collector.url, port) as both:
            await asyncio.gather(*(_cpu_ms(each, count // 3) for each in both))  # warms up
            scraping = asyncio.create_task(_scrape_often(port, sizes))
            for _ in range(rounds):
                seen, unseen = await asyncio.gather(*(_cpu_ms(each, count) for each in both))
                found.append(seen / unseen)
                print(f"  without {unseen:.3f}, with {seen:.3f} ms CPU a message: {found[-1]:.3f}",
                      flush=True)  # fmt: skip
            scraping.cancel()
            with suppress(asyncio.CancelledError):
                await scraping
        assert sizes
        assert collector.metrics
        assert collector.spans
    print(f"median of {rounds}: {median(found):.3f} (bar {MOST_OVER_OFF})")
    return found


class _Day:
    """A clock that the bench moves through one day."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


def a_day_of_traffic(providers: tuple[str, str]) -> AttemptMetrics:
    """Counts of a day: every slot, both lanes, all kinds of outcomes; stored as a worker does."""
    clock = _Day()
    book = AttemptMetrics(clock, providers, slow_ms=3_000)
    ends = (Accepted("id"), Accepted("id"), NotSent(Blame.PROVIDER, "503", "busy"))
    for slot in range(DAY_S // SLOT_S):
        clock.at += timedelta(seconds=SLOT_S)
        for number, provider in enumerate(providers):
            for lane in ("bulk", "transactional"):
                outcome = ends[(slot + number) % len(ends)]
                made = measured(
                    outcome, provider=provider, lane=lane, duration_ms=float(slot % 9_000),
                    recipient_hash=str(slot), branch_id=slot % 200,
                )  # fmt: skip
                book.attempt(made)
        book.answered(book.asked(), ())
        book.take()
    return book


async def scrape_ms(environment: dict[str, str]) -> tuple[float, int]:
    """CPU of one scrape of a worker that counted a day, milliseconds, and the size of its text."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        cfg = Settings()
        worker = Worker(cfg, "bench", edges_of(cfg))
    providers = tuple(account.id for account in worker.accounts.settings.values())
    worker.metrics = a_day_of_traffic((providers[0], providers[1]))
    scrape = scrape_of(worker)
    await scrape.start()
    took, size = [], 0
    for _ in range(SCRAPES):
        began = process_time()
        size = len(scrape.text("")[0])
        took.append((process_time() - began) * 1_000)
    await scrape.stop()
    await worker.accounts.close()
    await worker.runtime.database.close()
    return median(took), size


def _environment() -> dict[str, str]:
    amqp = {"worker": "amqp://worker:w@127.0.0.1/"}
    stand = Harness(amqp, "mongodb://127.0.0.1/?replicaSet=rs0", "http://127.0.0.1:1")
    return stand.environment(IN_FLIGHT)


@pytest.mark.bench
async def test_telemetry_costs_a_message_little(tmp_path: Path) -> None:
    assert median(await ratios(tmp_path, MESSAGES, ROUNDS)) <= MOST_OVER_OFF


@pytest.mark.bench
async def test_a_scrape_costs_little_after_a_day() -> None:
    ms, size = await scrape_ms(_environment())
    verdict = "reached" if ms < SCRAPE_BAR_MS else "MISSED"
    print(f"a scrape after a day: {ms:.1f} ms CPU, {size:,} bytes (bar {SCRAPE_BAR_MS}: {verdict})")
    assert size > 0


if __name__ == "__main__":
    wanted = [int(each) for each in sys.argv[1:]] or [MESSAGES]
    print(asyncio.run(scrape_ms(_environment())))
    with TemporaryDirectory() as folder:
        rounds = wanted[1] if len(wanted) > 1 else ROUNDS
        asyncio.run(ratios(Path(folder), wanted[0], rounds))
