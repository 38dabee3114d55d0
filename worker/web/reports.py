"""The delivery-report webhook: takes what a provider calls with, hands it to the broker.

Rules: a 2xx is a promise, given only after the broker confirmed; until then the provider keeps the
report and repeats it. Nothing is interpreted here: adapters read the fields later. The token in
the path is the only credential providers can give (facts: none of them signs), so it is compared
in constant time, an unknown provider takes the same path as a wrong token, and neither it nor a
number is ever logged. Bodies are bounded while they are read.

| answer | means | what the provider does |
|---|---|---|
| 200 | stored by the broker | forgets it |
| 400, 408, 413 | cannot be read, by us or ever | should not repeat |
| 404 | no such provider, or another token | a person looks |
| 503 | the broker did not confirm in time | repeats it later |
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from contracts.reports import RawReport
from worker.web import fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.reports import ReportKind
    from worker.ports import Clock

MAX_BODY_BYTES: Final = 16 * 1024
"""Largest body, and largest query, that is read."""


class Outlet(Protocol):
    """Where reports go."""

    async def report(self, report: RawReport) -> None:
        """Publish persistently and mandatory; returns once the broker confirmed, else raises."""
        ...


class _TooLargeError(Exception):
    """More bytes than `MAX_BODY_BYTES` came, or were announced."""


class Webhook:
    """Takes callbacks for the configured providers.

    Args:
        outlet: where reports go.
        tokens: provider id -> its secret path segment. Providers not named take no callbacks.
        clock: stamps `receivedAt`.
        confirm_within_s: longest wait for the broker's confirm.
        read_within_s: longest wait for a body.
        max_waiting: callbacks that may wait for a confirm at once; one more gets 503 directly.
    """

    def __init__(
        self,
        outlet: Outlet,
        tokens: Mapping[str, str],
        clock: Clock,
        *,
        confirm_within_s: float = 5.0,
        read_within_s: float = 10.0,
        max_waiting: int = 512,
    ) -> None:
        self._outlet = outlet
        self._tokens = {provider: _digest(token) for provider, token in tokens.items()}
        # Compared against where a provider is unknown; nobody can know what hashes to it.
        self._decoy = secrets.token_bytes(hashlib.sha256().digest_size)
        self._clock = clock
        self._confirm_within_s = confirm_within_s
        self._read_within_s = read_within_s
        self._max_waiting = max_waiting
        self._publishing: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger(__name__)

    def app(self) -> Starlette:
        """Build the ASGI application."""
        verbs = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/live", _live),
                Route("/reports/{provider}/{token}", self._delivery, methods=verbs),
                Route("/optout/{provider}/{token}", self._optout, methods=verbs),
            ]
        )

    async def _delivery(self, request: Request) -> Response:
        return await self._take(request, "delivery")

    async def _optout(self, request: Request) -> Response:
        return await self._take(request, "optout")

    async def _take(self, request: Request, kind: ReportKind) -> Response:
        if request.method == "HEAD":  # Starlette adds it to GET; a look must not publish
            return Response(status_code=405)
        provider = request.path_params["provider"]
        if not self._authentic(provider, request.path_params["token"]):
            return PlainTextResponse("not found", 404)
        try:
            read = await self._read(request)
        except _TooLargeError:
            return PlainTextResponse(f"expected at most {MAX_BODY_BYTES} bytes", 413)
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("the body did not arrive in time", 408)
        except fields.MalformedError as error:
            self._log.warning("webhook.malformed", provider=provider, kind=kind, reason=str(error))
            return PlainTextResponse(str(error), 400)
        report = RawReport(provider=provider, kind=kind, received_at=self._clock.now(), fields=read)
        return await self._publish(report)

    def _authentic(self, provider: str, token: str) -> bool:
        expected = self._tokens.get(provider, self._decoy)
        return hmac.compare_digest(_digest(token), expected)

    async def _read(self, request: Request) -> dict[str, str]:
        query = request.scope["query_string"]
        if len(query) > MAX_BODY_BYTES:
            raise _TooLargeError
        async with asyncio.timeout(self._read_within_s):
            body = await _bounded_body(request)
        return fields.read(query, request.headers.get("content-type", ""), body)

    async def _publish(self, report: RawReport) -> Response:
        """Wait for the confirm, but never cancel a publish: a lost one and a late one look alike.

        What is confirmed after the 503 was sent makes a second copy, which the store recognises.
        """
        if len(self._publishing) >= self._max_waiting:
            return _later()
        task = asyncio.create_task(self._outlet.report(report), name="webhook.publish")
        self._publishing.add(task)
        task.add_done_callback(self._published)
        await asyncio.wait({task}, timeout=self._confirm_within_s)
        if task.done() and not task.cancelled() and task.exception() is None:
            return PlainTextResponse("ok")
        error = task.exception() if task.done() and not task.cancelled() else None
        reason = type(error).__name__ if error else "no confirm in time"
        self._log.warning("webhook.unconfirmed", provider=report.provider, reason=reason)
        return _later()

    def _published(self, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        if not task.cancelled():
            task.exception()  # seen: a failure after the 503 is no news


def _digest(token: str) -> bytes:
    """Hash a token, so that comparing takes as long for every length."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _later() -> Response:
    return PlainTextResponse("not stored, please repeat", 503, headers={"Retry-After": "30"})


async def _live(_: Request) -> Response:
    return PlainTextResponse("ok")


async def _bounded_body(request: Request) -> bytes:
    """Read the body, and stop reading where it grows too large."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        raise _TooLargeError
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _TooLargeError
    return bytes(body)
