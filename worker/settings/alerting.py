"""Settings of who is told of alerts, and how."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from worker.settings.group import Group
from worker.settings.types import Credential, Host, Line, Seconds


class MailSecurity(StrEnum):
    """How the way to the mail server is protected."""

    STARTTLS = "starttls"
    """Plain at first, encrypted before anything is said."""
    TLS = "tls"
    NONE = "none"
    """For a relay on the same machine; with a login it is refused."""


class SmtpSettings(Group):
    """The server that takes our mails."""

    host: Host
    """Host of the mail server; without one no mails are sent."""
    port: int | None = Field(default=None, ge=1, le=65_535)
    """Default: 587 with `starttls`, 465 with `tls`, 25 with `none`."""
    username: Line | None = None
    """Login at the mail server; none: mails go out without a login."""
    password: Credential | None = Field(default=None, validate_default=True)
    """Password of the login; it needs the user name, and the user name needs it."""
    security: MailSecurity = MailSecurity.STARTTLS
    """How the connection is encrypted; `none` is refused together with a login."""
    sender: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]
    """Address the mails come from."""

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
        """The port, or what is usual."""
        usual = {MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465, MailSecurity.NONE: 25}
        return self.port or usual[self.security]


class NotifySettings(Group):
    """How people are told of alerts. Who is told: `NotificationRecipients` in the flags."""

    repeat_s: Seconds = 900.0
    """Time until a critical alert that nobody acknowledged is told again."""
    settle_s: float = Field(default=30.0, ge=0, le=86_400, allow_inf_nan=False)
    """How long a trouble must be over before people are told so."""
    timeout_s: float = Field(default=15.0, gt=0, le=30, allow_inf_nan=False)
    """Longest time for one mail or one POST."""
    allow_private: bool = False
    """Whether a webhook may lead to a private or loopback address."""
