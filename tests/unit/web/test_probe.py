"""A container says whether its process is alive, whichever it runs."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from worker.lab.local.port import HOST, Port
from worker.service import Background
from worker.web.health import health_app
from worker.web.server import WebServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    """Alive, and not ready."""
    background = Background()
    server = WebServer(health_app({"store": lambda: (False, "away")}), background, grace_s=1)
    await server.start()
    yield server
    await server.stop()
    await background.stop()


async def exit_code(**environment: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.web.probe", env=environment
    )
    return await process.wait()


@pytest.mark.parametrize("host", [HOST, "0.0.0.0"])  # noqa: S104 - asked at, not listened at
async def test_a_worker_is_asked_at_its_private_port(server: WebServer, host: str) -> None:
    assert await exit_code(SMS_PRIVATE_HOST=host, SMS_PRIVATE_PORT=str(server.port)) == 0


async def test_a_webhook_is_asked_at_its_own_port(server: WebServer) -> None:
    nobody = Port()
    ports = {"SMS_PRIVATE_PORT": str(nobody), "SMS_WEBHOOK_PORT": str(server.port)}
    assert await exit_code(**ports) == 0


async def test_a_console_is_asked_at_its_private_port(server: WebServer) -> None:
    assert await exit_code(SMS_CONSOLE_PRIVATE_PORT=str(server.port)) == 0


async def test_where_nobody_answers_it_is_not_alive() -> None:
    nobody = Port()
    assert await exit_code(SMS_PRIVATE_PORT=str(nobody)) == 1
    assert await exit_code() == 1
