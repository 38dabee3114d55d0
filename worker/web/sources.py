"""Says from which address a request comes, whether it may, and whether it comes too often.

Rules:
- The address is that of the connection. `X-Forwarded-For` counts only if the connection is from a
  proxy that the settings name, and only as far back as such proxies wrote it: anybody can write
  what stands before.
- An IPv6 network of 64 bits counts as one source, because one host has all its addresses.
- The memory of sources is bounded. The one that is forgotten was silent for the longest time.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from starlette.requests import Request

    from worker.ports.clock import Clock

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
BURST_S: Final = 2.0
"""A source may be ahead of its rate by the requests of this time, seconds."""
RATE_PER_S: Final = 500.0
MOST: Final = 10_000
"""Sources that are remembered."""
_WITH_PORT: Final = re.compile(r"\[(.*)\](?::\d+)?|([\d.]+):\d+")
_ONE_HOST: Final = 64


class Sources:
    """Knows the sources of a webhook.

    Args:
        clock: monotonic time.
        allowed: provider id -> networks its callbacks come from; any, if it has none here.
        trusted: networks of our own reverse proxies.
        rate_per_s: most requests of one source per second.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        allowed: Mapping[str, Collection[Network]] | None = None,
        trusted: Collection[Network] = (),
        rate_per_s: float = RATE_PER_S,
    ) -> None:
        self._clock = clock
        self._allowed = allowed or {}
        self._trusted = trusted
        self._interval_s = 1 / rate_per_s
        self._due: OrderedDict[str, float] = OrderedDict()

    def of(self, request: Request) -> Address | None:
        """The address that a request comes from; None: the connection has none."""
        peer = request.client.host if request.client else ""
        return origin(peer, request.headers.getlist("x-forwarded-for"), self._trusted)

    def may(self, source: Address | None, provider: str) -> bool:
        """Whether callbacks of this provider may come from there."""
        networks = self._allowed.get(provider)
        return not networks or _within(source, networks)

    def in_time(self, source: Address | None) -> bool:
        """Count a request; return whether its source keeps within its rate."""
        name, now = _name(source), self._clock.monotonic()
        due = max(self._due.pop(name, now), now)
        refused = due - now > BURST_S
        self._due[name] = due if refused else due + self._interval_s
        if len(self._due) > MOST:
            self._due.popitem(last=False)
        return not refused


def origin(peer: str, forwarded: Iterable[str], trusted: Collection[Network]) -> Address | None:
    """The address that a request comes from.

    Args:
        peer: address of the connection.
        forwarded: values of `X-Forwarded-For`, in their order.
        trusted: networks of our own proxies, each of which adds its peer at the end.
    """
    address = _read(peer)
    hops = [hop for value in forwarded for hop in value.split(",")]
    while hops and _within(address, trusted):
        before = _read(hops.pop())
        if before is None:  # no proxy of ours writes this: the proxy is all that is known
            break
        address = before
    return address


def _read(text: str) -> Address | None:
    text = text.strip()
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port[1] or with_port[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _within(address: Address | None, networks: Collection[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _name(source: Address | None) -> str:
    if isinstance(source, IPv6Address):
        return str(IPv6Network((source, _ONE_HOST), strict=False))
    return str(source)
