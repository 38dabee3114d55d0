"""A provider's adapter with fault points, at its HTTP transport.

Rules: what sends an SMS is a POST, a look at the account is a GET. The point `sent` is passed when
the request has been handed to the kernel as a whole.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import httpx

from tests.torture.points import APPLIED, BEFORE, SENT
from worker.providers import registry

if TYPE_CHECKING:
    from tests.torture.processes.faults import Faults
    from worker.ports.providers import Provider
    from worker.providers.transport import AiohttpTransport
    from worker.settings.providers import ProviderSettings

_WRITTEN: Final[ContextVar[asyncio.Event]] = ContextVar("written")
"""Set when the request of this context has been written."""


def build(faults: Faults, settings: ProviderSettings) -> Provider:
    """Build the adapter of an account, with fault points."""
    provider: Any = registry.build(settings)
    client = provider._client
    client._wire = _Transport(faults, settings.id, client._wire)
    return provider


def loss() -> Exception:
    """The transport's error for a connection that was lost."""
    return httpx.ReadError("a fault point")


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, faults: Faults, provider: str, real: AiohttpTransport) -> None:
        self._faults = faults
        self._provider = provider
        self._real = real

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return await self._look(request)
        operation = f"provider.{self._provider}.send"
        await self._faults.at(operation, BEFORE, loss)
        written = asyncio.Event()
        _WRITTEN.set(written)
        self._watch()
        answer = asyncio.ensure_future(self._real.handle_async_request(request))
        writing = asyncio.ensure_future(written.wait())
        await asyncio.wait({answer, writing}, return_when=asyncio.FIRST_COMPLETED)
        writing.cancel()
        await self._faults.at(operation, SENT, loss)
        response = await answer
        await self._faults.at(operation, APPLIED, loss)
        return response

    async def _look(self, request: httpx.Request) -> httpx.Response:
        return await self._faults.around(
            f"provider.{self._provider}.check",
            lambda: self._real.handle_async_request(request),
            loss,
        )

    def _watch(self) -> None:
        """Let the session say when a request is written."""
        traces = self._real._open().trace_configs
        if not traces:
            trace = aiohttp.TraceConfig()
            trace.on_request_chunk_sent.append(_chunk_is_next)
            trace.freeze()
            traces.append(trace)

    async def aclose(self) -> None:
        await self._real.aclose()


async def _chunk_is_next(*_: object) -> None:
    """Note that the library writes the body, with the head, as soon as this returns."""
    asyncio.get_running_loop().call_soon(_WRITTEN.get().set)
