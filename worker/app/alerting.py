"""Builds the services that record alerts and notify people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.alerting.direct_notices import DirectNotices
from worker.alerting.mail import Mail
from worker.alerting.notifier import Notifier
from worker.alerting.recorder import Recorder
from worker.alerting.sender import Notices
from worker.alerting.webhook import Webhook
from worker.domain.alerts.alert_codes import AlertCode

if TYPE_CHECKING:
    from worker.app.runtime import Runtime
    from worker.ports.alerts import AlertBook
    from worker.ports.steering import Snapshots
    from worker.service import Service


def alerting_services(
    runtime: Runtime, book: AlertBook, snapshots: Snapshots
) -> tuple[Service, ...]:
    """Build the recorder, which stores alerts, and the notifier, which notifies people."""
    cfg, alerts = runtime.cfg.notify, runtime.alerts
    direct = DirectNotices()
    recorder = Recorder(alerts, book, direct, runtime.background)
    mail = Mail(runtime.cfg.smtp, timeout_s=cfg.timeout_s) if runtime.cfg.smtp else None
    notifier = Notifier(
        source=alerts,
        book=book,
        snapshots=snapshots,
        post=Notices(mail, Webhook(timeout_s=cfg.timeout_s, allow_private=cfg.allow_private)),
        direct=direct,
        clock=runtime.clock,
        background=runtime.background,
        repeat_s=cfg.repeat_s,
        settle_s=cfg.settle_s,
    )
    return (recorder, notifier)


def alert_unpublishable(runtime: Runtime) -> None:
    """Raise an alert for each message that cannot be published at all."""

    def broken(message_id: str) -> None:
        text = f"the broker closes the connection because of {message_id}: it is not published"
        runtime.alerts.event(AlertCode.UNPUBLISHABLE, text)

    runtime.publisher.on_broken(broken)
