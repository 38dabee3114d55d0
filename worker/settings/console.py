"""The settings of the console process.

Rules: it has no login of its own, because each person logs in with theirs; so a login in the
broker's address is refused. A page that can move all messages is never served in the clear: on
another address than this machine's own, it needs a certificate, or a proxy in front that has one.
What a container publishes on its machine alone is this machine's own, too: its origin says so
(`http://localhost:8090`), and no other name is answered.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from worker.settings.addresses import amqp_problems, http_problems, pairs, split
from worker.settings.environment import FromEnvironment
from worker.settings.types import Host, LogLevel, Port, Title, without

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
"""Names of this machine's own address."""
_HTTPS: Final = "https"
_USUAL_PORT: Final = {"http": ":80", "https": ":443"}
"""What browsers leave out."""
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")


def _without_login(value: str) -> str:
    parts = split(value.partition("://")[2])
    if parts.login is not None:
        raise ValueError("expected no login in it: each person logs in with their own")
    without(amqp_problems(value))
    if "external" in (given.lower() for name, given in pairs(parts.query) if name == "auth"):
        raise ValueError("option auth: expected none: each person logs in with their own")
    return value


def _origin(value: str) -> str:
    without(http_problems(value) if value else [])
    parts = urlsplit(value)
    if not _PATH.fullmatch(parts.path):
        raise ValueError("expected a path of letters, digits and . _ ~ - alone")
    if value and parts.scheme != _HTTPS and parts.hostname not in LOOPBACK:
        raise ValueError("expected https: people type passwords there")
    host = parts.netloc.lower().removesuffix(_USUAL_PORT.get(parts.scheme, ":"))
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}" if value else ""


BrokerWithoutLogin = Annotated[str, AfterValidator(_without_login)]
Origin = Annotated[str, AfterValidator(_origin)]
Minutes = Annotated[int, Field(ge=1, le=7 * 24 * 60)]


class ConsoleSettings(FromEnvironment):
    """All settings of the console process."""

    console_broker: BrokerWithoutLogin
    """Address of RabbitMQ without a login (`amqps://mq-1:5671,mq-2:5671/`). Each person logs in at
    the console with their own broker user and password."""
    console_host: Host = "127.0.0.1"
    """Address on which the console listens. Another one than this machine's own needs a
    certificate, or `SMS_CONSOLE_ORIGIN`."""
    console_port: Port = 8090
    """Port on which the console listens; 0: a free one."""
    console_cert: Path | None = None
    """File with the certificate (PEM, with the chain), where the console itself ends TLS."""
    console_key: Path | None = Field(default=None, validate_default=True)
    """File with the certificate's key. Set both or neither."""
    console_origin: Origin = Field(default="", validate_default=True)
    """Address that people type (`https://sms.example`), perhaps with a path
    (`https://example/sms`), if a proxy is in front or the console has a name. The `Host` of a
    request must be the one in it. With http only this machine's own names are allowed, as for a
    port that a container publishes there. Default: the address on which the console listens."""
    console_title: Title = "production"
    """Which installation this is, on every page."""
    console_idle_minutes: Minutes = 30
    """A session ends if its person did nothing for this time; 8 hours after the log-in it ends
    anyway."""
    console_observer_idle_minutes: Minutes = 720
    """The same for observers, whose page may hang on a wall. If it is longer than 8 hours, their
    session lasts as long."""
    console_private_host: Host = "127.0.0.1"
    """Address on which `/live` and `/ready` of the console are served."""
    console_private_port: Port = 0
    """Port of `/live` and `/ready` of the console; 0: a free one."""
    log_level: LogLevel = "info"
    """`debug`, `info`, `warning` or `error`."""

    @field_validator("console_key")
    @classmethod
    def _both(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "console_cert" in info.data and (value is None) != (info.data["console_cert"] is None):
            raise ValueError("expected console_cert and console_key, or neither, got one of them")
        return value

    @field_validator("console_origin")
    @classmethod
    def _encrypted(cls, value: str, info: ValidationInfo) -> str:
        host, certificate = info.data.get("console_host"), info.data.get("console_cert")
        is_https = value.startswith(f"{_HTTPS}:")
        if certificate is not None and value and not is_https:
            raise ValueError("expected https, because there is a certificate")
        is_open = host is not None and host not in LOOPBACK and certificate is None
        if is_open and not value:
            raise ValueError(
                f"expected an address with https (or console_cert), because console_host is {host}"
            )
        return value

    @property
    def is_encrypted(self) -> bool:
        """Whether browsers reach the console over TLS."""
        return self.console_cert is not None or self.console_origin.startswith(f"{_HTTPS}:")
