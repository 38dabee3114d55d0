"""Traces: from the command's `traceparent` over our spans to the event's `traceparent`.

Rules: no global provider is set. The caller decides about sampling; without a decision, `ratio` of
the new traces is recorded. For a message that is not recorded, only a pattern is matched: its
`traceparent` is passed on unchanged, and no new one is made. Contexts are passed as W3C strings,
because they are stored and sent in this form.

    command --traceparent--> process() --> call() --> event, report()
    callback() --traceparent--> process() - - linked - - > report()
"""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
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
from worker.telemetry import names
from worker.telemetry.export import within
from worker.telemetry.resource import WORKER, resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace.export import SpanExporter

_DRAIN_S: Final = 4.0
_STOP_S: Final = 0.5
_SERVER_ERROR: Final = 500
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


class Callback(Protocol):
    """The span of a provider's callback."""

    @property
    def traceparent(self) -> str | None:
        """The context to pass on; None: it is not recorded."""
        ...

    def answer(self, status: int) -> None:
        """Set the status of the answer."""
        ...


class Tracing:
    """Makes spans, and passes them to an exporter in the background.

    Args:
        exporter: exports spans; None: nothing is recorded and contexts are passed on unchanged.
        ratio: share of new traces that are recorded, 0 to 1.
        replica: id of this process.
        draw: returns a number in [0, 1), which decides on a new trace.
        service: what the service is called if the environment does not name it.
    """

    def __init__(
        self,
        exporter: SpanExporter | None,
        *,
        ratio: float,
        replica: str,
        draw: Callable[[], float] = random.random,
        service: str = WORKER,
    ) -> None:
        self._ratio = ratio
        self._draw = draw
        self._exporter = exporter
        self._drained = False
        self._provider = _provider(exporter, replica, service) if exporter else None
        self._tracer = self._provider.get_tracer("sms-worker") if self._provider else None

    @property
    def records(self) -> bool:
        """Whether any span is ever recorded. If not, contexts need not be read."""
        return self._tracer is not None

    @contextmanager
    def process(
        self,
        incoming: str | None,
        queue: str,
        message_id: str,
        *,
        delayed: bool = False,
        cause: str | None = None,
    ) -> Iterator[str | None]:
        """Open a span for one delivery; yields the `traceparent` for the calls it causes.

        Args:
            incoming: the delivery's `traceparent` header; malformed counts as absent.
            queue: the queue of the delivery.
            message_id: id of the message.
            delayed: whether the delivery comes from a retry tier. Its trace is then linked and not
                continued, because minutes may have passed.
            cause: `traceparent` of a span in another trace that led to this one; it is linked.
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
                links=_links(caller if delayed else None, parse(cause)),
            )
        ) as span:
            yield serialise(span.get_span_context())

    @contextmanager
    def report(
        self, traceparent: str | None, message_id: str, *, delayed: bool, cause: str | None = None
    ) -> Iterator[str | None]:
        """Span what a delivery report brings about, in the trace of its message.

        Args:
            traceparent: as the record keeps it; None: of a trace that is not recorded.
            message_id: id of the message.
            delayed: the trace is linked, not continued, as hours may lie between.
            cause: the `traceparent` under which the webhook took the report; it is linked.
        """
        if traceparent is None:
            yield None
            return
        with self.process(
            traceparent, Queue.REPORTS, message_id, delayed=delayed, cause=cause
        ) as current:
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

    @contextmanager
    def callback(self, route: str, method: str, provider: str) -> Iterator[Callback]:
        """Open a span for a provider's callback. It begins a trace: whoever calls is a stranger.

        Args:
            route: the route with placeholders, because the path holds a token.
            method: `GET` or `POST`.
            provider: a configured one.
        """
        if self._tracer is None or not self._sampled(None):
            yield _Unrecorded(None)
            return
        attributes = {names.METHOD: method, names.ROUTE: route, names.PROVIDER: provider}
        with _ended(
            self._tracer.start_span(
                f"{method} {route}",
                context=Context(),
                kind=SpanKind.SERVER,
                attributes=attributes,
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


def _links(*contexts: SpanContext | None) -> list[Link]:
    return [Link(each) for each in contexts if each is not None]


def _context(parent: SpanContext | None) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()


def _provider(exporter: SpanExporter, replica: str, service: str) -> TracerProvider:
    provider = TracerProvider(
        sampler=ALWAYS_ON,  # the decision is made before a span is begun
        resource=resource(replica, service),
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

    def answer(self, status: int) -> None:
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

    def answer(self, status: int) -> None:
        self._span.set_attribute(names.STATUS, status)
        if status >= _SERVER_ERROR:
            self._span.set_attribute(names.ERROR_TYPE, str(status))
            self._span.set_status(Status(StatusCode.ERROR))
