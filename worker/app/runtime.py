"""Builds what every part of one worker process shares: settings, time, connections, alerts.

Rules: it is built first and once, from the settings alone. Building it starts nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.alerting.alerts import Alerts
from worker.app.lanes import Lanes
from worker.broker.connection import HEARTBEAT_S
from worker.broker.publisher import AmqpPublisher
from worker.service import Background
from worker.telemetry.deliveries import Deliveries
from worker.telemetry.export import exporter_of
from worker.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from worker.app.edges import Edges
    from worker.broker.connection import BrokerConnection
    from worker.ports.clock import Clock
    from worker.settings.model import Settings
    from worker.store.client import Database


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts that a worker process shares."""

    cfg: Settings
    edges: Edges
    clock: Clock
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


def runtime_of(cfg: Settings, replica: str, edges: Edges) -> Runtime:
    """Build the runtime; connects to nothing."""
    background = Background()
    publishing = edges.link(f"sms-worker publish {replica}", background, HEARTBEAT_S)
    publisher = AmqpPublisher(publishing, background)
    exporter, ratio = exporter_of(os.environ, cfg.trace_ratio)
    return Runtime(
        cfg=cfg,
        edges=edges,
        clock=edges.clock,
        background=background,
        replica=replica,
        consuming=edges.link(f"sms-worker consume {replica}", background, HEARTBEAT_S),
        publishing=publishing,
        publisher=publisher,
        database=edges.database(cfg.store_timeout_s),
        alerts=Alerts(publisher, edges.clock, replica),
        tracing=Tracing(exporter, ratio=ratio, replica=replica),
        deliveries=Deliveries(edges.clock),
        lanes=Lanes(),
    )
