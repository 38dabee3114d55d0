"""A whole system whose workers reach every server and every provider through a proxy.

Rules: the target is reached by TLS, which ends at its proxy. Everybody else (upstream,
administrator, webhook, the test) reaches everything directly, so that a fault touches the workers
alone and what the test sees of it is not touched.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.certificates import Certificates
from tests.support.given_servers import given_servers
from tests.support.proxy import Proxy
from tests.support.whole_system import PROVIDERS, System
from worker.lab.local.broker import Broker
from worker.lab.local.database import Database
from worker.lab.local.port import HOST, Port

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Network:
    """The system, its servers, and what lies between them."""

    system: System
    broker: Broker
    database: Database
    proxies: Mapping[str, Proxy]
    """By what lies behind: `broker`, `store`, or the id of a provider."""
    certificates: Certificates
    tls: ssl.SSLContext
    """What the target's proxy shows."""


@asynccontextmanager
async def behind_proxies(directory: Path, profile: Mapping[str, str]) -> AsyncIterator[Network]:
    """Start everything; stop it at the end."""
    broker = Broker(directory / "broker", metrics=True)
    database = Database(directory / "database")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(broker.stop)
        stack.push_async_callback(database.stop)
        await asyncio.gather(broker.start(), database.start())
        proxies = {
            "broker": await stack.enter_async_context(Proxy(broker.urls["worker"])),
            "store": await stack.enter_async_context(Proxy(database.url)),
        }
        ports = {provider: Port() for provider in PROVIDERS}
        certificates = Certificates(directory / "certificates")
        login = broker.urls["worker"].rpartition("@")[0]
        worker = f"{login}@{HOST}:{proxies['broker'].port}/%2F"
        stack.enter_context(given_servers({**broker.urls, "worker": worker}, database.url))
        running = System.running(
            directory / "stack",
            {**_through(proxies["store"], ports, certificates), **profile},
            logins=broker.urls,
        )
        system = await stack.enter_async_context(running)
        tls = certificates.context()
        for provider, context in zip(PROVIDERS, (tls, None), strict=True):
            proxy = Proxy(system.stack.http[provider], ports[provider].number, context)
            proxies[provider] = await stack.enter_async_context(proxy)
        yield Network(system, broker, database, proxies, certificates, tls)


def _through(store: Proxy, ports: Mapping[str, Port], certificates: Certificates) -> dict[str, str]:
    """Environment of workers that reach store and providers through proxies."""
    target, legacy = (f"{HOST}:{ports[provider]}" for provider in PROVIDERS)
    return {
        "MONGO_URL": f"mongodb://{HOST}:{store.port}/?directConnection=true",
        "SMS_TARGET__BASE_URL": f"https://{target}",
        "SMS_LEGACY__BASE_URL": f"http://{legacy}",
        "SSL_CERT_FILE": str(certificates.ca),
    }
