"""The webhook for delivery reports: takes callbacks of providers and publishes them to the broker.

Rules:
- A 2xx is a promise. It is only given after the broker confirmed every report of the callback.
  Without it the provider repeats the whole callback.
- Nothing is interpreted here. Adapters read the fields later.
- The token in the path is the only credential that providers can give, because none of them signs.
  So it is compared in constant time, an unknown provider is handled like a wrong token, and neither
  token nor number is ever logged, counted or traced.
- Bodies are bounded while they are read. The reports that wait for the broker are bounded by number
  and length.
- Doubled slashes and a slash at the end are ignored, because providers follow no redirect.

| answer | means | what the provider does |
|---|---|---|
| 200 | stored by the broker; the body is `ok`, or the body that the provider needs | forgets it |
| 400, 408, 413, 415 | it cannot be read; the body says why | should not repeat it |
| 404 | unknown provider, wrong token or an address that is not listed | a person must look |
| 429 | its address sends too much | repeats it later |
| 503 | the broker did not confirm in time, or too much waits for it | repeats it later |
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from contracts.reports import RawReport
from worker.telemetry.callbacks import NO_PROVIDER, Answer, CallbackMetrics
from worker.telemetry.tracing import Tracing
from worker.web import bodies, fields
from worker.web.bodies import MAX_BODY_BYTES, TooLargeError, UnknownCodingError
from worker.web.malformed import MalformedError
from worker.web.plain_path import PlainPath
from worker.web.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from contracts.reports import ReportKind
    from worker.ports.clock import Clock

MAX_QUERY_BYTES: Final = 16 * 1024
"""Longest query that is read."""
_ROUTES: Final[Mapping[ReportKind, str]] = {
    "delivery": "/reports/{provider}/{token}",
    "optout": "/optout/{provider}/{token}",
    "optin": "/optin/{provider}/{token}",
}
KINDS: Final = tuple(_ROUTES)
"""Kinds of reports."""
_MOST_FOREIGN: Final = 1_000
"""Addresses that are not listed and are logged."""


class Outlet(Protocol):
    """Publishes reports."""

    async def report(self, report: RawReport, traceparent: str | None = None) -> None:
        """Publish a report, persistent and mandatory. Returns after the confirm, else raises."""
        ...


class Webhook:
    """Takes callbacks for the configured providers.

    Args:
        outlet: publishes reports.
        tokens: provider id -> its secret path segments. While a token is changed, the old and the
            new one are valid. Callbacks of other providers are refused.
        clock: stamps `receivedAt`.
        answers: provider id -> body of the answer 200 that it needs; `ok` if none is given.
        sources: which addresses may call, and how often.
        confirm_within_s: longest wait for the broker's confirm.
        read_within_s: longest wait for a body.
        max_waiting: reports that may wait for a confirm at once. A callback that exceeds the free
            room gets 503 at once, unless nothing else waits.
        max_waiting_chars: the same for the characters of all their fields.
        metrics: counts callbacks.
        tracing: opens a span for each callback.
    """

    def __init__(
        self,
        outlet: Outlet,
        tokens: Mapping[str, Collection[str]],
        clock: Clock,
        *,
        answers: Mapping[str, str] | None = None,
        sources: Sources | None = None,
        confirm_within_s: float = 5.0,
        read_within_s: float = 10.0,
        max_waiting: int = 2_000,
        max_waiting_chars: int = 8 * 1024 * 1024,
        metrics: CallbackMetrics | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._outlet = outlet
        self._tokens = {provider: tuple(map(_digest, valid)) for provider, valid in tokens.items()}
        # An unknown provider's token is compared with this. No token hashes to it.
        self._decoy = (secrets.token_bytes(hashlib.sha256().digest_size),)
        self._clock = clock
        self._answers = answers or {}
        self._sources = sources or Sources(clock)
        self._foreign: set[tuple[str, str]] = set()
        self._confirm_within_s = confirm_within_s
        self._read_within_s = read_within_s
        self._max_waiting = max_waiting
        self._max_waiting_chars = max_waiting_chars
        self._metrics = metrics or CallbackMetrics()
        self._tracing = tracing or Tracing(None, ratio=0.0, replica="")
        self._publishing: dict[asyncio.Task[None], tuple[int, int]] = {}
        self._log = structlog.get_logger(__name__)

    def app(self) -> Starlette:
        """Build the ASGI application."""
        routes = [
            Route(path, partial(self._take, kind=kind), methods=["GET", "POST"])
            for kind, path in _ROUTES.items()
        ]
        return Starlette(
            routes=[Route("/live", _live), *routes], middleware=[Middleware(PlainPath)]
        )

    @property
    def unconfirmed(self) -> int:
        """Reports that wait for the broker's confirm."""
        return sum(count for count, _ in self._publishing.values())

    async def _take(self, request: Request, kind: ReportKind) -> Response:
        if request.method == "HEAD":  # Starlette adds HEAD to GET, but HEAD must not publish
            return Response(status_code=405)
        began, provider = self._clock.monotonic(), request.path_params["provider"]
        if refusal := self._refusal(request, provider):
            provider, response = NO_PROVIDER, refusal
        else:
            response = await self._traced(request, provider, kind)
        answer = Answer(request.method, _ROUTES[kind], response.status_code, provider)
        self._metrics.answered(answer, self._clock.monotonic() - began)
        return response

    async def _traced(self, request: Request, provider: str, kind: ReportKind) -> Response:
        with self._tracing.callback(_ROUTES[kind], request.method, provider) as span:
            if span.traceparent is not None:  # the request has a context of its own
                trace_id = span.traceparent.split("-")[1]
                structlog.contextvars.bind_contextvars(trace_id=trace_id)
            response = await self._answer(request, provider, kind, span.traceparent)
            span.answer(response.status_code)
            return response

    async def _answer(
        self, request: Request, provider: str, kind: ReportKind, traceparent: str | None
    ) -> Response:
        try:
            fields = await self._read(request)
        except MalformedError as error:
            self._log.warning("webhook.malformed", provider=provider, kind=kind, reason=str(error))
            return PlainTextResponse(str(error), _status(error))
        except TooLargeError:
            most = f"expected a body of at most {MAX_BODY_BYTES} and a query of {MAX_QUERY_BYTES}"
            return PlainTextResponse(f"{most} bytes", 413)
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("the body did not arrive in time", 408)
        now = self._clock.now()
        return await self._publish(
            [
                RawReport(provider=provider, kind=kind, received_at=now, fields=each)
                for each in fields
            ],
            traceparent,
        )

    def _refusal(self, request: Request, provider: str) -> Response | None:
        source = self._sources.of(request)
        if not self._sources.in_time(source):
            return PlainTextResponse("too many requests", 429, headers={"Retry-After": "5"})
        if not self._authentic(provider, request.path_params["token"]):
            return PlainTextResponse("not found", 404)
        if not self._sources.may(source, provider):
            self._tell_foreign(provider, str(source))
            return PlainTextResponse("not found", 404)
        return None

    def _authentic(self, provider: str, token: str) -> bool:
        given, valid = _digest(token), self._tokens.get(provider, self._decoy)
        # A sum compares with every token, so that the time does not tell which one is near.
        return sum(hmac.compare_digest(given, each) for each in valid) > 0

    def _tell_foreign(self, provider: str, source: str) -> None:
        """Log an address with the right token that is not listed, once: it may be a new one."""
        if (provider, source) in self._foreign or len(self._foreign) >= _MOST_FOREIGN:
            return
        self._foreign.add((provider, source))
        self._log.warning("webhook.foreign", provider=provider, source=source)

    async def _read(self, request: Request) -> tuple[dict[str, str], ...]:
        query = request.scope["query_string"]
        if len(query) > MAX_QUERY_BYTES:
            raise TooLargeError
        async with asyncio.timeout(self._read_within_s):
            body = await bodies.read(request)
        return fields.read(query, request.headers.get("content-type", ""), body)

    async def _publish(self, reports: Sequence[RawReport], traceparent: str | None) -> Response:
        """Wait for every confirm. Never cancel a publish, because it may only be late.

        A report confirmed after the 503 comes a second time, which the store recognises.
        """
        chars = sum(map(_chars, reports))
        if not self._has_room(len(reports), chars):
            return _later()
        task = asyncio.create_task(self._publish_all(reports, traceparent), name="webhook.publish")
        self._publishing[task] = len(reports), chars
        task.add_done_callback(self._published)
        await asyncio.wait({task}, timeout=self._confirm_within_s)
        provider = reports[0].provider
        if task.done() and not task.cancelled() and task.exception() is None:
            return PlainTextResponse(self._answers.get(provider, "ok"))
        error = task.exception() if task.done() and not task.cancelled() else None
        reason = type(error).__name__ if error else "no confirm in time"
        self._log.warning("webhook.unconfirmed", provider=provider, reason=reason)
        return _later()

    def _has_room(self, reports: int, chars: int) -> bool:
        """Whether these reports may wait too. A slow broker must not fill the memory."""
        waiting = self._publishing.values()
        return not waiting or (
            reports + self.unconfirmed <= self._max_waiting
            and chars + sum(size for _, size in waiting) <= self._max_waiting_chars
        )

    async def _publish_all(self, reports: Sequence[RawReport], traceparent: str | None) -> None:
        """Publish each report, even if others fail. Raises the first failure."""
        publishing = (self._publish_one(report, traceparent) for report in reports)
        results = await asyncio.gather(*publishing, return_exceptions=True)
        for result in results:
            if result is not None:
                raise result

    async def _publish_one(self, report: RawReport, traceparent: str | None) -> None:
        began = self._clock.monotonic()
        await self._outlet.report(report, traceparent)
        took_s = self._clock.monotonic() - began
        self._metrics.confirmed(report.provider, report.kind, took_s)

    def _published(self, task: asyncio.Task[None]) -> None:
        self._publishing.pop(task, None)
        if not task.cancelled():
            task.exception()  # mark as seen: a failure after the 503 needs no log


def _chars(report: RawReport) -> int:
    return sum(len(name) + len(value) for name, value in report.fields.items())


def _digest(token: str) -> bytes:
    """Hash a token, so that a comparison takes the same time for every length."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _later() -> Response:
    return PlainTextResponse("not stored, please repeat", 503, headers={"Retry-After": "30"})


async def _live(_: Request) -> Response:
    return PlainTextResponse("ok")


def _status(error: MalformedError) -> int:
    return 415 if isinstance(error, UnknownCodingError) else 400
