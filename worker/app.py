"""The composition root: settings -> services, in start order.

Rules: everything is built here and nowhere else; reading `services` from top to bottom is reading
the start-up. Consumers start last and drain first. A background task that dies stops the process.
"""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
import yaml

from contracts.names import Exchange, Key, Queue
from worker.broker import topology
from worker.broker.consumer import Consumer
from worker.broker.link import Link
from worker.broker.publisher import AmqpPublisher
from worker.broker.wakeups import Wakeups
from worker.clock import SystemClock
from worker.control.accounts import AccountWatch
from worker.control.sync import Sync, seed
from worker.domain import flags, tariff
from worker.domain.message import Lane, OnUnknown
from worker.domain.phases import Role
from worker.handlers.announce import Announcer
from worker.handlers.hybrid import Hybrid, Unsent
from worker.handlers.lost import LostHandler
from worker.handlers.middleware import bounded_errors, logged, traced
from worker.handlers.report import Matcher, ReportHandler
from worker.handlers.send import SendHandler
from worker.handlers.sweep import Sweeper
from worker.handlers.understand import Understanding
from worker.numbers import normaliser
from worker.ports import Heartbeat
from worker.providers import registry
from worker.service import Background, Service
from worker.store import control_log, indexes, messages, replicas, reports, suppressions
from worker.store.client import Database
from worker.store.control_log import ControlLogStore
from worker.store.due import DueStore
from worker.store.messages import MessageStore, Retention
from worker.store.replicas import ReplicaStore
from worker.store.reports import ReportStore
from worker.store.slots import SlotStore
from worker.store.suppressions import SuppressionStore
from worker.telemetry.alerts import Alerts
from worker.telemetry.metrics import Book
from worker.telemetry.publisher import MetricsPublisher
from worker.telemetry.tracing import TracedProvider, Tracing, console_exporter
from worker.web.health import health_app
from worker.web.outlet import ReportOutlet
from worker.web.reports import Webhook
from worker.web.server import WebServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.domain.outcome import Money
    from worker.settings import Settings, WebhookSettings

REPORT_PREFETCH: Final = 64
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """A built worker: its services in start order, and what its health is asked of."""

    services: tuple[Service, ...]
    background: Background

    async def run(self, stop: asyncio.Event) -> None:
        """Start, wait for `stop` or the death of a background task, drain, stop."""
        started: list[Service] = []
        try:
            for service in self.services:
                await service.start()
                started.append(service)
            _log.info("ready")
            await self._until(stop)
        finally:
            _log.info("draining")
            for service in reversed(started):
                await service.drain()
            for service in reversed(started):
                await service.stop()
            await self.background.stop()
            _log.info("stopped")

    async def _until(self, stop: asyncio.Event) -> None:
        failed = asyncio.ensure_future(self.background.failed())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({failed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if failed.done():
            raise failed.result()
        failed.cancel()


class Setup:
    """What must stand before anything consumes: topology, indexes, state in force."""

    def __init__(self, link: Link, database: Database, log: ControlLogStore, cfg: Settings) -> None:
        self._link = link
        self._database = database
        self._log = log
        self._cfg = cfg

    async def start(self) -> None:
        """Declare, create, seed: each idempotent."""
        await self._database.ping()
        channel = await self._link.channel()
        await topology.apply(channel)
        await channel.close()
        await indexes.create(self._database)
        document = json.loads(self._cfg.flags_file.read_text(encoding="utf-8"))
        read, percentage = flags.parse(document, self._cfg.target.id, self._cfg.legacy.id)
        await seed(self._log, read, percentage, user="worker")

    async def drain(self) -> None:
        """Nothing is in flight."""

    async def stop(self) -> None:
        """Close the database's sockets."""
        self._database.close()


class Lanes:
    """The `Lanes` port: both lane consumers, held together when the store is away."""

    def __init__(self) -> None:
        self.consumers: dict[Lane, Consumer] = {}
        self.draining = False

    def pause(self, lane: Lane, seconds: float) -> None:
        """See `ports.Lanes.pause`."""
        consumer = self.consumers.get(lane)
        if consumer is not None:
            consumer.pause("breakers", seconds)

    def hold(self, who: str) -> None:
        """Take nothing new on any lane."""
        for consumer in self.consumers.values():
            consumer.hold(who)

    def free(self, who: str) -> None:
        """Undo `hold`."""
        for consumer in self.consumers.values():
            consumer.free(who)

    async def start(self) -> None:
        """Nothing: the consumers are services of their own."""

    async def drain(self) -> None:
        """Begin nothing new; the consumers drain both at once."""
        self.draining = True
        await asyncio.gather(*(consumer.drain() for consumer in self.consumers.values()))

    async def stop(self) -> None:
        """Nothing: see `start`."""


class StoreHealth:
    """What everybody who meets the store says of it."""

    def __init__(self, lanes: Lanes, alerts: Alerts) -> None:
        self._lanes = lanes
        self._alerts = alerts
        self.away: str | None = None
        self.on_return: Callable[[], None] = lambda: None

    def trouble(self, reason: str | None) -> None:
        """None: it answered; else why it did not."""
        if reason is not None and self.away is None:
            self.away = reason
            self._lanes.hold("store")
            self._alerts.raised("store", f"the store is away ({reason}): nothing is sent")
        elif reason is None and self.away is not None:
            self.away = None
            self._lanes.free("store")
            self._alerts.over("store", "the store is back")
            self.on_return()


def build(cfg: Settings) -> Worker:
    """Build one worker from its settings."""
    clock, background, replica = SystemClock(), Background(), uuid4().hex
    consuming = Link(cfg.amqp_url.get_secret_value(), f"sms-worker consume {replica[:8]}")
    publishing = Link(cfg.amqp_url.get_secret_value(), f"sms-worker publish {replica[:8]}")
    database = Database(
        cfg.mongo_url.get_secret_value(), cfg.mongo_database, timeout_s=cfg.store_timeout_s
    )
    publisher = AmqpPublisher(publishing)
    alerts = Alerts(publisher, clock, replica)
    lanes = Lanes()
    health = StoreHealth(lanes, alerts)

    account = {Role.TARGET: cfg.target, Role.LEGACY: cfg.legacy}
    tracing = Tracing(
        console_exporter() if cfg.trace_ratio else None, ratio=cfg.trace_ratio, replica=replica
    )
    providers = {
        role: TracedProvider(registry.build(settings), tracing)
        for role, settings in account.items()
    }
    guards = {
        role: registry.guard(providers[role], settings, clock, alerts.breaker_changed)
        for role, settings in account.items()
    }

    log = ControlLogStore(database[control_log.COLLECTION], clock)
    due = DueStore(database[messages.COLLECTION], clock, report_deadline_s=cfg.report_deadline_s)
    kept_reports = ReportStore(database[reports.COLLECTION], clock, keep_s=cfg.keep_records_s)
    opted_out = SuppressionStore(database[suppressions.COLLECTION], health.trouble)
    references: list[str] = []  # of attempts just accepted, on their way to the sweeper
    records = MessageStore(
        database[messages.COLLECTION],
        owner=replica,
        lease_s=cfg.lease_s,
        retention=Retention(
            delivery_age_s=cfg.delivery_age_s,
            report_deadline_s=cfg.report_deadline_s,
            keep_s=cfg.keep_records_s,
        ),
        clock=clock,
        trouble=health.trouble,
        referenced=references.append,
    )
    announcer = Announcer(publisher, records)
    book = Book(
        clock,
        [settings.id for settings in account.values()],
        slow_ms=flags.Thresholds().max_response_ms,
    )
    slots = SlotStore(database, replica, retention_days=cfg.metrics_retention_days)
    unsent = Unsent()

    sync = Sync(
        log=log,
        replicas=ReplicaStore(database[replicas.COLLECTION]),
        followed=(opted_out,),
        guards=guards.values(),
        clock=clock,
        background=background,
        max_age_s=cfg.snapshot_max_age_s,
        beat=lambda applied: Heartbeat(
            replica=replica,
            applied=applied,
            oldest_unsent=unsent.oldest(),
            breakers={guard.provider_id: str(guard.state) for guard in guards.values()},
            in_hand=sum(consumer.in_hand for consumer in lanes.consumers.values()),
            consuming=all(consumer.consuming for consumer in lanes.consumers.values()),
        ),
        stale=lambda stale: health.trouble("state not verified" if stale else None),
    )
    normalise = normaliser(cfg.default_region, cfg.allowed_regions, strict=cfg.strict_numbers)
    key = cfg.hash_key.get_secret_value().encode()
    prices = _tariff(cfg)

    def price(provider: str, to: str, segments: int) -> Money | None:
        return prices.price(provider, to, segments, clock.now().date())

    hybrid = Hybrid(
        messages=records,
        guards=guards,
        snapshots=sync,
        suppressions=opted_out,
        meter=book,
        clock=clock,
        deadline_s={r: s.deadline_s + s.connect_timeout_s for r, s in account.items()},
        budget={Lane.TRANSACTIONAL: cfg.rounds_transactional, Lane.BULK: cfg.rounds_bulk},
        price=price,
        draining=lambda: lanes.draining,
        unsent=unsent,
    )
    send = SendHandler(
        understanding=Understanding(
            normalise=normalise,
            key=key,
            life_s={Lane.TRANSACTIONAL: cfg.life_transactional_s, Lane.BULK: cfg.life_bulk_s},
            policy={kind: OnUnknown(rule.value) for kind, rule in cfg.unknown_by_type.items()},
        ),
        messages=records,
        hybrid=hybrid,
        announcer=announcer,
        publisher=publisher,
        lanes=lanes,
        clock=clock,
    )
    matcher = Matcher(due, kept_reports, announcer, clock)
    report = ReportHandler(
        providers={provider.id: provider for provider in providers.values()},
        reports=kept_reports,
        matcher=matcher,
        suppressions=opted_out,
        normalise=normalise,
        key=key,
        publisher=publisher,
        clock=clock,
    )
    sweeper = Sweeper(
        due=due,
        messages=records,
        reports=kept_reports,
        matcher=matcher,
        announcer=announcer,
        meter=book,
        reporting=frozenset(s.id for s in account.values() if s.report_token is not None),
        clock=clock,
        background=background,
        lease_s=cfg.lease_s,
        references=references,
    )
    health.on_return = sweeper.store_was_away

    def consumer(queue: Queue, prefetch: int, handler: SendHandler | ReportHandler) -> Consumer:
        wrapped = bounded_errors(handler, give_up=handler.give_up, publisher=publisher, clock=clock)
        return Consumer(
            consuming,
            queue,
            prefetch=prefetch,
            handler=traced(logged(wrapped), tracing),
            grace_s=cfg.drain_grace_s,
        )

    lanes.consumers = {
        Lane.TRANSACTIONAL: consumer(Queue.TRANSACTIONAL, cfg.prefetch_transactional, send),
        Lane.BULK: consumer(Queue.BULK, cfg.prefetch_bulk, send),
    }
    lost = Consumer(
        consuming,
        Queue.LOST,
        prefetch=REPORT_PREFETCH,
        handler=logged(LostHandler(send)),
        grace_s=cfg.drain_grace_s,
    )
    checks = {
        "store": lambda: (health.away is None, health.away or "reachable"),
        "state": lambda: (sync.is_fresh(), "verified" if sync.is_fresh() else "not verified"),
        "suppressions": lambda: (opted_out.loaded, "loaded" if opted_out.loaded else "not loaded"),
        "broker": lambda: (consuming.is_up and publishing.is_up, "connected"),
        **{str(lane): _lane_check(consumer) for lane, consumer in lanes.consumers.items()},
    }
    return Worker(
        services=(
            WebServer(
                health_app(checks),
                background,
                host=cfg.private_host,
                port=cfg.private_port,
                name="health",
            ),
            tracing,
            consuming,
            publishing,
            Setup(consuming, database, log, cfg),
            publisher,
            records,
            sync,
            Wakeups(consuming, Exchange.STATE, Key.STATE, sync.wake),
            MetricsPublisher(book, publisher, slots, background, clock, replica=replica),
            AccountWatch(
                providers=tuple(providers.values()),
                low_balance={s.id: s.low_balance for s in account.values() if s.low_balance},
                alerts=alerts,
                interval_s=lambda: _health_interval(sync),
                background=background,
            ),
            sweeper,
            consumer(Queue.REPORTS, REPORT_PREFETCH, report),
            lost,
            *lanes.consumers.values(),
            lanes,
        ),
        background=background,
    )


def _health_interval(sync: Sync) -> float:
    snapshot = sync.current
    settings = snapshot.flags.migration if snapshot else flags.MigrationSettings()
    return settings.health_interval_min * 60


def _lane_check(consumer: Consumer) -> Callable[[], tuple[bool, str]]:
    def check() -> tuple[bool, str]:
        held = consumer.held_by
        if held == {"breakers"}:
            return True, "paused: every breaker is open"
        if held:
            return False, f"held back: {', '.join(sorted(held))}"
        return consumer.consuming, "consuming" if consumer.consuming else "not consuming"

    return check


def _tariff(cfg: Settings) -> tariff.Tariff:
    if cfg.tariffs_file is None:
        return tariff.Tariff({})
    return tariff.parse(yaml.safe_load(cfg.tariffs_file.read_text(encoding="utf-8")))


async def run(cfg: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT."""
    await build(cfg).run(_stop_signal())


async def run_webhook(cfg: WebhookSettings) -> None:
    """Run the webhook until SIGTERM or SIGINT."""
    await build_webhook(cfg).run(_stop_signal())


def build_webhook(cfg: WebhookSettings) -> Worker:
    """Build the webhook: no store, no worker's rights, one exchange."""
    background = Background()
    link = Link(cfg.amqp_url.get_secret_value(), "sms-webhook")
    tokens = {name: token.get_secret_value() for name, token in cfg.webhook_tokens.items()}
    site = Webhook(ReportOutlet(link), tokens, SystemClock())
    server = WebServer(
        site.app(), background, host=cfg.webhook_host, port=cfg.webhook_port, name="webhook"
    )
    return Worker((link, server), background)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
