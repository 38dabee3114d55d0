"""Providers misbehave: slow, hanging, flapping, garbage, redirects, huge bodies, wrong TLS.

Rules: what a provider does instead of its usual answer is a script of its simulator. Each is done
to the target alone, where the other provider is left, and some to both at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.support.whole_system import PROVIDERS
from tests.torture.network.case import Case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.whole_system import System
    from tests.torture.network.behind_proxies import Network

TARGET: Final = PROVIDERS[:1]
FOR_S: Final = 1.5
_FLAPS_S: Final = 0.3
SCRIPTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "slow": {"do": "answer", "latency_ms": 1_200},
    "hanging": {"do": "hang"},
    "hanging after it took the message": {"do": "hang", "taken": True},
    "resetting after it took the message": {"do": "reset", "taken": True},
    "closing after it took the message": {"do": "close"},
    "garbage": {"do": "garbage"},
    "half a body": {"do": "half_body"},
    "redirecting": {
        "do": "http", "status": 307, "headers": {"Location": "http://127.0.0.1:9/"}
    },
    "huge body": {"do": "http", "status": 201, "taken": True, "body": "x" * 900_000},
    "too many": {"do": "http", "status": 429, "headers": {"Retry-After": "1"}},
    "unavailable": {"do": "http", "status": 503},
    "server error": {"do": "http", "status": 500},
}  # fmt: skip
PROOFS: Final = frozenset({"slow", "redirecting", "too many"})
"""After which a worker knows what became of a message."""
BY_BOTH: Final = ("hanging", "garbage", "unavailable")


@dataclass(frozen=True)
class Behaviour:
    """What providers do, well or badly.

    Args:
        reports: whether they report the delivery of each message they took. Reports are half of the
            work, so cases that are about something else do without.
    """

    reports: bool = False

    async def usual(self, system: System) -> None:
        """Both providers do well."""
        for provider in PROVIDERS:
            await self._do(system, provider, {"do": "answer", "latency_ms": 50})

    async def _do(self, system: System, provider: str, action: Mapping[str, Any]) -> None:
        await system.faults(provider, {"action": {**action, "reports": {"send": self.reports}}})

    async def badly(self, network: Network, who: Sequence[str], action: Mapping[str, Any]) -> None:
        """These providers do this for a while."""
        for provider in who:
            await self._do(network.system, provider, action)
        await asyncio.sleep(FOR_S)
        await self.usual(network.system)

    async def flapping(self, network: Network, who: Sequence[str]) -> None:
        """These providers are gone and back, again and again."""
        for _ in range(int(FOR_S / _FLAPS_S / 2) + 1):
            for provider in who:
                await self._do(network.system, provider, {"do": "unreachable"})
            await asyncio.sleep(_FLAPS_S)
            await self.usual(network.system)
            await asyncio.sleep(_FLAPS_S)

    def cases(self) -> Iterator[Case]:
        """Everything that providers do."""
        for what, action in SCRIPTS.items():
            fault = partial(self.badly, who=TARGET, action=action)
            yield Case(f"target {what}", fault, blurs=what not in PROOFS)
        for what in BY_BOTH:
            fault = partial(self.badly, who=PROVIDERS, action=SCRIPTS[what])
            yield Case(f"both {what}", fault, blurs=True)
        yield Case("target flapping", partial(self.flapping, who=TARGET), blurs=True)
        yield Case("both flapping", partial(self.flapping, who=PROVIDERS), blurs=True)
        yield Case("target with a certificate for another name", untrusted, blurs=True)


async def untrusted(network: Network) -> None:
    """The target shows a certificate for another name."""
    network.tls.load_cert_chain(*network.certificates.issued("other", "provider.example"))
    network.proxies["africastalking"].reset()
    await asyncio.sleep(FOR_S)
    network.tls.load_cert_chain(*network.certificates.server)
