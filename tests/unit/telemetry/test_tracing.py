"""Trace contexts pass through, and become spans where they are sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from worker.telemetry.tracing import Tracing, parse, serialise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def tracing(spans: InMemorySpanExporter) -> AsyncIterator[Tracing]:
    tracing = Tracing(spans, ratio=0.25, replica="r", draw=lambda: 0.5)
    yield tracing
    await tracing.stop()


def always(spans: InMemorySpanExporter) -> Tracing:
    return Tracing(spans, ratio=1.0, replica="r")


@pytest.mark.parametrize("incoming", [SAMPLED, UNSAMPLED])
def test_without_exporter_the_context_passes_through(incoming: str) -> None:
    tracing = Tracing(None, ratio=1.0, replica="r")
    with tracing.process(incoming, "q", "m") as current, tracing.call(current, "p", 1) as call:
        assert (current, call.traceparent) == (incoming, incoming)


async def test_unsampled_context_passes_through(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    with tracing.process(UNSAMPLED, "q", "m") as current, tracing.call(current, "p", 1) as call:
        call.outcome("accepted", failed=False)
        assert (current, call.traceparent) == (UNSAMPLED, UNSAMPLED)
    await tracing.drain()
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        "",
        "x",
        "00-0-0-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        SAMPLED.upper(),
        SAMPLED + "\n",
    ],
)
def test_malformed_context_counts_as_absent(tracing: Tracing, malformed: str | None) -> None:
    with tracing.process(malformed, "q", "m") as current:
        assert current is None


async def test_sampled_context_becomes_the_parent(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    with tracing.process(SAMPLED, "sms.send.bulk", "m-1") as current:
        pass
    await tracing.drain()
    [span] = spans.get_finished_spans()
    assert span.parent == parse(SAMPLED)
    assert current == serialise(span.context)
    assert (span.name, span.kind) == ("process sms.send.bulk", SpanKind.CONSUMER)
    assert dict(span.attributes) == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "sms.send.bulk",
        "messaging.message.id": "m-1",
    }


async def test_provider_call_is_a_child_of_the_processing(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    with tracing.process(SAMPLED, "q", "m") as current, tracing.call(current, "p", 2) as call:
        call.outcome("accepted", failed=False)
        handed_on = call.traceparent
    await tracing.drain()
    client, consumer = spans.get_finished_spans()
    assert client.parent.span_id == consumer.context.span_id
    assert handed_on == serialise(client.context)
    assert client.kind == SpanKind.CLIENT
    assert dict(client.attributes) == {
        "sms.provider": "p",
        "sms.attempt.epoch": 2,
        "sms.attempt.outcome": "accepted",
    }


async def test_failed_call_is_an_error(tracing: Tracing, spans: InMemorySpanExporter) -> None:
    with tracing.call(SAMPLED, "p", 1) as call:
        call.outcome("read_timeout", failed=True)
    await tracing.drain()
    [span] = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "read_timeout"


async def test_delayed_delivery_links_to_its_trace(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    with tracing.process(SAMPLED, "q", "m", delayed=True):
        pass
    await tracing.drain()
    [span] = spans.get_finished_spans()
    assert span.parent is None
    assert [link.context for link in span.links] == [parse(SAMPLED)]
    assert span.context.trace_id != int(TRACE, 16)


async def test_new_trace_below_the_ratio_is_recorded(spans: InMemorySpanExporter) -> None:
    tracing = always(spans)
    with tracing.process(None, "q", "m") as current:
        assert current is not None
    await tracing.stop()
    assert len(spans.get_finished_spans()) == 1


def test_new_trace_above_the_ratio_is_not_minted(tracing: Tracing) -> None:
    with tracing.process(None, "q", "m") as current:
        assert current is None


async def test_exception_leaves_its_type_and_not_its_message(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    with pytest.raises(ValueError, match="hush"), tracing.process(SAMPLED, "q", "m"):
        raise ValueError("hush")
    await tracing.drain()
    [span] = spans.get_finished_spans()
    assert span.attributes["error.type"] == "ValueError"
    assert "hush" not in span.to_json()


async def test_stop_exports_what_is_held_and_may_be_repeated(spans: InMemorySpanExporter) -> None:
    tracing = always(spans)
    with tracing.process(None, "q", "m"):
        pass
    await tracing.stop()
    await tracing.stop()
    assert len(spans.get_finished_spans()) == 1
