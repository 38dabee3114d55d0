"""Where browsers find the console: its names, its cookies, the prefix of its paths.

Rules: pure. Nothing that a request says of its own address is believed: only the settings, and the
port on which the request came. Cookies are bound to this host and path as tightly as browsers
allow; on plain http their name has the port, because browsers keep one jar for all ports of a host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from worker.settings.console import ConsoleSettings

_OF_THIS_MACHINE: Final = ("127.0.0.1", "localhost", "[::1]")
_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Place:
    """The address of the console."""

    origin: str
    """As people type it, such as `https://sms.example`, without a path; empty: the bound one."""
    bound: str
    """Host on which it listens."""
    is_encrypted: bool
    """Whether browsers reach it over TLS."""
    base: str
    """Path prefix of every address, without a slash at its end; empty: none."""

    @classmethod
    def of(cls, cfg: ConsoleSettings) -> Place:
        """The place that the settings name."""
        parts = urlsplit(cfg.console_origin)
        origin = f"{parts.scheme}://{parts.netloc}" if cfg.console_origin else ""
        return cls(origin, cfg.console_host, cfg.is_encrypted, parts.path)

    def origins(self, port: int) -> frozenset[str]:
        """Origins that pages of this console have.

        Args:
            port: on which the request came.
        """
        scheme = "https" if self.is_encrypted else "http"
        usual = {"http": 80, "https": 443}[scheme]
        found = [] if self.bound in _ANY else [(self.bound, port)]
        if self.origin:
            parts = urlsplit(self.origin)
            found.append((parts.hostname or "", parts.port or usual))
        return frozenset(
            f"{scheme}://{name}" + ("" if number == usual else f":{number}")
            for host, number in found
            for name in _names(host)
        )

    def hosts(self, port: int) -> frozenset[str]:
        """What the header `Host` may be; with any other name a request is refused.

        Otherwise a page of somebody else, whose name was made to point here, could ask us in the
        name of its reader (DNS rebinding).
        """
        return frozenset(urlsplit(origin).netloc for origin in self.origins(port))

    def cookie(self, name: str, port: int) -> str:
        """The full name of a cookie."""
        if not self.is_encrypted:
            return f"{name}-{port}"
        return f"__Secure-{name}" if self.base else f"__Host-{name}"

    @property
    def cookie_path(self) -> str:
        """The path that cookies are for."""
        return self.base or "/"


def _names(host: str) -> tuple[str, ...]:
    """A host as it stands in an address; this machine has three names."""
    name = f"[{host}]" if ":" in host else host
    return _OF_THIS_MACHINE if name in _OF_THIS_MACHINE else (name,)
