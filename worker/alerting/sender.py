"""Which way a recipient is reached: an address on the web by webhook, any other by mail.

Rules: nothing but `NotDelivered` comes out of it: a notice that cannot be sent costs no worker.
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
        webhook: the way to addresses on the web.
    """

    def __init__(self, mail: Mail | None, webhook: Webhook) -> None:
        self._mail = mail
        self._webhook = webhook

    def problem(self, recipient: str) -> str | None:
        """See `Post.problem`."""
        if "://" in recipient or self._mail is not None:
            return None
        return f"{recipient}: no mail server is set (SMS_SMTP__HOST)"

    async def send(self, recipient: str, notice: Notice) -> None:
        """See `Post.send`."""
        try:
            await self._send(recipient, notice)
        except NotDelivered:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a library raises ends no worker
            raise NotDelivered(f"our own error: {type(error).__name__}") from None

    async def _send(self, recipient: str, notice: Notice) -> None:
        if "://" in recipient:
            await self._webhook.send(recipient, notice)
        elif self._mail is None:
            raise NotDelivered("no mail server is set")
        else:
            await self._mail.send(recipient, notice)
