"""Who is told of alerts: mail addresses, and addresses on the web.

Rules: `name@host` is reached by mail, `https://host/...` by webhook; nothing else is one. The path
of an address may be a secret: a problem repeats its scheme and host alone.
"""

from __future__ import annotations

import re
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
_MAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)


def read(reader: Reader, section: dict[str, Any], name: str) -> tuple[str, ...]:
    """The recipients, each once; what is none is a problem by its place in the list."""
    found = reader.strings(section, name)
    if len(found) > MOST:
        reader.problems.append(f"{name}: expected at most {MOST} recipients, got {len(found)}")
    for place, each in enumerate(found):
        if not is_mail(each) and not _is_web(each):
            expected = "name@host or https://host/..."
            reader.problems.append(f"{name}[{place}]: expected {expected}, got {_shown(each)}")
    return tuple(dict.fromkeys(found))


def is_mail(recipient: str) -> bool:
    """Whether it is reached by mail."""
    return _MAIL.fullmatch(recipient) is not None


def _is_web(recipient: str) -> bool:
    if not recipient.isascii() or not recipient.isprintable() or " " in recipient:
        return False
    try:
        parts = urlsplit(recipient)
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
    scheme, separator, _ = recipient.partition("://")
    return f"{scheme!r:.20} at {shown(recipient)}" if separator else f"{recipient!r:.60}"
