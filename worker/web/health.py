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
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    Check = Callable[[], tuple[bool, str]]
    """A check: returns whether it passes, and the reason in words for people."""


def health_app(checks: Mapping[str, Check]) -> Starlette:
    """Build the ASGI application.

    `GET /live` -> 200. `GET /ready` -> 200, or 503 if any check fails, with
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

    return Starlette(routes=[Route("/live", live), Route("/ready", ready)])


def _ask(check: Check) -> tuple[bool, str]:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that cannot answer is a failed check
        return False, f"check failed: {type(error).__name__}"
