"""Settings of the notices about alerts, and of the mail server."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from worker.settings.group import Group
from worker.settings.types import Credential, Host, Line, Seconds


class MailSecurity(StrEnum):
    """How the connection to the mail server is encrypted."""

    STARTTLS = "starttls"
    """The connection starts plain and is encrypted before any data is sent."""
    TLS = "tls"
    NONE = "none"
    """No encryption, for a relay on the same machine. Refused together with a login."""


class SmtpSettings(Group):
    """The mail server."""

    host: Host
    """Host of the mail server; without one no mails are sent."""
    port: int | None = Field(default=None, ge=1, le=65_535)
    """Default: 587 with `starttls`, 465 with `tls`, 25 with `none`."""
    username: Line | None = None
    """User name at the mail server; without one mails are sent without a login."""
    password: Credential | None = Field(default=None, validate_default=True)
    """Password of the user name. Set both or neither."""
    security: MailSecurity = MailSecurity.STARTTLS
    """How the connection is encrypted; `none` is refused together with a login."""
    sender: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]
    """Sender address of the mails."""

    @field_validator("password")
    @classmethod
    def _both_or_neither(cls, value: Credential | None, info: ValidationInfo) -> Credential | None:
        if "username" in info.data and (info.data["username"] is None) is not (value is None):
            raise ValueError("expected with username, and only with it")
        return value

    @field_validator("security")
    @classmethod
    def _login_protected(cls, value: MailSecurity, info: ValidationInfo) -> MailSecurity:
        if value is MailSecurity.NONE and info.data.get("username") is not None:
            raise ValueError("expected starttls or tls with a login, got none")
        return value

    @property
    def port_used(self) -> int:
        """The port, or the usual port of the encryption."""
        usual = {MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465, MailSecurity.NONE: 25}
        return self.port or usual[self.security]


class NotifySettings(Group):
    """Timing of the notices. Their recipients are `NotificationRecipients` in the flags."""

    repeat_s: Seconds = 900.0
    """Time after which the notice of an unacknowledged critical alert is repeated."""
    settle_s: float = Field(default=30.0, ge=0, le=86_400, allow_inf_nan=False)
    """How long a trouble must be over before a notice says so."""
    timeout_s: float = Field(default=15.0, gt=0, le=30, allow_inf_nan=False)
    """Longest time for one mail or one POST."""
    allow_private: bool = False
    """Whether the webhook of a recipient may have a private or loopback address."""
