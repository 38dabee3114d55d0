"""Builds what every part of one worker process shares: settings, time, connections, alerts.

Rules: it is built first and once, from the settings alone. Building it starts nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.alerting.alerts import Alerts
from worker.app.lanes import Lanes
from worker.broker.connection import BrokerConnection
from worker.broker.publisher import AmqpPublisher
from worker.clock import SystemClock
from worker.service import Background, naming
from worker.settings.addresses import where
from worker.store import address_check
from worker.store.client import Database
from worker.telemetry.deliveries import Deliveries
from worker.telemetry.export import exporter_of
from worker.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from worker.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts that a worker process shares."""

    cfg: Settings
    clock: SystemClock
    background: Background
    replica: str
    """Id of this process, new at each start: see `worker.app.replica`."""
    consuming: BrokerConnection
    publishing: BrokerConnection
    publisher: AmqpPublisher
    database: Database
    alerts: Alerts
    tracing: Tracing
    deliveries: Deliveries
    lanes: Lanes


def runtime_of(cfg: Settings, replica: str) -> Runtime:
    """Build the runtime; connects to nothing."""
    clock, amqp = SystemClock(), cfg.amqp_url.get_secret_value()
    background = Background()
    publishing = BrokerConnection(amqp, f"sms-worker publish {replica}", background)
    publisher = AmqpPublisher(publishing)
    exporter, ratio = exporter_of(os.environ, cfg.trace_ratio)
    return Runtime(
        cfg=cfg,
        clock=clock,
        background=background,
        replica=replica,
        consuming=BrokerConnection(amqp, f"sms-worker consume {replica}", background),
        publishing=publishing,
        publisher=publisher,
        database=_database(cfg),
        alerts=Alerts(publisher, clock, replica),
        tracing=Tracing(exporter, ratio=ratio, replica=replica),
        deliveries=Deliveries(clock),
        lanes=Lanes(),
    )


def _database(cfg: Settings) -> Database:
    with naming_database(cfg):
        return Database(
            cfg.mongo_url.get_secret_value(), cfg.mongo_database, timeout_s=cfg.store_timeout_s
        )


def naming_database(cfg: Settings) -> AbstractContextManager[None]:
    """Report an error inside the block as a problem of `MONGO_URL`."""
    hosts = where(cfg.mongo_url.get_secret_value())
    return naming("MONGO_URL", f"database at {hosts}", address_check.why, address_check.passes)
