"""What a report costs over a long history: 30 days at 1,000 messages/s, five replicas, real mongod.

Every replica's slots of every span are written as the workers write them (the server multiplies a
document of each; all slots of a span are alike, so the sums are known). Measured is the whole
report, both providers compared, from the read to the bytes of the metric; the period's ends lie
off every boundary. Beside it: three ways to sum the 3,600 short slots of an hour.
`python tests/bench/test_health_report.py [DAYS]` prints the tables alone.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from uuid import UUID

import pytest
from bson import Decimal128

from contracts.codec import encode
from contracts.metrics import DURATION_BOUNDS_MS
from tests.support.fakes import Snapshots, snapshot
from worker.domain.figures.health import Subject
from worker.domain.figures.periods import SPANS
from worker.domain.figures.tally import COUNTERS, Tally
from worker.domain.migration.phases import Role
from worker.lab.local.database import Database as Mongod
from worker.monitoring.health_reports import Reporting
from worker.monitoring.measures import Measuring
from worker.store.client import Database
from worker.store.slot_queries import covering
from worker.store.slots import SlotStore

DAYS = 30
RATE = 1_000
"""Messages a second over all replicas; half go to each provider."""
REPLICAS = 5
PROVIDERS = ("africastalking", "legacy")
END = datetime(2026, 3, 31, 13, 37, 47, tzinfo=UTC)
REPEATS = 15
REPORT_MS, RATIO, MEMORY_MB = 300.0, 3.0, 50.0


class Time:
    """A clock that stands at the end of the history."""

    def now(self) -> datetime:
        return END

    def monotonic(self) -> float:
        return 0.0


class Wire:
    """Takes metrics and forgets them."""

    def metric(self, _key: str, _body: bytes) -> None:
        return


def one_second() -> Tally:
    """What one replica counts of one provider in a second."""
    each = RATE // REPLICAS // len(PROVIDERS)
    counts = {name: each // 10 for name in COUNTERS if not name.startswith("probe")}
    latency = {f"latency:{bucket}": each // 10 for bucket in range(3, 15)}
    return Tally.of({**counts, **latency, "accepted": each, "cost:ZMW": Decimal("80.00")})


def seeds(days: int) -> list[dict]:
    """A document of each owner, provider and span, and how many slots of it there are."""
    second, documents = one_second().counts(), []
    for span in SPANS:
        counts = {name: count * span for name, count in second.items()}
        stored = {k: Decimal128(v) if isinstance(v, Decimal) else v for k, v in counts.items()}
        first = (END - timedelta(days=days)).replace(hour=0, minute=0, second=0)
        slots = int((END - first).total_seconds()) // span + 1
        documents += [
            {"owner": str(UUID(int=owner)), "provider": provider, "span": span,
             "first": first, "slots": slots, "counts": stored}
            for owner in range(REPLICAS)
            for provider in PROVIDERS
        ]  # fmt: skip
    return documents


async def write_history(database: Database, days: int) -> int:
    """Have the server write all slots; returns how many."""
    await database["seeds"].insert_many(seeds(days))
    at = {"$dateAdd": {"startDate": "$first", "unit": "second", "amount": "$nth"}}
    number = {"$toString": {"$toLong": {"$divide": [{"$toLong": "$at"}, 1000]}}}
    joined = ["$owner", ":", "$provider", ":", {"$toString": "$span"}, ":", number]
    pipeline = [
        {"$set": {"nth": {"$range": [0, {"$multiply": ["$slots", "$span"]}, "$span"]}}},
        {"$unwind": "$nth"},
        {"$set": {"at": at}},
        {"$set": {"_id": {"$concat": joined}, "expireAt": END + timedelta(days=3_650)}},
        {"$unset": ["first", "slots", "nth"]},
        {"$out": "slots"},
    ]
    await database["seeds"].aggregate(pipeline, allowDiskUse=True).to_list(None)
    await SlotStore(database, "bench", retention_days=days).create_indexes()
    return await database["slots"].estimated_document_count()


@dataclass
class Stand:
    """The history, and what reports on it."""

    database: Database
    reporting: Reporting
    documents: int
    took_s: float


@asynccontextmanager
async def history(days: int):
    """A mongod that holds it."""
    with TemporaryDirectory() as directory:
        mongod = Mongod(Path(directory))
        await mongod.start()
        database = Database(mongod.url, "bench", timeout_s=900)
        try:
            began = perf_counter()
            documents = await write_history(database, days)
            store = SlotStore(database, "bench", retention_days=days)
            measuring = Measuring(store, None, None, Time(), None)
            reporting = Reporting(
                sums=measuring.sums,
                target=Subject(PROVIDERS[0], Role.TARGET, gives_reports=True),
                legacy=Subject(PROVIDERS[1], Role.LEGACY, gives_reports=True),
                snapshots=Snapshots(snapshot(50)),
                broadcast=Wire(),
                clock=Time(),
            )
            yield Stand(database, reporting, documents, perf_counter() - began)
        finally:
            await database.close()
            await mongod.stop()


@dataclass
class Figure:
    """One report, again and again."""

    name: str
    documents: int
    ms: list[float]
    grown_mb: float


def memory_kb(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


def peak_anew() -> None:
    """Have the kernel forget the highest memory so far."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


async def measure(stand: Stand, name: str, hours: float) -> Figure:
    """Time of reports over so many hours, and how far the process grows at its highest."""
    found = await stand.reporting.comparison(hours)
    assert found.savings.messages == sums_to(hours)
    slots = stand.database["slots"]
    read = await slots.count_documents(covering(END - timedelta(hours=hours), END))
    peak_anew()
    before, took = memory_kb("VmRSS"), []
    for _ in range(REPEATS):
        began = perf_counter()
        encode(await stand.reporting.comparison(hours))
        took.append((perf_counter() - began) * 1_000)
    return Figure(name, read, took, (memory_kb("VmHWM") - before) / 1_024)


def sums_to(hours: float) -> int:
    """Messages accepted in the period, which ends on no boundary: whole slots of 10 s."""
    return round(hours * 3_600) * one_second().accepted * REPLICAS * len(PROVIDERS)


# --- three ways to sum an hour of short slots --------------------------------------------------


async def by_object_to_array(slots, match: dict) -> None:
    """Names taken from the documents: what `SlotStore.sum` does."""
    pipeline = [
        {"$match": match},
        {"$project": {"provider": 1, "counts": {"$objectToArray": "$counts"}}},
        {"$unwind": "$counts"},
        {"$group": {"_id": {"p": "$provider", "k": "$counts.k"}, "sum": {"$sum": "$counts.v"}}},
    ]
    await slots.aggregate(pipeline).to_list(None)


async def by_known_names(slots, match: dict) -> None:
    """Every name there can be, summed on its own; the one currency known beforehand."""
    names = [*COUNTERS, *(f"latency:{n}" for n in range(len(DURATION_BOUNDS_MS) + 1)), "cost:ZMW"]
    sums = {f"f{n}": {"$sum": f"$counts.{name}"} for n, name in enumerate(names)}
    pipeline = [{"$match": match}, {"$group": {"_id": "$provider", **sums}}]
    await slots.aggregate(pipeline).to_list(None)


async def in_the_worker(slots, match: dict) -> None:
    """Documents read and added up in Python."""
    found = {}
    async for document in slots.find(match, {"_id": 0, "provider": 1, "counts": 1}):
        sums = found.setdefault(document["provider"], {})
        for name, count in document["counts"].items():
            value = count.to_decimal() if isinstance(count, Decimal128) else count
            sums[name] = sums.get(name, 0) + value


async def ways(stand: Stand) -> list[str]:
    """A line for each way: time, and what of it is the worker's own."""
    begin = END.replace(minute=0, second=0) - timedelta(hours=1)
    match = {"span": SPANS[0], "at": {"$gte": begin, "$lt": begin + timedelta(hours=1)}}
    lines = [f"{'3,600 short slots':24}{'ms':>8}{'ms here':>10}"]
    for way in (by_object_to_array, by_known_names, in_the_worker):
        took, here = [], []
        for _ in range(REPEATS):
            began, worked = perf_counter(), process_time()
            await way(stand.database["slots"], match)
            took.append((perf_counter() - began) * 1_000)
            here.append((process_time() - worked) * 1_000)
        lines.append(f"{way.__name__.replace('_', ' '):24}{median(took):8.0f}{median(here):10.0f}")
    return lines


async def run(days: int) -> tuple[Figure, Figure]:
    """Both reports, printed."""
    async with history(days) as stand:
        print(f"\n{stand.documents:,} slots written in {stand.took_s:.0f} s")
        hour = await measure(stand, "1 hour", 1)
        whole = await measure(stand, f"{days} days", 24 * days)
        print(f"{'report over':12}{'documents':>11}{'median':>9}{'max':>8} ms{'peak':>8} MB")
        for each in (hour, whole):
            times = f"{median(each.ms):9.1f}{max(each.ms):8.1f}"
            print(f"{each.name:12}{each.documents:>11,}{times}   {each.grown_mb:8.1f}")
        print(f"ratio of the medians {median(whole.ms) / median(hour.ms):.2f}\n")
        print("\n".join(await ways(stand)))
        return hour, whole


@pytest.mark.bench
@pytest.mark.timeout(900)
async def test_a_report_costs_the_same_over_an_hour_and_a_month() -> None:
    hour, whole = await run(DAYS)
    assert median(whole.ms) < REPORT_MS
    assert median(hour.ms) < RATIO * median(whole.ms)
    assert median(whole.ms) < RATIO * median(hour.ms)
    assert max(hour.grown_mb, whole.grown_mb) < MEMORY_MB


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else DAYS))
