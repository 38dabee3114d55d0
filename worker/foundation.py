"""What a worker stands on: connections, provider accounts, collections.

Rules: built once, by the composition root (`worker.app`), in this order; nothing here decides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from worker.broker import topology
from worker.broker.link import Link
from worker.broker.publisher import AmqpPublisher
from worker.clock import SystemClock
from worker.control.sync import seed
from worker.domain import flags
from worker.domain.phases import Role
from worker.providers import registry
from worker.runtime import Lanes, StoreHealth
from worker.service import Background
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
from worker.telemetry.tracing import TracedProvider, Tracing, console_exporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.ports import Provider
    from worker.providers.guard import ProviderGuard
    from worker.settings import ProviderSettings, Settings

_RETENTION_DAYS: Final = flags.MigrationSettings().metrics_retention_days
"""Until the first snapshot says otherwise."""


@dataclass(frozen=True, slots=True)
class Base:
    """What everything else is built on."""

    cfg: Settings
    clock: SystemClock
    background: Background
    replica: str
    consuming: Link
    publishing: Link
    publisher: AmqpPublisher
    database: Database
    alerts: Alerts
    tracing: Tracing
    lanes: Lanes


@dataclass(frozen=True, slots=True)
class Accounts:
    """The providers by role: settings, adapter, and what stands in front of it."""

    settings: Mapping[Role, ProviderSettings]
    providers: Mapping[Role, Provider]
    guards: Mapping[Role, ProviderGuard]

    def reporting(self) -> frozenset[str]:
        """Ids of those that give delivery reports."""
        return frozenset(p.id for p in self.providers.values() if p.gives_reports)

    async def close(self) -> None:
        """End account checks, close connections."""
        for guard in self.guards.values():
            await guard.close()
        for provider in self.providers.values():
            await provider.close()


@dataclass(frozen=True, slots=True)
class Stores:
    """The collections, each behind its port."""

    log: ControlLogStore
    records: MessageStore
    due: DueStore
    reports: ReportStore
    suppressions: SuppressionStore
    replicas: ReplicaStore
    slots: SlotStore
    references: list[str]
    """Of attempts just accepted, on their way to the sweeper."""


def base_of(cfg: Settings) -> Base:
    """Connections and what everybody shares."""
    clock, replica, amqp = SystemClock(), uuid4().hex, cfg.amqp_url.get_secret_value()
    background = Background()
    publishing = Link(amqp, f"sms-worker publish {replica[:8]}", background)
    publisher = AmqpPublisher(publishing)
    exporter = console_exporter() if cfg.trace_ratio else None
    return Base(
        cfg=cfg,
        clock=clock,
        background=background,
        replica=replica,
        consuming=Link(amqp, f"sms-worker consume {replica[:8]}", background),
        publishing=publishing,
        publisher=publisher,
        database=Database(
            cfg.mongo_url.get_secret_value(), cfg.mongo_database, timeout_s=cfg.store_timeout_s
        ),
        alerts=Alerts(publisher, clock, replica),
        tracing=Tracing(exporter, ratio=cfg.trace_ratio, replica=replica),
        lanes=Lanes(),
    )


def accounts_of(base: Base) -> Accounts:
    """Both providers, each behind its guard."""
    settings = {Role.TARGET: base.cfg.target, Role.LEGACY: base.cfg.legacy}
    providers = {role: _provider(base, account) for role, account in settings.items()}
    alerts = base.alerts
    guards = {
        role: registry.guard(
            providers[role], account, base.clock, alerts.breaker_changed, alerts.account_fault
        )
        for role, account in settings.items()
    }
    return Accounts(settings, providers, guards)


def _provider(base: Base, account: ProviderSettings) -> Provider:
    provider = registry.build(account)
    return TracedProvider(provider, base.tracing) if base.tracing.records else provider


def stores_of(base: Base, health: StoreHealth) -> Stores:
    """The collections behind their ports."""
    cfg, database, clock = base.cfg, base.database, base.clock
    references: list[str] = []
    records = database[messages.COLLECTION]
    retention = Retention(
        delivery_age_s=cfg.delivery_age_s,
        report_deadline_s=cfg.report_deadline_s,
        keep_s=cfg.keep_records_s,
    )
    return Stores(
        log=ControlLogStore(database[control_log.COLLECTION], clock),
        records=MessageStore(
            records,
            owner=base.replica,
            lease_s=cfg.lease_s,
            retention=retention,
            clock=clock,
            trouble=health.met,
            referenced=references.append,
            background=base.background,
        ),
        due=DueStore(records, clock, report_deadline_s=cfg.report_deadline_s),
        reports=ReportStore(database[reports.COLLECTION], clock, keep_s=cfg.keep_records_s),
        suppressions=SuppressionStore(database[suppressions.COLLECTION], health.met),
        replicas=ReplicaStore(database[replicas.COLLECTION]),
        slots=SlotStore(database, base.replica, retention_days=_RETENTION_DAYS),
        references=references,
    )


async def set_up(base: Base, stores: Stores) -> None:
    """Declare the topology, create indexes, seed the control log: each idempotent."""
    await base.database.ping()
    channel = await base.consuming.channel()
    await topology.apply(channel)
    await channel.close()
    await indexes.create(base.database)
    await stores.slots.create_indexes()
    if await stores.log.last() is None:  # later starts must not depend on the file
        document = json.loads(base.cfg.flags_file.read_text(encoding="utf-8"))
        read, percentage = flags.parse(document, base.cfg.target.id, base.cfg.legacy.id)
        await seed(stores.log, read, percentage, user="worker", now=base.clock.now())
