"""Repairs the paths that gateways build from an address with a slash too many."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class PlainPath:
    """Reads `//reports/at/token/` as `/reports/at/token`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            path = re.sub("/{2,}", "/", scope["path"]).rstrip("/") or "/"
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)
