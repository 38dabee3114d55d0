"""Sends a notice to a web address: one POST of JSON, in the format of the service there.

Rules: https only; no redirects, no proxies from the environment, no cookies. The address is used
byte for byte as it was given, because a signature holds for one spelling only. The name is resolved
once, and the connection goes to exactly the addresses that were checked. None of them may be
private, loopback, link-local, multicast, reserved or shared, nor an IPv6 form of such an address,
unless the settings allow it. `formats` says which answers count as a delivery. The path of an
address may be a secret, so errors name the host only.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from worker.alerting import formats
from worker.domain.alerts.contacts import shown, web
from worker.ports.alerts import NotDelivered

if TYPE_CHECKING:
    import ssl
    from socket import AddressFamily

    from worker.domain.alerts.contacts import Service
    from worker.domain.alerts.notice_text import Notice

_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "sms-migration-worker"}


class NotPublic(OSError):  # noqa: N818 - a finding about an address
    """A name leads to an address that is not public."""


class Webhook:
    """Posts notices.

    Args:
        timeout_s: longest time for one notice, from the name lookup to the head of the answer.
        allow_private: whether private addresses are allowed too.
        tls: certificates to trust instead of the system's.
    """

    def __init__(
        self, *, timeout_s: float, allow_private: bool, tls: ssl.SSLContext | None = None
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._allow_private = allow_private
        self._tls = tls if tls is not None else True

    async def send(self, recipient: str, notice: Notice) -> None:
        """Post one notice. Raises `NotDelivered`."""
        host = shown(recipient)
        try:
            await self._post(recipient, host, notice)
        except NotPublic as error:
            raise NotDelivered(f"{host}: {error}") from None
        except TimeoutError:
            raise NotDelivered(f"{host}: no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotDelivered(f"{host}: {_plain(error)}") from None

    async def _post(self, recipient: str, host: str, notice: Notice) -> None:
        service, address = web(recipient)
        url = URL(address, encoded=True)
        self._judge_literal(url.raw_host or "")
        async with (
            self._session() as session,
            session.post(
                url,
                data=body(notice, recipient),
                headers=_HEADERS,
                allow_redirects=False,
            ) as response,
        ):
            await _judge(service, host, response)

    def _session(self) -> aiohttp.ClientSession:
        resolver = ThreadedResolver() if self._allow_private else PublicOnly()
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, resolver=resolver, force_close=True),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    def _judge_literal(self, host: str) -> None:
        """Check an IP address that stands in place of a name: the resolver never sees it."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return
        if not self._allow_private and not is_public(host):
            raise NotPublic(f"{host} is not a public address")


class PublicOnly(AbstractResolver):
    """Resolves a name if all its addresses are public, else refuses it."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily | int = 0
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises `NotPublic` if one of them is not public."""
        addresses = await self._resolver.resolve(host, port, family)  # type: ignore[arg-type] # 0 is AF_UNSPEC
        if not all(is_public(each["host"]) for each in addresses):
            raise NotPublic("leads to an address that is not public")
        return addresses

    async def close(self) -> None:
        """Nothing to close."""


def is_public(address: str) -> bool:
    """Whether an address is reachable on the public internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def body(notice: Notice, recipient: str = "") -> bytes:
    """Return the notice in the format of the service at this address (default: `json`)."""
    return formats.body(web(recipient)[0], notice)


async def _judge(service: Service, host: str, response: aiohttp.ClientResponse) -> None:
    """Raise `NotDelivered` unless the service has taken the notice."""
    head = b""
    if formats.denies(service):
        head = await response.content.read(formats.HEAD_BYTES)
    if not formats.told(service, response.status, head):
        raise NotDelivered(f"{host}: answered {response.status}{' with an error' if head else ''}")


def _plain(error: BaseException) -> str:
    """Return a short description of an error that never contains an address."""
    inner = error.__cause__ if isinstance(error.__cause__, NotPublic) else error
    if isinstance(inner, NotPublic):
        return str(inner)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not trusted"
    return type(error).__name__
