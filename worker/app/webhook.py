"""Builds the webhook as its own process, without a store and with rights to one exchange only.

Rules: it serves before the broker is there. Until then it is not ready and answers 503 to reports,
which their providers repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.app.process import Process
from worker.broker.connection import BrokerConnection
from worker.clock import SystemClock
from worker.service import Background
from worker.web.outlet import ReportOutlet
from worker.web.reports import Webhook
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
    tokens = {
        name: [token.get_secret_value() for token in valid]
        for name, valid in cfg.webhook_tokens.items()
    }
    clock = SystemClock()
    sources = Sources(
        clock,
        allowed=cfg.webhook_sources,
        trusted=cfg.webhook_trusted_proxies,
        rate_per_s=cfg.webhook_rate_per_s,
    )
    site = Webhook(
        ReportOutlet(connection),
        tokens,
        clock,
        sources=sources,
        answers=cfg.webhook_answers,
        checks={"broker": lambda: (connection.is_up, connection.problem or "connected")},
    )
    server = WebServer(
        site.app(),
        background,
        host=cfg.webhook_host,
        port=cfg.webhook_port,
        name="webhook",
        settings="SMS_WEBHOOK_HOST, SMS_WEBHOOK_PORT",
    )
    return Process((server, connection), background)


async def run(cfg: WebhookSettings, replica: str) -> None:
    """Run the webhook until SIGTERM or SIGINT."""
    await build(cfg, replica).run_until_signal()
