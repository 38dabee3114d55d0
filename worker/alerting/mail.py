"""Sends notices by mail.

Rules: each recipient gets a separate mail and sees no other recipient. The standard library writes
the headers, each from a single line. With `starttls`, nothing is sent (above all no password)
before the connection is encrypted and the server's certificate is verified. Errors give the
server's answer, never what we sent.
"""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING

import aiosmtplib

from worker.ports.alerts import NotDelivered
from worker.settings.alerting import MailSecurity

if TYPE_CHECKING:
    import ssl

    from worker.domain.alerts.notice_text import Notice
    from worker.settings.alerting import SmtpSettings


class Mail:
    """Sends mails through one server.

    Args:
        cfg: the server.
        timeout_s: longest time for one mail, from the name lookup until the server accepts it.
        tls: certificates to trust instead of the system's.
    """

    def __init__(
        self, cfg: SmtpSettings, *, timeout_s: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self._cfg = cfg
        self._timeout_s = timeout_s
        self._tls = tls

    async def send(self, recipient: str, notice: Notice) -> None:
        """Send one mail. Raises `NotDelivered`."""
        cfg = self._cfg
        try:
            async with asyncio.timeout(self._timeout_s):
                await aiosmtplib.send(
                    message(cfg.sender, recipient, notice),
                    sender=cfg.sender,
                    recipients=[recipient],
                    hostname=cfg.host,
                    port=cfg.port_used,
                    username=cfg.username,
                    password=cfg.password.get_secret_value() if cfg.password else None,
                    use_tls=cfg.security is MailSecurity.TLS,
                    start_tls=cfg.security is MailSecurity.STARTTLS,
                    tls_context=self._tls,
                    timeout=self._timeout_s,
                )
        except TimeoutError:
            raise NotDelivered(f"{cfg.host}: no answer within {self._timeout_s:g} s") from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise NotDelivered(f"{cfg.host}: {_plain(error)}") from None


def message(sender: str, recipient: str, notice: Notice) -> EmailMessage:
    """Build the mail. All notices of one alert form one thread."""
    made = EmailMessage()
    made["From"] = sender
    made["To"] = recipient
    made["Subject"] = notice.subject
    made["Date"] = format_datetime(notice.at)
    made["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    made["References"] = f"<{notice.alert.id}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    made.set_content(notice.text + "\n")
    return made


def _plain(error: Exception) -> str:
    """Return the kind of error and the server's code; its text may repeat what we sent."""
    code = getattr(error, "code", None)
    return f"{type(error).__name__} {code}" if isinstance(code, int) else type(error).__name__
