"""Builds the webhook as its own process, without a store and with rights to one exchange only.

Rules: what the outside may reach is on one port, `/ready` and `/metrics` are on a private one. It
serves before the broker is there. Until then it is not ready and answers 503 to reports, which
their providers repeat.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from worker.app.start_and_stop import DrainTogether, Process
from worker.broker.connection import BrokerConnection
from worker.clock import SystemClock
from worker.service import Background
from worker.telemetry import instruments as show
from worker.telemetry.callbacks import CallbackMetrics
from worker.telemetry.export import exporter_of
from worker.telemetry.resource import WEBHOOK
from worker.telemetry.scrape import Scrape
from worker.telemetry.tracing import Tracing
from worker.web.health import health_app
from worker.web.outlet import ReportOutlet
from worker.web.reports import KINDS, Webhook
from worker.web.server import WebServer
from worker.web.sources import Sources

if TYPE_CHECKING:
    from worker.settings.model import WebhookSettings


def build(cfg: WebhookSettings, replica: str) -> Process:
    """Build the webhook from its settings; `replica` is its id."""
    background = Background()
    connection = BrokerConnection(
        cfg.amqp_url.get_secret_value(), f"sms-webhook {replica}", background
    )
    exporter, ratio = exporter_of(os.environ, cfg.trace_ratio)
    tracing = Tracing(exporter, ratio=ratio, replica=replica, service=WEBHOOK)
    metrics = CallbackMetrics(cfg.webhook_tokens, KINDS)
    site = _site(cfg, connection, metrics, tracing)
    scrape = _scrape(metrics, site, connection, replica)
    public = WebServer(
        site.app(),
        background,
        host=cfg.webhook_host,
        port=cfg.webhook_port,
        name="webhook",
        settings="SMS_WEBHOOK_HOST, SMS_WEBHOOK_PORT",
    )
    private = WebServer(
        health_app({"broker": lambda: _check(connection)}, scrape.text),
        background,
        host=cfg.webhook_private_host,
        port=cfg.webhook_private_port,
        name="health",
        settings="SMS_WEBHOOK_PRIVATE_HOST, SMS_WEBHOOK_PRIVATE_PORT",
    )
    return Process((private, DrainTogether(tracing, scrape), public, connection), background)


def _site(
    cfg: WebhookSettings, connection: BrokerConnection, metrics: CallbackMetrics, tracing: Tracing
) -> Webhook:
    clock = SystemClock()
    sources = Sources(
        clock,
        allowed=cfg.webhook_sources,
        trusted=cfg.webhook_trusted_proxies,
        rate_per_s=cfg.webhook_rate_per_s,
    )
    tokens = {
        name: [token.get_secret_value() for token in valid]
        for name, valid in cfg.webhook_tokens.items()
    }
    return Webhook(
        ReportOutlet(connection),
        tokens,
        clock,
        sources=sources,
        answers=cfg.webhook_answers,
        metrics=metrics,
        tracing=tracing,
    )


def _scrape(
    metrics: CallbackMetrics, site: Webhook, connection: BrokerConnection, replica: str
) -> Scrape:
    readings = {
        show.REPORTS: metrics.reports,
        show.UNCONFIRMED: lambda: [(float(site.unconfirmed), {})],
        show.BROKER_UP: lambda: [(float(_check(connection)[0]), {})],
    }
    distributions = {show.SERVED: metrics.served, show.CONFIRMED: metrics.confirms}
    return Scrape(readings, distributions, replica, os.environ, WEBHOOK)


def _check(connection: BrokerConnection) -> tuple[bool, str]:
    """Return whether the broker takes reports, and why not."""
    if connection.is_blocked:
        return False, "blocked by the broker: memory or disk alarm"
    return connection.is_up, connection.problem or "connected"


async def run(cfg: WebhookSettings, replica: str) -> None:
    """Run the webhook until SIGTERM or SIGINT."""
    await build(cfg, replica).run_until_signal()
