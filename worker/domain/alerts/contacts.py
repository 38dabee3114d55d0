"""Recipients of alert notices: mail addresses and web addresses.

Rules: `name@host` is reached by mail, `https://host/...` by webhook. Nothing else is a recipient.
Each chat service has its own format. The host decides the format, unless a word before the scheme
names it (`slack+https://chat.example/...`, `json+https://...`). The path of an address may be a
secret, so a problem text shows only scheme and host.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from typing import Protocol

    class Reader(Protocol):
        """Takes fields out of a section, and collects problems."""

        problems: list[str]

        def strings(self, section: dict[str, Any], name: str) -> tuple[str, ...]:
            """Take a list of strings."""
            ...


MOST: Final = 20
"""The most recipients. For more people, use a mailing list."""
_SECRET_BEGINS: Final = re.compile(r"[/\\?#]|:(?=[^@\s]*@)")
"""Marks the end of the part that may be shown: the path or a password follows."""
_EXPECTED: Final = "name@host, https://host/... or SERVICE+https://host/..."
_MAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)


class Service(StrEnum):
    """The format of notices for a web address. Its word may precede `+https`."""

    JSON = "json"
    """All fields of the alert, for programs."""
    SLACK = "slack"
    """Slack, and services with the same format (Mattermost, Rocket.Chat)."""
    GOOGLE_CHAT = "googlechat"
    TEAMS = "teams"
    """Microsoft Teams, through a workflow."""
    DISCORD = "discord"


_HOSTS: Final = {
    "hooks.slack.com": Service.SLACK,
    "hooks.slack-gov.com": Service.SLACK,
    "chat.googleapis.com": Service.GOOGLE_CHAT,
    "logic.azure.com": Service.TEAMS,
    "logic.azure.us": Service.TEAMS,
    "powerplatform.com": Service.TEAMS,
    "powerplatform.us": Service.TEAMS,
    "webhook.office.com": Service.TEAMS,
    "discord.com": Service.DISCORD,
    "discordapp.com": Service.DISCORD,
}
"""Services by host. A name below a host belongs to the same service."""


def read(reader: Reader, section: dict[str, Any], name: str) -> tuple[str, ...]:
    """Read the recipients, each once. A problem names the entry by its place in the list."""
    recipients = reader.strings(section, name)
    if len(recipients) > MOST:
        reader.problems.append(f"{name}: expected at most {MOST} recipients, got {len(recipients)}")
    for place, each in enumerate(recipients):
        if not is_mail(each) and not _is_web(each):
            reader.problems.append(f"{name}[{place}]: expected {_EXPECTED}, got {_shown(each)}")
    return tuple(dict.fromkeys(recipients))


def is_mail(recipient: str) -> bool:
    """Whether the recipient is reached by mail."""
    return _MAIL.fullmatch(recipient) is not None


def web(recipient: str) -> tuple[Service, str]:
    """The format and the plain address of a web recipient.

    Raises:
        ValueError: the service is unknown, or it is no address.
    """
    scheme, separator, rest = recipient.partition("://")
    named, plus, bare = scheme.lower().rpartition("+")
    address = f"{bare}{separator}{rest}"
    return (Service(named) if plus else _of_host(address)), address


def _of_host(address: str) -> Service:
    parts = urlsplit(address)
    host = (parts.hostname or "").rstrip(".")
    known = (service for name, service in _HOSTS.items() if f".{host}".endswith(f".{name}"))
    service = next(known, Service.JSON)
    compatible = service is Service.DISCORD and parts.path.endswith("/slack")
    return Service.SLACK if compatible else service


def _is_web(recipient: str) -> bool:
    if not recipient.isascii() or not recipient.isprintable() or " " in recipient:
        return False
    try:
        parts = urlsplit(web(recipient)[1])
        plain = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and plain


def shown(recipient: str) -> str:
    """A recipient without possible secrets: only the host of a web address."""
    if "://" not in recipient:
        return recipient
    try:
        return urlsplit(recipient).hostname or "an address without a host"
    except ValueError:
        return "an address that cannot be read"


def _shown(recipient: str) -> str:
    """Like `shown`, for text that is no recipient, such as an address without its slashes."""
    scheme, separator, _ = recipient.partition("://")
    begins = _SECRET_BEGINS.split(scheme, maxsplit=1)[0]
    return f"{begins!r:.20} at {shown(recipient)}" if separator else f"{begins!r:.60}"
