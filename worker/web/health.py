"""Serves liveness and readiness on a private port.

Rules: `/live` only says that the event loop runs, because a restart repairs neither a broker nor a
database. `/ready` runs every check each time and names each with its reason. A check is cheap and
synchronous: it reads what other parts already know. A check that raises has failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    Check = Callable[[], tuple[bool, str]]
    """A check: returns whether it passes, and the reason in words for people."""
    Metrics = Callable[[str], tuple[bytes, str]]
    """Given the `Accept` header, the metrics and their media type."""


def health_app(checks: Mapping[str, Check], metrics: Metrics | None = None) -> Starlette:
    """Build the ASGI application.

    It has the routes of `health_routes` and, where there are metrics, `GET /metrics` as Prometheus
    reads them.
    """
    routes = health_routes(checks)
    if metrics is not None:
        routes.append(Route("/metrics", _scraped(metrics)))
    return Starlette(routes=routes)


def health_routes(checks: Mapping[str, Check]) -> list[Route]:
    """The routes of liveness and readiness.

    `GET /live` -> 200. `GET /ready` -> 200, or 503 where any check fails, with
    `{"ready": bool, "checks": {name: {"ok": bool, "reason": str}}}`.
    """

    async def live(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(_: Request) -> Response:
        answers = {name: _ask(check) for name, check in checks.items()}
        all_hold = all(ok for ok, _ in answers.values())
        return JSONResponse(
            {
                "ready": all_hold,
                "checks": {name: {"ok": ok, "reason": why} for name, (ok, why) in answers.items()},
            },
            status_code=200 if all_hold else 503,
        )

    return [Route("/live", live), Route("/ready", ready)]


def _scraped(metrics: Metrics) -> Callable[[Request], Awaitable[Response]]:
    async def scraped(request: Request) -> Response:
        body, media_type = metrics(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": media_type})

    return scraped


def _ask(check: Check) -> tuple[bool, str]:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that cannot answer is a failed check
        return False, f"check failed: {type(error).__name__}"
