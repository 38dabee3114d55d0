"""Builds the services that take commands and queries, apart from those that send messages.

Rules: control has its own connection with a short heartbeat and its own store client with a short
timeout, so neither a busy lane nor a slow store delays an emergency. It takes one delivery at a
time. It is never held back with the lanes: a rollback must get through even when nothing is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.names import Queue
from worker.app.alerting import alerting_services
from worker.app.consumers import control_consumer
from worker.app.monitoring import health_reports, measuring_of, monitor_of
from worker.app.queries import query_handler
from worker.app.start_and_stop import DrainTogether, Resource
from worker.app.stores import RETENTION_DAYS
from worker.control.commands import CommandHandler
from worker.control.consents import Consents
from worker.control.deciding import Deciding
from worker.control.translate import Providers, Translator
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.migration.direction import share
from worker.domain.migration.snapshot import describe
from worker.numbers import sender_names
from worker.store import alerts as store_alerts
from worker.store import cohorts, control_log, evidence, replicas, suppressions
from worker.store.alerts import AlertStore
from worker.store.cohorts import CohortStore
from worker.store.control_log import ControlLogStore
from worker.store.evidence import EvidenceStore
from worker.store.replicas import ReplicaStore
from worker.store.slots import SlotStore
from worker.store.suppressions import SuppressionBookStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.app.accounts import Accounts
    from worker.app.runtime import Runtime
    from worker.control.snapshot_follower import SnapshotFollower
    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.migration.snapshot import Snapshot
    from worker.handlers.decode import CommandDecoder
    from worker.monitoring.measures import Measuring
    from worker.service import Service
    from worker.store.client import Database

HEARTBEAT_S: Final = 5
STORE_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class ControlStores:
    """The collections that steering needs, on their own store client."""

    log: ControlLogStore
    alerts: AlertStore
    replicas: ReplicaStore
    slots: SlotStore
    cohorts: CohortStore
    evidence: EvidenceStore
    suppressions: SuppressionBookStore


def control_services(
    runtime: Runtime,
    accounts: Accounts,
    follower: SnapshotFollower,
    decoder: CommandDecoder,
    evidence_seen: Callable[[Checkpoint | None], None],
) -> tuple[Service, ...]:
    """Build, in start order: connection, store client, both consumers, monitor, alerting.

    `evidence_seen` gets the evidence that the monitor sees.
    """
    name, background = f"sms-worker control {runtime.replica}", runtime.background
    connection = runtime.edges.link(name, background, HEARTBEAT_S)
    database = runtime.edges.database(STORE_TIMEOUT_S)
    stores = _stores(runtime, database)
    measuring = measuring_of(runtime, accounts, stores)
    reports = health_reports(runtime, accounts, follower, measuring)
    consents = _consents(runtime, stores, decoder)
    deciding = _deciding(runtime, stores, measuring, consents)
    queries = query_handler(
        runtime, accounts, stores, follower=follower, measuring=measuring, reports=reports,
        deciding=deciding, consents=consents, decoder=decoder,
    )  # fmt: skip
    commands = _commands(runtime, stores, follower, deciding, consents)
    monitor = monitor_of(
        runtime, accounts, stores, follower=follower, measuring=measuring, reports=reports,
        seen=evidence_seen,
    )  # fmt: skip
    return (
        connection,
        Resource(close=database.close),
        DrainTogether(
            control_consumer(runtime, connection, Queue.CONTROL_QUERY, queries),
            control_consumer(runtime, connection, Queue.CONTROL_COMMAND, commands),
        ),
        monitor,
        *alerting_services(runtime, stores.alerts, follower),
    )


def _stores(runtime: Runtime, database: Database) -> ControlStores:
    names = sender_names(runtime.cfg.default_region)
    return ControlStores(
        log=ControlLogStore(database[control_log.COLLECTION], runtime.clock),
        alerts=AlertStore(database[store_alerts.COLLECTION], runtime.replica),
        replicas=ReplicaStore(database[replicas.COLLECTION]),
        # Only read here: the slots are written by the client of the sending side.
        slots=SlotStore(database, runtime.replica, retention_days=RETENTION_DAYS),
        cohorts=CohortStore(database[cohorts.COLLECTION], runtime.replica),
        evidence=EvidenceStore(database[evidence.COLLECTION]),
        suppressions=SuppressionBookStore(database[suppressions.COLLECTION], names),
    )


def _consents(runtime: Runtime, stores: ControlStores, decoder: CommandDecoder) -> Consents:
    names = sender_names(runtime.cfg.default_region)
    return Consents(
        stores.suppressions, decoder.normalise, decoder.key, names, other_keys=decoder.other_keys
    )


def _deciding(
    runtime: Runtime, stores: ControlStores, measuring: Measuring, consents: Consents
) -> Deciding:
    cfg = runtime.cfg
    translator = Translator(
        providers=Providers(cfg.target.id, cfg.legacy.id),
        roles=cfg.roles,
        log=stores.log,
        book=stores.alerts,
        consents=consents,
    )
    return Deciding(translator, measuring.since_change, runtime.clock)


def _commands(
    runtime: Runtime,
    stores: ControlStores,
    follower: SnapshotFollower,
    deciding: Deciding,
    consents: Consents,
) -> CommandHandler:
    alerts = runtime.alerts

    def changed(before: Snapshot, after: Snapshot, user: str) -> None:
        follower.wake()
        if (describe(before), share(before)) != (describe(after), share(after)):
            text = f"{user}: {describe(before)} -> {describe(after)}: {after.notes}"
            alerts.event(AlertCode.STATE, text)

    return CommandHandler(
        log=stores.log,
        book=stores.alerts,
        replier=runtime.publisher,
        roles=runtime.cfg.roles,
        deciding=deciding,
        consents=consents,
        changed=changed,
        suspicious=lambda text: alerts.event(AlertCode.CONTROL_REFUSED, text),
        clock=runtime.clock,
    )
