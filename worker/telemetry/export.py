"""Where telemetry goes: to a collector by OTLP, spans also to the console, or nowhere.

Rules: OpenTelemetry's own variables say where, and its exporter reads them. A collector that is
away or hangs never delays the worker: what waits is bounded, and nobody waits long for its end.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

from opentelemetry.sdk.trace.export import ConsoleSpanExporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The variable that names the collector of everything; `TRACES` and `METRICS` have their own."""
USUAL_RATIO: Final = 0.01
"""Part of new traces that is recorded where a collector is named and nothing else is said."""


def names_collector(environment: Mapping[str, str], what: Literal["METRICS", "TRACES"]) -> bool:
    """Whether the variables of the process say where that goes by OTLP."""
    own = f"OTEL_EXPORTER_OTLP_{what}_ENDPOINT"
    return any(environment.get(name) for name in (own, ENDPOINT))


def exporter_of(
    environment: Mapping[str, str], ratio: float | None
) -> tuple[SpanExporter | None, float]:
    """Build the exporter, and say which part of new traces it gets.

    Args:
        environment: variables of the process; an endpoint in it means OTLP over HTTP.
        ratio: as configured; None: not configured.
    """
    if names_collector(environment, "TRACES"):
        return _otlp(), USUAL_RATIO if ratio is None else ratio
    return (ConsoleSpanExporter(), ratio) if ratio else (None, 0.0)


def _otlp() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - half a second that a process without a collector need not spend
        OTLPSpanExporter,
    )

    return OTLPSpanExporter()


async def within(seconds: float, work: Callable[[], object]) -> bool:
    """Do blocking work in a thread and wait so long for it; True: it ended in time, or raised.

    In a thread of its own that does not keep the process alive: an executor's would.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        try:
            work()
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_end, ended)

    threading.Thread(target=run, name="telemetry", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            await ended
    except TimeoutError:
        return False
    return True


def _end(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
