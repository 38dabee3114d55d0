"""A site with the console's page in every state, for a browser: no broker and no workers behind it.

Rules: it sends the headers of the real console, so that what its policy forbids fails here too.
Each state has its own base path. What a stream says is decided by the test that holds the site.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

import worker.console
from tests.support import console_states
from tests.support.console_states import AT, in_state
from tests.support.waiting import until
from worker.console.render import Renderer
from worker.console.security import HEADERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from worker.console.known import Known
    from worker.console.viewer import Viewer

STATIC: Final = Path(worker.console.__file__).with_name("static")
TICK_S: Final = 0.2


def frame(kind: str, data: Any) -> bytes:
    """An event of a stream."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


@dataclass
class ConsoleSite:
    """The site.

    Args:
        role: of who looks.
    """

    role: str = "administrator"
    fragments: dict[str, Callable[[dict[str, str]], str]] = field(default_factory=dict)
    """What a dialog answers, from what was sent, by its path below the base."""
    shown: Known | None = None
    """What the streams say instead of the state of the page."""
    ticking: bool = True
    """Whether streams say anything."""
    answering: bool = True
    """Whether dialogs are answered."""
    ended: bool = False
    """Whether the session is over."""
    telling: bool = True
    """Whether a stream says so as its last word."""
    streaming: bool = True
    """Whether streams are opened at all."""
    refused: int = 0
    """How many streams were not."""
    port: int = 0
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path below the base, and form of the requests for dialogs."""
    open_streams: int = 0
    most_streams: int = 0

    def __post_init__(self) -> None:
        self._renderer = Renderer()

    def address(self, state: str, path: str = "/") -> str:
        """Address of the page in a state."""
        return f"http://127.0.0.1:{self.port}/{self.role}/{state}{path}"

    @asynccontextmanager
    async def served(self) -> AsyncIterator[ConsoleSite]:
        """Serve it on a free port of this machine."""
        config = uvicorn.Config(
            self._app(), port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        await until(lambda: server.started)
        self.port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.should_exit = server.force_exit = True
            await serving

    def _app(self) -> Starlette:
        state = "/{role}/{state}"
        return Starlette(
            routes=[
                Route(f"{state}/", self._page),
                Route(f"{state}/login", self._login),
                Route(f"{state}/events", self._events),
                Route(f"{state}/session", self._session),
                Route(f"{state}/static/{{name}}", self._static),
                Route(f"{state}/{{path:path}}", self._fragment, methods=["GET", "POST"]),
            ]
        )

    def viewer(self, request: Request) -> Viewer:
        """Who looks."""
        role, state = request.path_params["role"], request.path_params["state"]
        return console_states.viewer(role, base=f"/{role}/{state}")

    async def _page(self, request: Request) -> Response:
        known = in_state(request.path_params["state"])
        return HTMLResponse(self._renderer.now(known, self.viewer(request), AT), headers=HEADERS)

    async def _login(self, request: Request) -> Response:
        html = self._renderer.login(
            environment="production", base=self.viewer(request).base, token="t", user="amina",
            problem="The broker refuses this name and password.",
        )  # fmt: skip
        return HTMLResponse(html, headers=HEADERS)

    async def _events(self, request: Request) -> Response:
        if self.ended or not self.streaming:
            self.refused += 1
            return Response(status_code=401 if self.ended else 503, headers=HEADERS)
        frames = self._frames(request.path_params["state"], self.viewer(request))
        return StreamingResponse(frames, media_type="text/event-stream", headers=HEADERS)

    async def _frames(self, state: str, viewer: Viewer) -> AsyncIterator[bytes]:
        self.open_streams += 1
        self.most_streams = max(self.most_streams, self.open_streams)
        told: dict[str, str] = {}
        try:
            yield b"retry: 300\n\n"
            while not self.ended:
                if self.ticking:
                    known = self.shown or in_state(state)
                    sections = dict(self._renderer.sections(known, viewer, AT))
                    yield frame("sections", dict(sections.items() - told.items()))
                    yield frame("tick", {**self._renderer.ages(known), "end": ""})
                    told = sections
                await asyncio.sleep(TICK_S)
            if self.telling:
                yield frame("over", {"text": "You logged out."})
        finally:
            self.open_streams -= 1

    async def _session(self, _: Request) -> Response:
        return Response(status_code=401 if self.ended else 204, headers=HEADERS)

    async def _static(self, request: Request) -> Response:
        return FileResponse(STATIC / request.path_params["name"], headers=HEADERS)

    async def _fragment(self, request: Request) -> Response:
        path = request.path_params["path"]
        given = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        self.asked.append((request.method, path, given))
        if not self.answering:
            return Response(status_code=502, headers=HEADERS)
        if path not in self.fragments:
            return Response("There is no such page.", status_code=404, headers=HEADERS)
        return HTMLResponse(self.fragments[path](given), headers=HEADERS)
