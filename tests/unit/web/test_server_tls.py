"""A server that ends TLS itself."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from worker.service import Background, StartError
from worker.web.health import health_app
from worker.web.server import Certificate, WebServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AUTHORITY = trustme.CA()
SETTINGS = "SMS_X_CERT, SMS_X_KEY"


def certificate(folder: Path, name: str = "127.0.0.1") -> Certificate:
    made = AUTHORITY.issue_cert(name)
    found = Certificate(folder / "cert.pem", folder / "key.pem", SETTINGS)
    made.cert_chain_pems[0].write_to_path(str(found.file))
    made.private_key_pem.write_to_path(str(found.key))
    return found


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    made = Background()
    yield made
    await made.stop()


async def test_it_shows_its_certificate(tmp_path: Path, background: Background) -> None:
    server = WebServer(health_app({}), background, certificate=certificate(tmp_path))
    await server.start()
    trusting = ssl.create_default_context()
    AUTHORITY.configure_trust(trusting)
    async with httpx.AsyncClient(verify=trusting) as client:
        answer = await client.get(f"https://127.0.0.1:{server.port}/live")
        assert (answer.status_code, answer.text) == (200, "ok")
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{server.port}/live")
    await server.stop()


async def test_a_certificate_that_cannot_be_used_is_a_problem_of_its_settings(
    tmp_path: Path, background: Background
) -> None:
    found = certificate(tmp_path)
    found.key.write_text("no key\n")
    server = WebServer(health_app({}), background, certificate=found)
    with pytest.raises(StartError, match=f"^{SETTINGS}: cannot serve with TLS: "):
        await server.start()
    await server.stop()
