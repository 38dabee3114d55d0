"""Real processes that start before their servers, which speak TLS alone to them.

The broker and the database want a client certificate of an authority of our own. The worker and the
webhook start first, then the broker, then the database.
"""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
from aiormq.exceptions import AMQPConnectionError
from pymongo.errors import ServerSelectionTimeoutError

from tests.integration.raw_server import Peer, serving
from tests.support.certificates import Certificates
from tests.support.waiting import until
from worker.broker.connection import connect
from worker.broker.reason import passes, why
from worker.lab.local.broker import Broker
from worker.lab.local.database import Database
from worker.lab.local.parts import PRIVATE_WEBHOOK, Parts
from worker.lab.local.port import Port
from worker.store import address_check
from worker.store.client import Database as StoreClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.raw_server import Server
    from worker.lab.local.process import Child

WITHIN_S: Final = 90.0
Ready = tuple[int, dict[str, Any]]


@dataclass
class Late:
    """Servers that came late, and what the processes said before and after.

    The provider is an HTTPS server with a certificate of our authority, too.
    """

    certificates: Certificates
    broker: Broker
    tls_port: Port
    dead_port: Port
    database: Database
    parts: Parts
    provider: Server
    said: dict[str, Ready] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    logs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def amqp_url(self, user: str, options: str) -> str:
        """The broker with TLS, and another host where nothing listens."""
        login = self.broker.urls[user].partition("://")[2].rpartition("@")[0]
        hosts = f"127.0.0.1:{self.dead_port},127.0.0.1:{self.tls_port}"
        return f"amqps://{login}@{hosts}/%2F?{options}"

    def mongo_url(self, options: str) -> str:
        """The database, with TLS."""
        return f"{self.database.url}&{options}"

    def worker(self, number: int) -> Child:
        """A worker with a client certificate."""
        return self.parts.replica(
            number,
            self.amqp_url("worker", self.certificates.broker_options()),
            self.mongo_url(self.certificates.database_options()),
        )

    def webhook(self) -> Child:
        """The webhook with a client certificate."""
        return self.parts.webhook(self.amqp_url("webhook", self.certificates.broker_options()))

    async def ready(self, name: str) -> Ready | None:
        """What a process says of itself; None: it does not answer yet."""
        url = f"{self.parts.addresses[PRIVATE_WEBHOOK if name == 'webhook' else name]}/ready"
        try:
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                return answer.status, await answer.json()
        except aiohttp.ClientError:
            return None

    async def note(self, title: str, child: Child, words: str) -> None:
        """Wait until a process says these words of itself, and keep all it says."""

        async def says() -> bool:
            found = await self.ready(child.name)
            if found is not None:
                self.said[title] = found
            return found is not None and words in json.dumps(found)

        await until(says, WITHIN_S, lambda: f"{words}: {self.said.get(title)}{child.tail()}")

    async def ended(self, title: str, child: Child) -> None:
        """Send SIGTERM, and keep the exit code and the log."""
        child.signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            self.exits[title] = await child.wait()
        lines = child.log.read_text(encoding="utf-8").splitlines()
        self.logs[title] = [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
async def late(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Late]:
    """Start the processes, then the broker, then the database."""
    home = tmp_path_factory.mktemp("late")
    certificates, port = Certificates(home / "certificates"), Port()
    broker = Broker(home / "broker", certificates.of_broker(port))
    database = Database(home / "database", certificates.of_database())
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(serving(Peer.take, certificates.context()))
        profile = {
            "SMS_TARGET__BASE_URL": f"https://127.0.0.1:{provider.port}",
            "SSL_CERT_FILE": str(certificates.ca),
        }
        parts = Parts(home, profile)
        made = Late(certificates, broker, port, Port(), database, parts, provider)
        staying, first, second = (made.worker(number) for number in (1, 2, 3))
        webhook = made.webhook()
        for child in (staying, first, second, webhook):
            stack.push_async_callback(child.stop)
            await child.start()
        for title, child in (("worker, no broker", staying), ("webhook, no broker", webhook)):
            await made.note(title, child, "nothing listens there")
        await made.note("first", first, "nothing listens there")
        await made.ended("no broker", first)
        stack.push_async_callback(broker.stop)
        await broker.start()
        await made.note("worker, no database", staying, "no primary answers in time")
        await made.note("second", second, "no primary answers in time")
        await made.ended("no database", second)
        await made.note("webhook", webhook, '"ready": true')
        stack.push_async_callback(database.stop)
        await database.start()
        await made.note("worker", staying, '"ready": true')
        await until(provider.took_one.is_set)
        await made.ended("worker", staying)
        await made.ended("webhook", webhook)
        yield made


def problems(ready: Ready) -> dict[str, str]:
    """The checks that failed, with their reasons."""
    checks = ready[1]["checks"]
    return {name: check["reason"] for name, check in checks.items() if not check["ok"]}


async def test_a_worker_without_a_broker_lives_and_says_why_it_is_not_ready(late: Late) -> None:
    status, _ = found = late.said["worker, no broker"]
    assert status == 503
    assert problems(found)["broker"] == "not connected: nothing listens there"
    assert problems(found)["store"] == "not asked yet"


async def test_a_webhook_without_a_broker_lives_and_says_why_it_is_not_ready(late: Late) -> None:
    found = late.said["webhook, no broker"]
    assert (found[0], problems(found)) == (503, {"broker": "not connected: nothing listens there"})


async def test_a_worker_without_a_database_lives_and_says_why_it_is_not_ready(late: Late) -> None:
    status, _ = found = late.said["worker, no database"]
    assert status == 503
    assert problems(found)["store"].startswith("MONGO_URL: database at 127.0.0.1:")
    assert "broker" not in problems(found)


@pytest.mark.parametrize(
    ("title", "event"),
    [("no broker", "not connected"), ("no database", "waiting for a server")],
)
async def test_sigterm_ends_the_wait(late: Late, title: str, event: str) -> None:
    events = [line["event"] for line in late.logs[title]]
    assert late.exits[title] == 0
    assert event in events
    assert "ready" not in events


@pytest.mark.parametrize("title", ["worker", "webhook"])
async def test_who_waited_is_ready_when_the_servers_are_there(late: Late, title: str) -> None:
    assert late.said[title][0] == 200
    assert late.exits[title] == 0


async def test_a_provider_with_a_certificate_of_our_own_authority_is_called(late: Late) -> None:
    assert b"/version1/user" in late.provider.journal[0]


# --- who is trusted, and who trusts us ----------------------------------------------------------


async def open_and_close(url: str) -> None:
    await (await connect(url)).close()


def at_tls(late: Late, options: str, host: str = "127.0.0.1") -> str:
    """The broker's TLS port alone."""
    return late.amqp_url("worker", options).replace(
        f"127.0.0.1:{late.dead_port},127.0.0.1:", f"{host}:"
    )


async def test_a_broker_of_our_authority_takes_our_client_certificate(late: Late) -> None:
    await open_and_close(at_tls(late, late.certificates.broker_options()))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_broker_of_an_unknown_authority_or_with_another_name_is_refused(
    late: Late, host: str
) -> None:
    trusting = late.certificates.broker_options() if host == "localhost" else ""
    with pytest.raises(AMQPConnectionError) as refused:
        await open_and_close(at_tls(late, trusting, host))
    assert why(refused.value) == "its certificate is not trusted, or is for another host"
    assert not passes(refused.value)


async def test_a_broker_that_wants_a_client_certificate_refuses_us_without(late: Late) -> None:
    with pytest.raises(AMQPConnectionError):
        await open_and_close(at_tls(late, late.certificates.broker_options(client=False)))


async def test_a_broker_refuses_a_client_certificate_of_another_authority(
    late: Late, tmp_path: Path
) -> None:
    chain, key = Certificates(tmp_path).client
    foreign = f"cafile={late.certificates.ca}&certfile={chain}&keyfile={key}"
    with pytest.raises(AMQPConnectionError):
        await open_and_close(at_tls(late, foreign))


async def asked(url: str) -> None:
    """Ask a database whether it is one that we can use."""
    database = StoreClient(url, "test", timeout_s=3)
    try:
        await database.check()
    finally:
        await database.close()


async def test_a_database_of_our_authority_takes_our_client_certificate(late: Late) -> None:
    await asked(late.mongo_url(late.certificates.database_options()))


async def test_a_database_of_an_unknown_authority_is_refused(late: Late) -> None:
    with pytest.raises(ServerSelectionTimeoutError) as refused:
        await asked(late.mongo_url("tls=true"))
    reason = "no primary answers in time: certificate verify failed"
    assert address_check.why(refused.value) == reason
    assert not address_check.passes(refused.value)


async def test_a_database_that_wants_a_client_certificate_refuses_us_without(late: Late) -> None:
    with pytest.raises(ServerSelectionTimeoutError):
        await asked(late.mongo_url(late.certificates.database_options(client=False)))
