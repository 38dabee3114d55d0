"""The whole system seen from outside: publish, follow events, read journals, break parts.

Rules: what a test concludes comes from three sources that know nothing of each other: the events
that upstream received, the journals of the simulated providers (ground truth), and the records in
the database. Nothing is waited for but facts, each with a deadline; what does not happen in time
is told with the whole story of the messages concerned.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
from pymongo import AsyncMongoClient

from contracts.names import RETRY_TIERS, Exchange, Header, Queue, retry_queue
from tests.support.inbox import Inbox
from tests.support.recipients import new_number
from tests.support.steering import Steering
from tests.support.waiting import until
from worker.broker.control_client import ControlClient
from worker.lab.local.parts import ROOT
from worker.lab.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

    from worker.domain.migration.phases import Phase
    from worker.lab.local.process import Child

PROFILE: Final = {
    "SMS_TARGET__DEADLINE_S": "2",
    "SMS_TARGET__CONNECT_TIMEOUT_S": "1",
    "SMS_TARGET__BREAKER__OPEN_S": "0.5",
    "SMS_LEGACY__DEADLINE_S": "2",
    "SMS_LEGACY__CONNECT_TIMEOUT_S": "1",
    "SMS_LEGACY__BREAKER__OPEN_S": "0.5",
    "SMS_LEASE_MARGIN_S": "2",
    "SMS_DRAIN_GRACE_S": "20",
    "SMS_STORE_TIMEOUT_S": "2",
    "SMS_SNAPSHOT_MAX_AGE_S": "5",
}
"""Short deadlines, so that a test sees what in production takes a minute."""
SETTLES: Final = frozenset({"sms.sent", "sms.failed", "sms.expired", "sms.rejected"})
PROVIDERS: Final = ("africastalking", "legacy")
_OPEN: Final = ("submitting", "waiting")


@dataclass(frozen=True)
class Sent:
    """What we published."""

    id: str
    to: str
    lane: str


@dataclass
class System:
    """A running stack and everything to watch it with.

    Attributes:
        stack: the processes.
        events: what upstream received on `sms.events`.
        dead: what came to `sms.dead`.
        http: for the simulators' control ports and health checks.
        store: the workers' database.
        steer: an administrator.
    """

    stack: Stack
    events: Inbox
    dead: Inbox
    http: aiohttp.ClientSession
    store: Any
    steer: Steering
    sent: dict[str, Sent] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        directory: Path,
        profile: Mapping[str, str],
        *,
        replicas: int = 2,
        source: Path = ROOT,
        logins: Mapping[str, str] | None = None,
        console: bool = False,
    ) -> AsyncIterator[Self]:
        """Start a stack; stop it at the end.

        Args:
            directory: of the stack.
            profile: further environment of the workers.
            replicas: how many.
            source: folder from which the workers run.
            logins: by user, the test's own way to the broker; None: that of the stack.
            console: whether a console runs.
        """
        profile = {**PROFILE, **profile}
        async with (
            Stack(
                directory, replicas=replicas, profile=profile, source=source, console=console
            ) as stack,
            Inbox((logins or stack.amqp)["upstream"], "sms.own.upstream.test") as events,
            Inbox((logins or stack.amqp)["worker"], str(Queue.DEAD)) as dead,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
            AsyncMongoClient(stack.mongo_url, tz_aware=True) as mongo,
            ControlClient((logins or stack.amqp)["administrator"]) as administrator,
        ):
            steer = Steering(administrator)
            await steer.automation(
                rolls_back=False
            )  # faults are the tests' own, and so is the share
            yield cls(stack, events, dead, http, mongo["sms"], steer)

    # --- upstream --------------------------------------------------------------------------

    async def send(
        self,
        name: str,
        *,
        lane: str = "transactional",
        to: str | None = None,
        text: str = "hello",
        trace: str | None = None,
        **fields: Any,
    ) -> Sent:
        """Publish one command; returns when the broker has it. The text ends in `#<name>`.

        `trace` is the publisher's `traceparent`.
        """
        sent = Sent(name, to or new_number(), lane)
        self.sent[name] = sent
        body = {"messageId": name, "to": sent.to, "text": f"{text} #{name}", **fields}
        key, encoded = f"send.{lane}", json.dumps(body).encode()
        headers = {str(Header.TRACEPARENT): trace} if trace else None
        await self.events.publish(Exchange.COMMANDS, key, encoded, name, headers)
        return sent

    async def send_many(self, names: Iterable[tuple[str, str]]) -> None:
        """Publish `(name, lane)` pairs, many at once."""
        pairs = list(names)
        for batch in (pairs[i : i + 200] for i in range(0, len(pairs), 200)):
            await asyncio.gather(*(self.send(name, lane=lane) for name, lane in batch))

    async def told(self, name: str, event: str, within_s: float = 20.0) -> dict[str, Any]:
        """Wait for an event of a message; returns it."""
        await until(
            lambda: self.events.first(name, event) is not None,
            within_s,
            lambda: self.story([name], f"no {event}"),
        )
        found = self.events.first(name, event)
        assert found is not None
        return found

    # --- providers -------------------------------------------------------------------------

    async def faults(self, provider: str, *rules: Mapping[str, Any], seed: int = 0) -> None:
        """Put a fault script in force."""
        url = f"{self.stack.http[f'{provider}-control']}/faults"
        async with self.http.put(url, json={"seed": seed, "rules": list(rules)}) as answer:
            assert answer.status == 200, await answer.text()

    async def heal(self) -> None:
        """No faults at either provider."""
        for provider in PROVIDERS:
            url = f"{self.stack.http[f'{provider}-control']}/faults"
            async with self.http.delete(url) as answer:
                assert answer.status == 200

    async def provider_says(self, provider: str, path: str) -> dict[str, Any]:
        """A control endpoint of a simulator."""
        async with self.http.get(self.stack.http[f"{provider}-control"] + path) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    def taken(self, name: str | None = None) -> list[dict[str, Any]]:
        """Journal lines of both providers: every SMS taken, or those of one message."""
        lines = [
            json.loads(line)
            for provider in PROVIDERS
            if (path := self.stack.journal(provider)).exists()
            # The simulator may be writing the last line: only whole ones are read.
            for line in path.read_bytes().rpartition(b"\n")[0].splitlines()
        ]
        return [line for line in lines if name is None or line["key"] == name]

    def takers(self, name: str) -> list[str]:
        """Who took a message, once for each time."""
        return [line["provider"] for line in self.taken(name)]

    # --- state, replicas and store -----------------------------------------------------------

    async def put(self, phase: Phase, percentage: int) -> None:
        """Bring a state about by commands; returns when every live replica goes by it."""
        version = await self.steer.to(phase, percentage)

        async def applied() -> bool:
            live = await self.live()
            return bool(live) and all((each["applied"] or 0) >= version for each in live)

        await until(applied, 10, lambda: f"version {version} in force")

    async def live(self) -> list[dict[str, Any]]:
        """Heartbeats of the replicas that live."""
        fresh = {"$expr": {"$gt": [{"$add": ["$at", 3000]}, "$$NOW"]}}
        found: list[dict[str, Any]] = await self.store["replicas"].find(fresh).to_list(None)
        return found

    def workers(self) -> list[tuple[str, Child]]:
        """Names and processes of the replicas that run."""
        return [(child.name, child) for child in self.stack.replicas if child.running]

    async def ready(self, name: str) -> tuple[int, dict[str, Any]]:
        """Status and body of a replica's `/ready`."""
        async with self.http.get(f"{self.stack.http[name]}/ready") as answer:
            return answer.status, await answer.json()

    async def record(self, name: str) -> dict[str, Any] | None:
        """The record of a message as stored."""
        found: dict[str, Any] | None = await self.store["messages"].find_one({"_id": name})
        return found

    async def unsettled(self) -> list[str]:
        """Ids of records that are in somebody's hands or wait for a retry."""
        query = {"state": {"$in": list(_OPEN)}}
        return [found["_id"] async for found in self.store["messages"].find(query, {"_id": 1})]

    async def under_way(self) -> dict[str, int]:
        """Where commands still are: lanes, retry tiers, replicas' hands, open records."""
        queues = (Queue.TRANSACTIONAL, Queue.BULK, *map(retry_queue, RETRY_TIERS))
        found = {str(queue): await self.dead.ready(str(queue)) for queue in queues}
        found["in hand"] = sum(each["inHand"] for each in await self.live())
        found["open records"] = len(await self.unsettled())
        return {where: count for where, count in found.items() if count}

    async def quiet(self) -> bool:
        """Whether no command is under way any more."""
        return not await self.under_way()

    async def story(self, names: Iterable[str], title: str = "") -> str:
        """Everything known of some messages: record, events, journal lines."""
        parts = [title]
        for name in itertools.islice(names, 10):
            parts += [f"--- {name}", f"published: {self.sent.get(name)}"]
            parts += [f"event: {event}" for event in self.events.of(name)]
            parts += [f"journal: {line}" for line in self.taken(name)]
            parts += [f"dead: {dead}" for dead in self.dead.of(name)]
            try:
                parts.append(f"record: {await self.record(name)}")
            except Exception as error:  # noqa: BLE001 - the store may be what is broken
                parts.append(f"record: not read, {type(error).__name__}")
        return "\n".join(parts)
