"""The services that take commands and queries: composed apart from the sending of messages.

Rules: a connection of its own with a short heartbeat, and a store client of its own with a short
deadline: neither a busy lane nor a slow store stands before an emergency. One delivery at a time.
Never held back with the lanes: a rollback must come through while nothing else may.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.names import Queue
from worker.broker.consumer import Consumer
from worker.broker.link import Link
from worker.control import commands, queries
from worker.control.alert_recorder import Recorder
from worker.control.monitor import Monitor
from worker.control.notifier import Notifier
from worker.control.orders import Providers
from worker.control.reporting import Reporting
from worker.control.ticks import Ticks
from worker.control.trust import bounded
from worker.domain.effects import place
from worker.domain.flags import MigrationSettings
from worker.domain.health import Subject
from worker.domain.phases import Role
from worker.domain.steering import share
from worker.handlers.middleware import logged
from worker.measuring import Measuring
from worker.notify.mail import Mail
from worker.notify.post import Notices
from worker.notify.webhook import Webhook
from worker.runtime import Steps
from worker.store import alerts as store_alerts
from worker.store import control_log, replicas
from worker.store import evidence as store_evidence
from worker.store.alerts import AlertStore
from worker.store.client import Database
from worker.store.control_log import ControlLogStore
from worker.store.evidence import EvidenceStore
from worker.store.replicas import ReplicaStore
from worker.store.slots import SlotStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.broker.publisher import AmqpPublisher
    from worker.clock import SystemClock
    from worker.control.sync import Sync
    from worker.domain.flags import Snapshot
    from worker.handlers.middleware import Handler
    from worker.numbers import NotANumber
    from worker.ports import Guard, Provider
    from worker.service import Background, Service
    from worker.settings import Settings
    from worker.telemetry.alerts import Alerts

HEARTBEAT_S: Final = 5
STORE_TIMEOUT_S: Final = 2.0
GRACE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Around:
    """What the rest of the process lends."""

    cfg: Settings
    clock: SystemClock
    background: Background
    publisher: AmqpPublisher
    alerts: Alerts
    sync: Sync
    guards: Mapping[Role, Guard]
    target: Provider
    legacy: Provider
    normalise: Callable[[str], str | NotANumber]
    replica: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept in the store, and what is measured of it."""

    log: ControlLogStore
    book: AlertStore
    beats: ReplicaStore
    slots: SlotStore
    evidence: EvidenceStore
    measuring: Measuring
    reporting: Reporting


def control_services(around: Around) -> tuple[Service, ...]:
    """Connection, store client, both consumers, the monitor and who tells, in start order."""
    cfg, replica = around.cfg, around.replica
    link = Link(
        cfg.amqp_url.get_secret_value(),
        f"sms-worker control {replica[:8]}",
        around.background,
        heartbeat_s=HEARTBEAT_S,
    )
    database = Database(
        cfg.mongo_url.get_secret_value(), cfg.mongo_database, timeout_s=STORE_TIMEOUT_S
    )
    kept = _kept(around, database)
    return (
        link,
        Steps(stop=database.close),
        _consumer(around, link, Queue.CONTROL_QUERY, _queries(around, kept)),
        _consumer(around, link, Queue.CONTROL_COMMAND, _commands(around, kept)),
        _monitor(around, kept),
        *_telling(around, kept.book),
    )


def _kept(around: Around, database: Database) -> _Kept:
    days = MigrationSettings().metrics_retention_days  # read-only here: the other one writes
    slots = SlotStore(database, around.replica, retention_days=days)
    evidence = EvidenceStore(database[store_evidence.COLLECTION])
    measuring = Measuring(slots, around.target, around.legacy, around.clock, evidence.known)
    return _Kept(
        log=ControlLogStore(database[control_log.COLLECTION], around.clock),
        book=AlertStore(database[store_alerts.COLLECTION], around.replica),
        beats=ReplicaStore(database[replicas.COLLECTION]),
        slots=slots,
        evidence=evidence,
        measuring=measuring,
        reporting=_reporting(around, measuring),
    )


def _reporting(around: Around, measuring: Measuring) -> Reporting:
    target, legacy = around.target, around.legacy
    return Reporting(
        sums=measuring.sums,
        target=Subject(target.id, Role.TARGET, target.gives_reports),
        legacy=Subject(legacy.id, Role.LEGACY, legacy.gives_reports),
        snapshots=around.sync,
        broadcast=around.publisher,
        clock=around.clock,
    )


def _monitor(around: Around, kept: _Kept) -> Monitor:
    age_s = around.cfg.delivery_age_s
    return Monitor(
        log=kept.log,
        ticks=Ticks(kept.slots, kept.beats, around.target, around.legacy, age_s),
        checkpoints=kept.evidence,
        figures=kept.measuring,
        publish=kept.reporting.publish,
        replier=around.publisher,
        alerts=around.alerts,
        wake=around.sync.wake,
        clock=around.clock,
        background=around.background,
    )


def _telling(around: Around, book: AlertStore) -> tuple[Service, ...]:
    """What puts alerts down, and what tells people of them."""
    cfg, told = around.cfg.notify, around.alerts
    recorder = Recorder(told, book, around.background)
    mail = Mail(around.cfg.smtp, timeout_s=cfg.timeout_s) if around.cfg.smtp else None
    notifier = Notifier(
        source=told,
        book=book,
        snapshots=around.sync,
        post=Notices(mail, Webhook(timeout_s=cfg.timeout_s, allow_private=cfg.allow_private)),
        told_directly=recorder.told_directly,
        clock=around.clock,
        background=around.background,
        repeat_s=cfg.repeat_s,
        settle_s=cfg.settle_s,
    )
    return (recorder, notifier)


def _commands(around: Around, kept: _Kept) -> commands.CommandHandler:
    def changed(before: Snapshot, after: Snapshot, user: str) -> None:
        around.sync.wake()
        if (place(before), share(before)) != (place(after), share(after)):
            text = f"{user}: {place(before)} -> {place(after)}: {after.notes}"
            around.alerts.told("state", text)

    return commands.CommandHandler(
        log=kept.log,
        book=kept.book,
        replier=around.publisher,
        measures=kept.measuring.since_change,
        ranks=around.cfg.roles,
        providers=Providers(around.cfg.target.id, around.cfg.legacy.id),
        changed=changed,
        suspicious=lambda text: around.alerts.told("control-refused", text, severity="warning"),
        clock=around.clock,
    )


def _queries(around: Around, kept: _Kept) -> queries.QueryHandler:
    return queries.QueryHandler(
        log=kept.log,
        book=kept.book,
        replicas=kept.beats,
        snapshots=around.sync,
        figures=kept.measuring.figures,
        reporting=kept.reporting,
        measures=kept.measuring.since_change,
        checkpoint=kept.evidence.read,
        alerts=around.alerts.standing,
        guards=around.guards,
        normalise=around.normalise,
        replier=around.publisher,
        ranks=around.cfg.roles,
        clock=around.clock,
    )


def _consumer(around: Around, link: Link, queue: Queue, handler: Handler) -> Consumer:
    def gave_up(text: str) -> None:
        around.alerts.told("control-failed", text, severity="critical")

    return Consumer(
        link,
        around.background,
        queue,
        prefetch=1,
        handler=logged(bounded(handler, gave_up)),
        grace_s=GRACE_S,
    )
