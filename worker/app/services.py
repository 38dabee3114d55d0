"""Builds one worker from its settings and puts its services in start order.

Rules: the parts are built from the outside in: connections, providers, stores, the snapshot in
force, handlers. `services` lists them in start order: consumers start last and drain first;
`worker.app.start_and_stop` starts them. The other modules of this folder build the single parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.app.accounts import accounts_of
from worker.app.alerting import alert_unpublishable
from worker.app.consumers import (
    lane_consumers,
    lost_consumer,
    report_consumer,
    unrouted_consumer,
)
from worker.app.control import control_services
from worker.app.delivery import report_handler, report_matcher, sweeper_of, wishes_of
from worker.app.edges import edges_of
from worker.app.following import snapshot_follower, wakeups
from worker.app.health import BrokerHealth, StoreHealth, health_server
from worker.app.metrics import scrape_of
from worker.app.monitoring import account_watch, prober_of, unrouted_watch
from worker.app.runtime import runtime_of
from worker.app.sending import attempt_metrics, metrics_publisher, send_handler
from worker.app.start_and_stop import CLOSING_S, DrainTogether, Process, Resource
from worker.app.stores import set_up, stores_of
from worker.handlers.message_events import Announcer
from worker.handlers.round import PendingIntents
from worker.telemetry.backlog import Backlog
from worker.telemetry.evidence import EvidenceMetrics

if TYPE_CHECKING:
    from worker.app.edges import Edges
    from worker.service import Service
    from worker.settings.model import Settings


class Worker:
    """The parts of one worker process, each built once."""

    def __init__(self, cfg: Settings, replica: str, edges: Edges) -> None:
        self.runtime = runtime = runtime_of(cfg, replica, edges)
        alert_unpublishable(runtime)
        self.store_health = StoreHealth(runtime.lanes, runtime.alerts)
        self.broker_health = BrokerHealth(
            runtime.consuming, runtime.publishing, runtime.lanes, runtime.alerts
        )
        self.accounts = accounts = accounts_of(runtime)
        self.stores = stores = stores_of(runtime, self.store_health)
        self.metrics = attempt_metrics(runtime, accounts)
        pending = PendingIntents()
        self.follower = snapshot_follower(
            runtime,
            accounts,
            stores,
            health=self.store_health,
            metrics=self.metrics,
            pending=pending,
        )
        announcer = Announcer(runtime.publisher, stores.records)
        self.send = send_handler(
            runtime,
            accounts,
            stores,
            follower=self.follower,
            metrics=self.metrics,
            announcer=announcer,
            pending=pending,
        )
        runtime.lanes.consumers = lane_consumers(runtime, self.send)
        wishes = wishes_of(runtime, stores, self.send.settler.decoder)
        matcher = report_matcher(runtime, stores, announcer, wishes)
        self.reports = report_handler(runtime, accounts, stores, matcher, wishes)
        self.sweeper = sweeper_of(
            runtime, accounts, stores, metrics=self.metrics, announcer=announcer, matcher=matcher
        )
        self.store_health.on_return(self.sweeper.store_was_away)
        runtime.publishing.on_blocked(self.sweeper.broker_blocked)
        self.evidence = EvidenceMetrics()
        self.backlog = Backlog(stores.due, runtime.clock, runtime.background)

    def services(self) -> tuple[Service, ...]:
        """Everything long-lived, in start order."""
        runtime, stores = self.runtime, self.stores
        accounts, follower = self.accounts, self.follower
        store, broker = self.store_health, self.broker_health
        scrape = scrape_of(self)
        return (
            health_server(runtime, stores, follower, scrape, store=store, broker=broker),
            DrainTogether(runtime.tracing, scrape),
            runtime.consuming,
            runtime.publishing,
            Resource(open=lambda: set_up(runtime, stores, store), close=runtime.database.close),
            Resource(close=accounts.close),
            runtime.publisher,
            stores.records,
            follower,
            wakeups(runtime, follower),
            metrics_publisher(runtime, stores, self.metrics),
            *control_services(
                runtime, accounts, follower, self.send.settler.decoder, self.evidence.seen
            ),
            account_watch(runtime, accounts, follower),
            prober_of(runtime, accounts, stores, follower),
            self.sweeper,
            unrouted_watch(runtime),
            self.backlog,
            DrainTogether(
                report_consumer(runtime, self.reports),
                lost_consumer(runtime, self.send),
                unrouted_consumer(runtime, self.send),
                runtime.lanes,
            ),
        )


def build(cfg: Settings, replica: str) -> Process:
    """Build one worker from its settings; `replica` is its id."""
    worker = Worker(cfg, replica, edges_of(cfg))
    return Process(worker.services(), worker.runtime.background, cfg.drain_grace_s + CLOSING_S)


async def run(cfg: Settings, replica: str) -> None:
    """Run a worker until SIGTERM or SIGINT."""
    await build(cfg, replica).run_until_signal()
