"""Compresses what goes to a browser that takes gzip.

Rules: pages are compressed too. Their only secret is a token that looks different each time
(`tokens.py`), so the length of a page tells nothing of it.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def takes_gzip(request: Request) -> bool:
    """Whether the browser accepts gzip."""
    accepted = request.headers.get("accept-encoding", "").lower().split(",")
    return any(each.strip().partition(";")[0] == "gzip" for each in accepted)


def packed(plain: bytes) -> bytes:
    """The same bytes in gzip; the same for the same."""
    return gzip.compress(plain, mtime=0)


def page(request: Request, html: str, status: int = 200) -> Response:
    """The answer with a page."""
    body = html.encode(errors="replace")
    headers = {"Vary": "Accept-Encoding"}
    if takes_gzip(request):
        body = packed(body)
        headers["Content-Encoding"] = "gzip"
    return HTMLResponse(body, status, headers)
