"""A world: upstream, an administrator, two providers and a webhook around worker processes.

Rules:
- It shares nothing with other worlds but the servers (`servers`), so many run at the same time.
- The providers are simulators in the test's own process, which no fault reaches: their journals are
  the truth. What upstream and the dead queue get is noted here too.
- Nothing is concluded here: `at_rest` says when all is over, `collect` makes facts of it, and the
  judge decides.
"""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode, urlsplit

from pymongo import AsyncMongoClient

from contracts.names import Exchange, Queue
from tests.support.inbox import Inbox
from tests.support.recipients import new_number
from tests.support.steering import Steering, command
from tests.support.waiting import until
from tests.torture.judge.facts import Command, Steered
from tests.torture.processes.program import FAULTS, PASSED
from worker.app.start_and_stop import CLOSING_S
from worker.broker.control_client import ControlClient
from worker.domain.migration.phases import Phase
from worker.lab.local.parts import Parts
from worker.lab.local.port import HOST, Port
from worker.lab.local.process import answers
from worker.lab.simulator.script import ReportPlan
from worker.lab.simulator.server import Simulator
from worker.lab.simulator.wire import Callback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from contracts.control import ControlCommand
    from tests.torture.processes.children import Child, Nursery
    from tests.torture.processes.servers import Servers

TARGET: Final = "africastalking"
LEGACY: Final = "legacy"
PROFILE: Final = {
    **{
        f"SMS_{role}__{name}": value
        for role in ("TARGET", "LEGACY")
        for name, value in {
            "DEADLINE_S": "2.5",
            "CONNECT_TIMEOUT_S": "0.5",
            "BREAKER__CONSECUTIVE_FAILURES": "1000",
            "BREAKER__MINIMUM_CALLS": "1000",
            "BREAKER__WINDOW": "1000",
        }.items()
    },
    "SMS_TARGET__LOW_BALANCE": "1e12",  # an alert that can be acknowledged
    "SMS_DELIVERY_AGE_S": "1",
    "SMS_LEASE_MARGIN_S": "1",
    "SMS_DRAIN_GRACE_S": "5",
    "SMS_STORE_TIMEOUT_S": "2",
    "SMS_ROUNDS_TRANSACTIONAL": "2",
    "SMS_ROUNDS_BULK": "2",
    # One message of a lane after the other, so that the same points are passed in each run.
    "SMS_PREFETCH_TRANSACTIONAL": "1",
    "SMS_PREFETCH_BULK": "1",
}
"""Short deadlines, and breakers that stay closed: each cell is about one fault."""
LIFE_S: Final = {"transactional": 600.0, "bulk": 86_400.0}
"""By lane, as settings have it by default."""
ANSWER_WITHIN_S: Final = 60.0
START_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 5.0 + CLOSING_S + 5.0
"""Grace, end, and what the interpreter needs."""


@dataclass(slots=True)
class World:
    """One world. Its processes are started and stopped by who plays in it."""

    name: str
    servers: Servers
    nursery: Nursery
    parts: Parts
    providers: Mapping[str, Simulator]
    events: Inbox
    dead: Inbox
    steer: Steering
    store: Any
    commands: dict[str, Command] = field(default_factory=dict)
    """What upstream published, by id."""
    steered: list[Steered] = field(default_factory=list)
    """What the administrator was answered."""
    strays: list[str] = field(default_factory=list)
    """Reports that belong to no message; of each there is one that cannot be read at all."""
    reports: bool = False
    """Whether the providers send delivery reports."""

    @classmethod
    @asynccontextmanager
    async def running(
        cls, name: str, servers: Servers, nursery: Nursery, directory: Path
    ) -> AsyncIterator[Self]:
        """Build a world in which nothing has happened yet."""
        parts = Parts(directory / name, PROFILE)
        target, legacy = _simulator(parts, TARGET), _simulator(parts, LEGACY)
        amqp = servers.amqp
        async with (
            target,
            legacy,
            Inbox(amqp(name, "upstream"), "sms.own.upstream.test") as events,
            Inbox(amqp(name, "worker"), str(Queue.DEAD)) as dead,
            ControlClient(amqp(name, "administrator")) as administrator,
            AsyncMongoClient(servers.database.url, tz_aware=True) as mongo,
        ):
            providers = {TARGET: target, LEGACY: legacy}
            steer = Steering(administrator)
            yield cls(name, servers, nursery, parts, providers, events, dead, steer, mongo[name])

    async def begin(self) -> None:
        """Steer to where half of the traffic goes to either provider first."""
        worker = await self.worker()
        assert worker.running, worker.log.read_text()
        await self.steer.automation(rolls_back=False)
        await self.steer.to(Phase.GRADUAL_MIGRATION, 50)
        await worker.stop(STOP_WITHIN_S)

    async def begin_like(self, other: World) -> None:
        """Begin with the control log of another world, which costs no worker."""
        entries = await other.store["control_log"].find().to_list(None)
        await self.store["control_log"].insert_many(entries)

    def forget(self) -> None:
        """Begin anew: what was published before is no part of the next history."""
        self.commands, self.steered, self.strays = {}, [], []

    async def worker(
        self,
        faults: str = "",
        passed: Path | None = None,
        profile: Mapping[str, str] = MappingProxyType({}),
    ) -> Child:
        """Start a worker with these faults; returns it when it is ready."""
        port = Port()
        environment = {
            **self.parts.worker_environment(
                self.servers.amqp(self.name, "worker"), self.servers.database.url
            ),
            "SMS_MONGO_DATABASE": self.name,
            "SMS_PRIVATE_PORT": str(port),
            "SMS_REPLICA": self.name,
            **profile,
        }
        return await self._start("run", environment, port, faults, passed)

    async def webhook(self, faults: str = "", passed: Path | None = None) -> Child:
        """Start the webhook with these faults; returns it when it is ready."""
        tokens = {name: self.parts.secrets[f"{name}_report_token"] for name in self.providers}
        public, private = urlsplit(self.parts.addresses["webhook"]).port, Port()
        environment = {
            "AMQP_URL": self.servers.amqp(self.name, "webhook"),
            "SMS_WEBHOOK_PORT": str(public),
            "SMS_WEBHOOK_PRIVATE_PORT": str(private),
            "SMS_WEBHOOK_TOKENS": json.dumps(tokens),
        }
        return await self._start("webhook", environment, private, faults, passed)

    async def _start(
        self,
        program: str,
        environment: Mapping[str, str],
        port: Port,
        faults: str,
        passed: Path | None,
    ) -> Child:
        environment = {**environment, FAULTS: faults, **({PASSED: str(passed)} if passed else {})}
        child = await self.nursery.start(f"{self.name}-{program}", [program], environment)
        ready = partial(answers, f"http://{HOST}:{port}/ready")
        await until(lambda: not child.running or ready(), START_WITHIN_S, child.log.read_text)
        return child

    async def send(self, ident: str, to: str, lane: str, text: str = "hello") -> None:
        """Publish one command; returns when the broker has it."""
        body = {"messageId": ident, "to": to, "text": f"{text} #{ident}"}
        await self.events.publish(
            Exchange.COMMANDS, f"send.{lane}", json.dumps(body).encode(), ident
        )
        now = time.time()
        self.commands[ident] = Command(
            ident, to, lane, resends=lane == "transactional", at=now, expires_at=now + LIFE_S[lane]
        )

    async def command(self, kind: type[ControlCommand], **fields: Any) -> None:
        """A command of the administrator, repeated with its id until it is answered."""
        told = command(kind, **fields)
        at = time.time()
        reply = await self.steer.client.ask(told, ANSWER_WITHIN_S)
        verdicts = (str(reply.verdict),)
        self.steered.append(Steered("administrator", told.command_id, told.name, at, verdicts))

    async def report_stray(self, ident: str) -> None:
        """Call back about an SMS that nobody sent, and with a report that cannot be read.

        Each is repeated until the webhook takes it, as by a provider.
        """
        unknown = {"id": ident, "phoneNumber": new_number(), "status": "Success"}
        url, reporter = self.parts.callback_url("reports", TARGET), self.providers[TARGET].reporter
        for form in (unknown, {"status": ident}):
            kind = "application/x-www-form-urlencoded"
            await reporter.now(Callback("POST", url, urlencode(form).encode(), kind))
        self.strays.append(ident)


def _simulator(parts: Parts, provider: str) -> Simulator:
    return Simulator(
        provider,
        port=urlsplit(parts.addresses[provider]).port or 0,
        secret=parts.secrets[f"{provider}_secret"],
        report_url=parts.callback_url("reports", provider) if provider == TARGET else None,
        reports=ReportPlan(send=False),
    )
