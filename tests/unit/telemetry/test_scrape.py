"""Metrics are read when asked for, and look as Prometheus wants them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.otlp_receiver import receiving
from worker.telemetry import instruments as show
from worker.telemetry.export import ENDPOINT
from worker.telemetry.instruments import REGISTRY, Kind, table
from worker.telemetry.scrape import Durations, Scrape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BOUNDS_S = (0.1, 1.0)


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
    times = Durations("legacy", [2, 1, 0], 0.75)
    made = Scrape(readings, lambda: [times], BOUNDS_S, "pod-abcd", {})
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
    assert buckets == {"0.1": 2, "1.0": 3, "+Inf": 3}
    assert shown[f"sms_attempt_duration_seconds_count{{{of_provider}}}"] == 3
    assert shown[f"sms_attempt_duration_seconds_sum{{{of_provider}}}"] == 0.75


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
    times = Durations("legacy", [2, 1, 0], 0.75)
    with receiving() as receiver:
        monkeypatch.setenv(ENDPOINT, receiver.url)
        environment = {ENDPOINT: receiver.url}
        made = Scrape({show.ATTEMPTS: attempts}, lambda: [times], BOUNDS_S, "pod", environment)
        await made.start()
        await made.drain()
        (point,) = receiver.metrics["sms.attempts"].sum.data_points
        (histogram,) = receiver.metrics[show.DURATION].histogram.data_points
        once = made.text("")[0].decode()
        await made.stop()
    assert point.as_double == 3
    assert (histogram.count, list(histogram.bucket_counts)) == (3, [2, 1, 0])
    assert not histogram.HasField("max")
    assert once.count("sms_attempts_total{") == 1
    assert threads == {threading.get_ident()}


async def test_a_collector_that_hangs_holds_no_drain_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(hangs=True) as receiver:
        monkeypatch.setenv(ENDPOINT, receiver.url)
        made = Scrape({}, list, BOUNDS_S, "pod", {ENDPOINT: receiver.url})
        await made.start()
        async with asyncio.timeout(15):
            await made.drain()
            await made.stop()


def test_a_name_has_one_meaning_a_unit_and_no_plural_of_its_kind() -> None:
    assert len({each.name for each in REGISTRY}) == len(REGISTRY)
    assert all(each.name.startswith("sms.") and each.unit and each.meaning for each in REGISTRY)
    assert not any(each.name.endswith("total") for each in REGISTRY if each.kind is Kind.COUNTER)
    assert all(f"`{each.shown}`" in table() for each in REGISTRY)
