"""Metrics as Prometheus scrapes them, and as a collector gets them by OTLP.

Rules: one registry of our own, never the global one. Values are read when they are asked for
(`instruments`). OpenTelemetry has no observable histogram: the times of calls, which are counted in
buckets already, are added to what both readers get.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

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

from worker.telemetry.export import within
from worker.telemetry.instruments import DURATION, DURATION_MEANING, PROVIDER, REGISTRY, Kind
from worker.telemetry.tracing import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.metrics import CallbackOptions
    from opentelemetry.sdk.metrics.export import MetricsData

    from worker.telemetry.instruments import Instrument, Reading

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_WITHIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Durations:
    """Times of one provider's accepted calls since the process started."""

    provider: str
    buckets: Sequence[int]
    """Calls by bucket; the last one takes what is longer than every bound."""
    total_s: float


class Scrape:
    """What metrics a replica shows.

    Args:
        readings: how each instrument is read; one that is not named shows nothing.
        durations: times of calls, by provider.
        bounds_s: upper bounds of their buckets, seconds.
        replica: id of this process.
        environment: variables of the process; an endpoint in it means OTLP over HTTP.
    """

    def __init__(
        self,
        readings: Mapping[Instrument, Reading],
        durations: Callable[[], Iterable[Durations]],
        bounds_s: Sequence[float],
        replica: str,
        environment: Mapping[str, str],
    ) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        histogram = _Histogram(durations, bounds_s)
        readers: list[MetricReader] = [_scraped(histogram, self._registry)]
        if any(environment.get(name) for name in ENDPOINTS):
            readers.append(_pushed(histogram))
        self._pushes = len(readers) > 1
        self._provider: MeterProvider | None = MeterProvider(
            readers, resource=resource(replica), shutdown_on_exit=False
        )
        meter = self._provider.get_meter("sms-worker")
        for each in REGISTRY:
            if each in readings:
                of_kind = {
                    Kind.COUNTER: meter.create_observable_counter,
                    Kind.GAUGE: meter.create_observable_gauge,
                }[each.kind]
                of_kind(each.name, [_observed(readings[each])], each.unit, each.meaning)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Everything in the format that is asked for, and its media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    async def start(self) -> None:
        """Nothing to wait for."""

    async def drain(self) -> None:
        """Send the last values to the collector, if there is one and it takes them in time."""
        if self._provider is not None and self._pushes:
            await within(_WITHIN_S, self._provider.force_flush)

    async def stop(self) -> None:
        """End the thread that sends. Idempotent."""
        if self._provider is not None:
            provider, self._provider = self._provider, None
            await within(_WITHIN_S, provider.shutdown)


def _observed(reading: Reading) -> Callable[[CallbackOptions], list[Observation]]:
    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(value, dict(labels)) for value, labels in reading()]

    return observe


# --- the histogram --------------------------------------------------------------------------


class _Histogram:
    """Adds the times of calls to what a reader gets."""

    def __init__(
        self, durations: Callable[[], Iterable[Durations]], bounds_s: Sequence[float]
    ) -> None:
        self._durations = durations
        self._bounds_s = bounds_s
        self._began = time.time_ns()

    def added(self, data: MetricsData) -> MetricsData:
        """To the scope that is there: a second one of its name would replace it in OTLP."""
        first, *others = data.resource_metrics
        scope, *scopes = first.scope_metrics
        scope = replace(scope, metrics=[*scope.metrics, self._metric()])
        first = replace(first, scope_metrics=[scope, *scopes])
        return replace(data, resource_metrics=[first, *others])

    def _metric(self) -> Metric:
        points = [self._point(each) for each in self._durations()]
        made = Histogram(points, AggregationTemporality.CUMULATIVE)
        return Metric(DURATION, DURATION_MEANING, "s", made)

    def _point(self, each: Durations) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes={PROVIDER: each.provider},
            start_time_unix_nano=self._began,
            time_unix_nano=time.time_ns(),
            count=sum(each.buckets),
            sum=each.total_s,
            bucket_counts=list(each.buckets),
            explicit_bounds=list(self._bounds_s),
            min=0.0,
            max=0.0,
            exemplars=[],
        )


def _scraped(histogram: _Histogram, registry: CollectorRegistry) -> MetricReader:
    class Scraped(PrometheusMetricReader):
        def _receive_metrics(self, metrics_data: MetricsData, *more: Any, **named: Any) -> None:
            super()._receive_metrics(histogram.added(metrics_data), *more, **named)

    return Scraped(registry=registry, scope_info_enabled=False)


def _pushed(histogram: _Histogram) -> MetricReader:
    # Imported where it is used: processes without a collector need not spend the time.
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415
        OTLPMetricExporter,
    )

    class Pushed(PeriodicExportingMetricReader):
        def _receive_metrics(self, metrics_data: MetricsData, *more: Any, **named: Any) -> None:
            super()._receive_metrics(histogram.added(metrics_data), *more, **named)

    return Pushed(OTLPMetricExporter())
