"""Metrics are read when asked for, and look as Prometheus wants them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.otlp_receiver import receiving
from worker.telemetry import instruments as show
from worker.telemetry.export import ENDPOINT
from worker.telemetry.instrument import Buckets, Distribution, Kind
from worker.telemetry.instruments import OF_WEBHOOK, OF_WORKER, REGISTRY, table
from worker.telemetry.scrape import Scrape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIMES = Distribution(
    {show.PROVIDER: "legacy"}, [2, 1, *[0] * (len(show.DURATION.bounds) - 1)], 0.03
)


@pytest.fixture
async def counts() -> dict[str, float]:
    return {"accepted": 3.0, "skipped": 0.0}


@pytest.fixture
async def scrape(counts: dict[str, float]) -> AsyncIterator[Scrape]:
    readings = {
        show.ATTEMPTS: lambda: [
            (value, {show.PROVIDER: "legacy", show.OUTCOME: name}) for name, value in counts.items()
        ],
        show.STORE_UP: lambda: [(1.0, {})],
    }
    made = Scrape(readings, {show.DURATION: lambda: [TIMES]}, "pod-abcd", {})
    await made.start()
    yield made
    await made.drain()
    await made.stop()
    await made.stop()


def values(scrape: Scrape) -> dict[str, float]:
    body, media_type = scrape.text("")
    assert media_type.startswith("text/plain")
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_values_are_those_of_now(scrape: Scrape, counts: dict[str, float]) -> None:
    name = 'sms_attempts_total{sms_outcome="accepted",sms_provider="legacy"}'
    assert values(scrape)[name] == 3
    counts["accepted"] += 1
    assert values(scrape)[name] == 4


def test_what_never_happened_is_shown_as_zero(scrape: Scrape) -> None:
    assert values(scrape)['sms_attempts_total{sms_outcome="skipped",sms_provider="legacy"}'] == 0


def test_times_of_calls_are_a_histogram(scrape: Scrape) -> None:
    shown = values(scrape)
    of_provider = 'sms_provider="legacy"'
    buckets = {
        name.split('le="')[1].split('"')[0]: value
        for name, value in shown.items()
        if name.startswith("sms_attempt_duration_seconds_bucket")
    }
    assert (buckets["0.01"], buckets["0.025"], buckets["30.0"], buckets["+Inf"]) == (2, 3, 3, 3)
    assert len(buckets) == len(show.DURATION.bounds) + 1
    assert shown[f"sms_attempt_duration_seconds_count{{{of_provider}}}"] == 3
    assert shown[f"sms_attempt_duration_seconds_sum{{{of_provider}}}"] == 0.03


def test_gauges_and_the_process_are_shown(scrape: Scrape) -> None:
    shown = values(scrape)
    assert shown["sms_store_up"] == 1
    assert shown["process_resident_memory_bytes"] > 0


async def test_a_collector_gets_the_same_values_and_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, counts: dict[str, float]
) -> None:
    def attempts() -> list[tuple[float, dict[str, str]]]:
        threads.add(threading.get_ident())
        return [(counts["accepted"], {show.PROVIDER: "legacy", show.OUTCOME: "accepted"})]

    threads: set[int] = set()
    with receiving() as receiver:
        monkeypatch.setenv(ENDPOINT, receiver.url)
        environment = {ENDPOINT: receiver.url}
        times = {show.DURATION: lambda: [TIMES]}
        made = Scrape({show.ATTEMPTS: attempts}, times, "pod", environment)
        await made.start()
        await made.drain()
        (point,) = receiver.metrics["sms.attempts"].sum.data_points
        (histogram,) = receiver.metrics[show.DURATION.name].histogram.data_points
        once = made.text("")[0].decode()
        await made.stop()
    assert point.as_double == 3
    assert (histogram.count, list(histogram.bucket_counts)) == (3, TIMES.buckets)
    assert not histogram.HasField("max")
    assert once.count("sms_attempts_total{") == 1
    assert threads == {threading.get_ident()}


async def test_a_scrape_and_a_collector_at_the_same_time_miss_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both wait for one lock, and the collector's thread for the loop in which scrapes are made."""
    up = [lambda: [(1.0, {})] for _ in range(3)]
    readings = dict(zip((show.STORE_UP, show.BROKER_UP, show.CONSUMING), up, strict=True))
    ended = threading.Event()
    with receiving() as receiver:
        monkeypatch.setenv(ENDPOINT, receiver.url)
        made = Scrape(readings, {show.DURATION: lambda: [TIMES]}, "pod", {ENDPOINT: receiver.url})
        await made.start()
        pushing = asyncio.create_task(asyncio.to_thread(flushed, made, 30, ended))
        while not ended.is_set():
            made.text("")
            await asyncio.sleep(0)
        await pushing
        await made.stop()
    missed = [
        export for export in receiver.exports if not {each.name for each in readings} <= export
    ]
    assert len(receiver.exports) >= 30
    assert missed == []


def flushed(scrape: Scrape, times: int, ended: threading.Event) -> None:
    assert scrape._pushed is not None
    for _ in range(times):
        scrape._pushed.force_flush()
    ended.set()


async def test_a_collector_that_hangs_holds_no_drain_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(hangs=True) as receiver:
        monkeypatch.setenv(ENDPOINT, receiver.url)
        up = {show.STORE_UP: lambda: [(1.0, {})]}
        made = Scrape(up, {}, "pod", {ENDPOINT: receiver.url})
        await made.start()
        async with asyncio.timeout(15):
            await made.drain()
            await made.stop()


def test_a_value_is_counted_in_the_first_bucket_that_holds_it() -> None:
    counted = Buckets((1.0, 5.0))
    for value in (-3.0, 1.0, 1.5, 5.0, 5.1):
        counted.add(value)
    made = counted.read({"a": "b"})
    assert (made.labels, made.buckets, made.total) == ({"a": "b"}, (2, 2, 1), 12.6)


CONVENTIONS = ("http.server.request.duration", "messaging.process.duration",
               "messaging.client.operation.duration")  # fmt: skip


def test_a_name_has_one_meaning_a_unit_and_no_plural_of_its_kind() -> None:
    assert len({each.name for each in REGISTRY}) == len(REGISTRY)
    assert len({each.shown for each in REGISTRY}) == len(REGISTRY)
    assert set(REGISTRY) == {*OF_WORKER, *OF_WEBHOOK}
    assert all(each.unit and each.meaning for each in REGISTRY)
    foreign = [each.name for each in REGISTRY if not each.name.startswith("sms.")]
    assert sorted(foreign) == sorted(CONVENTIONS)
    assert all(bool(each.bounds) is (each.kind is Kind.HISTOGRAM) for each in REGISTRY)
    assert not any(each.name.endswith("total") for each in REGISTRY if each.kind is Kind.COUNTER)
    assert all(f"`{each.shown}`" in table() for each in REGISTRY)
