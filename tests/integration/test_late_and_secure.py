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

from tests.integration.certificates import Certificates
from tests.support.waiting import until
from worker.lab.local.broker import Broker
from worker.lab.local.database import Database
from worker.lab.local.parts import Parts
from worker.lab.local.port import Port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.lab.local.process import Child

WITHIN_S: Final = 90.0
FREE: Final = {"SMS_PRIVATE_HOST": "127.0.0.1"}
Ready = tuple[int, dict[str, Any]]


@dataclass
class Late:
    """Servers that came late, and what the processes said before and after."""

    certificates: Certificates
    broker: Broker
    tls_port: Port
    database: Database
    parts: Parts
    said: dict[str, Ready] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    logs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def amqp_url(self, user: str, options: str) -> str:
        """The broker, with TLS."""
        login = self.broker.urls[user].partition("://")[2].rpartition("@")[0]
        return f"amqps://{login}@127.0.0.1:{self.tls_port}/%2F?{options}"

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
        url = f"{self.parts.addresses[name]}/ready"
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
    made = Late(certificates, broker, port, database, Parts(home, {}))
    async with AsyncExitStack() as stack:
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
