"""Who is told of alerts: mail addresses, and addresses on the web.

Rules: `name@host` is reached by mail, `https://host/...` by webhook; nothing else is one. Chat
services each want a format of their own: the host says which one, or a word before the scheme does
(`slack+https://chat.example/...`), which also overrules the host (`json+https://...`). The path of
an address may be a secret: a problem repeats its scheme and host alone.
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
            """A list of strings."""
            ...


MOST: Final = 20
"""Recipients; who wants more names a list of the mail server's."""
_SECRET_BEGINS: Final = re.compile(r"[/\\?#]|:(?=[^@\s]*@)")
"""Where an address ends that may be shown: at its path, or at the password of a log-in."""
_EXPECTED: Final = "name@host, https://host/... or SERVICE+https://host/..."
_MAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)


class Service(StrEnum):
    """In which format an address on the web takes a notice; the word that may precede `+https`."""

    JSON = "json"
    """All fields of the alert, for programs."""
    SLACK = "slack"
    """Slack, and what takes the same (Mattermost, Rocket.Chat)."""
    GOOGLE_CHAT = "googlechat"
    TEAMS = "teams"
    """Microsoft Teams, by a workflow."""
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
"""Services by their hosts; a name within one is the same."""


def read(reader: Reader, section: dict[str, Any], name: str) -> tuple[str, ...]:
    """The recipients, each once; what is none is a problem by its place in the list."""
    found = reader.strings(section, name)
    if len(found) > MOST:
        reader.problems.append(f"{name}: expected at most {MOST} recipients, got {len(found)}")
    for place, each in enumerate(found):
        if not is_mail(each) and not _is_web(each):
            reader.problems.append(f"{name}[{place}]: expected {_EXPECTED}, got {_shown(each)}")
    return tuple(dict.fromkeys(found))


def is_mail(recipient: str) -> bool:
    """Whether it is reached by mail."""
    return _MAIL.fullmatch(recipient) is not None


def web(recipient: str) -> tuple[Service, str]:
    """The format and the bare address of a recipient on the web.

    Raises:
        ValueError: no such service, or no address.
    """
    scheme, separator, rest = recipient.partition("://")
    named, plus, bare = scheme.lower().rpartition("+")
    address = f"{bare}{separator}{rest}"
    return (Service(named) if plus else _of_host(address)), address


def _of_host(address: str) -> Service:
    parts = urlsplit(address)
    host = (parts.hostname or "").rstrip(".")
    known = (found for name, found in _HOSTS.items() if f".{host}".endswith(f".{name}"))
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
    """A recipient without what may be a secret: of an address on the web the host alone."""
    if "://" not in recipient:
        return recipient
    try:
        return urlsplit(recipient).hostname or "an address without a host"
    except ValueError:
        return "an address that cannot be read"


def _shown(recipient: str) -> str:
    """As `shown`, of what is no recipient: perhaps an address without its slashes."""
    scheme, separator, _ = recipient.partition("://")
    begins = _SECRET_BEGINS.split(scheme, maxsplit=1)[0]
    return f"{begins!r:.20} at {shown(recipient)}" if separator else f"{begins!r:.60}"
