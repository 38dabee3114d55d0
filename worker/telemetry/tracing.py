"""Traces: from the command's `traceparent` over our spans to the event's `traceparent`.

Rules: only this file imports opentelemetry, and no global provider is set. The caller decides about
sampling; without a decision, `ratio` of the new traces is recorded. For a message that is not
recorded, only a pattern is matched: its `traceparent` is passed on unchanged, and no new one is
made. Contexts are passed as W3C strings, because they are stored and sent in this form.

    command --traceparent--> process() --> call() --> event, report
"""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from contracts.names import Queue
from worker.domain.messages.outcome import Accepted
from worker.telemetry import names
from worker.telemetry.export import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

    from worker.domain.messages.account import AccountHealth
    from worker.domain.messages.outcome import Outcome
    from worker.domain.messages.receipts import DeliveryReport, OptIn, OptOut
    from worker.domain.messages.sms import Sms
    from worker.ports.providers import Provider

_DRAIN_S: Final = 4.0
_STOP_S: Final = 0.5
_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
"""A `traceparent` of W3C Trace Context, level 1. Later versions may append fields."""


class Call(Protocol):
    """The span of a provider call."""

    @property
    def traceparent(self) -> str | None:
        """The context to pass on; None: there is no trace."""
        ...

    def outcome(self, code: str, *, failed: bool) -> None:
        """Set how the call ended: the outcome's code, and whether it counts as an error."""
        ...


class Tracing:
    """Makes spans, and passes them to an exporter in the background.

    Args:
        exporter: exports spans; None: nothing is recorded and contexts are passed on unchanged.
        ratio: share of new traces that are recorded, 0 to 1.
        replica: id of this process.
        draw: returns a number in [0, 1), which decides on a new trace.
    """

    def __init__(
        self,
        exporter: SpanExporter | None,
        *,
        ratio: float,
        replica: str,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._ratio = ratio
        self._draw = draw
        self._exporter = exporter
        self._drained = False
        self._provider = _provider(exporter, replica) if exporter else None
        self._tracer = self._provider.get_tracer("sms-worker") if self._provider else None

    @property
    def records(self) -> bool:
        """Whether any span is ever recorded. If not, contexts need not be read."""
        return self._tracer is not None

    @contextmanager
    def process(
        self, incoming: str | None, queue: str, message_id: str, *, delayed: bool = False
    ) -> Iterator[str | None]:
        """Open a span for one delivery; yields the `traceparent` for the calls it causes.

        Args:
            incoming: the delivery's `traceparent` header; malformed counts as absent.
            queue: the queue of the delivery.
            message_id: id of the message.
            delayed: whether the delivery comes from a retry tier. Its trace is then linked and not
                continued, because minutes may have passed.
        """
        caller = parse(incoming)
        if self._tracer is None or not self._sampled(caller):
            yield incoming if caller else None
            return
        attributes = {
            names.SYSTEM: names.SYSTEM_RABBITMQ,
            names.OPERATION_NAME: names.OPERATION_PROCESS,
            names.OPERATION_TYPE: names.OPERATION_PROCESS,
            names.DESTINATION: queue,
            names.MESSAGE_ID: message_id,
        }
        with _ended(
            self._tracer.start_span(
                f"{names.OPERATION_PROCESS} {queue}",
                context=Context() if delayed else _context(caller),
                kind=SpanKind.CONSUMER,
                attributes=attributes,
                links=[Link(caller)] if delayed and caller else None,
            )
        ) as span:
            yield serialise(span.get_span_context())

    @contextmanager
    def report(
        self, traceparent: str | None, message_id: str, *, delayed: bool
    ) -> Iterator[str | None]:
        """Span what a delivery report brings about, in the trace of its message.

        Args:
            traceparent: as the record keeps it; None: of a trace that is not recorded.
            message_id: id of the message.
            delayed: the trace is linked, not continued, as hours may lie between.
        """
        if traceparent is None:
            yield None
            return
        with self.process(traceparent, Queue.REPORTS, message_id, delayed=delayed) as current:
            yield current

    @contextmanager
    def call(self, traceparent: str | None, provider: str, epoch: int) -> Iterator[Call]:
        """Open a span for one provider call; `traceparent` comes from `process`."""
        parent = parse(traceparent)
        if self._tracer is None or parent is None or not parent.trace_flags.sampled:
            yield _Unrecorded(traceparent if parent else None)
            return
        with _ended(
            self._tracer.start_span(
                f"send {provider}",
                context=_context(parent),
                kind=SpanKind.CLIENT,
                attributes={names.PROVIDER: provider, names.EPOCH: epoch},
            )
        ) as span:
            yield _Recorded(span)

    def _sampled(self, caller: SpanContext | None) -> bool:
        if caller is not None:
            return caller.trace_flags.sampled
        return self._ratio > 0 and self._draw() < self._ratio

    async def start(self) -> None:
        """Do nothing: spans may be made before the start."""

    async def drain(self) -> None:
        """Export what is still held, for at most `_DRAIN_S`."""
        if self._provider and not self._drained:
            self._drained = True
            await within(_DRAIN_S, self._provider.force_flush)

    async def stop(self) -> None:
        """Drain, and end the exporter's thread. Idempotent.

        The exporter ends first: that ends its waits for a collector that is away. What the
        collector did not take until then is lost.
        """
        await self.drain()
        if self._provider and self._exporter:
            provider, self._provider = self._provider, None
            await within(_STOP_S, self._exporter.shutdown)
            await within(_STOP_S, provider.shutdown)


class TracedProvider:
    """Wraps a provider and opens a span for each of its calls."""

    def __init__(self, provider: Provider, tracing: Tracing) -> None:
        self._provider = provider
        self._tracing = tracing

    @property
    def id(self) -> str:
        """The id of the wrapped provider."""
        return self._provider.id

    @property
    def gives_reports(self) -> bool:
        """Whether delivery reports can come."""
        return self._provider.gives_reports

    async def send(self, sms: Sms) -> Outcome:
        """Call the provider in a span."""
        with self._tracing.call(sms.traceparent, self.id, sms.epoch) as call:
            if call.traceparent != sms.traceparent:
                sms = replace(sms, traceparent=call.traceparent)
            outcome = await self._provider.send(sms)
            call.outcome(outcome.code, failed=not isinstance(outcome, Accepted))
            return outcome

    async def check(self) -> AccountHealth:
        """Check the account without a span, because it belongs to no message."""
        return await self._provider.check()

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut | OptIn:
        """Read a callback without a span, because it is no call."""
        return self._provider.read_report(kind, fields)

    async def close(self) -> None:
        """Close the wrapped provider."""
        await self._provider.close()


def parse(traceparent: str | None) -> SpanContext | None:
    """Read a W3C `traceparent`; None: it is absent or malformed."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        return None
    return SpanContext(
        trace_id=int(match[1], 16),
        span_id=int(match[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[3], 16)),
    )


def serialise(context: SpanContext) -> str:
    """Write a W3C `traceparent`."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _context(parent: SpanContext | None) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()


def resource(replica: str) -> Resource:
    """This process, as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` name it, and its id."""
    made = Resource.create({names.SERVICE_INSTANCE: replica})
    if str(made.attributes[names.SERVICE_NAME]).startswith("unknown_service"):
        made = made.merge(Resource({names.SERVICE_NAME: "sms-worker"}))
    return made


def _provider(exporter: SpanExporter, replica: str) -> TracerProvider:
    provider = TracerProvider(
        sampler=ALWAYS_ON,  # the decision is made before a span is begun
        resource=resource(replica),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


@contextmanager
def _ended(span: Span) -> Iterator[Span]:
    """End the span. Keep only the type of an exception, as its message may name a recipient."""
    try:
        yield span
    except BaseException as error:
        span.set_attribute(names.ERROR_TYPE, type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        span.end()


class _Unrecorded:
    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def outcome(self, code: str, *, failed: bool) -> None:
        pass


class _Recorded:
    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        return serialise(self._span.get_span_context())

    def outcome(self, code: str, *, failed: bool) -> None:
        self._span.set_attribute(names.OUTCOME, code)
        if failed:
            self._span.set_attribute(names.ERROR_TYPE, code)
            self._span.set_status(Status(StatusCode.ERROR))
