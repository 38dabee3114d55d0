"""The composition root: settings -> services, in start order.

Rules: everything is built here and nowhere else. `build` reads as the start-up does, from the
outside in: connections, providers, stores, what is in force, handlers, consumers. Consumers start
last and drain first.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import yaml

from contracts.names import Exchange, Key, Queue
from worker.broker.consumer import Consumer
from worker.broker.link import Link
from worker.broker.unrouted import UnroutedWatch
from worker.broker.wakeups import Wakeups
from worker.clock import SystemClock
from worker.control.accounts import AccountWatch
from worker.control.follow import Follower
from worker.control.prober import Prober
from worker.control.sync import Sync
from worker.control_services import Around, control_services
from worker.domain import flags, tariff
from worker.domain.message import Lane, OnUnknown
from worker.domain.phases import Role
from worker.foundation import Accounts, Base, Stores, accounts_of, base_of, set_up, stores_of
from worker.handlers.announce import Announcer
from worker.handlers.choose import Chooser
from worker.handlers.hybrid import Hybrid
from worker.handlers.lost import LostHandler
from worker.handlers.middleware import bounded_errors, logged, traced
from worker.handlers.report import Matcher, ReportHandler
from worker.handlers.round import Unsent
from worker.handlers.send import SendHandler
from worker.handlers.sweep import Sweeper
from worker.handlers.understand import Understanding
from worker.handlers.unrouted import UnroutedHandler
from worker.numbers import normaliser
from worker.ports import Heartbeat
from worker.runtime import Process, Steps, StoreHealth, Together
from worker.service import Background
from worker.store import evidence
from worker.store.evidence import EvidenceStore
from worker.telemetry.metrics import Book
from worker.telemetry.publisher import MetricsPublisher
from worker.web.health import health_app
from worker.web.outlet import ReportOutlet
from worker.web.reports import Webhook
from worker.web.server import WebServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.handlers.middleware import GiveUp, Handler
    from worker.settings import MessageSettings, Settings, WebhookSettings
    from worker.telemetry.alerts import Alerts

REPORT_PREFETCH: Final = 64


def build(cfg: Settings) -> Process:
    """Build one worker from its settings."""
    base = base_of(cfg)
    accounts = accounts_of(base)
    health = StoreHealth(base.lanes, base.alerts)
    stores = stores_of(base, health)
    book = _book(base, accounts)
    announcer = Announcer(base.publisher, stores.records)
    unsent = Unsent()
    follower = Follower(accounts.guards, book, stores.slots, base.background)
    sync = _sync(base, accounts, stores, health, unsent, follower)
    for guard in accounts.guards.values():
        guard.on_fault(lambda *_: sync.wake())  # other replicas learn of it by the heartbeat
    send = _send(base, accounts, stores, book, announcer, sync, unsent)
    steering = control_services(_around(base, accounts, sync, send))
    matcher = Matcher(stores.due, stores.reports, announcer, base.clock)
    sweeper = _sweeper(base, accounts, stores, book, announcer, matcher)
    health.on_return(sweeper.store_was_away)
    report = _report(base, accounts, stores, matcher, send.understanding)
    base.lanes.consumers = _lane_consumers(base, send)
    return Process(
        services=(
            _health_server(base, stores, sync, health),
            base.tracing,
            base.consuming,
            base.publishing,
            Steps(start=lambda: set_up(base, stores), stop=base.database.close),
            Steps(stop=accounts.close),
            base.publisher,
            stores.records,
            sync,
            Wakeups(base.consuming, base.background, Exchange.STATE, Key.STATE, sync.wake),
            _metrics(base, stores, book),
            *steering,
            _account_watch(base, accounts, sync),
            _prober(base, accounts, stores, sync),
            sweeper,
            UnroutedWatch(base.consuming, base.background, _untaken(base.alerts)),
            Together(
                _consumer(base, Queue.REPORTS, REPORT_PREFETCH, report, report.give_up),
                _inner(base, Queue.LOST, LostHandler(send)),
                _inner(base, Queue.UNROUTED_COMMANDS, UnroutedHandler(send)),
                base.lanes,
            ),
        ),
        background=base.background,
    )


def _book(base: Base, accounts: Accounts) -> Book:
    providers = [settings.id for settings in accounts.settings.values()]
    return Book(base.clock, providers, slow_ms=flags.Thresholds().max_response_ms)


def _metrics(base: Base, stores: Stores, book: Book) -> MetricsPublisher:
    return MetricsPublisher(
        book, base.publisher, stores.slots, base.background, base.clock, replica=base.replica
    )


def _around(base: Base, accounts: Accounts, sync: Sync, send: SendHandler) -> Around:
    return Around(
        cfg=base.cfg,
        clock=base.clock,
        background=base.background,
        publisher=base.publisher,
        alerts=base.alerts,
        sync=sync,
        guards=accounts.guards,
        target=accounts.providers[Role.TARGET],
        legacy=accounts.providers[Role.LEGACY],
        normalise=send.understanding.normalise,
        replica=base.replica,
    )


def _lane_consumers(base: Base, send: SendHandler) -> dict[Lane, Consumer]:
    cfg = base.cfg
    lanes = {
        Lane.TRANSACTIONAL: (Queue.TRANSACTIONAL, cfg.prefetch_transactional),
        Lane.BULK: (Queue.BULK, cfg.prefetch_bulk),
    }
    return {
        lane: _consumer(base, queue, prefetch, send, send.give_up)
        for lane, (queue, prefetch) in lanes.items()
    }


def _health_server(base: Base, stores: Stores, sync: Sync, health: StoreHealth) -> WebServer:
    checks = {
        "store": health.check,
        "state": lambda: (sync.is_fresh(), "verified within its age" if sync.is_fresh() else "old"),
        "suppressions": lambda: (stores.suppressions.loaded, "loaded once at start"),
        "broker": lambda: (base.consuming.is_up and base.publishing.is_up, "both connections"),
        **base.lanes.checks(),
    }
    cfg = base.cfg
    return WebServer(
        health_app(checks),
        base.background,
        host=cfg.private_host,
        port=cfg.private_port,
        name="health",
    )


def _sync(  # noqa: PLR0917 - what a replica goes by and says of itself
    base: Base,
    accounts: Accounts,
    stores: Stores,
    health: StoreHealth,
    unsent: Unsent,
    follower: Follower,
) -> Sync:
    def beat(applied: int | None) -> Heartbeat:
        return Heartbeat(
            replica=base.replica,
            applied=applied,
            oldest_unsent=unsent.oldest(),
            breakers={guard.provider_id: str(guard.state) for guard in accounts.guards.values()},
            faults={g.provider_id: g.fault for g in accounts.guards.values() if g.fault},
            in_hand=base.lanes.in_hand,
            consuming=base.lanes.consuming,
        )

    return Sync(
        log=stores.log,
        replicas=stores.replicas,
        followed=(stores.suppressions,),
        guards=accounts.guards.values(),
        clock=base.clock,
        background=base.background,
        max_age_s=base.cfg.snapshot_max_age_s,
        beat=beat,
        stale=lambda stale: health.met("state not verified" if stale else None),
        swapped=follower,
    )


def _send(  # noqa: PLR0917 - what a message's life needs, once, in the order it is built
    base: Base,
    accounts: Accounts,
    stores: Stores,
    book: Book,
    announcer: Announcer,
    sync: Sync,
    unsent: Unsent,
) -> SendHandler:
    cfg, prices = base.cfg, _tariff(base.cfg)
    chooser = Chooser(
        guards=accounts.guards,
        snapshots=sync,
        suppressions=stores.suppressions,
        meter=book,
        clock=base.clock,
        draining=lambda: base.lanes.draining,
    )
    hybrid = Hybrid(
        messages=stores.records,
        chooser=chooser,
        guards=accounts.guards,
        suppressions=stores.suppressions,
        meter=book,
        clock=base.clock,
        deadline_s={r: s.deadline_s + s.connect_timeout_s for r, s in accounts.settings.items()},
        budget={Lane.TRANSACTIONAL: cfg.rounds_transactional, Lane.BULK: cfg.rounds_bulk},
        price=lambda provider, to, parts: prices.price(
            provider, to, parts, base.clock.now().date()
        ),
        unsent=unsent,
    )
    return SendHandler(
        understanding=replace(understanding(cfg), own_numbers=lambda: _own_numbers(sync)),
        messages=stores.records,
        hybrid=hybrid,
        announcer=announcer,
        publisher=base.publisher,
        lanes=base.lanes,
        clock=base.clock,
    )


def _own_numbers(sync: Sync) -> tuple[str, ...]:
    return sync.current.flags.migration.validation.numbers if sync.current else ()


def understanding(cfg: MessageSettings) -> Understanding:
    """How commands are understood under these settings."""
    return Understanding(
        normalise=normaliser(cfg.default_region, cfg.allowed_regions, strict=cfg.strict_numbers),
        key=cfg.hash_key.get_secret_value().encode(),
        life_s={Lane.TRANSACTIONAL: cfg.life_transactional_s, Lane.BULK: cfg.life_bulk_s},
        policy={kind: OnUnknown(rule.value) for kind, rule in cfg.unknown_by_type.items()},
    )


def _tariff(cfg: Settings) -> tariff.Tariff:
    if cfg.tariffs_file is None:
        return tariff.Tariff({})
    return tariff.parse(yaml.safe_load(cfg.tariffs_file.read_text(encoding="utf-8")))


def _sweeper(  # noqa: PLR0917 - as above
    base: Base,
    accounts: Accounts,
    stores: Stores,
    book: Book,
    announcer: Announcer,
    matcher: Matcher,
) -> Sweeper:
    return Sweeper(
        due=stores.due,
        messages=stores.records,
        reports=stores.reports,
        matcher=matcher,
        announcer=announcer,
        meter=book,
        reporting=accounts.reporting(),
        clock=base.clock,
        background=base.background,
        lease_s=base.cfg.lease_s,
        references=stores.references,
    )


def _report(
    base: Base,
    accounts: Accounts,
    stores: Stores,
    matcher: Matcher,
    understood: Understanding,
) -> ReportHandler:
    return ReportHandler(
        providers={provider.id: provider for provider in accounts.providers.values()},
        reports=stores.reports,
        matcher=matcher,
        suppressions=stores.suppressions,
        normalise=understood.normalise,
        key=understood.key,
        publisher=base.publisher,
        clock=base.clock,
    )


def _consumer(
    base: Base, queue: Queue, prefetch: int, handler: Handler, give_up: GiveUp
) -> Consumer:
    """A queue and its handler, wrapped from the inside out."""
    wrapped = bounded_errors(handler, give_up=give_up, publisher=base.publisher, clock=base.clock)
    wrapped = logged(wrapped)
    if base.tracing.records:
        wrapped = traced(wrapped, base.tracing)
    grace_s = base.cfg.drain_grace_s
    return Consumer(
        base.consuming, base.background, queue, prefetch=prefetch, handler=wrapped, grace_s=grace_s
    )


def _inner(base: Base, queue: Queue, handler: Handler) -> Consumer:
    """A queue no retry tier leads back to: the broker repeats what fails, a bounded time."""
    return Consumer(
        base.consuming,
        base.background,
        queue,
        prefetch=REPORT_PREFETCH,
        handler=traced(logged(handler), base.tracing),
        grace_s=base.cfg.drain_grace_s,
    )


def _untaken(alerts: Alerts) -> Callable[[int], None]:
    """Tell once that there are events nobody takes, and when there are none any more."""

    def counted(count: int) -> None:
        if count:
            alerts.raised(
                "events-unrouted",
                f"{count} events of the last hour were taken by nobody: no queue is bound to them",
                severity="warning",
                suggested_command="sms-worker unrouted",
            )
        else:
            alerts.over("events-unrouted", "every event of the last hour was taken")

    return counted


def _account_watch(base: Base, accounts: Accounts, sync: Sync) -> AccountWatch:
    def interval_s() -> float:
        snapshot = sync.current
        settings = snapshot.flags.migration if snapshot else flags.MigrationSettings()
        return settings.health_interval_min * 60

    return AccountWatch(
        providers=tuple(accounts.providers.values()),
        low_balance={s.id: s.low_balance for s in accounts.settings.values() if s.low_balance},
        alerts=base.alerts,
        interval_s=interval_s,
        background=base.background,
    )


def _prober(base: Base, accounts: Accounts, stores: Stores, sync: Sync) -> Prober:
    return Prober(
        snapshots=sync,
        records=stores.due,
        known=EvidenceStore(base.database[evidence.COLLECTION]).known,
        publisher=base.publisher,
        providers=accounts.providers,
        alerts=base.alerts,
        clock=base.clock,
        background=base.background,
        delivery_age_s=base.cfg.delivery_age_s,
        max_age_s=base.cfg.snapshot_max_age_s,
    )


def build_webhook(cfg: WebhookSettings) -> Process:
    """Build the webhook: no store, no worker's rights, one exchange."""
    background = Background()
    link = Link(cfg.amqp_url.get_secret_value(), "sms-webhook", background)
    tokens = {name: token.get_secret_value() for name, token in cfg.webhook_tokens.items()}
    site = Webhook(ReportOutlet(link), tokens, SystemClock())
    server = WebServer(
        site.app(), background, host=cfg.webhook_host, port=cfg.webhook_port, name="webhook"
    )
    return Process((link, server), background)


async def run(cfg: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT."""
    await build(cfg).run(_stop_signal())


async def run_webhook(cfg: WebhookSettings) -> None:
    """Run the webhook until SIGTERM or SIGINT."""
    await build_webhook(cfg).run(_stop_signal())


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
