"""Metrics as Prometheus scrapes them, and as a collector gets them by OTLP.

Rules: one registry of our own, never the global one. Values are read when they are asked for
(`instruments`), and in the event loop alone. OpenTelemetry has no observable histogram: ours, which
are counted in buckets already, are added to what both readers get.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricReader,
    PeriodicExportingMetricReader,
)
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from worker.telemetry.export import names_collector, within
from worker.telemetry.instrument import Kind
from worker.telemetry.resource import WORKER, resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions
    from opentelemetry.sdk.metrics.export import MetricsData

    from worker.telemetry.instrument import (
        Distribution,
        DistributionReading,
        Instrument,
        Reading,
    )

_WITHIN_S: Final = 1.0
T = TypeVar("T")


class Scrape:
    """What metrics a process shows.

    Args:
        readings: how each counter and each gauge is read.
        distributions: how each histogram is read.
        replica: id of this process.
        environment: variables of the process; an endpoint in it means OTLP over HTTP.
        service: what the service is called if the environment does not name it.
    """

    def __init__(
        self,
        readings: Mapping[Instrument, Reading],
        distributions: Mapping[Instrument, DistributionReading],
        replica: str,
        environment: Mapping[str, str],
        service: str = WORKER,
    ) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._loop = _InLoop()
        histograms = _Histograms(
            {each: self._loop.called(read) for each, read in distributions.items()}
        )
        readers: list[MetricReader] = [
            _Scraped(histograms, registry=self._registry, scope_info_enabled=False)
        ]
        self._pushed = (
            _pushed(self._loop, histograms) if names_collector(environment, "METRICS") else None
        )
        readers += [self._pushed] if self._pushed else []
        self._provider: MeterProvider | None = MeterProvider(
            readers, resource=resource(replica, service), shutdown_on_exit=False
        )
        meter = self._provider.get_meter("sms-worker")
        observables = {
            Kind.COUNTER: meter.create_observable_counter,
            Kind.GAUGE: meter.create_observable_gauge,
        }
        for each, read in readings.items():
            observed = _observed(self._loop.called(read))
            observables[each.kind](each.name, [observed], each.unit, each.meaning)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Everything in the format that is asked for, and its media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    async def start(self) -> None:
        """Know the loop in which everything is read."""
        self._loop.start()

    async def drain(self) -> None:
        """Send the last values to the collector, if there is one and it takes them in time.

        Only to it: what Prometheus scrapes would be flushed into the next scrape, and doubled.
        """
        if self._provider is not None and self._pushed is not None:
            await within(_WITHIN_S, self._pushed.force_flush)

    async def stop(self) -> None:
        """End the thread that sends. Idempotent."""
        if self._provider is not None:
            provider, self._provider = self._provider, None
            await within(_WITHIN_S, provider.shutdown)


class _InLoop:
    """Reads in the event loop, where values change, whoever asks: a scrape there, or a thread.

    A thread has everything read in one visit of the loop, before it begins to collect. For
    OpenTelemetry collects under a lock: a scrape in the loop would wait for it while the thread
    waits for the loop.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._reads: list[Callable[[], Iterable[Any]]] = []
        self._taken = threading.local()

    def start(self) -> None:
        """Use the running loop."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    def called(self, read: Callable[[], Iterable[T]]) -> Callable[[], list[T]]:
        """The same reading, in the loop; in another thread what `take` found last."""
        number = len(self._reads)
        self._reads.append(read)

        def call() -> list[T]:
            if self._loop is None or threading.get_ident() == self._thread:
                return list(read())
            found: list[list[T]] = getattr(self._taken, "values", [])
            return found[number] if found else []

        return call

    def take(self) -> None:
        """Read everything for the thread that asks; nothing where the loop is busy or gone."""

        async def in_loop() -> list[list[Any]]:
            return [list(read()) for read in self._reads]

        self._taken.values = []
        if self._loop is None or threading.get_ident() == self._thread:
            return
        asked = in_loop()
        try:
            future = asyncio.run_coroutine_threadsafe(asked, self._loop)
        except RuntimeError:  # the loop is closed
            asked.close()
            return
        with suppress(TimeoutError, CancelledError):
            self._taken.values = future.result(_WITHIN_S)


def _observed(reading: Reading) -> Callable[[CallbackOptions], list[Observation]]:
    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(value, dict(labels)) for value, labels in reading()]

    return observe


# --- histograms -----------------------------------------------------------------------------


class _Histograms:
    """Adds our histograms to what a reader gets."""

    def __init__(self, readings: Mapping[Instrument, Callable[[], list[Distribution]]]) -> None:
        self._readings = readings
        self._began = time.time_ns()

    def added(self, data: MetricsData) -> MetricsData:
        """To the scope that is there: a second one of its name would replace it in OTLP."""
        first, *others = data.resource_metrics
        scope, *scopes = first.scope_metrics
        ours = [self._metric(each, read()) for each, read in self._readings.items()]
        scope = replace(scope, metrics=[*scope.metrics, *ours])
        first = replace(first, scope_metrics=[scope, *scopes])
        return replace(data, resource_metrics=[first, *others])

    def _metric(self, instrument: Instrument, values: Iterable[Distribution]) -> Metric:
        points = [self._point(instrument, each) for each in values]
        made = Histogram(points, AggregationTemporality.CUMULATIVE)
        return Metric(instrument.name, instrument.meaning, instrument.unit, made)

    def _point(self, instrument: Instrument, each: Distribution) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes=dict(each.labels),
            start_time_unix_nano=self._began,
            time_unix_nano=time.time_ns(),
            count=sum(each.buckets),
            sum=each.total,
            bucket_counts=list(each.buckets),
            explicit_bounds=list(instrument.bounds),
            min=None,  # type: ignore[arg-type] # not known, which the exporters leave out
            max=None,  # type: ignore[arg-type] # as above
            exemplars=[],
        )


class _WithHistograms:
    """What a reader is mixed with to get our histograms too."""

    def __init__(self, histograms: _Histograms, *args: Any, **named: Any) -> None:
        self._histograms = histograms
        super().__init__(*args, **named)

    def _receive_metrics(self, metrics_data: MetricsData, *more: Any, **named: Any) -> None:
        data = self._histograms.added(metrics_data)
        super()._receive_metrics(data, *more, **named)  # type: ignore[misc] # the reader's


class _Scraped(_WithHistograms, PrometheusMetricReader):
    pass


class _Pushed(_WithHistograms, PeriodicExportingMetricReader):
    def __init__(self, in_loop: _InLoop, *args: Any, **named: Any) -> None:
        self._in_loop = in_loop
        super().__init__(*args, **named)

    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc] # final, and the one place before the lock
        self._in_loop.take()
        super().collect(timeout_millis)


def _pushed(in_loop: _InLoop, histograms: _Histograms) -> MetricReader:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - as in `export`
        OTLPMetricExporter,
    )

    return _Pushed(in_loop, histograms, OTLPMetricExporter())
