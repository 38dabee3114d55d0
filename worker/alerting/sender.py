"""Sends a notice to a recipient: to a web address by webhook, to any other by mail.

Rules: it raises `NotDelivered` only, so a notice that cannot be sent never ends a worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.ports.alerts import NotDelivered

if TYPE_CHECKING:
    from worker.alerting.mail import Mail
    from worker.alerting.webhook import Webhook
    from worker.domain.alerts.notice_text import Notice


class Notices:
    """The `NoticeSender` port.

    Args:
        mail: the mail server; None: none is set.
        webhook: posts to web addresses.
    """

    def __init__(self, mail: Mail | None, webhook: Webhook) -> None:
        self._mail = mail
        self._webhook = webhook

    def problem(self, recipient: str) -> str | None:
        """See `NoticeSender.problem`."""
        if "://" in recipient or self._mail is not None:
            return None
        return f"{recipient}: no mail server is set (SMS_SMTP__HOST)"

    async def send(self, recipient: str, notice: Notice) -> None:
        """See `NoticeSender.send`."""
        try:
            await self._send(recipient, notice)
        except NotDelivered:
            raise
        except Exception as error:  # noqa: BLE001 - no error of a library may end a worker
            raise NotDelivered(f"our own error: {type(error).__name__}") from None

    async def _send(self, recipient: str, notice: Notice) -> None:
        if "://" in recipient:
            await self._webhook.send(recipient, notice)
        elif self._mail is None:
            raise NotDelivered("no mail server is set")
        else:
            await self._mail.send(recipient, notice)
