"""Puts the collections behind their ports and sets up what must exist before the first message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from worker.app.edges import naming_database
from worker.broker import reason, server, topology
from worker.control.snapshot_follower import seed
from worker.domain.migration import flags, flags_document
from worker.handlers.accepted_references import AcceptedReferences
from worker.numbers import sender_names
from worker.ports.store import StoreUnavailable
from worker.service import ServerAwayError, naming, once_there
from worker.settings import flags_file
from worker.settings.addresses import where
from worker.store import (
    cohorts,
    control_log,
    evidence,
    failures,
    indexes,
    messages,
    replicas,
    reports,
    suppressions,
)
from worker.store.cohorts import CohortStore
from worker.store.control_log import ControlLogStore
from worker.store.due import DueStore
from worker.store.evidence import EvidenceStore
from worker.store.failures import FailureStore
from worker.store.messages import MessageStore
from worker.store.replicas import ReplicaStore
from worker.store.reports import ReportStore
from worker.store.slots import SlotStore
from worker.store.states import Retention
from worker.store.suppressions import SuppressionStore

if TYPE_CHECKING:
    from worker.app.runtime import Runtime
    from worker.ports.store import StoreListener
    from worker.settings.model import Settings

_log = structlog.get_logger(__name__)
RETENTION_DAYS: Final = flags.MigrationSettings().metrics_retention_days
"""Days that metrics are kept, until the first snapshot sets them."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The collections that sending messages needs, each behind its port."""

    log: ControlLogStore
    records: MessageStore
    due: DueStore
    reports: ReportStore
    suppressions: SuppressionStore
    replicas: ReplicaStore
    slots: SlotStore
    cohorts: CohortStore
    failures: FailureStore
    evidence: EvidenceStore
    references: AcceptedReferences


def stores_of(runtime: Runtime, health: StoreListener) -> Stores:
    """Put each collection behind its port.

    Args:
        runtime: the process.
        health: called when the store fails and when it answers.
    """
    cfg, database, clock = runtime.cfg, runtime.database, runtime.clock
    references = AcceptedReferences()
    return Stores(
        log=ControlLogStore(database[control_log.COLLECTION], clock),
        records=_records(runtime, health, references),
        due=DueStore(database[messages.COLLECTION], clock, report_deadline_s=cfg.report_deadline_s),
        reports=ReportStore(database[reports.COLLECTION], clock, keep_s=cfg.keep_records_s),
        suppressions=SuppressionStore(
            database[suppressions.COLLECTION],
            health.away,
            clock,
            sender_names(cfg.default_region),
        ),
        replicas=ReplicaStore(database[replicas.COLLECTION]),
        slots=SlotStore(database, runtime.replica, retention_days=RETENTION_DAYS),
        cohorts=CohortStore(database[cohorts.COLLECTION], runtime.replica),
        failures=FailureStore(database[failures.COLLECTION], clock),
        evidence=EvidenceStore(database[evidence.COLLECTION]),
        references=references,
    )


def _records(
    runtime: Runtime, health: StoreListener, references: AcceptedReferences
) -> MessageStore:
    cfg = runtime.cfg
    return MessageStore(
        runtime.database[messages.COLLECTION],
        owner=runtime.replica,
        lease_s=cfg.lease_s,
        retention=Retention(
            delivery_age_s=cfg.delivery_age_s,
            report_deadline_s=cfg.report_deadline_s,
            keep_s=cfg.keep_records_s,
        ),
        clock=runtime.clock,
        health=health,
        referenced=references.add,
        background=runtime.background,
    )


async def set_up(runtime: Runtime, stores: Stores, health: StoreListener) -> None:
    """Check the servers, declare the topology, create indexes, seed the control log.

    Waits as long as a server is away. Raises `StartError` if a server or the flags file cannot be
    used, for instance because the server is too old.
    """

    def away(error: ServerAwayError) -> None:
        _log.warning("waiting for a server", problem=str(error))
        health.away(str(error))

    async def step() -> None:
        try:
            await _set_up(runtime, stores)
        except StoreUnavailable as error:
            raise ServerAwayError(f"MONGO_URL: no answer ({error})") from error

    await once_there(step, away)


async def _set_up(runtime: Runtime, stores: Stores) -> None:
    """Do all of it. Each step is idempotent, so that it can be done again."""
    cfg = runtime.cfg
    with naming_database(cfg):
        await runtime.database.check()
    hosts = where(cfg.amqp_url.get_secret_value())
    with naming("AMQP_URL", f"broker at {hosts}", reason.why, reason.passes):
        channel = await runtime.consuming.channel()
        server.check((await channel.get_underlay_channel()).connection.server_properties)
        await topology.apply(channel)
        await channel.close()
    with naming_database(cfg):
        await indexes.create(runtime.database)
        await stores.slots.create_indexes()
    if await stores.log.last() is None:  # later starts must not depend on the file
        first_flags, percentage = _first_flags(cfg)
        await seed(stores.log, first_flags, percentage, user="worker", now=runtime.clock.now())


def _first_flags(cfg: Settings) -> tuple[flags.Flags, int]:
    with naming("SMS_FLAGS_FILE", str(cfg.flags_file), str):
        document = flags_file.read(cfg.flags_file.read_bytes())
        return flags_document.parse(document, cfg.target.id, cfg.legacy.id)
