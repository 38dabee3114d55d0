"""Builds the webhook as its own process, without a store and with rights to one exchange only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.app.process import Process
from worker.broker.connection import BrokerConnection
from worker.clock import SystemClock
from worker.service import Background
from worker.web.outlet import ReportOutlet
from worker.web.reports import Webhook
from worker.web.server import WebServer

if TYPE_CHECKING:
    from worker.settings.model import WebhookSettings


def build(cfg: WebhookSettings) -> Process:
    """Build the webhook from its settings."""
    background = Background()
    connection = BrokerConnection(cfg.amqp_url.get_secret_value(), "sms-webhook", background)
    tokens = {name: token.get_secret_value() for name, token in cfg.webhook_tokens.items()}
    site = Webhook(ReportOutlet(connection), tokens, SystemClock(), answers=cfg.webhook_answers)
    server = WebServer(
        site.app(),
        background,
        host=cfg.webhook_host,
        port=cfg.webhook_port,
        name="webhook",
        settings="SMS_WEBHOOK_HOST, SMS_WEBHOOK_PORT",
    )
    return Process((connection, server), background)


async def run(cfg: WebhookSettings) -> None:
    """Run the webhook until SIGTERM or SIGINT."""
    await build(cfg).run_until_signal()
