"""Replicas that take commands and queries, each on its own connections to the real servers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aio_pika
from pydantic import SecretStr

from tests.support.fakes import Guard
from tests.support.steering import Steering
from worker.alerting.alerts import Alerts
from worker.app.accounts import Accounts
from worker.app.control import control_services
from worker.app.edges import edges_of
from worker.app.lanes import Lanes
from worker.app.runtime import Runtime
from worker.app.sending import command_decoder
from worker.app.start_and_stop import Resource
from worker.broker.connection import BrokerConnection
from worker.broker.control_client import ControlClient
from worker.broker.publisher import AmqpPublisher
from worker.broker.wakeups import Wakeups
from worker.clock import SystemClock
from worker.control.snapshot_follower import SnapshotFollower, seed
from worker.domain.messages.account import AccountHealth
from worker.domain.migration.flags import Flags
from worker.domain.migration.phases import Role
from worker.domain.migration.replicas import Heartbeat
from worker.service import Background
from worker.settings.model import Settings
from worker.settings.providers import ProviderKind, ProviderSettings
from worker.store import control_log, indexes, replicas
from worker.store.client import Database
from worker.store.control_log import ControlLogStore
from worker.store.replicas import ReplicaStore
from worker.telemetry.deliveries import Deliveries
from worker.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aio_pika.abc import AbstractConnection

    from worker.domain.migration.control_log import LogEntry


class Target:
    """A target whose account call the test decides on."""

    id = "africastalking"
    gives_reports = True
    healthy = True

    async def check(self) -> AccountHealth:
        return AccountHealth(self.healthy, "fine" if self.healthy else "401")


class Legacy(Target):
    """The other provider."""

    id = "legacy"


@dataclass
class Replica:
    """One process's share of the steering."""

    name: str
    follower: SnapshotFollower
    services: tuple[Any, ...]
    background: Background
    alerts: Alerts
    dead: bool = False

    async def kill(self) -> None:
        """Die without draining: what is unacknowledged is delivered elsewhere."""
        self.dead = True
        await self.background.stop()
        for service in reversed(self.services):
            if isinstance(service, BrokerConnection | Resource):
                await service.stop()

    async def stop(self) -> None:
        """End in an orderly way."""
        if self.dead:
            return
        for service in reversed(self.services):
            await service.drain()
        for service in reversed(self.services):
            await service.stop()
        await self.background.stop()


@dataclass
class Harness:
    """Replicas, an administrator, and the log as stored."""

    replicas: list[Replica]
    log: ControlLogStore
    database: Database
    steer: Steering
    target: Target
    alerts: list[tuple[str, bytes]]
    cfg: Settings

    async def entries(self) -> list[LogEntry]:
        """The whole log, oldest first, without the seed."""
        return (await self.log.history(200, None))[::-1][1:]


def settings(amqp: str, mongo: str, database: str) -> Settings:
    account = {"kind": ProviderKind.HTTP, "preset": "json-basic", "base_url": "http://127.0.0.1:9"}
    return Settings(
        AMQP_URL=SecretStr(amqp),
        MONGO_URL=SecretStr(mongo),
        hash_key=SecretStr("a key for tests"),
        mongo_database=database,
        target=ProviderSettings(id="africastalking", **account),
        legacy=ProviderSettings(id="legacy", **account),
    )


async def replica(cfg: Settings, number: int, target: Target, alerts: Any) -> Replica:
    """Start one replica."""
    background, clock, name = Background(), SystemClock(), f"r-{number}"
    amqp = cfg.amqp_url.get_secret_value()
    publishing = BrokerConnection(amqp, f"test publish {name}", background)
    consuming = BrokerConnection(amqp, f"test consume {name}", background)
    publisher = AmqpPublisher(publishing, background)
    publisher.metric = lambda key, body: alerts.append((key, body))
    database = Database(cfg.mongo_url.get_secret_value(), cfg.mongo_database, timeout_s=5)
    guards = {Role.TARGET: Guard("africastalking"), Role.LEGACY: Guard("legacy")}
    follower = SnapshotFollower(
        log=ControlLogStore(database[control_log.COLLECTION], clock),
        replicas=ReplicaStore(database[replicas.COLLECTION]),
        followed=(),
        guards=guards.values(),
        clock=clock,
        background=background,
        max_age_s=5.0,
        heartbeat=lambda applied: Heartbeat(name, applied, None, {"legacy": "closed"}, {}, 0, True),  # noqa: FBT003 - consuming
        stale=lambda _: None,
        swapped=lambda *_: None,
    )
    told = Alerts(publisher, clock, name)
    runtime = Runtime(
        cfg=cfg,
        edges=edges_of(cfg),
        clock=clock,
        background=background,
        replica=name,
        consuming=consuming,
        publishing=publishing,
        publisher=publisher,
        database=database,
        alerts=told,
        tracing=Tracing(None, ratio=0, replica=name),
        deliveries=Deliveries(clock),
        lanes=Lanes(),
    )
    providers = {Role.TARGET: target, Role.LEGACY: Legacy()}
    accounts = Accounts({}, providers, guards)
    services = (
        publishing,
        consuming,
        publisher,
        Resource(close=database.close),
        follower,
        Wakeups(consuming, background, "sms.state", "control.state", follower.wake),
        *control_services(runtime, accounts, follower, command_decoder(cfg), lambda _: None),
    )
    for service in services:
        await service.start()
    return Replica(name, follower, services, background, told)


@asynccontextmanager
async def bench(
    amqp_url: Callable[[str], str],
    mongo_url: str,
    database_name: str,
    *,
    count: int = 2,
    through: str | None = None,
    flags: Flags | None = None,
    **changes: Any,
) -> AsyncIterator[Harness]:
    """Replicas on an empty database, steered by the administrator.

    Args:
        amqp_url: by user.
        mongo_url: of the server.
        database_name: nobody else's.
        count: of replicas.
        through: address by which the replicas reach the store, where it is another.
        flags: in force at first.
        changes: to the settings.
    """
    database = Database(mongo_url, database_name, timeout_s=5)
    await indexes.create(database)
    log = ControlLogStore(database[control_log.COLLECTION], SystemClock())
    await seed(log, flags or Flags(), 0, user="worker", now=SystemClock().now())
    cfg = settings(amqp_url("worker"), through or mongo_url, database_name)
    cfg = cfg.model_copy(update=changes)
    target, alerts = Target(), []
    started = [await replica(cfg, number, target, alerts) for number in range(1, count + 1)]
    try:
        async with ControlClient(amqp_url("administrator")) as client:
            yield Harness(started, log, database, Steering(client), target, alerts, cfg)
    finally:
        for each in started:
            await each.stop()
        await database.db.client.drop_database(database_name)
        await database.close()


async def publish(
    connection: AbstractConnection,
    key: str,
    body: bytes,
    *,
    exchange: str = "sms.control",
    **properties: Any,
) -> None:
    """Publish as it is, confirmed."""
    channel = await connection.channel()
    where = await channel.get_exchange(exchange, ensure=False)
    await where.publish(aio_pika.Message(body, **properties), key, mandatory=False)
    await channel.close()
