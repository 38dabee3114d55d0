"""A collector for tests: takes spans and metrics by OTLP over HTTP, as a real one does.

Rules: one answer to each request, in its own thread; what came is read with OpenTelemetry's own
messages. `hangs` never answers, as a collector that is out of memory.
"""

from __future__ import annotations

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Receiver:
    """What came, and where to send it."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.metric_requests: list[ExportMetricsServiceRequest] = []
        self.ends = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if hangs:
                    receiver.ends.wait()
                    return
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(self.path, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        """For `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        """Keep what came."""
        if path.endswith("/v1/metrics"):
            self.metric_requests.append(ExportMetricsServiceRequest.FromString(body))
        else:
            self.requests.append(ExportTraceServiceRequest.FromString(body))

    @property
    def metrics(self) -> dict[str, Any]:
        """The last values that came, by the name of their metric."""
        return self.metrics_of()

    def metrics_of(self, service: str | None = None) -> dict[str, Any]:
        """The same of one service alone; None: of all."""
        return {
            metric.name: metric
            for request in list(self.metric_requests)
            for each in request.resource_metrics
            if service in (None, _attributes(each)["service.name"])
            for scope in each.scope_metrics
            for metric in scope.metrics
        }

    @property
    def exports(self) -> list[set[str]]:
        """Names of the metrics with a value, of each export."""
        return [
            {
                metric.name
                for each in request.resource_metrics
                for scope in each.scope_metrics
                for metric in scope.metrics
                if metric.gauge.data_points or metric.sum.data_points
            }
            for request in list(self.metric_requests)
        ]

    @property
    def spans(self) -> list[Any]:
        """Every span that came, in the order of its arrival."""
        return self.spans_of()

    def spans_of(self, service: str | None = None) -> list[Any]:
        """The same of one service alone; None: of all."""
        return [
            span
            for request in list(self.requests)
            for each in request.resource_spans
            if service in (None, _attributes(each)["service.name"])
            for scope in each.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        """Attributes of the process that sent the last spans."""
        return _attributes(self.requests[-1].resource_spans[0])


def _attributes(of: Any) -> dict[str, str]:
    """Attributes of the process that sent these spans or metrics."""
    return {each.key: each.value.string_value for each in of.resource.attributes}


@contextmanager
def receiving(*, hangs: bool = False) -> Iterator[Receiver]:
    """Run a collector."""
    receiver = Receiver(hangs=hangs)
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.ends.set()
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()
