"""Spans reach a collector, and one that is away or hangs holds nobody up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.otlp_receiver import receiving
from worker.telemetry.export import ENDPOINT, USUAL_RATIO, exporter_of, within
from worker.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
MANY = 3_000
"""More spans than wait for a collector at most."""


def exporting(monkeypatch: pytest.MonkeyPatch, url: str, **more: str) -> Tracing:
    environment = {ENDPOINT: url, **more}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    exporter, _ = exporter_of(environment, 1.0)
    return Tracing(exporter, ratio=1.0, replica="pod-abcd")


def spans(tracing: Tracing, count: int) -> None:
    for number in range(count):
        with tracing.process(None, "sms.send.bulk", f"m-{number}"):
            pass


@pytest.mark.parametrize(
    ("environment", "ratio", "kind", "recorded"),
    [
        ({}, None, "NoneType", 0.0),
        ({}, 0.5, "ConsoleSpanExporter", 0.5),
        (
            {TRACES: "http://127.0.0.1:1/v1/traces"},
            None,
            "OTLPSpanExporter",
            USUAL_RATIO,
        ),
        ({ENDPOINT: "http://127.0.0.1:1"}, 0.0, "OTLPSpanExporter", 0.0),
        ({ENDPOINT: ""}, None, "NoneType", 0.0),
    ],
)
def test_an_endpoint_means_a_collector_and_a_ratio_alone_the_console(
    environment: Mapping[str, str], ratio: float | None, kind: str, recorded: float
) -> None:
    exporter, part = exporter_of(environment, ratio)
    assert (type(exporter).__name__, part) == (kind, recorded)


async def test_spans_reach_the_collector_and_name_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiving() as receiver:
        tracing = exporting(
            monkeypatch, receiver.url, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test"
        )
        spans(tracing, 3)
        await tracing.drain()
        await tracing.stop()
        assert [span.name for span in receiver.spans] == ["process sms.send.bulk"] * 3
        assert receiver.resource["service.name"] == "sms-worker"
        assert receiver.resource["service.instance.id"] == "pod-abcd"
        assert receiver.resource["deployment.environment.name"] == "test"


async def test_the_service_is_called_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiving() as receiver:
        tracing = exporting(monkeypatch, receiver.url, OTEL_SERVICE_NAME="sms-north")
        spans(tracing, 1)
        await tracing.drain()
        await tracing.stop()
        assert receiver.resource["service.name"] == "sms-north"


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "is away"])
async def test_a_collector_that_takes_nothing_holds_no_drain_up(
    monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    with receiving(hangs=True) as receiver:
        url = receiver.url if hangs else "http://127.0.0.1:1"
        tracing = exporting(monkeypatch, url)
        spans(tracing, MANY)
        async with asyncio.timeout(20):  # where it waits for the collector: 34 s and longer
            await tracing.drain()
            await tracing.stop()
        await tracing.stop()


async def test_work_that_ends_in_time_is_told_from_work_that_does_not() -> None:
    assert await within(20.0, lambda: None)
    with receiving(hangs=True) as receiver:
        assert not await within(0.01, receiver.ends.wait)
