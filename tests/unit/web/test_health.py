"""`/live` and `/ready`, over real HTTP."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from worker.service import Background, StartError
from worker.web.health import health_app
from worker.web.server import WebServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.web.health import Check


class State:
    """What the checks read."""

    def __init__(self) -> None:
        self.consuming = (True, "2 lanes")
        self.lag = (True, "1 ms")


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    background = Background()
    yield background
    await background.stop()


@pytest.fixture
async def server(state: State, background: Background) -> AsyncIterator[WebServer]:
    checks: dict[str, Check] = {
        "consuming": lambda: state.consuming,
        "lag": lambda: state.lag,
    }
    server = WebServer(health_app(checks), background, grace_s=1)
    await server.start()
    yield server
    await server.stop()


async def get(server: WebServer, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        return await client.get(path)


async def test_live_answers(server: WebServer) -> None:
    assert (await get(server, "/live")).status_code == 200


async def test_ready_names_every_check(server: WebServer) -> None:
    response = await get(server, "/ready")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "checks": {
            "consuming": {"ok": True, "reason": "2 lanes"},
            "lag": {"ok": True, "reason": "1 ms"},
        },
    }


async def test_one_failed_check_makes_it_unready(server: WebServer, state: State) -> None:
    state.lag = (False, "900 ms")
    response = await get(server, "/ready")
    assert response.status_code == 503
    assert response.json()["checks"]["lag"] == {"ok": False, "reason": "900 ms"}


async def test_live_answers_while_unready(server: WebServer, state: State) -> None:
    state.consuming = (False, "paused")
    assert (await get(server, "/live")).status_code == 200


async def test_ready_again_when_the_check_holds_again(server: WebServer, state: State) -> None:
    state.consuming = (False, "paused")
    await get(server, "/ready")
    state.consuming = (True, "2 lanes")
    assert (await get(server, "/ready")).status_code == 200


async def test_check_that_raises_has_failed(server: WebServer, state: State) -> None:
    del state.lag
    response = await get(server, "/ready")
    assert response.status_code == 503
    assert response.json()["checks"]["lag"]["reason"] == "check failed: AttributeError"


async def test_taken_port_fails_the_start(server: WebServer, background: Background) -> None:
    second = WebServer(health_app({}), background, port=server.port, settings="SMS_X_PORT")
    with pytest.raises(StartError, match=r"SMS_X_PORT: .*in use"):
        await second.start()


async def test_stop_is_safe_when_never_started_and_when_repeated(background: Background) -> None:
    server = WebServer(health_app({}), background, grace_s=1)
    await server.stop()
    await server.start()
    await server.drain()
    await server.stop()
    await server.stop()
    with pytest.raises(httpx.ConnectError):
        await get(server, "/live")


async def test_port_is_free_again_after_stop(background: Background) -> None:
    first = WebServer(health_app({}), background, grace_s=1)
    await first.start()
    await first.stop()
    second = WebServer(health_app({}), background, port=first.port, grace_s=1)
    await second.start()
    assert (await get(second, "/live")).status_code == 200
    await second.stop()


async def test_a_request_that_the_end_cuts_off_is_noted(background: Background) -> None:
    begun = asyncio.Event()

    async def hang(_scope: object, _receive: object, _send: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    server = WebServer(hang, background, name="test", grace_s=0.1)
    await server.start()
    asking = asyncio.create_task(get(server, "/"))
    await begun.wait()
    await server.drain()
    await server.stop()
    assert background.left() == ["1 requests to test"]
    assert (await asking).status_code == 500


async def test_server_leaves_signals_alone(background: Background) -> None:
    before = signal.getsignal(signal.SIGTERM)
    server = WebServer(health_app({}), background, grace_s=1)
    await server.start()
    during = signal.getsignal(signal.SIGTERM)
    await server.stop()
    assert during is before
