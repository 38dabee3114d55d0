"""What every request must prove, and what every answer says: an ASGI middleware.

Rules:
- `Host` must name this console.
- A request that may change something (any but GET and HEAD) must come from a page of this console:
  `Sec-Fetch-Site: same-origin`, or, where a browser does not send it, `Origin` is ours. It must
  also prove it by a token, in the header `X-Sms-Token` or the field `token` of a form.
- The body of a request is read here, with bounds of size and time, whatever it is for.
- Every answer has all headers, those of errors too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from worker.web import bodies
from worker.web.malformed import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from worker.console.place import Place

    Proves = Callable[[Request, str], bool]
    """Whether a token belongs to the browser that sent the request."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types sms"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "microphone=(), midi=(), payment=(), usb=()"
    ),
    "Cache-Control": "no-store",
}
"""Of every answer; one that has another `Cache-Control` keeps it."""
TOKEN_HEADER: Final = "X-Sms-Token"  # noqa: S105 - a name
TOKEN_FIELD: Final = "token"  # noqa: S105 - a name
MOST_FIELDS: Final = 100
_FORM: Final = "application/x-www-form-urlencoded"
_BODY_WITHIN_S: Final = 10.0
_HARMLESS: Final = frozenset({"GET", "HEAD"})


class Security:
    """Refuses requests that prove too little, and adds headers to every answer.

    Args:
        app: what answers the rest.
        place: where browsers find the console.
        proves: checks tokens.
    """

    def __init__(self, app: ASGIApp, place: Place, proves: Proves) -> None:
        self._app = app
        self._place = place
        self._proves = proves

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sending = _with_headers(send)
        request = Request(scope, receive)
        refusal = self._of_origin(request)
        if refusal is None and request.method not in _HARMLESS:
            body = await _body(request)
            refusal = self._of_body(request, body)
            receive = _again(body if isinstance(body, bytes) else b"", receive)
        await (refusal or self._app)(scope, receive, sending)

    def _of_origin(self, request: Request) -> PlainTextResponse | None:
        port = port_of(request)
        if request.headers.get("host", "").lower() not in self._place.hosts(port):
            return PlainTextResponse("This is not the address of the console.", 421)
        if request.method in _HARMLESS:
            return None
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin", "").lower()
        is_ours = origin in self._place.origins(port) if site is None else site == "same-origin"
        return None if is_ours else PlainTextResponse("Only a page of this console may ask.", 403)

    def _of_body(self, request: Request, body: bytes | int) -> PlainTextResponse | None:
        if isinstance(body, int):
            return PlainTextResponse("The body of the request cannot be read.", body)
        token = request.headers.get(TOKEN_HEADER)
        if token is None and request.headers.get("content-type", "").startswith(_FORM):
            token = form_fields(body).get(TOKEN_FIELD)
        if token is None or not self._proves(request, token):
            return PlainTextResponse("This page is too old. Load it again.", 403)
        return None


def port_of(request: Request) -> int:
    """The port on which a request came."""
    server = request.scope.get("server")
    return int(server[1] or 0) if server else 0


def form_fields(body: bytes) -> dict[str, str]:
    """The fields of a form; of a field that is given twice, the first. Empty if it is no form."""
    try:
        given = parse_qs(
            body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        return {}
    return {name: values[0] for name, values in given.items()}


async def _body(request: Request) -> bytes | int:
    """The body, or the status of the answer if it cannot be read."""
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            return await bodies.read(request)
    except ClientDisconnect:
        return 400
    except bodies.TooLargeError:
        return 413
    except MalformedError:
        return 415
    except TimeoutError:
        return 408


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read to the application, and then what else comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> Message:
        return messages.pop() if messages else await receive()

    return given


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
